"""How hard a dataset is to link: the AP of perfect masks and classes whose identities are guessed by overlap alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pycocotools import mask as mask_api
from scipy.optimize import linear_sum_assignment

from mindthegap.evaluation.overlap import compute_overlaps
from mindthegap.evaluation.scoring import evaluate_tables
from mindthegap.formats.model import RLE, GroundTruth, ObjectTrack, ResultRow, Results


@dataclass
class _Track:
    """A track so far."""

    category_id: int
    masks: dict[int, RLE] = field(default_factory=dict)


def linking_ap(ground_truth: GroundTruth) -> float | None:
    """AP (0-100) of `overlap_linking`: near 100 where linking is easy, lower where it must be learnt; None of nothing.

    Args:
        ground_truth: Checked ground truth.
    """
    return evaluate_tables(compute_overlaps(ground_truth, overlap_linking(ground_truth))).AP


def overlap_linking(ground_truth: GroundTruth) -> Results:
    """Every mask of the ground truth with its true class, linked to the last frame's masks by the largest sum of IoUs.

    The tracker of a lower bound: it has perfect masks but neither appearance nor memory, so an object that was gone for
    a frame comes back under a new name, and look-alikes that cross may swap theirs. Crowds are left out.

    Args:
        ground_truth: Checked ground truth.
    """
    objects = defaultdict(list)
    for item in ground_truth.objects:
        if not item.iscrowd:
            objects[item.video_id].append(item)
    rows: list[ResultRow] = []
    for video in ground_truth.videos:
        for found in _link(objects[video.id], video.length):
            masks = tuple(found.masks.get(time) for time in range(video.length))
            score = len(found.masks) / video.length
            rows.append(ResultRow(len(rows), video.id, found.category_id, score, masks, None, None))
    return Results(ground_truth.path, tuple(rows))


def _link(objects: Sequence[ObjectTrack], length: int) -> list[_Track]:
    """Tracks of one video, in the order of their first frames."""
    tracks: list[_Track] = []
    for time in range(length):
        live = [found for found in tracks if time - 1 in found.masks]
        seen = [item for item in objects if item.segmentations[time] is not None]
        taken = _matched([item.segmentations[time] for item in seen], [found.masks[time - 1] for found in live])
        for position, item in enumerate(seen):
            if position in taken:
                found = live[taken[position]]
            else:
                found = _Track(item.category_id)
                tracks.append(found)
            mask = item.segmentations[time]
            assert mask is not None
            found.masks[time] = mask
    return tracks


def _matched(masks: Sequence[RLE | None], before: Sequence[RLE]) -> dict[int, int]:
    """Position in ``before`` of the partner of each of ``masks`` that has one."""
    if not masks or not before:
        return {}
    iou = np.asarray(mask_api.iou(list(masks), list(before), [0] * len(before)))
    pairs = zip(*linear_sum_assignment(-iou), strict=True)
    return {int(row): int(column) for row, column in pairs if iou[row, column] > 0}
