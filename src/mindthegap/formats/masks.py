"""Masks of a JSON file: every form they come in, checked together and turned into canonical compressed RLE."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from mindthegap.formats import rle
from mindthegap.formats.fields import finite
from mindthegap.formats.model import RLE, DecodedTrack, Video
from mindthegap.formats.problems import Problems, shown

_BATCH_CHARACTERS = 200_000  # keeps the arrays of one decoding pass in the processor's cache
_KEPT_RUNS = 50_000_000  # of the first tracks, 200 MB; later ones are decoded again where they are needed
_SHARED_CHARACTERS = 20_000_000  # of the latest tracks, among which equal ones are looked for
_KEY_MASKS = 8  # of a track's masks, about as many are hashed to find one that is equal
_POLYGON_MARGIN = 10  # polygons may leave the frame by this many frame sizes; rasterising costs memory per pixel walked
_MAX_PERIMETER = 20_000_000  # pixels; pycocotools takes 40 bytes for each without asking whether there are any
_REMEDY_FORM = "write null, a polygon list, or an object with size and counts"
_REMEDY_COUNTS = "encode the mask again with pycocotools.mask.encode"

_Texts = list[str | None]
_Key = tuple[int | str | None, ...]
"""Video, number of absent masks, and some of a track's masks: a track is compared with the latest one alike in these,
because to hash every mask takes longer than to compare two tracks."""


class _Pending(NamedTuple):
    """Masks of one track waiting to be decoded: they belong at ``target[frame]`` for each of ``frames``.

    ``whole`` says that they are all masks of the track.
    """

    target: list[RLE | None]
    frames: list[int]
    place: str
    size: list[int]
    whole: bool


@dataclass
class MaskReader:
    """Reads the masks of one file; ``flush`` completes what ``read`` began.

    Attributes:
        problems: Receives malformed masks.
        any_size: Accepts masks of another size than the video's (official quirk).
        keep_runs: Whether tracks come with their run lengths (up to 200 MB), for those who measure them next.
    """

    problems: Problems
    any_size: bool = False
    keep_runs: bool = True
    _compressed: list[_Pending] = field(default_factory=list)
    _strings: list[str] = field(default_factory=list)
    _plain: list[_Pending] = field(default_factory=list)
    _lists: list[list[int]] = field(default_factory=list)
    _waiting: int = 0
    _seen: dict[_Key, tuple[_Texts, list[RLE | None]]] = field(default_factory=dict)
    _seen_characters: int = 0
    _runs: dict[int, tuple[list[RLE | None], rle.Runs]] = field(default_factory=dict)
    _kept: int = 0

    def read(self, masks: list[Any], place: str, video: Video) -> list[RLE | None]:
        """Takes the masks of one track.

        Query-based methods write the same masks under several classes; such tracks of a video are checked once and
        share a list.

        Args:
            masks: The JSON list ``segmentations``.
            place: Where it stands, e.g. ``annotations[3].segmentations``.
            video: Gives the frame size that every mask must have.

        Returns:
            A list that holds one canonical RLE or ``None`` per entry once ``flush`` has run.
        """
        size = [video.height, video.width]
        texts = _compressed_texts(masks, size)
        if texts is None:
            return self._read_one_by_one(masks, place, size)
        key = video.id, texts.count(None), *texts[:: 1 + len(texts) // _KEY_MASKS]
        known = self._seen.get(key)
        if known is not None and known[0] == texts and not self.problems.collect:
            return known[1]
        target: list[RLE | None] = [None] * len(masks)
        frames = [frame for frame, text in enumerate(texts) if text is not None]
        before = self._waiting
        self._queue([text for text in texts if text is not None], _Pending(target, frames, place, size, True))
        self._remember(key, texts, target, self._waiting - before)
        if self._waiting > _BATCH_CHARACTERS:
            self.flush()
        return target

    def _remember(self, key: _Key, texts: _Texts, target: list[RLE | None], added: int) -> None:
        """Keeps a track for later ones that are equal, and forgets old ones."""
        self._seen_characters += added
        if self._seen_characters > _SHARED_CHARACTERS:
            self._seen.clear()
            self._seen_characters = added
        self._seen[key] = texts, target

    def _read_one_by_one(self, masks: list[Any], place: str, size: list[int]) -> list[RLE | None]:
        """Takes masks of any form."""
        target: list[RLE | None] = [None] * len(masks)
        for frame, mask in enumerate(masks):
            if mask is not None:
                self._read_any(mask, _Pending(target, [frame], place, size, False))
        if self._waiting > _BATCH_CHARACTERS:
            self.flush()
        return target

    def _queue(self, texts: list[str], pending: _Pending) -> None:
        """Queues compressed masks."""
        if not all(map(str.isascii, texts)):
            self._refuse_texts(texts, pending)
            return
        self._strings += texts
        self._compressed.append(pending)
        self._waiting += sum(map(len, texts))

    def _refuse_texts(self, texts: list[str], pending: _Pending) -> None:
        """Reports the compressed masks that are no ASCII, and queues the others."""
        for frame, text in zip(pending.frames, texts, strict=True):
            single = pending._replace(frames=[frame], whole=False)
            if text.isascii():
                self._queue([text], single)
            else:
                self._refuse_counts(text, single)

    def _refuse_counts(self, counts: Any, pending: _Pending) -> None:
        """Reports ``counts`` that are no run lengths."""
        problem = f"is {shown(counts)}, not run lengths"
        self.problems.add("mask form", f"{pending.place}[{pending.frames[0]}].counts", problem, _REMEDY_COUNTS)

    def _read_any(self, mask: Any, pending: _Pending) -> None:
        """Reads a mask of any form."""
        if mask in ({}, []):
            return
        place = f"{pending.place}[{pending.frames[0]}]"
        if type(mask) is dict:
            size = self._size(mask, pending.size, f"{place}.size")
            if size is not None:
                self._read_runs(mask.get("counts"), pending._replace(size=size))
        elif type(mask) is list:
            pending.target[pending.frames[0]] = self._read_polygons(mask, place, pending.size)
        else:
            self.problems.add("mask form", place, f"is {shown(mask)}, not a mask", _REMEDY_FORM)

    def _read_runs(self, counts: Any, pending: _Pending) -> None:
        """Queues a run-length mask whose size is settled."""
        if type(counts) is str:
            self._queue([counts], pending)
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
        corners = []
        for i, polygon in enumerate(polygons):
            numbers = _coordinates(polygon)
            problem = _polygon_problem(polygon, numbers, limit)
            if problem:
                remedy = "write each polygon as [x1, y1, x2, y2, x3, y3, ...] in pixels"
                self.problems.add("polygon", f"{place}[{i}]", problem, remedy)
                return None
            corners.append(numbers)
        parts = coco_mask.frPyObjects(corners, *size)
        merged = parts[0] if len(parts) == 1 else coco_mask.merge(parts)
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
            self._place(compressed, *rle.read(strings, _pixels(compressed)), strings)
        if lists:
            first = np.concatenate([[0], np.cumsum([len(counts) for counts in lists], dtype=np.int64)])
            flat = np.fromiter((n for counts in lists for n in counts), np.int32, int(first[-1]))
            runs = rle.Runs(flat, first)
            bad = rle.check(runs, _pixels(plain))
            strings = rle.encode(rle.drop(runs, bad))
            self._place(plain, runs, bad, [i for i in rle.not_canonical(runs, strings) if i not in bad], strings)

    def _place(
        self, pending: list[_Pending], runs: rle.Runs, bad: dict[int, str], changed: list[int], strings: list[bytes]
    ) -> None:
        """Stores the good ones of decoded masks, those that are not canonical (``changed``) made so."""
        for i in changed:
            strings[i] = rle.encode(rle.canonical(runs.only(i)))[0]
        begin = 0
        for item in pending:
            end = begin + len(item.frames)
            for frame, counts in zip(item.frames, strings[begin:end], strict=True):
                item.target[frame] = {"size": item.size, "counts": counts}
            if self.keep_runs and item.whole and not (changed or bad) and self._kept < _KEPT_RUNS:
                self._runs[id(item.target)] = item.target, runs.part(begin, end)
                self._kept += int(runs.first[end] - runs.first[begin])
            begin = end
        self._report(pending, bad)

    def finished(self, target: list[RLE | None]) -> tuple[RLE | None, ...]:
        """A track that ``read`` returned, once ``flush`` has run; with its run lengths where they are at hand."""
        if id(target) not in self._runs:
            return tuple(target)
        track = DecodedTrack(target)
        _, track.runs = self._runs[id(target)]
        return track

    def _report(self, pending: list[_Pending], bad: dict[int, str]) -> None:
        """Reports malformed masks and takes them out again."""
        ends = np.cumsum([len(item.frames) for item in pending])
        for i in sorted(bad):
            number = int(np.searchsorted(ends, i, side="right"))
            item = pending[number]
            frame = item.frames[i - int(ends[number]) + len(item.frames)]
            item.target[frame] = None
            self.problems.add("mask runs", f"{item.place}[{frame}].counts", bad[i], _REMEDY_COUNTS)


def _pixels(pending: list[_Pending]) -> npt.NDArray[np.int64]:
    """Frame size of each waiting mask."""
    sizes = np.array([item.size for item in pending], np.int64)
    return np.repeat(sizes[:, 0] * sizes[:, 1], [len(item.frames) for item in pending])


def _compressed_texts(masks: list[Any], size: list[int]) -> list[str | None] | None:
    """The ``counts`` of each mask if all are absent or compressed and of this size, else ``None``."""
    try:
        sizes = [mask["size"] for mask in masks if mask is not None]
        texts = [None if mask is None else mask["counts"] for mask in masks]
    except (KeyError, TypeError, IndexError):
        return None
    if sizes.count(size) < len(sizes) or not set(map(type, texts)) <= {str, type(None)}:
        return None
    return texts if texts.count(None) == len(masks) - len(sizes) else None


def _frame_size(size: list[Any]) -> bool:
    """Whether ``size`` is the height and width of a possible frame."""
    return len(size) == 2 and all(type(n) is int and n > 0 for n in size) and size[0] * size[1] <= rle.MAX_PIXELS


def _run_lengths(counts: list[int]) -> bool:
    """Whether all numbers can be run lengths (0 to the largest frame); an empty list holds none."""
    return bool(counts) and min(counts) >= 0 and max(counts) <= rle.MAX_PIXELS


def _polygon_problem(polygon: Any, numbers: npt.NDArray[np.float64], limit: int) -> str:
    """What is wrong with a polygon of these coordinates, or an empty text."""
    if not isinstance(polygon, list):
        return f"is {shown(polygon)}, not a list of coordinates"
    if len(polygon) < 6 or len(polygon) % 2:
        return f"has {len(polygon)} numbers; at least 6 and an even count are needed"
    within = np.abs(numbers) <= limit
    if not within.all():
        value = polygon[int(within.argmin())]
        return f"holds {shown(value)}, not a finite coordinate within {limit} pixels"
    corners = numbers.reshape(-1, 2)
    longest = 2 * limit * len(corners)
    if longest > _MAX_PERIMETER and np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum() > _MAX_PERIMETER:
        return f"is longer than {_MAX_PERIMETER} pixels around"
    return ""


def _coordinates(polygon: Any) -> npt.NDArray[np.float64]:
    """The numbers of a polygon, NaN for what is none; empty for what is no list."""
    if not isinstance(polygon, list):
        return np.zeros(0)
    if set(map(type, polygon)) <= {int, float}:
        with suppress(OverflowError):
            return np.array(polygon, np.float64)
    return np.array([finite(value) for value in polygon], np.float64)
