"""Failures of masks: one on two objects, two on one, or a rough one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mindthegap.failures.intervals import true_runs
from mindthegap.failures.modes.base import Finding, Mode
from mindthegap.failures.scene import Scene


def find_merges(scene: Scene) -> Iterator[Finding]:
    """Queries with half of two objects or more; one event per object they hold."""
    categories = scene.video.object_category
    covers = (scene.recall >= scene.thresholds.merge_recall) & ~scene.video.object_crowd
    merged = covers & (covers.sum(axis=2, keepdims=True) >= 2)
    for family in range(len(scene.families)):
        for index in scene.objects:
            for run in true_runs(merged[:, family, index], scene.thresholds.min_run):
                partners = merged[run.start : run.end + 1, family].sum(axis=0)
                partners[index] = 0
                other = int(partners.argmax())
                subtype = "same_class" if categories[other] == categories[index] else "other_class"
                scope = (run.start, run.end)
                yield Finding(subtype, *scope, scope, index, other, family, value=run.end - run.start + 1)


def find_splits(scene: Scene) -> Iterator[Finding]:
    """Objects without a carrier of which two families hold one piece each and half of it together.

    Whether the pieces overlap is not in the tables: their joint recall is taken as the sum.
    """
    half, precise = scene.thresholds.merge_recall, scene.thresholds.owner_precision
    if len(scene.families) < 2:
        return
    pieces = np.where((scene.precision >= precise) & (scene.recall < half), scene.recall, 0.0)
    largest = np.argsort(-pieces, axis=1, kind="stable")[:, :2]
    shares = np.take_along_axis(pieces, largest, axis=1)
    for index in scene.objects:
        flags = (shares[:, 1, index] > 0) & (shares[:, :, index].sum(axis=1) >= half) & (scene.carrier[:, index] < 0)
        for run in true_runs(flags, scene.thresholds.min_run):
            pairs = np.sort(largest[run.start : run.end + 1, :, index], axis=1)
            (first, second), subtype = _commonest(pairs), "two_queries"
            scope = (run.start, run.end)
            joint = float(shares[run.start : run.end + 1, :, index].sum(axis=1).mean())
            yield Finding(subtype, *scope, scope, index, -1, first, second, joint)


def _commonest(pairs: np.ndarray) -> tuple[int, int]:
    """The most frequent row of ``pairs [N, 2]``; the smallest on a tie."""
    values, counts = np.unique(pairs, axis=0, return_counts=True)
    first, second = values[counts.argmax()].tolist()
    return first, second


def find_rough_masks(scene: Scene) -> Iterator[Finding]:
    """Objects that one query carries nearly always, and yet with a low IoU over the frames they are in.

    Frames without the object are left out: a good mask that stays too long overstays, it is not rough.
    """
    limits = scene.thresholds
    for index in scene.objects:
        carriers = scene.carrier[scene.present[:, index], index]
        hits = carriers[carriers >= 0]
        if not hits.size:
            continue
        family = int(np.bincount(hits).argmax())
        iou = _present_iou(scene, index, family)
        if (carriers == family).mean() < limits.rough_share or iou >= limits.rough_iou:
            continue
        carried = scene.carrier[:, index] == family
        precision = scene.precision[carried, family, index].mean()
        recall = scene.recall[carried, family, index].mean()
        subtype = "boundary"
        if abs(precision - recall) >= limits.rough_margin:
            subtype = "overspill" if precision < recall else "part"
        first, last = scene.hull(index)
        yield Finding(subtype, first, last, (0, scene.video.length - 1), index, family=family, value=iou)


def _present_iou(scene: Scene, index: int, family: int) -> float:
    """Track IoU of a family with an object over the object's frames."""
    present, query = scene.present[:, index], scene.families[family].query
    shared = int(scene.video.intersection[present, query, index].sum(dtype=np.int64))
    total = int(scene.area[present, family].sum()) + int(scene.video.object_area[:, index].sum(dtype=np.int64))
    return shared / (total - shared)


MERGE = Mode(
    "merge",
    "One mask covers half of this object and half of another; value: frames.",
    {"same_class": "the other object is of the same class", "other_class": "the other object is of another class"},
    frozenset({"tracking", "segmentation"}),
    find_merges,
)
SPLIT = Mode(
    "split",
    "Two masks hold one piece of the object each and no mask holds it; value: mean joint recall.",
    {"two_queries": "the two largest pieces belong to two query families"},
    frozenset({"tracking", "segmentation"}),
    find_splits,
)
ROUGH = Mode(
    "rough_mask",
    "One query follows the object nearly always and still has a low IoU over the object's frames; value: that IoU.",
    {
        "boundary": "it covers about as much beyond the object as it leaves out",
        "part": "it covers a part of the object",
        "overspill": "it covers more than the object",
    },
    frozenset({"segmentation"}),
    find_rough_masks,
)
