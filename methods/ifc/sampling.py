"""IFC's clip sampler."""

from __future__ import annotations

import numpy as np
from mmdet.registry import TRANSFORMS

from methods.runtime.clips import ClipSample


@TRANSFORMS.register_module()
class IFCClipSample(ClipSample):
    """The key frame and T - 1 frames around it, drawn with replacement, in temporal order.

    Official ``ifc/data/dataset_mapper.py``. A video of one frame repeats it, where the official code stops.

    Args:
        length: T.
        frame_range: Largest distance from the key frame, in annotated frames.
    """

    def __init__(self, length: int, frame_range: int = 20) -> None:
        super().__init__()
        self.length, self.frame_range = length, frame_range

    def frames(self, key: int, length: int) -> list[int]:
        """T indices in ascending order, among them ``key``."""
        near = range(max(0, key - self.frame_range), min(length, key + self.frame_range + 1))
        others = [index for index in near if index != key] or [key]
        drawn = np.random.choice(others, self.length - 1).tolist()
        return sorted([key, *drawn])
