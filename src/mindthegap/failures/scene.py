"""The basic quantities of one video that every failure mode is decided by."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from mindthegap.failures.families import Family, PairIou, query_families
from mindthegap.failures.intervals import Run, label_runs
from mindthegap.failures.matching import OfficialMatch, official_match, track_ious
from mindthegap.failures.occlusion import Occlusion, occlusion_intervals
from mindthegap.failures.thresholds import FailureThresholds

if TYPE_CHECKING:
    from mindthegap.evaluation.tables import VideoOverlaps

ABSENT, BACKGROUND, MIXED = -1, -2, -3
"""Owners that are no object: no mask; less than 10 % on any object; anything between (and crowd regions)."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One video, seen through its kept query families (F of them, indexed like ``families``).

    Attributes:
        video: The overlap tables.
        thresholds: The thresholds used.
        families: Kept families.
        objects: Indices of the objects that are neither crowd nor empty.
        area: Pixels ``int64 [T, F]`` of each family's representative.
        present: ``bool [T, G]``, the object has a mask.
        iou: Frame IoU ``float64 [T, F, G]``; 0 where either is absent.
        precision: ``float64 [T, F, G]``, share of the query's pixels on the object; 0 where it is absent.
        recall: ``float64 [T, F, G]``, share of the object's pixels under the query; 0 where it is absent.
        carrier: ``int64 [T, G]``, the family that carries the object; -1 none.
        owner: ``int64 [T, F]``, the object that owns the family; `ABSENT`, `BACKGROUND` or `MIXED` otherwise.
        covered: ``bool [T, G]``, any query of the file, kept or not, reaches the carrier threshold on the object.
        occlusions: Hidden intervals per object.
        query_iou: Track IoU ``float64 [Q, G]`` of all queries.
        match: The official match at an IoU of 0.5.
        boxes: ``float64 [T, G, 4]`` (x, y, width, height) or None.
    """

    video: VideoOverlaps
    thresholds: FailureThresholds
    families: tuple[Family, ...]
    objects: tuple[int, ...]
    area: np.ndarray
    present: np.ndarray
    iou: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    carrier: np.ndarray
    owner: np.ndarray
    covered: np.ndarray
    occlusions: tuple[tuple[Occlusion, ...], ...]
    query_iou: np.ndarray
    match: OfficialMatch
    boxes: np.ndarray | None

    @property
    def track_iou(self) -> np.ndarray:
        """Track IoU ``[F, G]`` of the representatives."""
        return self.query_iou[[family.query for family in self.families]]

    def hull(self, index: int) -> tuple[int, int]:
        """First and last frame in which an object is present."""
        frames = np.flatnonzero(self.present[:, index])
        return int(frames[0]), int(frames[-1])

    def hits(self, index: int) -> np.ndarray:
        """Frames in which the object has a carrier."""
        return np.flatnonzero(self.carrier[:, index] >= 0)

    def carrier_runs(self, index: int) -> list[Run]:
        """Successive carriers of an object, each from its first to its last hit."""
        return label_runs(self.carrier[:, index])

    def owner_runs(self, family: int) -> list[Run]:
        """Successive objects that own a family, each from the first to the last owned frame."""
        return label_runs(self.owner[:, family])

    def matched_family(self, index: int) -> int:
        """The kept family of the row officially matched to an object, or -1."""
        row = int(self.match.row_of_object[index])
        return -1 if row < 0 else self.family_of_query(int(self.video.row_query[row]))

    def family_of_query(self, query: int) -> int:
        """The kept family that holds a query, or -1."""
        return next((place for place, family in enumerate(self.families) if query in family.members), -1)


def build_scene(
    video: VideoOverlaps,
    thresholds: FailureThresholds,
    *,
    boxes: np.ndarray | None = None,
    pair_iou: PairIou | None = None,
) -> Scene:
    """Computes the basic quantities of a video; all definitions are in the attributes of `Scene`."""
    match = official_match(video)
    families = tuple(family for family in query_families(video, thresholds, pair_iou, match) if family.kept)
    queries = [family.query for family in families]
    all_iou = _frame_ious(video)
    area = video.query_area[:, queries].astype(np.int64)
    shared = video.intersection[:, queries].astype(np.int64)
    precision = shared / np.maximum(area[:, :, None], 1)
    recall = shared / np.maximum(video.object_area[:, None, :], 1)
    iou = all_iou[:, queries]
    present = video.object_area > 0
    every = range(len(video.object_id))
    return Scene(
        video=video,
        thresholds=thresholds,
        families=families,
        objects=tuple(index for index in every if not video.object_crowd[index] and present[:, index].any()),
        area=area,
        present=present,
        iou=iou,
        precision=precision,
        recall=recall,
        carrier=_carriers(np.where(video.object_crowd, 0.0, iou), thresholds.carrier_iou),
        owner=_owners(area, precision, video.object_crowd, thresholds),
        covered=np.asarray((all_iou >= thresholds.carrier_iou).any(axis=1)),
        occlusions=tuple(occlusion_intervals(video, index, thresholds, boxes) for index in every),
        query_iou=track_ious(video),
        match=match,
        boxes=boxes,
    )


def _frame_ious(video: VideoOverlaps) -> np.ndarray:
    """IoU ``float64 [T, Q, G]`` of every query with every object in every frame; 0 where both are absent."""
    union = video.query_area[:, :, None].astype(np.int64) + video.object_area[:, None, :] - video.intersection
    return np.asarray(video.intersection / np.maximum(union, 1))


def _owners(area: np.ndarray, precision: np.ndarray, crowd: np.ndarray, thresholds: FailureThresholds) -> np.ndarray:
    owner = np.full(area.shape, BACKGROUND, dtype=np.int64)
    if precision.shape[2]:
        best, most = precision.argmax(axis=2), precision.max(axis=2)
        owned = (most >= thresholds.owner_precision) & ~crowd[best]
        owner = np.where(most < thresholds.background_precision, BACKGROUND, np.where(owned, best, MIXED))
    owner[area == 0] = ABSENT
    return owner


def _carriers(iou: np.ndarray, bar: float) -> np.ndarray:
    """Carriers ``int64 [T, G]`` from frame IoUs ``[T, F, G]``, one-to-one in every frame.

    As in CLEAR MOT (Bernardin and Stiefelhagen, 2008) an object keeps its last carrier while that still covers it; the
    other objects get the assignment of largest total IoU among the remaining families.
    """
    frames, _, objects = iou.shape
    carrier = np.full((frames, objects), -1, dtype=np.int64)
    candidates: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for frame, family, index in np.argwhere(iou >= bar).tolist():
        candidates[frame].append((index, family))
    last = [-1] * objects
    for frame, pairs in sorted(candidates.items()):
        # Best first, so that an exact tie of two objects over one carrier goes to the larger overlap.
        for index, family in sorted(pairs, key=lambda pair: -iou[frame, pair[1], pair[0]]):
            if last[index] == family and family not in carrier[frame]:
                carrier[frame, index] = family
        taken = set(carrier[frame].tolist())
        rest = [(index, family) for index, family in pairs if carrier[frame, index] < 0 and family not in taken]
        if rest:
            _assign(iou[frame], rest, carrier[frame])
        for index in {index for index, _ in pairs}:
            if carrier[frame, index] >= 0:
                last[index] = int(carrier[frame, index])
    return carrier


def _assign(iou: np.ndarray, pairs: list[tuple[int, int]], carrier: np.ndarray) -> None:
    """Fills ``carrier [G]`` with the one-to-one choice among ``pairs`` of largest total IoU ``iou [F, G]``."""
    rows = sorted({index for index, _ in pairs})
    columns = sorted({family for _, family in pairs})
    allowed = set(pairs)
    value = np.array([[iou[f, g] if (g, f) in allowed else 0.0 for f in columns] for g in rows])
    for row, column in zip(*linear_sum_assignment(value, maximize=True), strict=True):
        if (rows[row], columns[column]) in allowed:
            carrier[rows[row]] = columns[column]
