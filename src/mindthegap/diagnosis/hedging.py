"""Hedging: one query reported under several classes, of which an oracle of identities may choose the right one.

The class errors of such rows count as ranking, a part of the tracking gap: the wrong rows are false tracks. To compare
with a method that reports each query once, everything is measured again with the best row of each query alone. What
both oracles reach together, and so the segmentation gap, is the same by construction. Hedging in AP: Jena et al.,
"Beyond mAP", CVPR 2023.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mindthegap.diagnosis.chain import Chain
from mindthegap.diagnosis.gaps import GAPS, nested
from mindthegap.diagnosis.levels import oracle_levels
from mindthegap.evaluation import OverlapTables, VideoOverlaps, evaluate_tables, row_candidates
from mindthegap.oracle import SolverSettings
from mindthegap.oracle.sums import Bools, Floats

_ON_OBJECT = 0.5


@dataclass(frozen=True, eq=False)
class Hedging:
    """How often queries are reported, and what the gaps are if each keeps its best row alone.

    Attributes:
        queries: Queries (distinct mask sequences) of all videos.
        rows: Rows of the result file.
        wrong_score: Share of the scores that goes to wrong classes, 0..1, over the rows of queries with a track IoU of
            0.5 or more with an object (the class is that of the object with the largest one); ``None`` without any.
        best: Levels and gaps of the best rows.
    """

    queries: int
    rows: int
    wrong_score: float | None
    best: Chain

    @property
    def rows_per_query(self) -> float | None:
        """Mean number of rows per query, 1 without hedging; ``None`` without rows."""
        return self.rows / self.queries if self.queries else None

    @property
    def hedged(self) -> bool:
        """Whether a query has several rows."""
        return self.rows > self.queries

    @property
    def points(self) -> dict[str, float | None]:
        """``AP`` and the three gaps of the best rows."""
        return {"AP": self.best.levels["default"].evaluation.AP, **{name: self.best.gaps[name] for name in GAPS}}

    def to_dict(self) -> dict[str, Any]:
        """The object ``hedging`` of ``gaps.json``."""
        levels, found = self.best.levels, nested(self.best.gaps)
        best = {"AP": self.points["AP"], "gaps": found["gaps"], "splits": found["splits"]}
        best["optimal"] = all(linking.optimal for level in levels.values() for linking in level.linkings)
        counts = {"queries": self.queries, "rows": self.rows, "rows_per_query": self.rows_per_query}
        return {**counts, "wrong_score": self.wrong_score, "best_row_alone": best}


def measure_hedging(tables: OverlapTables, chain: Chain, settings: SolverSettings) -> Hedging:
    """Counts rows per query and diagnoses the best rows.

    Args:
        tables: Overlap tables of the result file.
        chain: Its levels and gaps; they are those of the best rows too if no query has several.
        settings: Solver and time limit per component.
    """
    single = best_rows(tables)
    queries, rows = (sum(len(video.row_index) for video in kind.videos) for kind in (single, tables))
    best = chain
    if queries < rows:
        levels = oracle_levels(single, chain.objective, evaluate_tables(single), settings)
        best = Chain.from_levels(chain.objective, levels)
    return Hedging(queries, rows, _wrong_score(tables), best)


def best_rows(tables: OverlapTables) -> OverlapTables:
    """The tables with the row of the highest score of each query (ties: the first in the file)."""
    return replace(tables, videos=tuple(_best_rows(video) for video in tables.videos))


def _best_rows(video: VideoOverlaps) -> VideoOverlaps:
    order = np.lexsort((video.row_index, -video.row_score, video.row_query))
    _, first = np.unique(video.row_query[order], return_index=True)
    kept = np.sort(order[first])
    names = ("row_index", "row_query", "row_category", "row_score")
    return replace(video, **{name: getattr(video, name)[kept] for name in names})


def _wrong_score(tables: OverlapTables) -> float | None:
    found = [_scores_on_objects(video) for video in tables.videos]
    scores = np.concatenate([np.zeros(0), *(scores for scores, _ in found)])
    wrong = np.concatenate([np.zeros(0, bool), *(wrong for _, wrong in found)])
    weights = np.maximum(scores, 0.0)  # any finite number may be a score
    largest = weights.max(initial=0.0)
    if largest == 0:
        return None
    weights = weights / largest  # huge ones have no sum
    return float(weights[wrong].sum() / weights.sum())


def _scores_on_objects(video: VideoOverlaps) -> tuple[Floats, Bools]:
    """Scores of the rows that lie on an object, and whether they have another class."""
    if not len(video.row_index) or not len(video.object_id):
        return np.zeros(0), np.zeros(0, bool)
    overlap = row_candidates(video).iou()
    on = overlap.max(axis=1) >= _ON_OBJECT
    wrong: Bools = video.object_category[overlap.argmax(axis=1)] != video.row_category
    return video.row_score[on], wrong[on]
