"""Training pairs of CrossVIS: an annotated frame and a neighbour (Yang et al. 2021, section 4.1)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from mmdet.datasets.transforms import BaseFrameSample
from mmdet.registry import TRANSFORMS


def neighbours(frame_ids: Sequence[int], key: int, frame_range: int) -> list[int]:
    """Indices of the annotated frames a partner is drawn from.

    Args:
        frame_ids: Frame numbers of the annotated frames, ascending.
        key: Index of the key frame among them.
        frame_range: Largest distance in frames, >= 1.

    Returns:
        All others at most ``frame_range`` frames away; the key frame itself when there is none.
    """
    near = [
        index
        for index, frame_id in enumerate(frame_ids)
        if index != key and abs(frame_id - frame_ids[key]) <= frame_range
    ]
    return near or [key]


@TRANSFORMS.register_module()
class NeighbourPair(BaseFrameSample):
    """The key frame and a partner drawn uniformly from its neighbours, in this order.

    mmdet's ``UniformRefFrameSample`` counts the distance in annotated frames, and fails when no other frame is near.

    Args:
        frame_range: Largest distance in frames.
        **kwargs: As for mmdet's ``BaseFrameSample``.
    """

    def __init__(self, frame_range: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frame_range = frame_range

    def transform(self, video_infos: dict[str, Any]) -> dict[str, Any]:
        """Both frames as lists, with the key frame flagged."""
        key = video_infos["key_frame_id"]
        frame_ids = [image["frame_id"] for image in video_infos["images"]]
        partner = random.choice(neighbours(frame_ids, key, self.frame_range))  # noqa: S311 - not for secrets
        results: dict[str, Any] = self.prepare_data(video_infos, [key, partner])
        results["key_frame_flags"] = [True, False]
        return results
