"""Mask sequences of one video made ready to be measured: numbered, laid out frame by frame, misfits apart."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from mindthegap.evaluation.intersections import MaskSet, overlaps
from mindthegap.evaluation.tables import Int32s, Int64s, OfficialSums
from mindthegap.formats.model import RLE, DecodedTrack, Video

Track = tuple[RLE | None, ...]


@dataclass(frozen=True, eq=False)
class Measured:
    """Areas ``[T, Q]``, ``[T, G]``, intersections ``[T, Q, G]`` and what official quirks leave out."""

    query_area: Int32s
    object_area: Int32s
    intersection: Int32s
    official: OfficialSums | None


def number_distinct(tracks: Sequence[Track], keys: Sequence[Hashable]) -> tuple[list[Track], Int64s]:
    """Tracks of distinct keys in order of appearance, and for each track the number of its key."""
    numbers: dict[Hashable, int] = {}
    first: list[Track] = []
    which = np.zeros(len(tracks), np.int64)
    for i, (masks, key) in enumerate(zip(tracks, keys, strict=True)):
        which[i] = numbers.setdefault(key, len(numbers))
        if len(numbers) > len(first):
            first.append(masks)
    return first, which


def fitting_overlaps(
    queries: Sequence[Track], objects: Sequence[Track], video: Video, length: int
) -> tuple[Int32s, Int32s, Int32s]:
    """Areas and intersections of masks that all have the video's size.

    Args:
        queries: Mask sequences of any length up to ``length``.
        objects: The same.
        video: Gives the frame size.
        length: Frames of the tables.
    """
    return overlaps(_mask_set(queries, length), _mask_set(objects, length), length, video.height * video.width)


def _mask_set(tracks: Sequence[Track], length: int) -> MaskSet:
    """The masks of some tracks."""
    present = np.zeros((len(tracks), length), bool)
    for number, masks in enumerate(tracks):
        present[number, : len(masks)] = [mask is not None for mask in masks]
    decoded = [masks.runs for masks in tracks if isinstance(masks, DecodedTrack)]
    if len(decoded) == len(tracks):
        return MaskSet(present, (), decoded)
    return MaskSet(present, [[mask["counts"] for mask in masks if mask is not None] for masks in tracks], None)


def distinct_as_given(tracks: Sequence[Track]) -> tuple[list[Track], Int64s]:
    """Like the strict numbering, but lengths, sizes and absence tell sequences apart, as they matter to quirks."""
    keys = [tuple((*m["size"], m["counts"]) if m else None for m in masks) for masks in tracks]
    return number_distinct(tracks, keys)


def official_overlaps(queries: Sequence[Track], objects: Sequence[Track], video: Video) -> Measured:
    """Tables of masks that need not fit their video (``ytvoseval.py``, iou_seq).

    The official evaluator compares two tracks up to the end of the shorter one, and finds neither intersection nor
    union where two masks differ in size. Here the frames go up to the end of the longest track; what it leaves out is
    summed up apart.
    """
    length = max([video.length, *(len(masks) for masks in [*queries, *objects])])
    size = [video.height, video.width]
    fits = [[tuple(m if m and m["size"] == size else None for m in masks) for masks in s] for s in (queries, objects)]
    query_area, object_area, intersection = fitting_overlaps(fits[0], fits[1], video, length)
    for area, tracks in ((query_area, queries), (object_area, objects)):
        for number, frame, mask in _misfits(tracks, size):
            area[frame, number] = coco_mask.area(mask)
    for q, frame, mask in _misfits(queries, size):
        for g, masks in enumerate(objects):
            other = masks[frame] if frame < len(masks) else None
            if other is not None and other["size"] == mask["size"]:
                intersection[frame, q, g] = coco_mask.area(coco_mask.merge([mask, other], True))
    union = query_area[:, :, None].astype(np.int64) + object_area[:, None, :] - intersection
    return Measured(query_area, object_area, intersection, _left_out(queries, objects, union, intersection, size))


def _misfits(tracks: Sequence[Track], size: list[int]) -> list[tuple[int, int, RLE]]:
    """Masks of another size than the video: (track, frame, mask)."""
    return [(i, t, m) for i, masks in enumerate(tracks) for t, m in enumerate(masks) if m and m["size"] != size]


def _left_out(
    queries: Sequence[Track], objects: Sequence[Track], union: Int64s, intersection: Int32s, size: list[int]
) -> OfficialSums:
    """What the official evaluator does not see, from ``union[T, Q, G]`` and ``intersection[T, Q, G]``."""
    query_end = np.array([len(masks) for masks in queries], np.int64)
    object_end = np.array([len(masks) for masks in objects], np.int64)
    frames = np.arange(len(union))[:, None, None]
    unseen = frames >= np.minimum(query_end[:, None], object_end[None, :])
    skipped = np.zeros(union.shape, bool)
    pairs = [(q, t, None) for q, t, _ in _misfits(queries, size)] + [
        (None, t, g) for g, t, _ in _misfits(objects, size)
    ]
    for query, t, thing in pairs:
        for q in range(len(queries)) if query is None else [query]:
            for g in range(len(objects)) if thing is None else [thing]:
                if not unseen[t, q, g]:
                    one, other = queries[q][t], objects[g][t]
                    skipped[t, q, g] = bool(one and other and one["size"] != other["size"])
    return OfficialSums(
        unseen_union=np.where(unseen, union, 0).sum(axis=0),
        unseen_intersection=np.where(unseen, intersection, 0).sum(axis=0, dtype=np.int64),
        skipped_union=np.where(skipped, union, 0).sum(axis=0),
    )
