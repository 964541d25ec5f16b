"""What the association block remembers of a video, and when it appends to its long-term memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from methods.iai.layers import Grid

KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class MemoryClock:
    """Counts frames as the official ``LSTTBlock`` does.

    Its counter stands at 1 after the first frame while the first append counts as step 0, so that with an interval of
    3 the appends happen after frames 0, 2, 5, 8, 11, ...

    Attributes:
        step: Counter, 1 after the first frame.
        last: Counter at the last append.
    """

    step: int = 1
    last: int = 0

    def tick(self, new_identity: bool, interval: int) -> tuple[MemoryClock, bool]:
        """The clock after a further frame, and whether that frame is appended.

        Args:
            new_identity: Whether the frame opened an identity.
            interval: Frames after which a frame is appended anyway, >= 1.
        """
        step = self.step + 1
        append = new_identity or step - self.last >= interval
        return MemoryClock(step, step if append else self.last), append


def prepended(entries: KeysValues, newest: KeysValues, limit: int | None) -> KeysValues:
    """Long-term memory with a further frame in front.

    Args:
        entries: Keys and values [M * HW, B, C], newest frame first.
        newest: Keys and values [HW, B, C].
        limit: Largest number of frames, >= 2; beyond it the oldest one goes, except for the first frame of the video,
            where most identities were opened. None keeps all (official).

    Returns:
        Keys and values [(M + 1) * HW, B, C], or fewer.
    """
    size = len(newest[0])
    together = [torch.cat([new, old]) for new, old in zip(newest, entries, strict=True)]
    if limit is not None and len(together[0]) > limit * size:
        together = [torch.cat([both[: (limit - 1) * size], both[-size:]]) for both in together]
    return together[0], together[1]


@dataclass
class Memory:
    """State of the association block within one video, or one batch of clips.

    Attributes:
        grid: Rows and columns of the feature map.
        position: Position code [HW, 1, C].
        first: Tokens [HW, B, C] of the first frame, until its identities are known.
        clock: Number of frames so far.
        long: Per layer, keys and values [M * HW, B, C] of the frames appended, newest first.
        short: Per layer, keys and values [HW, B, C] of the frame before.
        current: Per layer, the present frame's keys and its normed tokens, which become values with its identities.
    """

    grid: Grid
    position: Tensor
    first: Tensor | None
    clock: MemoryClock
    long: list[KeysValues]
    short: list[KeysValues]
    current: list[KeysValues]

    @property
    def frames(self) -> int:
        """Number of frames in the long-term memory."""
        return len(self.long[0][0]) // (self.grid[0] * self.grid[1])
