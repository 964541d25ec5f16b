"""Exact pixel sums of linked tracks, and the threshold test in integers.

Thresholds are written as k/20 with k = 10..19. A track with integer sums I (intersection) and U (union) reaches
threshold k/20 exactly if 20 I >= k U. That is also what the official evaluator's float comparison decides: the double
nearest to k/20 is not below the evaluator's threshold for any k, and two different fractions with denominators up to
20 U differ by far more than a rounding error.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mindthegap.evaluation import VideoOverlaps

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TWENTIETHS = np.arange(10, 20, dtype=np.int64)
"""The ten official IoU thresholds in twentieths."""

NONE = -1
"""No mask is chosen."""


def hits(shared: npt.ArrayLike, union: npt.ArrayLike) -> Ints:
    """Number of the ten thresholds that each (intersection, union) pair reaches, decided in integers."""
    parts, whole = np.asarray(shared, np.int64)[..., None], np.asarray(union, np.int64)[..., None]
    reached: Ints = np.count_nonzero((20 * parts >= TWENTIETHS * whole) & (whole > 0), axis=-1)
    return reached


def iou(shared: npt.ArrayLike, union: npt.ArrayLike) -> Floats:
    """Track IoU: one division of exact sums, 0 where nothing is covered."""
    parts, whole = np.asarray(shared, np.float64), np.asarray(union, np.float64)
    result: Floats = np.divide(parts, whole, out=np.zeros(np.broadcast(parts, whole).shape), where=whole > 0)
    return result


def linked_sums(video: VideoOverlaps, chosen: Ints) -> tuple[Ints, Ints]:
    """Intersection and union of each object with the track linked for it.

    Args:
        video: Overlap tables.
        chosen: ``[T, G]`` query per frame and object, -1 for none.

    Returns:
        Two arrays ``[G]`` in pixels, summed over frames.
    """
    whole = video.object_area.sum(axis=0, dtype=np.int64)
    if not video.query_area.shape[1] or not chosen.size:
        return np.zeros_like(whole), whole
    index = np.maximum(chosen, 0)
    taken = chosen >= 0
    shared = np.where(taken, np.take_along_axis(video.intersection, index[:, None, :], axis=1)[:, 0], 0)
    area = np.where(taken, np.take_along_axis(video.query_area, index, axis=1), 0)
    total = shared.sum(axis=0, dtype=np.int64)
    return total, whole + area.sum(axis=0, dtype=np.int64) - total


def query_sums(video: VideoOverlaps) -> tuple[Ints, Ints]:
    """Intersection and union ``[Q, G]`` of every whole query with every object."""
    shared = video.intersection.sum(axis=0, dtype=np.int64)
    area = video.query_area.sum(axis=0, dtype=np.int64)
    return shared, area[:, None] + video.object_area.sum(axis=0, dtype=np.int64) - shared
