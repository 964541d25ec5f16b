"""Who carries an object in each frame, and whom a query covers: the lanes of the video view.

Carriers and hidden intervals are those of the failure modes, so that an event and the colour change in the lane are the
same thing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mindthegap.evaluation.tables import VideoOverlaps
from mindthegap.failures import FailureThresholds, build_scene
from mindthegap.failures.families import PairIou
from mindthegap.failures.scene import ABSENT, BACKGROUND, MIXED

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lanes:
    """One video's lanes; T frames, Q queries, G objects.

    Attributes:
        iou: Frame IoU ``[T, Q, G]``, 0 where either is absent.
        carrier: The query that carries each object ``[T, G]`` (one-to-one, class-blind), -1 for none.
        owner: What each query covers ``[T, Q]``: an object's position, or ``ABSENT``, ``BACKGROUND``, ``MIXED``.
        family: For every query the query that stands for its family of near copies, ``[Q]``.
        hidden: Per object the intervals ``(first frame, last frame, rule)`` in which it is hidden or absent.
    """

    iou: Floats
    carrier: Ints
    owner: Ints
    family: Ints
    hidden: tuple[tuple[tuple[int, int, str], ...], ...]


def video_lanes(video: VideoOverlaps, thresholds: FailureThresholds, boxes: Floats, pair_iou: PairIou) -> Lanes:
    """Computes the lanes of a video as the failure modes see it.

    Args:
        video: Integer tables.
        thresholds: Thresholds of the failure modes.
        boxes: Boxes of the objects ``[T, G, 4]``, which decide whether an unlabelled object is hidden.
        pair_iou: Exact IoU of two queries, which decides whether they are near copies.
    """
    scene = build_scene(video, thresholds, boxes=boxes, pair_iou=pair_iou)
    # The last entry answers for "no carrier", which is family -1.
    number = np.array([*(family.query for family in scene.families), -1], dtype=np.int64)
    family = np.arange(video.query_area.shape[1])
    for entry in scene.families:
        family[list(entry.members)] = entry.query
    hidden = tuple(tuple((int(o.start), int(o.end), str(o.rule)) for o in found) for found in scene.occlusions)
    return Lanes(_frame_iou(video), number[scene.carrier], _owners(video, thresholds), family, hidden)


def _frame_iou(video: VideoOverlaps) -> Floats:
    """IoU of every query with every object in every frame."""
    union = video.query_area[:, :, None].astype(np.int64) + video.object_area[:, None, :] - video.intersection
    result: Floats = video.intersection / np.maximum(union, 1)
    return result


def _owners(video: VideoOverlaps, thresholds: FailureThresholds) -> Ints:
    """What each query covers; the failure modes know this for kept families only, the page draws others too."""
    owner = np.full(video.query_area.shape, BACKGROUND, dtype=np.int64)
    if len(video.object_id):
        precision = video.intersection / np.maximum(video.query_area[:, :, None], 1)
        best, most = precision.argmax(axis=2), precision.max(axis=2)
        owned = (most >= thresholds.owner_precision) & ~video.object_crowd[best]
        owner = np.where(most < thresholds.background_precision, BACKGROUND, np.where(owned, best, MIXED))
    owner[video.query_area == 0] = ABSENT
    return owner
