"""Boxes of the ground truth: what motion and hiding need beyond pixel counts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mindthegap.formats import GroundTruth


@dataclass(frozen=True, eq=False)
class VideoGeometry:
    """Boxes of the objects of one video, taken from their masks.

    Attributes:
        object_id: ``int64 [G]``.
        boxes: ``float64 [T, G, 4]``: x, y, width, height in pixels; NaN where the object has no pixel.
    """

    object_id: np.ndarray
    boxes: np.ndarray

    def ordered(self, object_id: np.ndarray) -> np.ndarray:
        """Boxes ``[T, G, 4]`` in the order of ``object_id``.

        Raises:
            KeyError: An object has no boxes here.
        """
        place = {identity: index for index, identity in enumerate(self.object_id.tolist())}
        return self.boxes[:, [place[identity] for identity in object_id.tolist()]]


def boxes_of(ground_truth: GroundTruth) -> dict[int, VideoGeometry]:
    """Mask boxes of all objects, by video id; videos without objects have an empty entry.

    The boxes stored in annotation files are not used: in OVIS they differ from the masks' by a pixel or two.
    """
    from pycocotools import mask as mask_api

    objects = defaultdict(list)
    for track in ground_truth.objects:
        objects[track.video_id].append(track)
    geometry = {}
    for video in ground_truth.videos:
        tracks = objects[video.id]
        boxes = np.full((video.length, len(tracks), 4), np.nan)
        for index, track in enumerate(tracks):
            frames = [frame for frame, mask in enumerate(track.segmentations[: video.length]) if mask is not None]
            if frames:
                found = mask_api.toBbox([track.segmentations[frame] for frame in frames])
                boxes[frames, index] = np.where(found[:, 2:3] * found[:, 3:4] > 0, found, np.nan)
        geometry[video.id] = VideoGeometry(np.array([track.id for track in tracks], dtype=np.int64), boxes)
    return geometry
