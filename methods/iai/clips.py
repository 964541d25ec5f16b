"""Training clips: which frames of a video, in which order videos are drawn (IAI ``datasets/ytvos.py``)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from mmdet.datasets.transforms import BaseFrameSample
from mmdet.registry import DATA_SAMPLERS, TRANSFORMS

from methods.runtime.data import DatasetFolder, KeyFrameSampler


def clip_frames(length: int, count: int, max_gap: int, draw: Callable[[int, int], int]) -> list[int]:
    """Frames of a clip, in temporal order.

    A random start, then each next frame is 1 to ``max_gap`` frames later, as far as the rest still fits. A video with
    fewer frames than the clip is continued by its frames from the first on.

    Args:
        length: Number of annotated frames of the video, >= 1.
        count: Frames of the clip.
        max_gap: Largest distance of neighbouring frames.
        draw: Uniform random integer, both ends included (``random.randint``).

    Returns:
        Indices among the annotated frames.
    """
    longest = max(length, count)
    current = draw(0, longest - count)
    frames = [current]
    for remaining in range(count - 1, 0, -1):
        current += draw(1, min(max_gap, longest - current - remaining))
        frames.append(current)
    return [frame % length for frame in frames]


@TRANSFORMS.register_module()
class IdentityClip(BaseFrameSample):
    """Takes a clip of a video; the key frame that the sampler names is not used.

    Args:
        count: Frames of the clip.
        max_gap: Largest distance of neighbouring frames, in annotated frames.
    """

    def __init__(self, count: int, max_gap: int) -> None:
        super().__init__()
        self.count, self.max_gap = count, max_gap

    def transform(self, video_infos: dict[str, Any]) -> dict[str, Any]:
        """The clip's frames as lists, one entry per frame."""
        length = len(video_infos["images"])
        frames = clip_frames(length, self.count, self.max_gap, random.randint)
        # A frame that occurs twice must not share its dictionary with itself.
        images = [dict(video_infos["images"][frame]) for frame in frames]
        return dict(self.prepare_data({**video_infos, "images": images}, list(range(self.count))))


@DATA_SAMPLERS.register_module()
class VideoSampler(KeyFrameSampler):
    """Endless order of videos: every video ``draws`` times per pass, whatever its length.

    Args:
        dataset: A ``DatasetFolder``.
        seed: Seed of the order.
        draws: Clips per video and pass (official: 5).
    """

    def __init__(self, dataset: DatasetFolder, seed: int = 0, draws: int = 5) -> None:
        super().__init__(dataset, seed)
        self.keys = [(video, draw) for video in range(len(dataset)) for draw in range(draws)]
