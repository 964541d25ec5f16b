"""Exact areas and intersections of many masks, straight from their run lengths.

The frames of a video are laid one after the other on a single line of pixels, so that the runs of all masks can be
compared in a few numpy calls: a table of buckets finds the first object run that a query run may touch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mindthegap.formats import rle

Ints = npt.NDArray[np.int32] | npt.NDArray[np.int64]
Table = npt.NDArray[np.int32]

_MAX_PER_BUCKET = 24  # more runs in a bucket and a binary search is faster
_FINER = 2  # buckets are so many halvings finer than the mean distance of two runs
_MOST_PEELED = 3  # layers of runs before whole objects are kept together; bounds the work for masks like combs
_SPARSE = 0.05  # object runs per query run, below which most query runs meet none
_RUNS_AT_ONCE = 200_000  # or characters; keeps the arrays of one pass in the processor's cache


@dataclass(frozen=True, eq=False)
class MaskSet:
    """The masks of several tracks of one video.

    Attributes:
        present: ``[N, T]`` frames in which each track has a mask.
        strings: Its masks as compressed run lengths, per track; not needed where there are ``runs``.
        runs: Their run lengths, per track, where they are at hand.
    """

    present: npt.NDArray[np.bool_]
    strings: Sequence[Sequence[bytes]]
    runs: Sequence[rle.Runs] | None

    def size(self) -> int:
        """Runs, or characters, which are about as many."""
        if self.runs is not None:
            return sum(len(runs.counts) for runs in self.runs)
        return sum(len(text) for texts in self.strings for text in texts)

    def between(self, begin: int, end: int) -> _Masks:
        """The masks of the frames from ``begin`` up to ``end``, which count from 0 there."""
        number = np.count_nonzero(self.present[:, :begin], axis=1)
        track, frame = np.nonzero(self.present[:, begin:end])
        until = number + np.bincount(track, minlength=len(number))
        cuts = zip(number.tolist(), until.tolist(), strict=True)
        if self.runs is not None:
            return _Masks(
                rle.Runs.joined([runs.part(*cut) for runs, cut in zip(self.runs, cuts, strict=True)]), frame, track
            )
        runs, problems = rle.decode(
            [text for texts, (a, b) in zip(self.strings, cuts, strict=True) for text in texts[a:b]]
        )
        assert not problems, "masks are checked when they are read"
        return _Masks(runs, frame, track)


@dataclass(frozen=True, eq=False)
class _Masks:
    """Run lengths of masks, which may be changed; mask ``i`` is track ``track[i]`` in frame ``frame[i]``."""

    runs: rle.Runs
    frame: npt.NDArray[np.int64]
    track: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Segments:
    """Runs inside masks, ``[start, end)`` on the line of all frames; ``owner`` says whose each is."""

    start: Ints
    end: Ints
    owner: Ints

    def of(self, owners: Sequence[int]) -> _Segments:
        """Only the runs of some owners."""
        return self.where(np.isin(self.owner, owners))

    def where(self, chosen: npt.NDArray[np.bool_]) -> _Segments:
        """Only the chosen runs."""
        return _Segments(self.start[chosen], self.end[chosen], self.owner[chosen])

    def disjoint(self) -> bool:
        """Whether no two runs share a pixel (they are sorted by start)."""
        return bool((self.start[1:] >= self.end[:-1]).all())


@dataclass(frozen=True, eq=False)
class _Layer:
    """Sorted runs of objects that nowhere overlap, with a table that says where to look.

    Attributes:
        start: Starts of the runs, then two numbers above all pixels.
        end: Ends of the runs, likewise.
        owner: Object of each run, then twice 0.
        shift: The line is cut into buckets of ``2 ** shift`` pixels, several per run.
        before: ``[buckets]`` runs that end before each bucket; empty where runs crowd into few buckets.
    """

    start: Ints
    end: Ints
    owner: Ints
    shift: int
    before: npt.NDArray[np.int64]

    @staticmethod
    def of(segments: _Segments, line: int) -> _Layer:
        """Builds the table for a line of so many pixels."""
        shift = max(0, (line // len(segments.end)).bit_length() - _FINER)
        number = np.bincount((segments.end >> shift).astype(np.int64), minlength=(line >> shift) + 2)
        before = np.cumsum(number) - number
        if number.max() > _MAX_PER_BUCKET:
            before = before[:0]
        beyond = np.full(2, np.iinfo(segments.end.dtype).max, segments.end.dtype)
        start, end = np.append(segments.start, beyond), np.append(segments.end, beyond)
        return _Layer(start, end, np.append(segments.owner, [0, 0]).astype(np.int64), shift, before)

    def first_ending_after(self, pixels: Ints) -> npt.NDArray[np.int64]:
        """Position of the first run that ends after each pixel, as ``searchsorted`` of the ends from the right."""
        if not len(self.before):
            return np.searchsorted(self.end[:-2], pixels, side="right")
        at = self.before.take(pixels >> self.shift)
        late = np.flatnonzero(self.end.take(at) <= pixels)
        while len(late):
            at[late] += 1
            late = late[self.end.take(at[late]) <= pixels[late]]
        return at


def overlaps(queries: MaskSet, objects: MaskSet, length: int, pixels: int) -> tuple[Table, Table, Table]:
    """Areas and intersections of all queries and objects of a video.

    Args:
        queries: Their masks, checked canonical RLE of ``pixels`` pixels.
        objects: The same for the objects.
        length: Frames of the video, T.
        pixels: Pixels of a frame.

    Returns:
        Query areas ``[T, Q]``, object areas ``[T, G]``, intersections ``[T, Q, G]``, all in pixels.
    """
    tracks, number = len(queries.present), len(objects.present)
    query_area = np.zeros((length, tracks), np.int32)
    object_area = np.zeros((length, number), np.int32)
    intersection = np.zeros((length, tracks, number), np.int32)
    step = max(1, _RUNS_AT_ONCE * length // max(1, queries.size() + objects.size()))
    for begin in range(0, length, step):
        part = slice(begin, begin + step)
        frames = len(query_area[part])
        layers = _layers(objects.between(begin, begin + frames), object_area[part], frames, pixels)
        masks = queries.between(begin, begin + frames)
        if not len(masks.frame):
            continue
        segments, query_area[part][masks.frame, masks.track] = _segments(masks, frames, pixels)
        if layers:
            shared = sum(_shared(segments, layer, len(masks.frame), number) for layer in layers)
            intersection[part][masks.frame, masks.track] = shared
    return query_area, object_area, intersection


def _layers(objects: _Masks, area: Table, length: int, pixels: int) -> list[_Layer]:
    """Runs of the objects, sorted, in layers without overlap; fills in ``area[T, G]``.

    Annotated objects nearly never overlap, so that there is one layer, or a second one with few runs.
    """
    if not len(objects.frame):
        return []
    segments, pixels_inside = _segments(objects, length, pixels)
    area[objects.frame, objects.track] = pixels_inside
    order = np.argsort(segments.start, kind="stable")
    together = _Segments(segments.start[order], segments.end[order], objects.track[segments.owner[order]])
    layers: list[_Segments] = []
    while not together.disjoint() and len(layers) < _MOST_PEELED:
        # Runs that begin before an earlier one has ended are set apart; there are few, where borders of objects meet.
        apart = np.append(False, together.start[1:] < np.maximum.accumulate(together.end)[:-1])
        layers.append(together.where(~apart))
        together = together.where(apart)
    layers += [together] if together.disjoint() else _by_object(together)
    return [_Layer.of(segments, length * pixels) for segments in layers if len(segments.start)]


def _by_object(segments: _Segments) -> Iterator[_Segments]:
    """Sorted runs in as few sets without overlap as putting each object into the first that has room needs."""
    layers: list[list[int]] = []
    for track in np.unique(segments.owner).tolist():
        for layer in layers:
            if segments.of([*layer, track]).disjoint():
                layer.append(track)
                break
        else:
            layers.append([track])
    return (segments.of(tracks) for tracks in layers)


def _segments(masks: _Masks, length: int, pixels: int) -> tuple[_Segments, Table]:
    """Runs of masks on the line of all frames (``owner`` = position in ``masks``), and the area of each mask."""
    runs = masks.runs
    sizes = np.diff(runs.first)
    counts: npt.NDArray[Any] = runs.counts.astype(np.int32 if length * pixels < 2**31 else np.int64, copy=False)
    counts[0] += masks.frame[0] * pixels
    # Every mask fills its frame; what lies between two masks on the line is added to the second one's first run.
    counts[runs.first[1:-1]] += ((np.diff(masks.frame) - 1) * pixels).astype(counts.dtype)
    edges: Ints = np.cumsum(counts, dtype=counts.dtype)
    outside_last = runs.first[1:][sizes & 1 == 1] - 1
    if len(outside_last):
        kept = np.ones(len(edges), bool)
        kept[outside_last] = False
        edges = edges[kept]
    number = sizes >> 1
    start, end = edges[0::2], edges[1::2]
    inside = np.zeros(len(end) + 1, np.int64)
    np.cumsum(end - start, out=inside[1:])
    area = np.diff(inside[np.concatenate([[0], np.cumsum(number)])]).astype(np.int32)
    return _Segments(start, end, np.repeat(np.arange(len(sizes), dtype=np.int32), number)), area


def _shared(queries: _Segments, layer: _Layer, masks: int, tracks: int) -> Table:
    """Pixels shared by each query mask and object of a layer, ``[masks, tracks]``."""
    start, end, owner = queries.start, queries.end, queries.owner
    at = layer.first_ending_after(start)
    total = np.zeros(masks * tracks)
    if len(layer.start) < _SPARSE * len(at):
        near = np.flatnonzero(layer.start.take(at) < end)
        start, end, owner, at = start[near], end[near], owner[near], at[near]
    while len(at):
        # A run shares pixels with the first object run that ends after it starts, and with those behind it as far as
        # it reaches; 0 where there is a gap.
        pixels = np.minimum(end, layer.end.take(at))
        pixels -= np.maximum(start, layer.start.take(at))
        np.maximum(pixels, 0, out=pixels)
        # Both are given the types that bincount counts with: its own conversion takes several times as long.
        cell = owner.astype(np.int64) * tracks
        cell += layer.owner.take(at)
        total += np.bincount(cell, weights=pixels.astype(np.float64), minlength=len(total))
        further = np.flatnonzero(layer.start.take(at + 1) < end)
        start, end, owner, at = start[further], end[further], owner[further], at[further] + 1
    return total.astype(np.int32).reshape(masks, tracks)
