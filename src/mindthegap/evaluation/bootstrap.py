"""AP of many resamples of the videos at once; the videos are what was sampled, so they are what is drawn again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mindthegap.evaluation.accumulation import Ranking, rankings
from mindthegap.evaluation.matching import Matches
from mindthegap.evaluation.parameters import IOU_THRESHOLDS, RECALL_POINTS
from mindthegap.evaluation.tables import Floats, Int64s

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
    drawn = np.asarray(weights, np.int64).astype(np.float64)
    total = np.zeros((len(drawn), len(IOU_THRESHOLDS)))
    categories = np.zeros(len(drawn))
    for _, ranking in rankings(matches):
        step = max(1, _CELLS_AT_ONCE // max(1, len(ranking.video)))
        for begin in range(0, len(drawn), step):
            part = slice(begin, begin + step)
            objects = drawn[part] @ ranking.counted[group]
            total[part] += _profiles(ranking, group, drawn[part], objects)
            categories[part] += objects > 0
    with np.errstate(invalid="ignore"):
        return 100 * total / categories[:, None]


def _profiles(ranking: Ranking, group: int, drawn: Floats, objects: Floats) -> Floats:
    """AP (0-1) per resample and threshold of one category, 0 where it has no object."""
    result = np.zeros((len(drawn), len(IOU_THRESHOLDS)))
    weight = drawn[:, ranking.video]
    valid = ranking.tp[group] | ranking.fp[group]
    shared = np.cumsum(weight * valid[0], axis=1) if (valid == valid[0]).all() else None
    for t in range(len(IOU_THRESHOLDS)):
        hits = np.flatnonzero(ranking.tp[group, t])
        if not len(hits):
            continue
        seen = shared if shared is not None else np.cumsum(weight * valid[t], axis=1)
        found = np.cumsum(weight[:, hits], axis=1)
        precision = found / (seen[:, hits] + _EPSILON)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = np.divide(found, objects[:, None], out=np.zeros_like(found), where=objects[:, None] > 0)
        # Precision rises within the copies of a hit, so their last one stands for all in the envelope.
        points = np.searchsorted(RECALL_POINTS, recall, side="right")
        points[found == 0] = 0  # recall 0 is reached only at the first hit that is drawn
        result[:, t] = (envelope * np.diff(points, axis=1, prepend=0)).sum(axis=1) / len(RECALL_POINTS)
    return result
