"""HOTA and IDF1 on masks, from the overlap tables.

Definitions: HOTA, DetA, AssA, LocA after Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object
Tracking" (IJCV 2021, section 4), 19 thresholds from 0.05 to 0.95; IDF1, IDP, IDR after Ristani et al., "Performance
Measures and a Data Set for Multi-Target, Multi-Camera Tracking" (ECCV workshops 2016), mask IoU >= 0.5. Each result row
is a track, a frame in which it has at least one pixel is a detection. Classes are scored apart and then averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from pandas import DataFrame

    from mindthegap.evaluation.tables import OverlapTables, VideoOverlaps

ALPHAS = np.arange(0.05, 0.99, 0.05)
_EPS = np.finfo(np.float64).eps
_CROWD_SHARE = 0.5
_SevenArrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Counts:
    """What adds up over videos: arrays ``[19]`` per threshold, scalars for the identity match.

    ``ass_a``, ``ass_re`` and ``ass_pr`` are sums over true positives, ``loc`` sums their IoU.
    """

    tp: np.ndarray
    fn: np.ndarray
    fp: np.ndarray
    loc: np.ndarray
    ass_a: np.ndarray
    ass_re: np.ndarray
    ass_pr: np.ndarray
    idtp: int
    idfn: int
    idfp: int

    def __add__(self, other: _Counts) -> _Counts:
        return _Counts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class IdentityScores:
    """Scores of one class, or averaged, in points (0-100); HOTA and its parts are means over the 19 thresholds."""

    HOTA: float
    DetA: float
    AssA: float
    DetRe: float
    DetPr: float
    AssRe: float
    AssPr: float
    LocA: float
    IDF1: float
    IDR: float
    IDP: float


SCORES = tuple(IdentityScores.__dataclass_fields__)


@dataclass(frozen=True)
class IdentityMetrics:
    """Identity metrics of a result file.

    Attributes:
        class_average: Mean over the classes that have an object; None if there is none.
        detection_average: From the counts of all those classes together; None if there is none.
        per_category: By category id, classes with at least one object only.
    """

    class_average: IdentityScores | None
    detection_average: IdentityScores | None
    per_category: dict[int, IdentityScores]

    def to_dict(self) -> dict[str, object]:
        """Plain nested dictionaries, ready for JSON."""
        return {
            "class_average": None if self.class_average is None else vars(self.class_average),
            "detection_average": None if self.detection_average is None else vars(self.detection_average),
            "per_category": [{"category_id": key, **vars(value)} for key, value in self.per_category.items()],
        }

    def to_frame(self) -> DataFrame:
        """One row per category: ``category_id`` and the scores."""
        import pandas as pd

        rows = [{"category_id": key, **vars(value)} for key, value in self.per_category.items()]
        return pd.DataFrame(rows, columns=["category_id", *SCORES])


def identity_metrics(tables: OverlapTables, *, min_score: float | None = None) -> IdentityMetrics:
    """Computes HOTA, its parts, and IDF1 for every class and on average.

    Crowd objects are not counted, and neither are masks with at least half of their pixels on one; apart from that the
    numbers are those of the reference implementation for YouTube-VIS.

    Args:
        tables: Overlap tables.
        min_score: Rows scoring below are left out. These metrics know no ranking, so every row of a method that writes
            many low-scoring ones counts as a false positive unless it is left out here. None keeps all.
    """
    counts: dict[int, _Counts] = {}
    for video in tables.videos:
        for category in np.union1d(video.object_category[~video.object_crowd], video.row_category).tolist():
            added = _video_counts(video, category, min_score)
            counts[category] = counts[category] + added if category in counts else added
    with_objects = {int(c) for video in tables.videos for c in video.object_category[~video.object_crowd]}
    per_category = {category: _scores(counts[category]) for category in sorted(with_objects)}
    if not per_category:
        return IdentityMetrics(None, None, {})
    pooled = [counts[category] for category in sorted(with_objects)]
    total = pooled[0]
    for entry in pooled[1:]:
        total = total + entry
    mean = {name: float(np.mean([getattr(entry, name) for entry in per_category.values()])) for name in SCORES}
    return IdentityMetrics(IdentityScores(**mean), _scores(total), per_category)


def _video_counts(video: VideoOverlaps, category: int, min_score: float | None) -> _Counts:
    """Counts of one class in one video."""
    rows = video.row_category == category
    if min_score is not None:
        rows &= video.row_score >= min_score
    queries = video.row_query[rows]
    objects = np.flatnonzero((video.object_category == category) & ~video.object_crowd)
    area = video.query_area[:, queries].astype(np.int64)
    truth = video.object_area[:, objects].astype(np.int64)
    shared = video.intersection[:, queries][:, :, objects].astype(np.int64)
    similarity = shared / np.maximum(area[:, :, None] + truth[:, None, :] - shared, 1)
    crowd = video.intersection[:, queries][:, :, video.object_crowd].max(axis=2, initial=0)
    seen = (area > 0) & (crowd < _CROWD_SHARE * np.maximum(area, 1))
    similarity = np.where(seen[:, :, None], similarity, 0.0).transpose(0, 2, 1)
    idtp, idfn, idfp = _identity_counts(similarity, truth > 0, seen)
    return _Counts(*_hota_counts(similarity, truth > 0, seen), idtp=idtp, idfn=idfn, idfp=idfp)


def _hota_counts(similarity: np.ndarray, truth: np.ndarray, seen: np.ndarray) -> _SevenArrays:
    """HOTA's sums from IoUs ``[T, G, R]``, presence ``[T, G]`` and detections ``[T, R]``."""
    truth_frames, seen_frames = truth.sum(axis=0)[:, None], seen.sum(axis=0)[None, :]
    alignment = _alignment(similarity, truth_frames, seen_frames)
    matches = np.zeros((len(ALPHAS), *similarity.shape[1:]))
    located = np.zeros(len(ALPHAS))
    for frame in np.flatnonzero(truth.any(axis=1) & seen.any(axis=1)).tolist():
        rows, columns = np.flatnonzero(truth[frame]), np.flatnonzero(seen[frame])
        frame_similarity = similarity[frame][np.ix_(rows, columns)]
        left, right = linear_sum_assignment(alignment[np.ix_(rows, columns)] * frame_similarity, maximize=True)
        values = frame_similarity[left, right]
        hit = values[None, :] >= ALPHAS[:, None] - _EPS
        matches[:, rows[left], columns[right]] += hit
        located += (hit * values).sum(axis=1)
    tp = matches.sum(axis=(1, 2))
    either = np.maximum(truth_frames + seen_frames - matches, 1)
    return (
        tp,
        truth.sum() - tp,
        seen.sum() - tp,
        located,
        (matches * matches / either).sum(axis=(1, 2)),
        (matches * matches / np.maximum(truth_frames, 1)).sum(axis=(1, 2)),
        (matches * matches / np.maximum(seen_frames, 1)).sum(axis=(1, 2)),
    )


def _alignment(similarity: np.ndarray, truth_frames: np.ndarray, seen_frames: np.ndarray) -> np.ndarray:
    """Global alignment score ``[G, R]``: the share of frames in which two tracks are each other's best partner."""
    total = similarity.sum(axis=1, keepdims=True) + similarity.sum(axis=2, keepdims=True) - similarity
    soft = np.divide(similarity, total, out=np.zeros_like(similarity), where=total > _EPS).sum(axis=0)
    return np.asarray(soft / np.maximum(truth_frames + seen_frames - soft, _EPS))


def _identity_counts(similarity: np.ndarray, truth: np.ndarray, seen: np.ndarray) -> tuple[int, int, int]:
    """Identity true positives, false negatives and false positives of the best one-to-one match of whole tracks.

    A match of a pair turns its common frames from misses into hits, so the optimum maximises their number.
    """
    common = (similarity >= 0.5).sum(axis=0)
    idtp = int(common[linear_sum_assignment(common, maximize=True)].sum())
    return idtp, int(truth.sum()) - idtp, int(seen.sum()) - idtp


def _scores(counts: _Counts) -> IdentityScores:
    """Final scores from counts."""
    tp = np.maximum(counts.tp, 1)
    det = counts.tp / np.maximum(counts.tp + counts.fn + counts.fp, 1)
    ass = counts.ass_a / tp
    # No match at a threshold leaves localisation undefined there; the reference counts it as 1.
    loc = np.maximum(counts.loc, 1e-10) / np.maximum(counts.tp, 1e-10)
    curves = {
        "HOTA": np.sqrt(det * ass),
        "DetA": det,
        "AssA": ass,
        "DetRe": counts.tp / np.maximum(counts.tp + counts.fn, 1),
        "DetPr": counts.tp / np.maximum(counts.tp + counts.fp, 1),
        "AssRe": counts.ass_re / tp,
        "AssPr": counts.ass_pr / tp,
        "LocA": loc,
    }
    idr = counts.idtp / max(counts.idtp + counts.idfn, 1)
    idp = counts.idtp / max(counts.idtp + counts.idfp, 1)
    idf1 = counts.idtp / max(counts.idtp + (counts.idfn + counts.idfp) / 2, 1)
    means = {name: 100.0 * float(curve.mean()) for name, curve in curves.items()}
    return IdentityScores(**means, IDF1=100.0 * idf1, IDR=100.0 * idr, IDP=100.0 * idp)
