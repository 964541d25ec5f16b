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
        flags["shrunk"] = _shrunk(area, boxes, index, thresholds)
    hidden = np.logical_or.reduce(list(flags.values()))
    return tuple(
        Occlusion(
            run.start, run.end, "+".join(name for name, flag in flags.items() if flag[run.start : run.end + 1].any())
        )
        for run in true_runs(hidden)
    )


def _shrunk(area: np.ndarray, boxes: np.ndarray, index: int, thresholds: FailureThresholds) -> np.ndarray:
    """Frames ``bool [T]`` where the object is small for its neighbourhood and another object stands in its place.

    Its place is its box in the nearest frame in which it is not small; the other's box must cover as many pixels of
    it as ``shrink_cover`` of the lost area.
    """
    median = _running_median(area, thresholds.shrink_window)
    small = (area > 0) & (area < thresholds.shrink_share * median)
    full = np.flatnonzero((area > 0) & ~small)
    shrunk = np.zeros(len(area), dtype=bool)
    others = np.delete(np.arange(boxes.shape[1]), index)
    for frame in np.flatnonzero(small).tolist():
        if full.size and others.size:
            place = boxes[full[np.argmin(np.abs(full - frame))], index]
            lost = median[frame] - area[frame]
            shrunk[frame] = _overlap(place, boxes[frame, others]).max() >= thresholds.shrink_cover * lost
    return shrunk


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
