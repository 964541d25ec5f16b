"""Matching of tracks to objects as the official evaluator does it, for all IoU thresholds and groups at once.

Rules (``ytvoseval.py``, evaluateVid; ``oviseval.py`` for occlusion groups): tracks go by falling score, at most 100 per
video and category. Each takes the free object of largest IoU at or above the threshold, the later one where IoUs are
equal; objects that do not count (crowd, or outside the group) are only taken when no counted one can be, and crowds can
be taken any number of times. A track on an object that does not count is ignored, as is an unmatched track whose own
mean area lies outside the group's range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mindthegap.evaluation.candidates import Candidates, row_candidates
from mindthegap.evaluation.parameters import (
    ALMOST_ONE,
    AREA_GROUPS,
    IOU_THRESHOLDS,
    MAX_TRACKS,
    OCCLUSION_GROUPS,
    OCCLUSION_SCORES,
)
from mindthegap.evaluation.tables import Bools, Floats, Int64s, OverlapTables, VideoOverlaps

_THRESHOLDS = np.minimum(IOU_THRESHOLDS, ALMOST_ONE)[:, None]


@dataclass(frozen=True, eq=False)
class CategoryMatches:
    """Outcome for the tracks and objects of one category in one video.

    D tracks by falling score, g objects in file order, S groups, 10 thresholds.

    Attributes:
        category: Category id.
        candidate: ``[D]`` position of each track in its ``Candidates``.
        score: ``[D]`` falling.
        objects: ``[g]`` positions of the objects in their video.
        iou: ``[D, g]`` track IoU.
        tp: ``[S, 10, D]`` true positives.
        fp: ``[S, 10, D]`` false positives; a track that is neither is ignored.
        match: ``[10, D]`` object matched in group "all" (position in the video), -1 for none.
        counted: ``[S]`` number of objects that count.
    """

    category: int
    candidate: Int64s
    score: Floats
    objects: Int64s
    iou: Floats
    tp: Bools
    fp: Bools
    match: Int64s
    counted: Int64s


@dataclass(frozen=True, eq=False)
class VideoMatches:
    """Outcome for one video; only categories with a track or an object appear, ascending."""

    video_id: int
    categories: tuple[CategoryMatches, ...]


@dataclass(frozen=True, eq=False)
class Matches:
    """Outcome for all videos, ascending by id; a bootstrap over videos needs nothing else.

    Attributes:
        videos: One entry per video of the tables.
        groups: Names of the S groups: ``all``, ``small``, ``medium``, ``large`` and, where every object has occlusion
            levels, ``occlusion_light``, ``occlusion_medium``, ``occlusion_heavy``.
        category_ids: All categories of the ground truth, ascending.
        category_names: Their names.
    """

    videos: tuple[VideoMatches, ...]
    groups: tuple[str, ...]
    category_ids: tuple[int, ...]
    category_names: tuple[str, ...]


def match(
    tables: OverlapTables, candidates: Sequence[Candidates] | None = None, *, counted: Sequence[Bools] | None = None
) -> Matches:
    """Matches the tracks of all videos.

    Args:
        tables: Overlap tables.
        candidates: Tracks per video in the order of ``tables.videos``; ``None`` takes the rows of the result file.
        counted: Per video, ``[G]`` whether each object counts (strata); the others are ignored like crowds, except that
            they can be taken once only. ``None`` counts all.
    """
    if candidates is None:
        candidates = [row_candidates(video) for video in tables.videos]
    with_occlusion = _has_occlusion(tables)
    outcome = []
    for i, (video, tracks) in enumerate(zip(tables.videos, candidates, strict=True)):
        ignored = _ignored_objects(video, with_occlusion)
        if counted is not None:
            ignored |= ~np.asarray(counted[i], bool)
        outcome.append(_match_video(video, tracks, ignored))
    names = (*AREA_GROUPS, *(f"occlusion_{name}" for name in OCCLUSION_GROUPS if with_occlusion))
    return Matches(tuple(outcome), names, tables.category_ids, tables.category_names)


def _has_occlusion(tables: OverlapTables) -> bool:
    """Whether there are objects and all have occlusion levels (the official OVIS evaluator fails otherwise)."""
    levels = [entry for video in tables.videos for entry in video.object_occlusion]
    return bool(levels) and all(entry is not None for entry in levels)


def occlusion_score(levels: Sequence[str | None]) -> float:
    """OVIS occlusion score: mean of the highest half of the levels present, NaN without any (``oviseval.py``)."""
    scores = sorted(OCCLUSION_SCORES[level] for level in levels if level is not None)
    highest = scores[len(scores) // 2 :]
    return sum(highest) / len(highest) if highest else float("nan")


def _ignored_objects(video: VideoOverlaps, with_occlusion: bool) -> Bools:
    """``[S, G]`` objects that do not count in each group."""
    rows = [_outside(video.object_mean_area, bounds) for bounds in AREA_GROUPS.values()]
    if with_occlusion:
        scores = np.array([occlusion_score(levels or ()) for levels in video.object_occlusion], np.float64)
        rows += [~((scores >= low) & (scores <= high)) | rows[0] for low, high in OCCLUSION_GROUPS.values()]
    return np.array(rows, bool).reshape(len(rows), -1) | video.object_crowd


def _outside(values: Floats, bounds: tuple[float, float]) -> Bools:
    """Which values lie outside a closed range."""
    outside: Bools = (values < bounds[0]) | (values > bounds[1])
    return outside


def _match_video(video: VideoOverlaps, tracks: Candidates, ignored: Bools) -> VideoMatches:
    """Matches one video category by category."""
    iou = tracks.iou()
    neglected = _out_of_range(tracks, len(ignored))
    falling = np.argsort(-tracks.score, kind="stable")
    category_of = tracks.category[falling]
    outcome = []
    for category in sorted({*tracks.category.tolist(), *video.object_category.tolist()}):
        order = falling[category_of == category][: MAX_TRACKS[-1]]
        objects = np.flatnonzero(video.object_category == category)
        own = iou[order[:, None], objects]
        outcome.append(
            _match_category(video, category, tracks.score, order, objects, own, ignored, neglected[:, order])
        )
    return VideoMatches(video.video_id, tuple(outcome))


def _out_of_range(tracks: Candidates, groups: int) -> Bools:
    """``[S, N]`` tracks whose own mean area lies outside the group's range (occlusion groups have none)."""
    outside = np.zeros((groups, len(tracks.mean_area)), bool)
    for group, bounds in enumerate(AREA_GROUPS.values()):
        outside[group] = _outside(tracks.mean_area, bounds)
    return outside


def _match_category(
    video: VideoOverlaps,
    category: int,
    score: Floats,
    order: Int64s,
    objects: Int64s,
    iou: Floats,
    ignored: Bools,
    neglected: Bools,
) -> CategoryMatches:
    """Matches the tracks of one category of one video; ``neglected`` ``[S, D]`` are not punished if unmatched."""
    own_ignored = ignored[:, objects]
    shape = (len(ignored), len(_THRESHOLDS), len(order))
    matched = on_ignored = np.zeros(shape, bool)
    match_of = np.full(shape[1:], -1, np.int64)
    if len(objects) and len(order):
        taken = _assign(iou, video.object_crowd[objects], own_ignored)
        hit = taken >= 0
        # An object without id (0) is taken by its track, but the official evaluator reads the match as "unmatched".
        matched = hit & (video.object_id[objects] != 0)[taken]
        on_ignored = hit & own_ignored[np.arange(len(taken))[:, None, None], taken]
        match_of = np.where(hit[0], objects[taken[0]], -1)
    left_out = on_ignored | (~matched & neglected[:, None, :])
    return CategoryMatches(
        category=category,
        candidate=order,
        score=score[order],
        objects=objects,
        iou=iou,
        tp=matched & ~left_out,
        fp=~(matched | left_out),
        match=match_of,
        counted=np.count_nonzero(~own_ignored, axis=1),
    )


def _assign(iou: Floats, crowd: Bools, ignored: Bools) -> Int64s:
    """Object taken by each track, ``[S, 10, D]``; -1 for none.

    Args:
        iou: ``[D, g]``, tracks by falling score.
        crowd: ``[g]``.
        ignored: ``[S, g]``.
    """
    thresholds, groups = _THRESHOLDS, len(ignored)
    result = np.full((groups, len(thresholds), len(iou)), -1, np.int64)
    reach = iou >= thresholds[0]
    reaching = np.flatnonzero(reach.any(axis=1))
    free = np.ones((groups, len(thresholds), iou.shape[1] if len(reaching) else 0), bool)
    for track in reaching:
        near = np.flatnonzero(reach[track])
        if len(near) == 1:  # nothing to choose from
            (only,) = near
            hit = free[:, :, only] & (iou[track, only] >= thresholds[:, 0])
            result[:, :, track][hit] = only
            if not crowd[only]:
                free[:, :, only] &= ~hit
            continue
        usable = free[:, :, near] & (iou[track, near] >= thresholds)
        counted = usable & ~ignored[:, None, near]
        pool = np.where(counted.any(axis=2, keepdims=True), counted, usable)
        # Searching backwards gives the later of equal IoUs.
        best = len(near) - 1 - np.argmax(np.where(pool, iou[track, near], -1.0)[:, :, ::-1], axis=2)
        hit = pool.any(axis=2)
        result[:, :, track] = np.where(hit, near[best], -1)
        group, threshold = np.nonzero(hit)
        chosen = near[best[hit]]
        free[group, threshold, chosen] = crowd[chosen]
    return result


def ious(matches: Matches) -> dict[tuple[int, int], npt.NDArray[np.float64]]:
    """Track IoU matrices by (video id, category id), tracks by falling score."""
    return {(video.video_id, entry.category): entry.iou for video in matches.videos for entry in video.categories}
