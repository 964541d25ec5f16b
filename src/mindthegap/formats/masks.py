"""Masks of a JSON file: every form they come in, checked together and turned into canonical compressed RLE."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from mindthegap.formats import rle
from mindthegap.formats.fields import finite
from mindthegap.formats.model import RLE, Video
from mindthegap.formats.problems import Problems, shown

_BATCH_CHARACTERS = 200_000  # keeps the arrays of one decoding pass in the processor's cache
_POLYGON_MARGIN = 10  # polygons may leave the frame by this many frame sizes; rasterising costs memory per pixel walked
_MAX_PERIMETER = 20_000_000  # pixels; pycocotools takes 40 bytes for each without asking whether there are any
_REMEDY_FORM = "write null, a polygon list, or an object with size and counts"
_REMEDY_COUNTS = "encode the mask again with pycocotools.mask.encode"


class _Pending(NamedTuple):
    """A mask waiting to be decoded: it belongs at ``target[frame]``."""

    target: list[RLE | None]
    frame: int
    place: str
    size: list[int]


@dataclass
class MaskReader:
    """Reads the masks of one file; ``flush`` completes what ``read`` began.

    Attributes:
        problems: Receives malformed masks.
        any_size: Accepts masks of another size than the video's (official quirk).
    """

    problems: Problems
    any_size: bool = False
    _compressed: list[_Pending] = field(default_factory=list)
    _strings: list[str] = field(default_factory=list)
    _plain: list[_Pending] = field(default_factory=list)
    _lists: list[list[int]] = field(default_factory=list)
    _waiting: int = 0

    def read(self, masks: list[Any], place: str, video: Video) -> list[RLE | None]:
        """Takes the masks of one track.

        Args:
            masks: The JSON list ``segmentations``.
            place: Where it stands, e.g. ``annotations[3].segmentations``.
            video: Gives the frame size that every mask must have.

        Returns:
            A list that holds one canonical RLE or ``None`` per entry once ``flush`` has run.
        """
        target: list[RLE | None] = [None] * len(masks)
        size = [video.height, video.width]
        for frame, mask in enumerate(masks):
            if mask is None:
                continue
            if type(mask) is dict and mask.get("size") == size and type(mask.get("counts")) is str:
                self._queue(mask["counts"], _Pending(target, frame, place, size))
            else:
                self._read_other(mask, _Pending(target, frame, place, size))
        if self._waiting > _BATCH_CHARACTERS:
            self.flush()
        return target

    def _queue(self, counts: str, pending: _Pending) -> None:
        """Queues a compressed mask."""
        if not counts.isascii():
            self._refuse_counts(counts, pending)
            return
        self._strings.append(counts)
        self._compressed.append(pending)
        self._waiting += len(counts)

    def _refuse_counts(self, counts: Any, pending: _Pending) -> None:
        """Reports ``counts`` that are no run lengths."""
        problem = f"is {shown(counts)}, not run lengths"
        self.problems.add("mask form", f"{pending.place}[{pending.frame}].counts", problem, _REMEDY_COUNTS)

    def _read_other(self, mask: Any, pending: _Pending) -> None:
        """Reads a mask of any form."""
        if mask in ({}, []):
            return
        place = f"{pending.place}[{pending.frame}]"
        if type(mask) is dict:
            size = self._size(mask, pending.size, f"{place}.size")
            if size is not None:
                self._read_runs(mask.get("counts"), pending._replace(size=size))
        elif type(mask) is list:
            pending.target[pending.frame] = self._read_polygons(mask, place, pending.size)
        else:
            self.problems.add("mask form", place, f"is {shown(mask)}, not a mask", _REMEDY_FORM)

    def _read_runs(self, counts: Any, pending: _Pending) -> None:
        """Queues a run-length mask whose size is settled."""
        if type(counts) is str:
            self._queue(counts, pending)
        elif type(counts) is list and set(map(type, counts)) <= {int} and _run_lengths(counts):
            self._lists.append(counts)
            self._plain.append(pending)
            self._waiting += len(counts)
        else:
            self._refuse_counts(counts, pending)

    def _size(self, mask: dict[str, Any], expected: list[int], place: str) -> list[int] | None:
        """The mask's size; ``None`` after a problem."""
        size = mask.get("size")
        if size == expected:
            return expected
        if not isinstance(size, list) or not _frame_size(size):
            self.problems.add("mask size", place, f"is {shown(size)}, not [height, width]", "write the frame's size")
            return None
        if not self.any_size:
            height, width = expected
            problem = f"is [{size[0]}, {size[1]}], but the video is [{height}, {width}] (height, width)"
            self.problems.add("mask size", place, problem, "resize the mask to the video's frames")
            return None
        return size

    def _read_polygons(self, polygons: list[Any], place: str, size: list[int]) -> RLE | None:
        """Rasterises a mask given as polygons, as pycocotools does."""
        limit = _POLYGON_MARGIN * (size[0] + size[1])
        for i, polygon in enumerate(polygons):
            problem = _polygon_problem(polygon, limit)
            if problem:
                remedy = "write each polygon as [x1, y1, x2, y2, x3, y3, ...] in pixels"
                self.problems.add("polygon", f"{place}[{i}]", problem, remedy)
                return None
        merged = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
        return {"size": size, "counts": merged["counts"]}

    def flush(self) -> None:
        """Decodes and checks all waiting masks and puts them where they belong."""
        compressed, self._compressed = self._compressed, []
        texts, self._strings = self._strings, []
        plain, self._plain = self._plain, []
        lists, self._lists = self._lists, []
        self._waiting = 0
        if texts:
            strings = [text.encode() for text in texts]
            self._place(compressed, *rle.decode(strings), strings)
        if lists:
            first = np.concatenate([[0], np.cumsum([len(counts) for counts in lists], dtype=np.int64)])
            flat = np.fromiter((n for counts in lists for n in counts), np.int32, int(first[-1]))
            self._place(plain, rle.Runs(flat, first), {}, None)

    def _place(self, pending: list[_Pending], runs: rle.Runs, bad: dict[int, str], strings: list[bytes] | None) -> None:
        """Checks decoded masks against their frames and stores the good ones."""
        pixels = np.fromiter((p.size[0] * p.size[1] for p in pending), np.int64, len(pending))
        bad = rle.check(runs, pixels) | bad
        if strings is None:
            strings = rle.encode(rle.drop(runs, bad))
        for i in rle.not_canonical(runs, strings):
            if i not in bad:
                strings[i] = rle.encode(rle.canonical(runs.only(i)))[0]
        for i, (item, counts) in enumerate(zip(pending, strings, strict=True)):
            if i in bad:
                place = f"{item.place}[{item.frame}].counts"
                self.problems.add("mask runs", place, bad[i], _REMEDY_COUNTS)
            else:
                item.target[item.frame] = {"size": item.size, "counts": counts}


def _frame_size(size: list[Any]) -> bool:
    """Whether ``size`` is the height and width of a possible frame."""
    return len(size) == 2 and all(type(n) is int and n > 0 for n in size) and size[0] * size[1] <= rle.MAX_PIXELS


def _run_lengths(counts: list[int]) -> bool:
    """Whether all numbers can be run lengths (0 to the largest frame); an empty list holds none."""
    return bool(counts) and min(counts) >= 0 and max(counts) <= rle.MAX_PIXELS


def _polygon_problem(polygon: Any, limit: int) -> str:
    """What is wrong with a polygon, or an empty text."""
    if not isinstance(polygon, list):
        return f"is {shown(polygon)}, not a list of coordinates"
    numbers = [finite(value) for value in polygon]
    if len(numbers) < 6 or len(numbers) % 2:
        return f"has {len(numbers)} numbers; at least 6 and an even count are needed"
    for value, number in zip(polygon, numbers, strict=True):
        if number is None or abs(number) > limit:
            return f"holds {shown(value)}, not a finite coordinate within {limit} pixels"
    corners = np.array(numbers, dtype=np.float64).reshape(-1, 2)
    if np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum() > _MAX_PERIMETER:
        return f"is longer than {_MAX_PERIMETER} pixels around"
    return ""
