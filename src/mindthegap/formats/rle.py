"""Run-length encodings as numbers: many masks decoded, checked and made canonical in one numpy pass.

The compressed form is the one of COCO's ``maskApi``: pixels are numbered column by column, run lengths alternate
between outside and inside (the first may be 0), each length from the fourth on is stored as its difference to the one
two before, and each number is written in groups of five bits, one character (code 48-111) per group, bit 32 meaning
"more follows". pycocotools reads past the end of a truncated string and accepts runs that do not fill the frame, so
every string is decoded here before pycocotools may see it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

MAX_PIXELS = 2**28
"""Largest frame in pixels (16384 x 16384): areas fit 32 bits, and pycocotools can allocate what it needs."""

_MAX_CHARACTERS = 7  # 35 bits hold any difference of two 32-bit run lengths

BAD_CHARACTER = "holds a character that no run-length string has"
TRUNCATED = "ends in the middle of a number"
TOO_LONG = "holds a number of more than 35 bits"
NEGATIVE = "decodes to a negative run length"
WRONG_SUM = "its runs add up to {found} pixels, the frame has {expected}"


@dataclass(frozen=True, eq=False)
class Runs:
    """Run lengths of many masks, one after the other.

    Attributes:
        counts: Run lengths, flat, in pixels.
        first: ``[n + 1]``; mask ``i`` owns ``counts[first[i]:first[i + 1]]``.
    """

    counts: Ints
    first: Ints

    @property
    def masks(self) -> int:
        """Number of masks."""
        return len(self.first) - 1

    def only(self, mask: int) -> Runs:
        """The runs of one mask."""
        counts = self.counts[self.first[mask] : self.first[mask + 1]]
        return Runs(counts, np.array([0, len(counts)]))

    def totals(self) -> Ints:
        """Pixels covered by all runs of each mask, ``[n]``."""
        return _segment_sums(self.counts, self.first)

    def inside(self) -> npt.NDArray[np.bool_]:
        """Whether each run lies inside its mask (odd position), ``[len(counts)]``."""
        position = np.arange(len(self.counts)) - np.repeat(self.first[:-1], np.diff(self.first))
        return (position & 1).astype(bool)

    def areas(self) -> Ints:
        """Pixels inside each mask, ``[n]``."""
        return _segment_sums(np.where(self.inside(), self.counts, 0), self.first)


def _segment_sums(values: Ints, first: Ints) -> Ints:
    """Sum of ``values[first[i]:first[i + 1]]`` for every ``i``; empty segments give 0."""
    running = np.concatenate([[0], np.cumsum(values)])
    sums: Ints = running[first[1:]] - running[first[:-1]]
    return sums


def decode(strings: Sequence[bytes]) -> tuple[Runs, dict[int, str]]:
    """Decodes compressed run-length strings without ever reading outside them.

    Args:
        strings: Compressed ``counts``, one per mask.

    Returns:
        The runs (a malformed mask has none) and, by position, what is wrong with each malformed string.
    """
    groups, lengths = _groups(strings)
    problems = _malformed(groups, lengths)
    if problems:
        runs, others = decode([b"" if i in problems else text for i, text in enumerate(strings)])
        return runs, problems | others
    numbers, first = _numbers(groups, lengths)
    return Runs(_undo_differences(numbers, first), first), {}


def _groups(strings: Sequence[bytes]) -> tuple[npt.NDArray[np.uint8], Ints]:
    """Six-bit groups of all strings, one after the other, and the length of each string."""
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    return np.frombuffer(b"".join(strings), np.uint8) - np.uint8(48), lengths


def _malformed(groups: npt.NDArray[np.uint8], lengths: Ints) -> dict[int, str]:
    """Strings that cannot be cut into numbers, with the reason.

    Too long numbers are looked for only once every string ends with a number, so that none reaches into the next.
    """
    ends = np.cumsum(lengths)
    problems = dict.fromkeys(_owners(ends, groups > 63), BAD_CHARACTER)
    continued = (groups & 32) != 0
    filled = np.flatnonzero(lengths)
    for i in filled[continued[ends[filled] - 1]]:
        problems.setdefault(int(i), TRUNCATED)
    if problems:
        return problems
    for _ in range(_MAX_CHARACTERS - 1):
        continued = continued[1:] & continued[:-1]
        if not continued.any():
            return {}
    return dict.fromkeys(_owners(ends, continued), TOO_LONG)


def _owners(ends: Ints, where: npt.NDArray[np.bool_]) -> list[int]:
    """Strings that the marked characters belong to."""
    owners: list[int] = np.unique(np.searchsorted(ends, np.flatnonzero(where), side="right")).tolist()
    return owners


def _numbers(groups: npt.NDArray[np.uint8], lengths: Ints) -> tuple[Ints, Ints]:
    """Signed numbers written in ``groups`` and, per string, the position of its first number."""
    last = np.flatnonzero((groups & 32) == 0)
    first = np.concatenate([[0], np.searchsorted(last, np.cumsum(lengths))])
    start = np.empty_like(last)
    start[:1] = 0
    start[1:] = last[:-1] + 1
    values = (groups[start] & 31).astype(np.int64)
    size = last - start
    longer = np.flatnonzero(size)
    shift = 1
    while len(longer):
        values[longer] |= (groups[start[longer] + shift] & 31).astype(np.int64) << (5 * shift)
        longer = longer[size[longer] > shift]
        shift += 1
    negative = np.flatnonzero(groups[last] & 16)
    values[negative] -= np.int64(1) << (5 * (size[negative] + 1))
    return values, first


def _undo_differences(numbers: Ints, first: Ints) -> Ints:
    """Run lengths from stored numbers: from the fourth on, each is a difference to the one two before."""
    begin = first[:-1][np.diff(first) > 0]
    repeats = np.diff(first)[np.diff(first) > 0]
    opening = numbers[begin]
    sums = np.concatenate([[0, 0], numbers])
    sums[begin + 2] = 0  # the first length starts no chain of differences
    sums[0::2] = np.cumsum(sums[0::2])
    sums[1::2] = np.cumsum(sums[1::2])
    # What the chains had reached two and one places before each mask's first length.
    even, odd = np.repeat(sums[begin], repeats), np.repeat(sums[begin + 1], repeats)
    position = np.arange(len(numbers)) - np.repeat(begin, repeats)
    counts: Ints = sums[2:] - np.where(position & 1, odd, even)
    counts[begin] = opening
    return counts


def check(runs: Runs, pixels: Ints) -> dict[int, str]:
    """Finds masks whose runs cannot be those of a frame.

    Args:
        runs: Decoded masks.
        pixels: Frame size of each mask, ``[n]``.

    Returns:
        By position, what is wrong.
    """
    problems: dict[int, str] = {}
    totals = runs.totals()
    for i in np.flatnonzero(totals != pixels):
        problems[int(i)] = WRONG_SUM.format(found=int(totals[i]), expected=int(pixels[i]))
    for i in np.unique(np.searchsorted(runs.first, np.flatnonzero(runs.counts < 0), side="right") - 1):
        problems[int(i)] = NEGATIVE
    return problems


def drop(runs: Runs, masks: Collection[int]) -> Runs:
    """The same masks, those named left without runs."""
    sizes = np.diff(runs.first)
    kept = np.ones(runs.masks, bool)
    kept[list(masks)] = False
    first = np.concatenate([[0], np.cumsum(np.where(kept, sizes, 0))])
    return Runs(runs.counts[np.repeat(kept, sizes)], first)


def not_canonical(runs: Runs, strings: Sequence[bytes]) -> list[int]:
    """Positions of masks with empty inner runs or needlessly long numbers, which hide that two masks are equal."""
    empty = runs.counts == 0
    empty[runs.first[:-1][np.diff(runs.first) > 0]] = False
    suspects = set((np.searchsorted(runs.first, np.flatnonzero(empty), side="right") - 1).tolist())
    groups, lengths = _groups(strings)
    ends = np.cumsum(lengths)
    follows = np.flatnonzero((groups[:-1] & 32) != 0) + 1
    head, tail = groups[follows - 1], groups[follows]
    needless = ((tail == 0) & ((head & 16) == 0)) | ((tail == 31) & ((head & 16) != 0))
    suspects.update(np.searchsorted(ends, follows[needless], side="right").tolist())
    return sorted(suspects)


def canonical(runs: Runs) -> Runs:
    """Merges empty inner runs, so that equal masks have equal runs; one mask after the other, meant for the few."""
    merged = [_merge_empty(runs.counts[a:b]) for a, b in pairwise(runs.first.tolist())]
    flat = np.concatenate([np.array([], np.int64), *(np.array(counts, np.int64) for counts in merged)])
    return Runs(flat, np.concatenate([[0], np.cumsum([len(counts) for counts in merged], dtype=np.int64)]))


def _merge_empty(counts: Ints) -> list[int]:
    """Run lengths of one mask without empty runs, save perhaps the first."""
    merged: list[int] = []
    for position, count in enumerate(counts.tolist()):
        if position == 0 or (count and (position - len(merged)) & 1 == 0):
            merged.append(count)
        elif count:
            merged[-1] += count
    return merged


def encode(runs: Runs) -> list[bytes]:
    """Compressed strings of many masks, byte for byte those of ``maskApi.rleToString``."""
    position = np.arange(len(runs.counts)) - np.repeat(runs.first[:-1], np.diff(runs.first))
    numbers = runs.counts.copy()
    later = np.flatnonzero(position > 2)
    numbers[later] -= runs.counts[later - 2]
    size = np.ones(len(numbers), np.int64)
    for groups in range(1, _MAX_CHARACTERS):
        limit = np.int64(1) << (5 * groups - 1)
        size += (numbers >= limit) | (numbers < -limit)
    begin = np.concatenate([[0], np.cumsum(size)])
    text = np.empty(begin[-1], np.uint8)
    for group in range(int(size.max(initial=0))):
        here = np.flatnonzero(size > group)
        more = np.where(size[here] > group + 1, 32, 0)
        text[begin[here] + group] = ((numbers[here] >> (5 * group)) & 31) + more + 48
    data, cuts = text.tobytes(), begin[runs.first].tolist()
    return [data[a:b] for a, b in pairwise(cuts)]
