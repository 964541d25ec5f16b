"""The official evaluator's match of one video, seen from its objects and rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mindthegap.evaluation.matching import match
from mindthegap.evaluation.tables import OverlapTables, VideoOverlaps

BEYOND_TOP_K = -2


@dataclass(frozen=True, eq=False)
class OfficialMatch:
    """Who is matched to whom at an IoU of 0.5.

    Attributes:
        row_of_object: ``int64 [G]``, position in the row arrays of the row matched to each object; -1 none, and
            for crowd objects, which may absorb any number of rows.
        object_of_row: ``int64 [R]``, the object each row is matched to, crowd or not; -1 for a false positive,
            `BEYOND_TOP_K` for a row the evaluator does not look at.
    """

    row_of_object: np.ndarray
    object_of_row: np.ndarray


def official_match(video: VideoOverlaps) -> OfficialMatch:
    """Matches the rows of a video as the YouTube-VIS evaluator does at its lowest threshold."""
    categories = tuple(np.union1d(video.row_category, video.object_category).tolist())
    tables = OverlapTables((video,), categories, tuple(str(category) for category in categories), synthetic=False)
    row_of_object = np.full(len(video.object_id), -1, dtype=np.int64)
    object_of_row = np.full(len(video.row_score), BEYOND_TOP_K, dtype=np.int64)
    for entry in match(tables).videos[0].categories:
        taken = entry.match[0]
        object_of_row[entry.candidate] = taken
        row_of_object[taken[taken >= 0]] = entry.candidate[taken >= 0]
    row_of_object[video.object_crowd] = -1
    return OfficialMatch(row_of_object, object_of_row)


def track_ious(video: VideoOverlaps) -> np.ndarray:
    """Track IoU ``float64 [Q, G]``: sums over frames of intersection over union, 0 for two empty tracks."""
    shared = video.intersection.sum(axis=0, dtype=np.int64)
    areas = video.query_area.sum(axis=0, dtype=np.int64)[:, None] + video.object_area.sum(axis=0, dtype=np.int64)
    return np.asarray(shared / np.maximum(areas - shared, 1))
