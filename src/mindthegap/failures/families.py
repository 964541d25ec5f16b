"""Query families: queries that are copies of each other, as methods with one row per query and class write them.

A copy that hovers around the carrier threshold would otherwise look like a change of identity.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mindthegap.failures.matching import BEYOND_TOP_K, OfficialMatch, official_match
from mindthegap.failures.thresholds import FailureThresholds

if TYPE_CHECKING:
    from mindthegap.evaluation.tables import VideoOverlaps
    from mindthegap.formats import Results

PairIou = Callable[["VideoOverlaps", np.ndarray], np.ndarray]
"""Exact mutual track IoU ``[P]`` of the query pairs ``[P, 2]`` of a video."""


@dataclass(frozen=True)
class Family:
    """Queries with nearly equal masks.

    Attributes:
        query: Index of the member with the highest score, which stands for the family.
        members: All member indices, ascending.
        labels: ``(category id, highest score)`` of the members' rows, best first (ties: smaller id first).
        kept: Whether it is officially matched, or in the official top 100 of a class and above the score floor.
    """

    query: int
    members: tuple[int, ...]
    labels: tuple[tuple[int, float], ...]
    kept: bool

    @property
    def score(self) -> float:
        """Highest score of any row."""
        return self.labels[0][1]

    @property
    def top_label(self) -> int:
        """Category id of the highest-scoring row."""
        return self.labels[0][0]

    def score_of(self, category: int) -> float | None:
        """Highest score of a row labelled ``category``, or None."""
        return dict(self.labels).get(category)


def query_families(
    video: VideoOverlaps,
    thresholds: FailureThresholds,
    pair_iou: PairIou | None = None,
    match: OfficialMatch | None = None,
) -> tuple[Family, ...]:
    """Groups the queries of a video into families, ordered by their representative query.

    Queries whose mutual track IoU reaches ``family_iou`` are linked; families are the connected components. The
    overlap tables bound that IoU from both sides, so masks are needed for the few undecided pairs only, through
    ``pair_iou``. Without it such a pair is linked when the bounds allow it and the tables prove that the two
    masks overlap in ``family_iou`` of their frames (halves of one object never do).

    ``match`` is the video's official match where the caller has it already.
    """
    queries = video.query_area.shape[1]
    if queries == 0:
        return ()
    pairs = _family_pairs(video, thresholds, pair_iou)
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(queries, queries))
    _, component = connected_components(graph, directed=False)
    if match is None:
        match = official_match(video)
    high = video.row_score >= thresholds.score_floor * video.row_score.max(initial=0.0)
    # A matched row counts for AP whatever its score, so nothing that happens to it may be overlooked.
    rows_kept = (match.object_of_row >= 0) | (high & (match.object_of_row != BEYOND_TOP_K))
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, query in enumerate(video.row_query.tolist()):
        rows_of[int(component[query])].append(row)
    families = [_family(video, np.array(rows), rows_kept) for rows in rows_of.values()]
    return tuple(sorted(families, key=lambda family: family.query))


def _family(video: VideoOverlaps, rows: np.ndarray, rows_kept: np.ndarray) -> Family:
    scores = video.row_score[rows]
    best = rows[np.lexsort((video.row_query[rows], -scores))[0]]
    labels: dict[int, float] = {}
    for category, score in zip(video.row_category[rows].tolist(), scores.tolist(), strict=True):
        labels[category] = max(score, labels.get(category, -np.inf))
    return Family(
        query=int(video.row_query[best]),
        members=tuple(sorted(set(video.row_query[rows].tolist()))),
        labels=tuple(sorted(labels.items(), key=lambda item: (-item[1], item[0]))),
        kept=bool(rows_kept[rows].any()),
    )


def _family_pairs(video: VideoOverlaps, thresholds: FailureThresholds, pair_iou: PairIou | None) -> np.ndarray:
    """Pairs ``int [P, 2]`` of queries that belong to one family."""
    certain: list[tuple[int, int]] = []
    undecided: list[tuple[int, int, bool]] = []
    area = video.query_area.astype(np.int64)
    for first in range(area.shape[1]):
        # Frame by frame the smaller area over the larger bounds the IoU: most pairs are settled here.
        low = np.minimum(area[:, first, None], area[:, first + 1 :]).sum(axis=0)
        high = np.maximum(area[:, first, None], area[:, first + 1 :]).sum(axis=0)
        others = first + 1 + np.flatnonzero((low > 0) & (low >= thresholds.family_iou * high))
        if not others.size:
            continue
        lower, upper, forced = _pair_bounds(video, first, others)
        for other, least, most, share in zip(others.tolist(), lower, upper, forced, strict=True):
            if least >= thresholds.family_iou:
                certain.append((first, other))
            elif most >= thresholds.family_iou:
                undecided.append((first, other, bool(share >= thresholds.family_iou)))
    if pair_iou is not None and undecided:
        pairs = np.array([pair[:2] for pair in undecided], dtype=np.int64)
        agreed = pair_iou(video, pairs) >= thresholds.family_iou
    else:
        agreed = np.array([pair[2] for pair in undecided], dtype=bool)
    certain += [pair[:2] for pair, same in zip(undecided, agreed, strict=True) if same]
    return np.array(certain, dtype=np.int64).reshape(-1, 2)


def _pair_bounds(video: VideoOverlaps, first: int, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds of the track IoU of ``first`` with each of ``others``, and the share of frames with a proven overlap.

    Within one object of area A two masks share at least ``I1 + I2 - A`` and at most ``min(I1, I2)`` pixels; the
    same holds for the background. Exact bounds as long as ground-truth masks do not overlap.
    """
    on_objects = video.intersection.astype(np.int64)
    background = np.maximum(video.query_area - on_objects.sum(axis=2), 0)
    free = np.maximum(video.height * video.width - video.object_area.sum(axis=1, dtype=np.int64), 0)
    one, many = on_objects[:, first, None, :], on_objects[:, others, :]
    one_free, many_free = background[:, first, None], background[:, others]
    least = np.maximum(one + many - video.object_area[:, None, :], 0).sum(axis=2)
    least = least + np.maximum(one_free + many_free - free[:, None], 0)
    most = np.minimum(one, many).sum(axis=2) + np.minimum(one_free, many_free)
    areas = video.query_area[:, first, None].astype(np.int64) + video.query_area[:, others]
    active = np.maximum((areas > 0).sum(axis=0), 1)
    total, low, high = areas.sum(axis=0), least.sum(axis=0), most.sum(axis=0)
    return low / np.maximum(total - low, 1), high / np.maximum(total - high, 1), (least > 0).sum(axis=0) / active


def exact_pair_iou(results: Results) -> PairIou:
    """A ``pair_iou`` for `query_families` that measures the masks of ``results`` themselves."""
    from pycocotools import mask as mask_api

    segmentations = {row.index: row.segmentations for row in results.rows}

    def measure(video: VideoOverlaps, pairs: np.ndarray) -> np.ndarray:
        first_row = {query: row for row, query in reversed(list(enumerate(video.row_query.tolist())))}
        values = np.zeros(len(pairs))
        for place, (one, two) in enumerate(pairs.tolist()):
            masks = [segmentations[int(video.row_index[first_row[query]])] for query in (one, two)]
            shared = sum(
                int(mask_api.area(mask_api.merge([a, b], intersect=True)))
                for a, b in zip(*masks, strict=True)
                if a is not None and b is not None
            )
            total = int(video.query_area[:, [one, two]].sum(dtype=np.int64))
            values[place] = shared / (total - shared) if total > shared else 0.0
        return values

    return measure
