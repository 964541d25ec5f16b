"""Frames in which an object is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mindthegap.failures.intervals import true_runs
from mindthegap.failures.thresholds import FailureThresholds

if TYPE_CHECKING:
    from mindthegap.evaluation.tables import VideoOverlaps


class Occlusion(NamedTuple):
    """A hidden interval, both ends included; ``rule`` joins what fired: absent, severe, shrunk."""

    start: int
    end: int
    rule: str


def occlusion_intervals(
    video: VideoOverlaps, index: int, thresholds: FailureThresholds, boxes: np.ndarray | None = None
) -> tuple[Occlusion, ...]:
    """Maximal runs of frames between an object's first and last appearance in which it is hidden.

    A frame counts when the object has no mask (absent), is labelled ``severe_occlusion`` (severe, OVIS), or, for
    objects without labels and with ``boxes`` known, has lost much of its area behind another object (shrunk).

    Args:
        video: Overlap tables of the video.
        index: The object's position in them.
        thresholds: The shrink rule's numbers.
        boxes: ``float64 [T, G, 4]`` (x, y, width, height) in pixels, NaN where absent.
    """
    area = video.object_area[:, index]
    present = np.flatnonzero(area > 0)
    if not present.size:
        return ()
    inside = np.zeros(len(area), dtype=bool)
    inside[present[0] : present[-1] + 1] = True
    flags = {"absent": inside & (area == 0)}
    levels = video.object_occlusion[index]
    if levels is not None:
        flags["severe"] = inside & np.array([level == "severe_occlusion" for level in levels], dtype=bool)
    elif boxes is not None:
        flags["shrunk"] = _shrunk(video.object_area, boxes, index, thresholds)
    hidden = np.logical_or.reduce(list(flags.values()))
    return tuple(
        Occlusion(
            run.start, run.end, "+".join(name for name, flag in flags.items() if flag[run.start : run.end + 1].any())
        )
        for run in true_runs(hidden)
    )


def _shrunk(areas: np.ndarray, boxes: np.ndarray, index: int, thresholds: FailureThresholds) -> np.ndarray:
    """Frames ``bool [T]`` where the object is small for its neighbourhood and another object stands in its place.

    Its place is its box in the nearest frame in which it is not small; the other's box must cover as many pixels of
    it as ``shrink_cover`` of the lost area. An object that is small in the same frame hides nothing: the two are far
    from the camera, as a rider and a motorbike that come near.

    Args:
        areas: Pixels of all objects ``[T, G]``.
        boxes: Their boxes ``[T, G, 4]``.
        index: The object.
        thresholds: The rule's numbers.
    """
    median = _running_median(areas[:, index], thresholds.shrink_window)
    area = areas[:, index]
    small = _small(area, median, thresholds)
    full = np.flatnonzero((area > 0) & ~small)
    shrunk = np.zeros(len(area), dtype=bool)
    if not small.any() or not full.size:
        return shrunk
    others = [other for other in range(boxes.shape[1]) if other != index]
    medians = {other: _running_median(areas[:, other], thresholds.shrink_window) for other in others}
    for frame in np.flatnonzero(small).tolist():
        near = [g for g in others if not _small(areas[frame, g], medians[g][frame], thresholds)]
        place = boxes[full[np.argmin(np.abs(full - frame))], index]
        covered = _overlap(place, boxes[frame, near]).max(initial=0.0)
        shrunk[frame] = covered > 0 and covered >= thresholds.shrink_cover * (median[frame] - area[frame])
    return shrunk


def _small(area: np.ndarray, median: np.ndarray, thresholds: FailureThresholds) -> np.ndarray:
    """Where a visible object has less than ``shrink_share`` of its usual pixels."""
    return np.asarray((area > 0) & (area < thresholds.shrink_share * median))


def _running_median(area: np.ndarray, reach: int) -> np.ndarray:
    """Median ``float64 [T]`` of the present frames within ``reach`` frames; 0 where there are none."""
    values = np.where(area > 0, area, np.nan).astype(np.float64)
    median = np.zeros(len(area))
    for frame in np.flatnonzero(area > 0).tolist():
        median[frame] = np.nanmedian(values[max(0, frame - reach) : frame + reach + 1])
    return median


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Shared pixels ``[N]`` of one box with others ``[N, 4]``; 0 for absent ones."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    return np.asarray(np.nan_to_num(np.prod(np.clip(high - low, 0, None), axis=1)))
