"""Masks of a JSON file: every form they come in, checked together and turned into canonical compressed RLE."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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


@dataclass
class _Pending:
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
    _strings: list[bytes] = field(default_factory=list)
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
            if not mask and (mask is None or isinstance(mask, dict | list)):
                continue
            if type(mask) is dict:
                self._read_runs(mask, _Pending(target, frame, place, size))
            elif type(mask) is list:
                target[frame] = self._read_polygons(mask, f"{place}[{frame}]", size)
            else:
                self.problems.add("mask form", f"{place}[{frame}]", f"is {shown(mask)}, not a mask", _REMEDY_FORM)
        if self._waiting > _BATCH_CHARACTERS:
            self.flush()
        return target

    def _read_runs(self, mask: dict[str, Any], pending: _Pending) -> None:
        """Queues a run-length mask after checking its form and size."""
        counts = mask.get("counts")
        if mask.get("size") != pending.size and not self._accept_size(mask, pending):
            return
        if type(counts) is str and counts.isascii():
            self._strings.append(counts.encode())
            self._compressed.append(pending)
        elif type(counts) is list and set(map(type, counts)) <= {int} and _run_lengths(counts):
            self._lists.append(counts)
            self._plain.append(pending)
        else:
            problem = f"is {shown(counts)}, not run lengths"
            self.problems.add("mask form", f"{pending.place}[{pending.frame}].counts", problem, _REMEDY_COUNTS)
            return
        self._waiting += len(counts)

    def _accept_size(self, mask: dict[str, Any], pending: _Pending) -> bool:
        """Reports a size that is not the video's, or takes it over where any size is accepted."""
        size, place = mask.get("size"), f"{pending.place}[{pending.frame}].size"
        if not isinstance(size, list) or not _frame_size(size):
            self.problems.add("mask size", place, f"is {shown(size)}, not [height, width]", "write the frame's size")
            return False
        if not self.any_size:
            height, width = pending.size
            problem = f"is [{size[0]}, {size[1]}], but the video is [{height}, {width}] (height, width)"
            self.problems.add("mask size", place, problem, "resize the mask to the video's frames")
            return False
        pending.size = size
        return True

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
        strings, self._strings = self._strings, []
        plain, self._plain = self._plain, []
        lists, self._lists = self._lists, []
        self._waiting = 0
        if strings:
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
