"""From matches to precision and recall, as the official evaluator accumulates them (``ytvoseval.py``, accumulate)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mindthegap.evaluation.matching import CategoryMatches, Matches
from mindthegap.evaluation.parameters import IOU_THRESHOLDS, MAX_TRACKS, RECALL_POINTS
from mindthegap.evaluation.tables import Bools, Floats, Int64s

_EPSILON = np.spacing(1)


@dataclass(frozen=True, eq=False)
class Ranking:
    """All tracks of one category over all videos, by falling score.

    Equal scores keep the order of video ids, then the order within the video. When videos are drawn with repetition,
    the copies of a track stand directly behind one another.

    Attributes:
        tp: ``[S, 10, D]``.
        fp: ``[S, 10, D]``.
        video: ``[D]`` position of the track's video.
        counted: ``[S, V]`` objects that count, per video.
    """

    tp: Bools
    fp: Bools
    video: Int64s
    counted: Int64s


def rankings(matches: Matches) -> Iterator[tuple[int, Ranking]]:
    """Position and ranking of every category that has a track or an object."""
    found = _by_category(matches)
    for k, category in enumerate(matches.category_ids):
        if category in found:
            yield k, _rank(found[category], len(matches.videos), MAX_TRACKS[-1])


def _by_category(matches: Matches) -> dict[int, list[tuple[int, CategoryMatches]]]:
    """For each category, where it appears: (position of the video, matches)."""
    found: dict[int, list[tuple[int, CategoryMatches]]] = {}
    for position, video in enumerate(matches.videos):
        for entry in video.categories:
            found.setdefault(entry.category, []).append((position, entry))
    return found


def _rank(entries: list[tuple[int, CategoryMatches]], videos: int, max_tracks: int) -> Ranking:
    """Merges the lists of one category."""
    scores = np.concatenate([entry.score[:max_tracks] for _, entry in entries])
    order = np.argsort(-scores, kind="stable")
    counted = np.zeros((len(entries[0][1].counted), videos), np.int64)
    for position, entry in entries:
        counted[:, position] = entry.counted
    owner = np.concatenate([np.full(len(entry.score[:max_tracks]), position) for position, entry in entries])
    return Ranking(
        tp=np.concatenate([entry.tp[:, :, :max_tracks] for _, entry in entries], axis=2)[:, :, order],
        fp=np.concatenate([entry.fp[:, :, :max_tracks] for _, entry in entries], axis=2)[:, :, order],
        video=owner[order],
        counted=counted,
    )


def accumulate(
    matches: Matches, weights: npt.ArrayLike | None = None, *, limits: Sequence[int] = MAX_TRACKS
) -> tuple[Floats, Floats]:
    """Precision and recall over all videos.

    Args:
        matches: Matched tracks.
        weights: ``[V]`` how often each video counts (0 leaves it out); ``None`` counts each once.
        limits: Rising numbers of best-scored tracks per video and category that are looked at.

    Returns:
        Precision ``[10, 101, K, S, L]`` (threshold, recall point, category, group, track limit) and recall
        ``[10, K, S, L]``, both -1 where a category has no object that counts. With ``weights=None`` and the limits
        1, 10, 100 the first four groups are bit for bit the official arrays.
    """
    shape = (len(matches.category_ids), len(matches.groups), len(limits))
    precision = np.full((len(IOU_THRESHOLDS), len(RECALL_POINTS), *shape), -1.0)
    recall = np.full((len(IOU_THRESHOLDS), *shape), -1.0)
    times = np.ones(len(matches.videos), np.int64) if weights is None else np.asarray(weights, np.int64)
    found = _by_category(matches)
    for k, category in enumerate(matches.category_ids):
        entries = found.get(category, [])
        longest = max((len(entry.score) for _, entry in entries), default=0)
        for m in reversed(range(len(limits) if entries else 0)):
            if m + 1 < len(limits) and longest <= limits[m]:  # nothing more is cut off
                precision[..., k, :, m], recall[..., k, :, m] = precision[..., k, :, m + 1], recall[..., k, :, m + 1]
                continue
            ranking = _rank(entries, len(matches.videos), limits[m])
            counted = ranking.counted @ times
            groups = np.flatnonzero(counted)
            curves, final = _curves(ranking, groups, times, counted[groups])
            precision[:, :, k, groups, m], recall[:, k, groups, m] = np.moveaxis(curves, 0, -1), final.T
    return precision, recall


def _curves(ranking: Ranking, groups: Int64s, times: Int64s, objects: Int64s) -> tuple[Floats, Floats]:
    """Precision ``[S, 10, 101]`` and final recall ``[S, 10]`` of one category in the groups that have objects."""
    weight = times[ranking.video]
    found = np.cumsum(ranking.tp[groups] * weight, axis=2).astype(np.float64)
    wrong = np.cumsum(ranking.fp[groups] * weight, axis=2).astype(np.float64)
    shape = (len(groups), len(IOU_THRESHOLDS))
    if not found.shape[2]:
        return np.zeros((*shape, len(RECALL_POINTS))), np.zeros(shape)
    recall = found / objects[:, None, None]
    envelope = np.maximum.accumulate((found / (wrong + found + _EPSILON))[:, :, ::-1], axis=2)[:, :, ::-1]
    # A recall point is read at the first track that reaches it: each track repeats for the points it reaches first,
    # and those that none reaches are 0.
    reached = np.searchsorted(RECALL_POINTS, recall, side="right")
    repeats = np.diff(reached, axis=2, prepend=0, append=len(RECALL_POINTS))
    ended = np.append(envelope, np.zeros((*shape, 1)), axis=2)
    return np.repeat(ended.ravel(), repeats.ravel()).reshape(*shape, len(RECALL_POINTS)), recall[:, :, -1]


def mean_points(cells: Floats) -> float | None:
    """Mean of precision or recall cells in points (0-100) over those that are defined; ``None`` without any."""
    defined = cells[cells > -1]
    return 100 * float(np.mean(defined)) if len(defined) else None
