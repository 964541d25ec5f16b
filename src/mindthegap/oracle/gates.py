"""Which queries may serve which objects at each stage of the oracle."""

from __future__ import annotations

from enum import Enum

import numpy as np

from mindthegap.evaluation import VideoOverlaps
from mindthegap.oracle.sums import Bools


class Stage(Enum):
    """What an oracle repairs.

    Attributes:
        RANKING: Nothing but the ranking: the rows as they are, true positives first (R).
        OWN: Identities, but each query may only serve the object it covers most (the selection part of T).
        TRACKING: Identities; classes untouched (T).
        CLASSES: Classes; identities untouched (C).
        BOTH: Identities and classes (TC).
    """

    RANKING = "ranking"
    OWN = "own"
    TRACKING = "tracking"
    CLASSES = "classes"
    BOTH = "both"

    @property
    def keeps_classes(self) -> bool:
        """Whether only queries with a row of the object's class may serve it."""
        return self in (Stage.RANKING, Stage.OWN, Stage.TRACKING)

    @property
    def keeps_identities(self) -> bool:
        """Whether queries serve as whole tracks, one-to-one."""
        return self in (Stage.RANKING, Stage.CLASSES)


def allowed(video: VideoOverlaps, stage: Stage) -> Bools:
    """``[Q, G]`` whether a query may serve an object.

    Crowds are never served. Where classes are kept, a query serves an object if one of its rows has the object's class:
    a track with another label can never be a true positive.
    """
    queries, objects = video.query_area.shape[1], len(video.object_id)
    gate = np.broadcast_to(~video.object_crowd, (queries, objects)).copy()
    if stage.keeps_classes:
        labelled = np.zeros((queries, objects), bool)
        same = video.row_category[:, None] == video.object_category[None, :]
        np.logical_or.at(labelled, video.row_query, same)
        gate &= labelled
    if stage is Stage.OWN:
        gate &= majority(video)
    return gate


def majority(video: VideoOverlaps) -> Bools:
    """``[Q, G]`` whether an object is the one that a query shares most pixels with (several where they tie)."""
    shared = video.intersection.sum(axis=0, dtype=np.int64)
    shared[:, video.object_crowd] = 0
    best = shared.max(axis=1, initial=0, keepdims=True)
    own: Bools = (shared == best) & (shared > 0)
    return own


def gated_intersection(video: VideoOverlaps, gate: Bools) -> np.ndarray:
    """``int64 [T, Q, G]`` shared pixels, 0 where the gate forbids the pair: no oracle takes a mask without any."""
    return np.where(gate[None], video.intersection, 0).astype(np.int64)


def inherited_scores(video: VideoOverlaps, *, keep_classes: bool) -> np.ndarray:
    """``float64 [Q, G]`` best score among the rows of each query (of the object's class), -inf without any."""
    scores = np.full((video.query_area.shape[1], len(video.object_id)), -np.inf)
    fits = video.row_category[:, None] == video.object_category[None, :]
    rows = np.where(fits | (not keep_classes), video.row_score[:, None], -np.inf)
    np.maximum.at(scores, video.row_query, rows)
    return scores
