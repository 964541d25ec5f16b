"""What the oracles chose for each object, as the failure modes need it to price an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mindthegap.evaluation.tables import OverlapTables, VideoOverlaps


@dataclass(frozen=True, eq=False)
class VideoLinking:
    """Queries the oracles give to the objects of one video; -1 means none (always so for crowd objects).

    Attributes:
        video_id: The video.
        ranking_query: ``int64 [G]``, the query whose row the ranking oracle matches to each object.
        tracking_query: ``int64 [T, G]``, the query chosen per frame when identities are repaired.
        classification_query: ``int64 [T, G]``, the same when identities and classes are repaired.
    """

    video_id: int
    ranking_query: np.ndarray
    tracking_query: np.ndarray
    classification_query: np.ndarray


def linking_by_video(
    tables: OverlapTables, linking: Mapping[int, VideoLinking] | Iterable[VideoLinking]
) -> dict[int, VideoLinking]:
    """Checks that ``linking`` describes the videos of ``tables`` and keys it by video id.

    Raises:
        ValueError: A video is missing, or an array has a wrong shape or names a query the video does not have.
    """
    entries = linking.values() if isinstance(linking, Mapping) else linking
    by_video = {entry.video_id: entry for entry in entries}
    for video in tables.videos:
        if video.video_id not in by_video:
            raise ValueError(f"the linking holds no entry for video {video.video_id}")
        _check(video, by_video[video.video_id])
    return by_video


def _check(video: VideoOverlaps, linking: VideoLinking) -> None:
    frames, queries, objects = video.intersection.shape
    expected = {
        "ranking_query": (objects,),
        "tracking_query": (frames, objects),
        "classification_query": (frames, objects),
    }
    for name, shape in expected.items():
        values = np.asarray(getattr(linking, name))
        if values.shape != shape:
            raise ValueError(f"video {video.video_id}: {name} has shape {values.shape}, the tables need {shape}")
        if values.size and not (values.min() >= -1 and values.max() < queries):
            raise ValueError(f"video {video.video_id}: {name} names a query outside 0..{queries - 1}")
