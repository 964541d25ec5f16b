"""Frames of a SeqFormer training clip (official ``datasets/ytvos.py``)."""

from __future__ import annotations

import numpy as np
from mmdet.registry import TRANSFORMS

from methods.runtime.clips import ClipSample

_REACH = 3  # the key frame's neighbours lie up to this far


@TRANSFORMS.register_module()
class SeqFormerClip(ClipSample):
    """The key frame, a neighbour before and after it, and the rest from outside their span, in order of time.

    Own implementation of the official rule: the neighbours are 1 to 3 frames away, cut off at the video's ends; frames
    repeat at the ends, because the last of the span counts as outside, and where a video is too short.

    Args:
        num_frames: Frames per clip T, >= 1. With 1 the clip is the key frame, with 2 it and one neighbour.
    """

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames

    def frames(self, key: int, length: int) -> list[int]:
        """T indices in ascending order, ``key`` among them."""
        if self.num_frames == 1:
            return [key]
        before, after = max(0, key - _step()), min(length - 1, key + _step())
        if self.num_frames == 2:
            return sorted([key, *_drawn([before, after], 1)])
        return sorted([key, before, after, *self._distant(before, after, length)])

    def _distant(self, before: int, after: int, length: int) -> list[int]:
        """The T - 3 further frames."""
        wanted, everything = self.num_frames - 3, list(range(length))
        outside = everything[:before] + everything[after:]
        if len(outside) > wanted:
            return _drawn(outside, wanted)
        if length >= wanted:
            return _drawn(everything, wanted)
        return everything + _drawn(everything, wanted - length, again=True)


def _step() -> int:
    return int(np.random.randint(1, _REACH + 1))


def _drawn(pool: list[int], count: int, *, again: bool = False) -> list[int]:
    """Random members of the pool, each at most once unless ``again``."""
    return [int(index) for index in np.random.choice(pool, count, replace=again)]
