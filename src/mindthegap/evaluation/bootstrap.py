"""AP of many resamples of the videos at once; the videos are what was sampled, so they are what is drawn again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mindthegap.evaluation.accumulation import Ranking, rankings
from mindthegap.evaluation.matching import Matches
from mindthegap.evaluation.parameters import IOU_THRESHOLDS, RECALL_POINTS
from mindthegap.evaluation.tables import Floats, Int32s, Int64s

_EPSILON = np.spacing(1)
_CELLS_AT_ONCE = 4_000_000  # bounds the memory of one pass to about 100 MB


def resampling_weights(videos: int, samples: int, seed: int) -> Int64s:
    """How often each video is drawn in each of ``samples`` draws of ``videos`` videos with repetition.

    The same weights for every method and oracle level make their differences paired.

    Returns:
        ``[samples, videos]``; every row sums to ``videos``.
    """
    generator = np.random.default_rng(seed)
    return generator.multinomial(videos, np.full(videos, 1 / max(videos, 1)), size=samples).astype(np.int64)


def bootstrap_profiles(matches: Matches, weights: npt.ArrayLike, *, group: int = 0) -> Floats:
    """AP per IoU threshold of every resample.

    A category without a counted object in a resample does not enter its mean, as it would not in a file of just those
    videos. Equal scores are ordered by video id, then by rank within the video, the copies of a track standing together
    (``accumulate`` with the same weights gives the same value).

    Args:
        matches: Matched tracks.
        weights: ``[B, V]`` how often each video is drawn.
        group: Position in ``matches.groups``.

    Returns:
        ``[B, 10]`` AP in points, NaN where no category counts; AP over all thresholds is the mean over the last axis.
    """
    drawn = np.ascontiguousarray(np.asarray(weights).T, np.int32)  # half the memory traffic of 64 bits
    samples = drawn.shape[1]
    total = np.zeros((samples, len(IOU_THRESHOLDS)))
    categories = np.zeros(samples)
    for _, ranking in rankings(matches):
        step = max(1, _CELLS_AT_ONCE // max(1, len(ranking.video)))
        for begin in range(0, samples, step):
            part = slice(begin, begin + step)
            objects = ranking.counted[group] @ drawn[:, part]
            total[part] += _profiles(ranking, group, drawn[:, part], objects)
            categories[part] += objects > 0
    with np.errstate(invalid="ignore"):
        return 100 * total / categories[:, None]


def _profiles(ranking: Ranking, group: int, drawn: Int32s, objects: Int64s) -> Floats:
    """AP (0-1) per resample and threshold ``[B, 10]`` of one category, 0 where it has no object.

    Args:
        ranking: Its tracks.
        group: Position in ``Matches.groups``.
        drawn: ``[V, B]`` how often each video is drawn; sums then run along whole rows.
        objects: ``[B]`` objects that count.
    """
    result = np.zeros((drawn.shape[1], len(IOU_THRESHOLDS)))
    tp, fp = ranking.tp[group], ranking.fp[group]
    reached, offset = _points_reached(objects)
    if not tp.any():
        return result
    weight = drawn[ranking.video]
    counted, seen = np.zeros(len(weight), bool), weight[:0]
    for t in range(len(IOU_THRESHOLDS)):
        if t and np.array_equal(tp[t], tp[t - 1]) and np.array_equal(fp[t], fp[t - 1]):
            result[:, t] = result[:, t - 1]
            continue
        hits = np.flatnonzero(tp[t])
        if not len(hits):
            continue
        if not np.array_equal(tp[t] | fp[t], counted):
            counted = tp[t] | fp[t]
            seen = np.cumsum(weight if counted.all() else weight[counted], axis=0, dtype=weight.dtype)
        found = np.cumsum(weight[hits], axis=0, dtype=weight.dtype)
        result[:, t] = _area(found, seen[np.cumsum(counted)[hits] - 1], reached, offset)
    return result


def _points_reached(objects: Int64s) -> tuple[Int64s, Int64s]:
    """How many recall points any number of found objects reaches, as a flat table.

    Returns:
        The table, and ``[B]`` where in it the line of each resample's number of objects begins. Nothing found reaches
        no point: recall 0 is reached only at the first hit that is drawn.
    """
    numbers, line = np.unique(objects, return_inverse=True)
    found = np.arange(int(numbers[-1]) + 1)
    points = np.searchsorted(RECALL_POINTS, found / np.maximum(numbers, 1)[:, None], side="right")
    points[:, 0] = 0
    return points.ravel(), line * len(found)


def _area(found: Int32s, seen: Int32s, reached: Int64s, offset: Int64s) -> Floats:
    """AP (0-1) of each resample from the objects found and the tracks seen at each hit, both ``[hits, B]``."""
    envelope = np.maximum.accumulate((found / (seen + _EPSILON))[::-1], axis=0)[::-1]
    # Precision rises within the copies of a hit, so their last one stands for all in the envelope.
    points = reached.take(found + offset)
    points[1:] -= points[:-1].copy()
    # Laid out by resample, as the sum of each is then the same whatever the others are.
    return np.asarray(np.ascontiguousarray((envelope * points).T).sum(axis=1) / len(RECALL_POINTS))
