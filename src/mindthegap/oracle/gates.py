"""Which masks may serve which objects at each stage of the oracle."""

from __future__ import annotations

from enum import Enum

import numpy as np

from mindthegap.evaluation import VideoOverlaps
from mindthegap.oracle.sums import Bools, Ints


class Stage(Enum):
    """What an oracle repairs.

    Attributes:
        RANKING: Nothing but the ranking: the rows as they are, true positives first (R).
        CONTINUED: Identities, but only in the frames in which an object's own track has lost it (see ``continued``).
        TRACKING: Identities; classes untouched (T).
        CLASSES: Classes; identities untouched (C).
        BOTH: Identities and classes (TC).
    """

    RANKING = "ranking"
    CONTINUED = "continued"
    TRACKING = "tracking"
    CLASSES = "classes"
    BOTH = "both"

    @property
    def keeps_classes(self) -> bool:
        """Whether only queries with a row of the object's class may serve it."""
        return self in (Stage.RANKING, Stage.CONTINUED, Stage.TRACKING)

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
    return gate


def useful(video: VideoOverlaps) -> Bools:
    """``[T, Q, G]`` whether a mask can raise the IoU of some object track at the lowest threshold: 3 I > a.

    More than a third of such a mask is on the object. How much of the object it covers is irrelevant: a small correct
    fragment helps too.
    """
    found: Bools = 3 * video.intersection.astype(np.int64) > video.query_area[:, :, None]
    return found


def continued(video: VideoOverlaps, gate: Bools, own: Ints) -> Bools:
    """``[T, Q, G]`` masks that may serve an object if its own track is only continued where it lost the object.

    An object may take the masks of its own track in every frame. Useful masks of other queries are open to it only in
    the frames in which its own track has no useful mask on it: where the track ended, is on another object, or is
    mostly beside it. An object without an own track may take every useful mask.

    Args:
        video: Overlap tables.
        gate: ``[Q, G]`` pairs that the stage allows at all.
        own: ``[G]`` the query that the ranking oracle gives to each object, -1 for none.
    """
    helpful = useful(video) & gate
    is_own = np.arange(gate.shape[0])[:, None] == own
    lost = ~(helpful & is_own).any(axis=1, keepdims=True)
    found: Bools = (helpful & lost) | (gate & is_own)
    return found


def gated_intersection(video: VideoOverlaps, gate: Bools) -> Ints:
    """``[T, Q, G]`` shared pixels, 0 where the gate (``[Q, G]``, or ``[T, Q, G]``) forbids the pair.

    No oracle takes a mask that shares nothing.
    """
    return np.where(gate, video.intersection, 0).astype(np.int64)


def inherited_scores(video: VideoOverlaps, *, keep_classes: bool) -> np.ndarray:
    """``float64 [Q, G]`` best score among the rows of each query (of the object's class), -inf without any."""
    scores = np.full((video.query_area.shape[1], len(video.object_id)), -np.inf)
    fits = video.row_category[:, None] == video.object_category[None, :]
    rows = np.where(fits | (not keep_classes), video.row_score[:, None], -np.inf)
    np.maximum.at(scores, video.row_query, rows)
    return scores
