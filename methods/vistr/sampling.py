"""VisTR's clip sampler."""

from __future__ import annotations

from mmdet.registry import TRANSFORMS

from methods.runtime.clips import ClipSample


@TRANSFORMS.register_module()
class VisTRClipSample(ClipSample):
    """The T frames that end at the key frame, cyclic inside the video (official ``datasets/ytvos.py``).

    Frames stay in temporal order apart from the wrap; a short video is repeated.

    Args:
        length: T.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def frames(self, key: int, length: int) -> list[int]:
        """T indices, the last of them ``key``."""
        return [(key - offset % length) % length for offset in range(self.length - 1, -1, -1)]
