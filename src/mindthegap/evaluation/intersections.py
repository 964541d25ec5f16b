"""Exact areas and intersections of many masks, straight from their run lengths.

The compiled kernel walks the runs of two masks at once. Without it numpy does the same on a single line of pixels, on
which the frames of a video are laid one after the other: the pixels that an object covers up to any point of the line
are looked up at the start and at the end of every query run. Both count in integers and give the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mindthegap.formats import kernel, rle

Table = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

_RUNS_AT_ONCE = 1_000_000  # or characters; bounds the memory that one pass takes


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

    def between(self, begin: int, end: int, pixels: int) -> list[rle.Runs]:
        """The masks of each track in the frames from ``begin`` up to ``end``."""
        if self.runs is not None and end - begin == self.present.shape[1]:
            return list(self.runs)
        first = np.count_nonzero(self.present[:, :begin], axis=1)
        number = np.count_nonzero(self.present[:, begin:end], axis=1)
        cuts = list(zip(first.tolist(), (first + number).tolist(), strict=True))
        if self.runs is not None:
            return [runs.part(*cut) for runs, cut in zip(self.runs, cuts, strict=True)]
        texts = [text for texts, (a, b) in zip(self.strings, cuts, strict=True) for text in texts[a:b]]
        runs, problems, _ = rle.read(texts, np.full(len(texts), pixels))
        assert not problems, "masks are checked when they are read"
        ends = np.cumsum(number).tolist()
        return [runs.part(end - count, end) for end, count in zip(ends, number.tolist(), strict=True)]


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
        end = min(begin + step, length)
        tables = query_area[begin:end], object_area[begin:end], intersection[begin:end]
        one, other = ((masks.present[:, begin:end], masks.between(begin, end, pixels)) for masks in (queries, objects))
        if kernel.library is None:
            _numpy_overlaps(_line(*one, pixels), _line(*other, pixels), tables)
        else:
            sides = [(present, [(part.counts, part.first) for part in runs]) for present, runs in (one, other)]
            kernel.overlaps(kernel.library, sides[0], sides[1], pixels, tables)
    return query_area, object_area, intersection


@dataclass(frozen=True, eq=False)
class _Line:
    """Masks on the line of all frames.

    Attributes:
        track: ``[n]`` track of each mask.
        frame: ``[n]`` its frame.
        first: ``[n]`` position of its first edge.
        edge: Pixels at which the runs of all masks start (every other one, from the first of a mask) or end.
        sign: -1 for a start, 1 for an end, 0 for the end of the frame.
    """

    track: Int64s
    frame: Int64s
    first: Int64s
    edge: Int64s
    sign: Int64s

    def sums(self, values: Int64s) -> Int64s:
        """Sum over each mask's edges of a value at the edge: at ends less that at starts, ``[n]``."""
        sums: Int64s = np.add.reduceat(values * self.sign, self.first) if len(self.first) else self.first
        return sums


def _line(present: npt.NDArray[np.bool_], parts: Sequence[rle.Runs], pixels: int) -> _Line:
    """Lays masks on the line; each fills its frame, so that a running sum of all runs is at most frames off."""
    runs = rle.Runs.joined(parts)
    track, frame = np.nonzero(present)
    sizes = np.diff(runs.first)
    edge = np.cumsum(runs.counts, dtype=np.int64) + np.repeat((frame - np.arange(len(frame))) * pixels, sizes)
    odd = (np.arange(len(edge)) - np.repeat(runs.first[:-1], sizes)) & 1
    sign = 2 * odd - 1
    sign[runs.first[1:][sizes & 1 == 1] - 1] = 0
    return _Line(track, frame, runs.first[:-1], edge, sign)


def _numpy_overlaps(queries: _Line, objects: _Line, tables: tuple[Table, Table, Table]) -> None:
    """Fills in areas ``[T, Q]``, ``[T, G]`` and intersections ``[T, Q, G]``."""
    query_area, object_area, intersection = tables
    query_area[queries.frame, queries.track] = queries.sums(queries.edge)
    object_area[objects.frame, objects.track] = objects.sums(objects.edge)
    cuts = np.unique(np.append(objects.edge, 0))
    piece = np.searchsorted(cuts, queries.edge, side="right") - 1  # between which cuts a query's edge lies
    beyond = queries.edge - cuts[piece]
    owner = np.repeat(objects.track, np.diff(objects.first, append=len(objects.edge)))
    for track in range(object_area.shape[1]):
        own = owner == track
        change = np.zeros(len(cuts), np.int64)
        np.subtract.at(change, np.searchsorted(cuts, objects.edge[own]), objects.sign[own])
        inside = np.cumsum(change)  # 1 in the pieces that the object covers
        before = np.append(0, np.cumsum(inside[:-1] * np.diff(cuts)))
        covered = before[piece] + inside[piece] * beyond
        intersection[queries.frame, queries.track, track] = queries.sums(covered)
