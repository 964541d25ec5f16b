"""The official evaluator's match of one video at one threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mindthegap.evaluation.tables import VideoOverlaps


BEYOND_TOP_K = -2


@dataclass(frozen=True, eq=False)
class OfficialMatch:
    """Who is matched to whom.

    Attributes:
        row_of_object: ``int64 [G]``, position in the row arrays of the row matched to each object; -1 none, and
            for crowd objects, which may absorb any number of rows.
        object_of_row: ``int64 [R]``, the object each row is matched to, crowd or not; -1 for a false positive,
            `BEYOND_TOP_K` for a row the evaluator does not look at.
    """

    row_of_object: np.ndarray
    object_of_row: np.ndarray


def rows_in_top_k(video: VideoOverlaps, top_k: int) -> np.ndarray:
    """Rows ``bool [R]`` the official evaluator keeps: the ``top_k`` best per category, earlier rows first on ties."""
    kept = np.zeros(len(video.row_score), dtype=bool)
    order = np.argsort(-video.row_score, kind="stable")
    for category in np.unique(video.row_category):
        kept[order[video.row_category[order] == category][:top_k]] = True
    return kept


def track_ious(video: VideoOverlaps) -> np.ndarray:
    """Track IoU ``float64 [Q, G]``: sums over frames of intersection over union, 0 for two empty tracks."""
    shared = video.intersection.sum(axis=0, dtype=np.int64)
    areas = video.query_area.sum(axis=0, dtype=np.int64)[:, None] + video.object_area.sum(axis=0, dtype=np.int64)
    return np.asarray(shared / np.maximum(areas - shared, 1))


def official_match(video: VideoOverlaps, ious: np.ndarray, threshold: float, top_k: int) -> OfficialMatch:
    """Matches rows to objects of the same category as the YouTube-VIS evaluator does.

    Rows in order of score take the free object of largest IoU >= threshold (the later one on equal IoU); crowd
    objects come last, are taken only when no ordinary object is, and stay free.
    """
    row_of_object = np.full(len(video.object_id), -1, dtype=np.int64)
    object_of_row = np.where(rows_in_top_k(video, top_k), -1, BEYOND_TOP_K).astype(np.int64)
    bar = min(threshold, 1 - 1e-10)
    for row in np.argsort(-video.row_score, kind="stable").tolist():
        if object_of_row[row] == BEYOND_TOP_K:
            continue
        values = np.where(video.object_category == video.row_category[row], ious[video.row_query[row]], -1.0)
        values = np.where(row_of_object >= 0, -1.0, values)
        for crowd in (False, True):
            candidates = np.where(video.object_crowd == crowd, values, -1.0)
            if candidates.size and candidates.max() >= bar:
                chosen = len(candidates) - 1 - int(np.argmax(candidates[::-1]))
                object_of_row[row] = chosen
                if not crowd:
                    row_of_object[chosen] = row
                break
    return OfficialMatch(row_of_object, object_of_row)
