"""Exact areas and intersections of many masks, straight from their run lengths.

Frames are laid one after the other on a single line of pixels, so that the runs of all masks of a video can be
compared in a few numpy calls: a run of a query is cut by binary search among the runs of the objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mindthegap.formats import rle

Ints = npt.NDArray[np.int64]

_FRAMES_AT_ONCE = 32  # keeps the arrays of one pass in the processor's cache


@dataclass(frozen=True, eq=False)
class MaskSet:
    """The masks of several tracks of one video: ``strings[i]`` is track ``track[i]`` in frame ``frame[i]``."""

    strings: Sequence[bytes]
    frame: Ints
    track: Ints
    tracks: int


@dataclass(frozen=True, eq=False)
class _Segments:
    """Runs inside masks, ``[start, end)`` on the line of all frames, with their track and frame."""

    start: Ints
    end: Ints
    track: Ints
    frame: Ints

    def sorted(self) -> _Segments:
        """The same runs by position."""
        order = np.argsort(self.start, kind="stable")
        return _Segments(self.start[order], self.end[order], self.track[order], self.frame[order])

    def of(self, tracks: Sequence[int]) -> _Segments:
        """Only the runs of some tracks."""
        chosen = np.isin(self.track, tracks)
        return _Segments(self.start[chosen], self.end[chosen], self.track[chosen], self.frame[chosen])


def overlaps(
    queries: MaskSet, objects: MaskSet, length: int, pixels: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Areas and intersections of all queries and objects of a video.

    Args:
        queries: Their masks, checked canonical RLE of ``pixels`` pixels.
        objects: The same for the objects.
        length: Frames of the video, T.
        pixels: Pixels of a frame.

    Returns:
        Query areas ``[T, Q]``, object areas ``[T, G]``, intersections ``[T, Q, G]``, all in pixels.
    """
    object_segments = _segments(objects, pixels).sorted()
    object_area = _area_table(object_segments, length, objects.tracks)
    query_area = np.zeros((length, queries.tracks), np.int32)
    intersection = np.zeros((length, queries.tracks, objects.tracks), np.int32)
    layers = [object_segments.of(layer) for layer in _disjoint_layers(object_segments, objects.tracks)]
    for begin in range(0, length, _FRAMES_AT_ONCE):
        end = min(begin + _FRAMES_AT_ONCE, length)
        here = np.flatnonzero((queries.frame >= begin) & (queries.frame < end))
        part = MaskSet(
            [queries.strings[i] for i in here.tolist()], queries.frame[here], queries.track[here], queries.tracks
        )
        segments = _segments(part, pixels)
        query_area += _area_table(segments, length, queries.tracks)
        for layer in layers:
            _add_intersections(intersection, segments, layer)
    return query_area, object_area, intersection


def _segments(masks: MaskSet, pixels: int) -> _Segments:
    """Decodes masks into runs on the line of all frames."""
    runs, problems = rle.decode(masks.strings)
    assert not problems, "masks are checked when they are read"
    edges = np.cumsum(runs.counts)
    sizes = np.diff(runs.first)
    # Each mask fills exactly one frame, so mask i begins at i * pixels on the line of masks.
    shift = (masks.frame - np.arange(runs.masks)) * pixels
    inside = np.flatnonzero(runs.inside())
    owner = np.repeat(np.arange(runs.masks), sizes // 2)
    move = shift[owner]
    return _Segments(edges[inside - 1] + move, edges[inside] + move, masks.track[owner], masks.frame[owner])


def _area_table(segments: _Segments, length: int, tracks: int) -> npt.NDArray[np.int32]:
    """Pixels per frame and track."""
    cell = segments.frame * tracks + segments.track
    total = np.bincount(cell, weights=segments.end - segments.start, minlength=length * tracks)
    return total.astype(np.int32).reshape(length, tracks)


def _disjoint_layers(segments: _Segments, tracks: int) -> list[list[int]]:
    """Splits tracks into groups whose masks nowhere overlap; annotated objects are nearly always one group."""
    if not len(segments.start) or (segments.start[1:] >= segments.end[:-1]).all():
        return [list(range(tracks))] if tracks else []
    layers: list[list[int]] = []
    for track in range(tracks):
        for layer in layers:
            together = segments.of([*layer, track])
            if (together.start[1:] >= together.end[:-1]).all():
                layer.append(track)
                break
        else:
            layers.append([track])
    return layers


def _add_intersections(table: npt.NDArray[np.int32], queries: _Segments, objects: _Segments) -> None:
    """Adds the pixels shared by query runs and sorted, disjoint object runs to ``table[T, Q, G]``."""
    low = np.searchsorted(objects.end, queries.start, side="right")
    high = np.searchsorted(objects.start, queries.end, side="left")
    touched = np.flatnonzero(high > low)
    number = high[touched] - low[touched]
    query = np.repeat(touched, number)
    offset = np.arange(len(query)) - np.repeat(np.cumsum(number) - number, number)
    other = np.repeat(low[touched], number) + offset
    shared = np.minimum(queries.end[query], objects.end[other]) - np.maximum(queries.start[query], objects.start[other])
    _, tracks, others = table.shape
    cell = (queries.frame[query] * tracks + queries.track[query]) * others + objects.track[other]
    table += np.bincount(cell, weights=shared, minlength=table.size).astype(np.int32).reshape(table.shape)
