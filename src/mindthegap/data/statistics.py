"""A dataset in a few numbers, so that synthetic data can be put beside the sets it imitates."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from mindthegap.formats import OCCLUSION_LEVELS, GroundTruth

PUBLISHED: dict[str, dict[str, float]] = {
    "YouTube-VIS 2019": {
        "videos": 2883,
        "objects": 4883,
        "masks": 131_000,
        "objects_per_video": 1.69,
        "objects_per_frame": 1.57,
        "box_overlap_rate": 0.07,
    },
    "YouTube-VIS 2021": {
        "videos": 3859,
        "objects": 8171,
        "masks": 232_000,
        "objects_per_video": 2.10,
        "objects_per_frame": 1.95,
        "box_overlap_rate": 0.06,
    },
    "OVIS": {
        "videos": 901,
        "objects": 5223,
        "masks": 296_000,
        "objects_per_video": 5.80,
        "objects_per_frame": 4.72,
        "box_overlap_rate": 0.22,
    },
}
"""Whole datasets, table 1 of Qi et al., "Occluded Video Instance Segmentation: A Benchmark" (IJCV 2022)."""


def dataset_statistics(ground_truth: GroundTruth) -> dict[str, Any]:
    """Lengths, density and occlusion.

    Args:
        ground_truth: What to describe; regions of many objects (``iscrowd``) count as objects.

    Returns:
        Means ``frames_per_video``, ``objects_per_video``, ``objects_per_frame`` (over all frames), ``presence`` (share
        of its video's frames in which an object is seen), ``box_overlap_rate`` (mBOR) and ``occlusion`` (share of
        object-frames per level; None where nothing is graded). None stands for a mean of nothing.
    """
    frames = sum(video.length for video in ground_truth.videos)
    length = {video.id: video.length for video in ground_truth.videos}
    seen = [sum(mask is not None for mask in item.segmentations) for item in ground_truth.objects]
    share = [n / length[item.video_id] for n, item in zip(seen, ground_truth.objects, strict=True)]
    levels = Counter(level for item in ground_truth.objects for level in item.occlusion or () if level is not None)
    graded = sum(levels.values())
    return {
        "frames_per_video": _ratio(frames, len(ground_truth.videos)),
        "objects_per_video": _ratio(len(ground_truth.objects), len(ground_truth.videos)),
        "objects_per_frame": _ratio(sum(seen), frames),
        "presence": _ratio(sum(share), len(share)),
        "box_overlap_rate": mean_box_overlap_rate(ground_truth),
        "occlusion": {level: _ratio(levels[level], graded) for level in OCCLUSION_LEVELS} if graded else None,
    }


def _ratio(amount: float, count: int) -> float | None:
    """A mean to four digits; None of nothing."""
    return round(amount / count, 4) if count else None


def mean_box_overlap_rate(ground_truth: GroundTruth) -> float | None:
    """MBOR of Qi et al. (IJCV 2022, section 3.3): how much the boxes of a frame's objects overlap.

    Of a frame, the area covered by two boxes or more is divided by the area covered by any; the mean goes over all
    frames with at least one object. None if there is no such frame.
    """
    boxes: dict[tuple[int, int], list[list[float]]] = {}
    for item in ground_truth.objects:
        times = [time for time, mask in enumerate(item.segmentations) if mask is not None]
        found = mask_api.toBbox([item.segmentations[time] for time in times]) if times else np.empty((0, 4))
        for time, box in zip(times, found.tolist(), strict=True):
            if box[2] > 0 and box[3] > 0:
                boxes.setdefault((item.video_id, time), []).append(box)
    rates = [_overlap_rate(np.array(frame)) for frame in boxes.values()]
    return _ratio(sum(rates), len(rates))


def _overlap_rate(boxes: NDArray[np.float64]) -> float:
    """Area under two or more of the boxes [n, 4] (x, y, width, height) as a share of the area under any."""
    if len(boxes) == 1:
        return 0.0
    left, top = boxes[:, 0], boxes[:, 1]
    right, bottom = left + boxes[:, 2], top + boxes[:, 3]
    x, y = np.unique([left, right]), np.unique([top, bottom])
    columns = (left[:, None] <= x[:-1]) & (x[1:] <= right[:, None])
    rows = (top[:, None] <= y[:-1]) & (y[1:] <= bottom[:, None])
    layers = np.einsum("br,bc->rc", rows.astype(int), columns.astype(int))
    area = np.diff(y)[:, None] * np.diff(x)[None, :]
    return float(area[layers > 1].sum() / area[layers > 0].sum())
