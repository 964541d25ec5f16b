"""What each event costs, so that the events of an object add up to its share of each gap.

Between two levels of the oracle chain an object's track goes from (I, U) to (I*, U*) with r = I / U. Because
I - r U = 0,

    I*/U* - r = sum over frames t of [(I*_t - I_t) - r (U*_t - U_t)] / U*

holds exactly, and the terms are the frames' contributions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from mindthegap.evaluation.parameters import ALMOST_ONE, IOU_THRESHOLDS
from mindthegap.failures.linking import VideoLinking
from mindthegap.failures.modes.base import Gap

if TYPE_CHECKING:
    from mindthegap.evaluation.tables import OverlapTables, VideoOverlaps

GAPS: tuple[Gap, ...] = get_args(Gap)
LEVELS = ("ranking", "tracking", "classification", "perfect")
_BARS = np.minimum(IOU_THRESHOLDS, ALMOST_ONE)


@dataclass(frozen=True, eq=False)
class ObjectCosts:
    """Losses of the objects of one video along the chain ranking, tracking, classification, perfect.

    Attributes:
        iou: ``float64 [4, G]``, track IoU at each level.
        hits: ``int64 [4, G]``, how many of the ten thresholds it reaches.
        frames: ``float64 [3, T, G]``, each frame's contribution to the IoU each gap regains; its sum over frames is
            the difference of ``iou``.
        points: ``float64 [3, G]``, the object's share of each gap in AP points.
    """

    iou: np.ndarray
    hits: np.ndarray
    frames: np.ndarray
    points: np.ndarray


def object_costs(video: VideoOverlaps, linking: VideoLinking, weights: dict[int, float]) -> ObjectCosts:
    """Decomposes the losses of every object of a video.

    Args:
        video: Overlap tables.
        linking: The oracles' choices.
        weights: AP points one threshold of one object is worth, by category id (`threshold_weights`).
    """
    shared, union = _level_sums(video, linking)
    totals = union.sum(axis=1)
    iou = shared.sum(axis=1) / np.maximum(totals, 1)
    hits = (iou[..., None] >= _BARS).sum(axis=-1)
    hits[-1] = len(IOU_THRESHOLDS)  # also for an object without a single pixel, which no method can find
    gain = np.diff(shared, axis=0) - iou[:-1, None] * np.diff(union, axis=0)
    value = np.array([weights.get(category, 0.0) for category in video.object_category.tolist()])
    value = np.where(video.object_crowd, 0.0, value)
    return ObjectCosts(iou, hits, gain / np.maximum(totals[1:, None], 1), np.diff(hits, axis=0) * value)


def _level_sums(video: VideoOverlaps, linking: VideoLinking) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and union ``int64 [4, T, G]`` per frame of what each level gives to each object."""
    area = video.object_area.astype(np.int64)
    choices = (
        np.broadcast_to(linking.ranking_query, area.shape),
        linking.tracking_query,
        linking.classification_query,
    )
    shared, union = [], []
    for choice in choices:
        inter, own = _chosen(video, np.asarray(choice, dtype=np.int64))
        shared.append(inter)
        union.append(own + area - inter)
    return np.stack([*shared, area]), np.stack([*union, area])


def _chosen(video: VideoOverlaps, choice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and own pixels ``int64 [T, G]`` of the queries in ``choice [T, G]``; 0 for -1."""
    if video.query_area.shape[1] == 0:
        return np.zeros(choice.shape, dtype=np.int64), np.zeros(choice.shape, dtype=np.int64)
    index = np.maximum(choice, 0)
    inter = np.take_along_axis(video.intersection, index[:, None, :], axis=1)[:, 0]
    own = np.take_along_axis(video.query_area, index, axis=1)
    return np.where(choice >= 0, inter, 0).astype(np.int64), np.where(choice >= 0, own, 0).astype(np.int64)


def threshold_weights(tables: OverlapTables) -> dict[int, float]:
    """AP points that one more object at one more threshold adds to mean recall, ``100 / (10 N_c K)``, by category id.

    ``N_c`` counts the class's objects that are not crowd, ``K`` the classes that have any.
    """
    counted = [video.object_category[~video.object_crowd] for video in tables.videos]
    categories, counts = np.unique(np.concatenate(counted or [np.array([], dtype=np.int64)]), return_counts=True)
    scale = 100.0 / (len(IOU_THRESHOLDS) * max(len(categories), 1))
    return {int(category): scale / int(count) for category, count in zip(categories, counts, strict=True)}
