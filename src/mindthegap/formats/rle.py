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

from mindthegap.formats import kernel

Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int32]

MAX_PIXELS = 2**28
"""Largest frame in pixels (16384 x 16384): areas fit 32 bits, and pycocotools can allocate what it needs."""

_MORE = np.uint8(32)  # marks a group that another one follows
_MAX_CHARACTERS = 6  # 30 bits hold any difference of two run lengths up to MAX_PIXELS

BAD_CHARACTER = "holds a character that no run-length string has"
TRUNCATED = "ends in the middle of a number"
TOO_LONG = "holds a number of more than 30 bits"
NEGATIVE = "decodes to a negative run length"
WRONG_SUM = "its runs add up to {found} pixels, the frame has {expected}"
_SENTENCES = {
    kernel.BAD_CHARACTER: BAD_CHARACTER,
    kernel.TRUNCATED: TRUNCATED,
    kernel.TOO_LONG: TOO_LONG,
    kernel.WRONG_SUM: WRONG_SUM,
    kernel.NEGATIVE: NEGATIVE,
}


@dataclass(frozen=True, eq=False)
class Runs:
    """Run lengths of many masks, one after the other.

    Attributes:
        counts: Run lengths, flat, in pixels; 32 bits, because memory traffic is what decoding costs.
        first: ``[n + 1]``; mask ``i`` owns ``counts[first[i]:first[i + 1]]``.
    """

    counts: Counts
    first: Ints

    @property
    def masks(self) -> int:
        """Number of masks."""
        return len(self.first) - 1

    def only(self, mask: int) -> Runs:
        """The runs of one mask."""
        return self.part(mask, mask + 1)

    def part(self, begin: int, end: int) -> Runs:
        """The runs of the masks from ``begin`` up to ``end``."""
        first = self.first[begin : end + 1]
        return Runs(self.counts[first[0] : first[-1]], first - first[0])

    @staticmethod
    def joined(parts: Sequence[Runs]) -> Runs:
        """The masks of all parts, one after the other."""
        counts = np.concatenate([np.zeros(0, np.int32), *(part.counts for part in parts)])
        sizes = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.first) for part in parts)])
        return Runs(counts, np.cumsum(sizes))

    def totals(self) -> Ints:
        """Pixels covered by all runs of each mask, ``[n]``."""
        running = np.zeros(len(self.counts) + 1, np.int64)
        np.cumsum(self.counts, dtype=np.int64, out=running[1:])
        totals: Ints = np.diff(running[self.first])
        return totals

    def filled(self) -> npt.NDArray[np.bool_]:
        """Which masks have runs at all (malformed ones have none), ``[n]``."""
        filled: npt.NDArray[np.bool_] = np.diff(self.first) > 0
        return filled


def read(strings: Sequence[bytes], pixels: Ints) -> tuple[Runs, dict[int, str], list[int]]:
    """Decodes and checks compressed strings, by the compiled kernel where there is one.

    Args:
        strings: Compressed ``counts``, one per mask.
        pixels: Frame size of each mask, ``[n]``.

    Returns:
        The runs (a string that cannot be decoded has none); by position, what is wrong; positions of masks that are
        right but not canonical.
    """
    if kernel.library is None:
        runs, malformed = decode(strings)
        bad = check(runs, pixels) | malformed
        return runs, bad, [i for i in not_canonical(runs, strings) if i not in bad]
    counts, first, total, state = kernel.decode(kernel.library, strings, pixels)
    bad = {}
    for i in np.flatnonzero(state > kernel.NOT_CANONICAL).tolist():
        bad[i] = _SENTENCES[int(state[i])].format(found=int(total[i]), expected=int(pixels[i]))
    return Runs(counts, first), bad, np.flatnonzero(state == kernel.NOT_CANONICAL).tolist()


def decode(strings: Sequence[bytes]) -> tuple[Runs, dict[int, str]]:
    """Decodes compressed run-length strings without ever reading outside them.

    Args:
        strings: Compressed ``counts``, one per mask.

    Returns:
        The runs (a malformed mask has none) and, by position, what is wrong with each malformed string.
    """
    groups, lengths = _groups(strings)
    ends = np.cumsum(lengths)
    more = np.flatnonzero((groups & _MORE) != 0)
    problems = _malformed(groups, ends, more)
    if problems:
        runs, others = decode([b"" if i in problems else text for i, text in enumerate(strings)])
        return runs, problems | others
    first = np.zeros(len(strings) + 1, np.int64)
    first[1:] = ends - np.searchsorted(more, ends)
    return Runs(_undo_differences(_numbers(groups, more), first), first), {}


def _groups(strings: Sequence[bytes]) -> tuple[npt.NDArray[np.uint8], Ints]:
    """Six-bit groups of all strings, one after the other, and the length of each string."""
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    return np.frombuffer(b"".join(strings), np.uint8) - np.uint8(48), lengths


def _malformed(groups: npt.NDArray[np.uint8], ends: Ints, more: Ints) -> dict[int, str]:
    """Strings that cannot be cut into numbers, with the reason; ``more`` are the groups that another one follows.

    Too long numbers are looked for only once every string ends with a number, so that none reaches into the next.
    """
    problems = {}
    if groups.max(initial=0) > 63:
        problems = dict.fromkeys(_owners(ends, np.flatnonzero(groups > 63)), BAD_CHARACTER)
    filled = np.flatnonzero(np.diff(ends, prepend=0))
    for i in filled[(groups[ends[filled] - 1] & _MORE) != 0]:
        problems.setdefault(int(i), TRUNCATED)
    if problems:
        return problems
    reach = _MAX_CHARACTERS - 1
    return dict.fromkeys(_owners(ends, more[:-reach][more[reach:] - more[:-reach] == reach]), TOO_LONG)


def _owners(ends: Ints, positions: Ints) -> list[int]:
    """Strings that the characters at some positions belong to."""
    owners: list[int] = np.unique(np.searchsorted(ends, positions, side="right")).tolist()
    return owners


def _numbers(groups: npt.NDArray[np.uint8], more: Ints) -> Counts:
    """Signed numbers of all strings; most are a single group, so only the groups in ``more`` are looked at again."""
    last = groups[groups < _MORE]
    # The sign is bit 16 of the last, most significant group.
    values = ((last ^ np.uint8(16)).view(np.int8) - np.int8(16)).astype(np.int32)
    owner = more - np.arange(len(more))  # which number a group belongs to
    at = np.flatnonzero(owner[1:] != owner[:-1])
    at = np.append(at, len(more) - 1) if len(more) else at
    while len(at):  # from the second most significant group of each number to the first
        number = owner[at]
        values[number] = (values[number] << 5) | (groups[more[at]] & 31)
        at, number = at[at > 0] - 1, number[at > 0]
        at = at[owner[at] == number]
    return values


def _undo_differences(numbers: Counts, first: Ints) -> Counts:
    """Run lengths from stored numbers: from the fourth on, each is a difference to the one two before.

    Sums may wrap around, as they may in ``maskApi``; a length that does is negative once, which ``check`` finds.
    """
    begin = first[:-1][np.diff(first) > 0]
    sums = np.zeros(len(numbers) + 2, np.int32)
    sums[2:] = numbers
    sums[begin + 2] = 0  # the first length starts no chain of differences
    for parity in (0, 1):
        np.cumsum(sums[parity::2], dtype=np.int32, out=sums[parity::2])
    # What the chain of either parity had reached before each mask; its own numbers start from there.
    edges = np.append(begin, len(numbers))
    reached = [sums[begin + ((begin + parity) & 1)] for parity in (0, 1)]
    for parity in (0, 1):
        own = np.diff((edges - parity + 1) // 2)
        sums[2 + parity :: 2] -= np.repeat(reached[parity], own)
    counts: Counts = sums[2:]
    counts[begin] = numbers[begin]
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
    suspects: set[int] = set()
    begin = runs.first[:-1][runs.filled()]
    if np.count_nonzero(runs.counts == 0) > np.count_nonzero(runs.counts[begin] == 0):
        empty = runs.counts == 0
        empty[begin] = False
        suspects.update((np.searchsorted(runs.first, np.flatnonzero(empty), side="right") - 1).tolist())
    groups, lengths = _groups(strings)
    more = np.flatnonzero(groups[:-1] >= _MORE)
    head, tail = groups[more], groups[more + 1]
    # A last group that only repeats the sign: 0 after a positive, 31 after a negative one.
    needless = more[((tail == 0) & (head < 48)) | ((tail == 31) & (head >= 48))]
    if len(needless):
        suspects.update(_owners(np.cumsum(lengths), needless))
    return sorted(suspects)


def canonical(runs: Runs) -> Runs:
    """Merges empty inner runs, so that equal masks have equal runs; one mask after the other, meant for the few."""
    merged = [_merge_empty(runs.counts[a:b]) for a, b in pairwise(runs.first.tolist())]
    flat = np.concatenate([np.array([], np.int32), *(np.array(counts, np.int32) for counts in merged)])
    return Runs(flat, np.concatenate([[0], np.cumsum([len(counts) for counts in merged], dtype=np.int64)]))


def _merge_empty(counts: Counts) -> list[int]:
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
        limit = np.int32(1) << (5 * groups - 1)
        size += (numbers >= limit) | (numbers < -limit)
    begin = np.concatenate([[0], np.cumsum(size)])
    text = np.empty(begin[-1], np.uint8)
    for group in range(int(size.max(initial=0))):
        here = np.flatnonzero(size > group)
        more = np.where(size[here] > group + 1, 32, 0)
        text[begin[here] + group] = ((numbers[here] >> (5 * group)) & 31) + more + 48
    data, cuts = text.tobytes(), begin[runs.first].tolist()
    return [data[a:b] for a, b in pairwise(cuts)]
