"""One-to-one assignments: whole tracks to objects, and masks to objects within one frame.

A bipartite incidence matrix is totally unimodular, so the integer program of one frame (each mask used once, one mask
per object) is solved exactly by linear assignment; frames do not interact.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from mindthegap.evaluation import VideoOverlaps
from mindthegap.oracle.sums import NONE, Bools, Floats, Ints, hits, iou, query_sums

_TIE = 1e-9


def frame_iou(video: VideoOverlaps, shared: Ints) -> Floats:
    """``[T, Q, G]`` IoU of every mask with every object in its frame; 0 where ``shared`` is."""
    union = video.query_area[:, :, None].astype(np.int64) + video.object_area[:, None, :] - shared
    return iou(shared, union)


def link_by_frame(weight: Floats) -> Ints:
    """Per-frame assignment of largest total weight.

    Where the best masks of all objects differ, they are that assignment already.

    Args:
        weight: ``[T, Q, G]``, at least 0; pairs of weight 0 are never made.

    Returns:
        ``[T, G]`` query per frame and object, -1 for none.
    """
    frames, queries, objects = weight.shape
    if not queries or not objects:
        return np.full((frames, objects), NONE, np.int64)
    best = weight.argmax(axis=1)
    value = np.take_along_axis(weight, best[:, None], axis=1)[:, 0]
    chosen = np.where(value > 0, best, NONE)
    for frame in np.flatnonzero(_conflicts(chosen).any(axis=1)).tolist():
        query, target = linear_sum_assignment(weight[frame], maximize=True)
        useful = weight[frame, query, target] > 0
        chosen[frame] = NONE
        chosen[frame, target[useful]] = query[useful]
    return chosen


def _conflicts(chosen: Ints) -> Bools:
    """``[T, G - 1]`` whether two objects want the same mask of a frame (neighbours in sorted order)."""
    ordered = np.sort(chosen, axis=1)
    conflict: Bools = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NONE)
    return conflict


def conflicting(chosen: Ints) -> Bools:
    """``[T, G]`` whether an object wants the same mask as another object in that frame."""
    same = (chosen[:, :, None] == chosen[:, None, :]) & (chosen != NONE)[:, :, None]
    result: Bools = same.sum(axis=2) > 1
    return result


def assign_tracks(video: VideoOverlaps, gate: Bools, weights: Floats) -> Ints:
    """Whole queries to objects, one-to-one, so that the weighted number of thresholds reached is largest.

    Equals, for disjoint objects, the maximum bipartite matching on IoU >= threshold at every threshold at once. Among
    equal ones the larger sum of IoUs wins.

    Args:
        video: Overlap tables.
        gate: ``[Q, G]`` pairs that may be made.
        weights: ``[G]`` worth of one threshold of each object.

    Returns:
        ``[G]`` query of each object, -1 for none.
    """
    shared, union = query_sums(video)
    value = hits(shared, union) * (weights / weights.max(initial=1e-300)) + _TIE * iou(shared, union)
    return _one_to_one(np.where(gate & (shared > 0), value, 0.0))


def assign_tracks_by_iou(video: VideoOverlaps, gate: Bools) -> Ints:
    """Whole queries to objects, one-to-one, so that the sum of track IoUs is largest; ``[G]``, -1 for none."""
    shared, union = query_sums(video)
    return _one_to_one(np.where(gate, iou(shared, union), 0.0))


def _one_to_one(value: Floats) -> Ints:
    """Linear assignment ``[G]`` over pairs of positive value."""
    chosen = np.full(value.shape[1], NONE, np.int64)
    query, target = linear_sum_assignment(value, maximize=True)
    useful = value[query, target] > 0
    chosen[target[useful]] = query[useful]
    return chosen
