"""From per-frame detections to the rows of a YouTube-VIS result file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils
from torch import Tensor

Rle = dict[str, Any]


@dataclass(frozen=True)
class Detection:
    """One object in one frame.

    Attributes:
        label: Contiguous class label.
        score: Confidence, 0..1.
        rle: Compressed RLE with text counts; None when the mask is empty.
    """

    label: int
    score: float
    rle: Rle | None


@dataclass(frozen=True)
class Track:
    """One row of the result file.

    Attributes:
        label: Contiguous class label.
        score: Confidence of the row.
        segmentations: One RLE or None per frame of the video.
        frame_scores: One score per frame, 0 where the row is absent.
        query_id: Rows of one query share it.
    """

    label: int
    score: float
    segmentations: tuple[Rle | None, ...]
    frame_scores: tuple[float, ...]
    query_id: int


def encode_masks(masks: np.ndarray) -> list[Rle | None]:
    """Binary masks [N, H, W] as compressed RLE with text counts; None for an empty mask."""
    if not len(masks):
        return []
    encoded = mask_utils.encode(np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
    areas = mask_utils.area(encoded)
    return [
        {"size": list(rle["size"]), "counts": rle["counts"].decode()} if area else None
        for rle, area in zip(encoded, areas, strict=True)
    ]


def frame_detections(labels: Tensor, scores: Tensor, masks: Tensor) -> list[Detection]:
    """Detections of one frame from tensors on any device.

    Args:
        labels: [N].
        scores: [N].
        masks: [N, H, W] bool, in the original frame.
    """
    rles = encode_masks(masks.cpu().numpy())
    return [Detection(*values) for values in zip(labels.tolist(), scores.tolist(), rles, strict=True)]


class TrackCollector:
    """Gathers an online method's detections frame by frame; holds RLE only, never mask arrays."""

    def __init__(self) -> None:
        self._tracks: dict[int, dict[int, Detection]] = {}
        self._length = 0

    def add_frame(self, ids: Sequence[int], detections: Iterable[Detection]) -> None:
        """Adds the next frame of the video.

        Args:
            ids: Track id of each detection, unique within the frame.
            detections: The detections.

        Raises:
            ValueError: An id occurs twice in the frame.
        """
        if len(set(ids)) != len(ids):
            raise ValueError(f"frame {self._length}: a track id occurs twice in {list(ids)}")
        for track_id, detection in zip(ids, detections, strict=True):
            self._tracks.setdefault(int(track_id), {})[self._length] = detection
        self._length += 1

    def tracks(self) -> list[Track]:
        """All tracks by ascending id.

        The score is the mean over the frames in which the track appears and the class their majority (ties: the
        class seen first), as in mmdet's ``YouTubeVISMetric`` and the official ``results2json``. A track whose masks
        are all empty is left out, because a result file cannot express it.
        """
        rows = (self._track(track_id, frames) for track_id, frames in sorted(self._tracks.items()))
        return [row for row in rows if any(row.segmentations)]

    def _track(self, track_id: int, frames: dict[int, Detection]) -> Track:
        present = [frames[frame] for frame in sorted(frames)]
        label = Counter(detection.label for detection in present).most_common(1)[0][0]
        score = math.fsum(detection.score for detection in present) / len(present)
        segmentations: list[Rle | None] = [None] * self._length
        scores = [0.0] * self._length
        for frame, detection in frames.items():
            segmentations[frame], scores[frame] = detection.rle, detection.score
        return Track(label, score, tuple(segmentations), tuple(scores), track_id)


def result_rows(video_id: int, tracks: Iterable[Track], category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of the result file, with category ids and scores rounded to 6 decimals.

    Raises:
        ValueError: A score is not finite.
    """
    rows = []
    for track in tracks:
        if not math.isfinite(track.score) or not all(map(math.isfinite, track.frame_scores)):
            raise ValueError(f"video {video_id}: track {track.query_id} has a score that is not finite")
        rows.append(
            {
                "video_id": video_id,
                "category_id": category_ids[track.label],
                "score": round(track.score, 6),
                "segmentations": list(track.segmentations),
                "query_id": track.query_id,
                "frame_scores": [round(score, 6) for score in track.frame_scores],
            }
        )
    return rows
