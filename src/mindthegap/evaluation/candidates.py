"""Tracks to be scored, given by integer pixel sums: the rows of a result file, or tracks made up by an oracle.

Both go through the same matching, so that an oracle's AP is the AP the official evaluator would give its tracks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mindthegap.evaluation.tables import Floats, Int64s, VideoOverlaps


@dataclass(frozen=True, eq=False)
class Candidates:
    """Tracks of one video, against the G objects of its ``VideoOverlaps`` (same order).

    Where scores are equal, the earlier track goes first (videos ascend by id).

    Attributes:
        video_id: The video.
        category: ``[N]`` category id of each track.
        score: ``[N]`` finite scores.
        intersection: ``[N, G]`` pixels shared with each object, summed over frames.
        union: ``[N, G]`` pixels covered by either, summed over frames.
        mean_area: ``[N]`` mean area over the frames in which the track has pixels, 0 without any.
    """

    video_id: int
    category: Int64s
    score: Floats
    intersection: Int64s
    union: Int64s
    mean_area: Floats

    def iou(self) -> Floats:
        """Track IoU ``[N, G]``: one division of exact sums, 0 where nothing is covered (``ytvoseval.py``, iou_seq)."""
        union = self.union.astype(np.float64)
        shared = self.intersection.astype(np.float64)
        return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)


def row_candidates(video: VideoOverlaps) -> Candidates:
    """The rows of the result file, in file order."""
    shared = video.intersection.sum(axis=0, dtype=np.int64)
    area = video.query_area.sum(axis=0, dtype=np.int64)
    union = area[:, None] + video.object_area.sum(axis=0, dtype=np.int64) - shared
    if video.official is not None:
        union = union - video.official.unseen_union - video.official.skipped_union
        shared = shared - video.official.unseen_intersection
    mean_area = _mean_area(video.query_area)
    query = video.row_query
    return Candidates(
        video.video_id, video.row_category, video.row_score, shared[query], union[query], mean_area[query]
    )


def association_candidates(
    video: VideoOverlaps, chosen: npt.NDArray[np.integer], category: npt.ArrayLike, score: npt.ArrayLike
) -> Candidates:
    """Tracks linked from the queries' masks.

    Args:
        video: The tables that hold the masks.
        chosen: ``[N, T]`` query that track n takes its mask from in frame t, -1 for none.
        category: ``[N]`` category ids.
        score: ``[N]`` finite scores.
    """
    chosen = np.asarray(chosen, np.int64).reshape(-1, video.length)
    frames = np.broadcast_to(np.arange(video.length), chosen.shape)
    taken = chosen >= 0
    area = np.where(taken, video.query_area[frames, chosen] if video.query_area.size else 0, 0).astype(np.int64)
    shared = np.zeros((len(chosen), len(video.object_id)), np.int64)
    track, frame = np.nonzero(taken)
    np.add.at(shared, track, video.intersection[frame, chosen[track, frame]].astype(np.int64))
    union = area.sum(axis=1)[:, None] + video.object_area.sum(axis=0, dtype=np.int64) - shared
    categories, scores = np.asarray(category, np.int64), np.asarray(score, np.float64)
    return Candidates(video.video_id, categories, scores, shared, union, _mean_area(area.T))


def _mean_area(area: npt.NDArray[np.integer]) -> Floats:
    """Mean over the frames (first axis) in which there are pixels, 0 without any."""
    total, present = area.sum(axis=0, dtype=np.int64).astype(np.float64), np.count_nonzero(area, axis=0)
    mean: Floats = np.divide(total, present, out=np.zeros_like(total), where=present > 0)
    return mean
