"""Clips made of one still: copies, all but one augmented, whose masks are warped along and keep their identities.

After SeqFormer (Wu et al., ECCV 2022; official release, ``datasets/coco2seq.py`` and ``image_to_seq_augmenter.py``).
Every copy gets one or both of a change of brightness (+-40 levels) and of hue and saturation (+-5 levels), then a
perspective (up to 0.08 of the sides), a rotation (+-20 degrees) and a shift (+-10 %), and a quarter of the copies get
motion blur (9 or 11 pixels). Own implementation; unlike the release it keeps overlapping masks apart, and its blur
scales with the picture.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks

from methods.runtime.clips import ClipSample
from methods.runtime.recipes import Part
from mindthegap.errors import ConfigError

_BLUR_SIDE = 480  # shorter side in pixels for which the release's blur lengths are meant, that of COCO's pictures
_ROW_KEYS = ("gt_bboxes", "gt_bboxes_labels", "gt_instances_ids", "gt_ignore_flags")


@TRANSFORMS.register_module()
class StillCopies(ClipSample):
    """The key frame ``copies`` times."""

    def __init__(self, copies: int) -> None:
        super().__init__()
        self.copies = copies

    def frames(self, key: int, length: int) -> list[int]:
        """The key frame, again and again."""
        return [key] * self.copies


@TRANSFORMS.register_module()
class WarpCopies(BaseTransform):
    """Augments all copies of a still but one, drawn at random; needs ``img`` and annotations of every copy as lists.

    An object that leaves a copy's frame is absent there; boxes are the tight boxes of what is left of the masks. All
    draws come from NumPy's global generator, which the dataset seeds for every item.

    Args:
        brightness: Largest change in levels.
        hue_saturation: Largest change in levels of 256.
        perspective: Largest displacement of a corner as a share of the sides.
        rotation: Largest angle in degrees.
        shift: Largest shift as a share of the sides.
        blur: Probability of motion blur.
    """

    def __init__(
        self,
        brightness: float = 40.0,
        hue_saturation: float = 5.0,
        perspective: float = 0.08,
        rotation: float = 20.0,
        shift: float = 0.1,
        blur: float = 0.25,
    ) -> None:
        self.brightness, self.hue_saturation = brightness, hue_saturation
        self.perspective, self.rotation, self.shift, self.blur = perspective, rotation, shift, blur

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replaces pictures, masks, boxes and the lists that go with them."""
        count = len(results["img"])
        untouched = np.random.randint(count)
        for place in range(count):
            if place == untouched:
                continue
            image = results["img"][place]
            matrix = self._matrix(*image.shape[:2])
            results["img"][place] = self._blurred(warp_image(self._recoloured(image), matrix))
            masks, boxes, kept = warp_masks(results["gt_masks"][place].masks, matrix)
            results["gt_masks"][place] = BitmapMasks(masks, *image.shape[:2])
            for key in _ROW_KEYS:
                if key in results:
                    results[key][place] = results[key][place][kept]
            results["gt_bboxes"][place] = boxes
        return results

    def _matrix(self, height: int, width: int) -> np.ndarray:
        """A random homography from the still's pixels to the copy's, float64 [3, 3]."""
        size = np.array([width, height], dtype=np.float64)
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size
        inward = np.where(corners > 0, -1.0, 1.0) * np.random.uniform(0, self.perspective, (4, 2)) * size
        tilt = cv2.getPerspectiveTransform((corners + inward).astype(np.float32), corners.astype(np.float32))
        angle = math.radians(np.random.uniform(-self.rotation, self.rotation))
        cos, sin = math.cos(angle), math.sin(angle)
        middle, move = size / 2, np.random.uniform(-self.shift, self.shift, 2) * size
        turn = np.array([[cos, -sin], [sin, cos]])
        placed = np.eye(3)
        placed[:2, :2], placed[:2, 2] = turn, middle - turn @ middle + move
        return np.asarray(placed @ tilt)

    def _recoloured(self, image: np.ndarray) -> np.ndarray:
        """Changes brightness, or hue and saturation, or both. uint8 BGR [H, W, 3]."""
        chosen = np.random.randint(1, 4)
        if chosen & 1:
            level = np.random.uniform(-self.brightness, self.brightness)
            image = np.clip(image.astype(np.float32) + level, 0, 255).astype(np.uint8)
        if chosen & 2:
            hue, saturation = np.random.uniform(-self.hue_saturation, self.hue_saturation, 2)
            hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.float32)
            hsv[..., 0] = (hsv[..., 0] + hue * 180 / 256) % 180  # OpenCV's hue has 180 levels
            hsv[..., 1] = np.clip(hsv[..., 1] + saturation, 0, 255)
            image = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)
        return np.asarray(image)

    def _blurred(self, image: np.ndarray) -> np.ndarray:
        """Sometimes blurs along a line in a random direction."""
        if np.random.uniform() >= self.blur:
            return image
        pixels = (9, 11)[np.random.randint(2)] * min(image.shape[:2]) / _BLUR_SIDE
        length = max(3, 2 * round((pixels - 1) / 2) + 1)
        kernel = np.zeros((length, length), dtype=np.float32)
        kernel[length // 2] = 1.0
        centre = (length // 2, length // 2)
        kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D(centre, np.random.uniform(0, 180), 1.0), kernel.shape)
        return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()))


def warp_image(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A picture seen through a homography, bilinear; black where nothing is known. Same shape and type."""
    return np.asarray(cv2.warpPerspective(image, matrix, (image.shape[1], image.shape[0]), flags=cv2.INTER_LINEAR))


def warp_masks(masks: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks seen through a homography: bilinear as the picture, a pixel belongs where half of it does.

    Args:
        masks: uint8 [n, H, W], 0 or 1.
        matrix: float64 [3, 3].

    Returns:
        What is left: masks uint8 [k, H, W], their tight boxes float32 [k, 4] (x1, y1, x2, y2), and which of the n
        objects they are, int64 [k].
    """
    height, width = masks.shape[1:]
    warped = [cv2.warpPerspective(mask * np.uint8(255), matrix, (width, height), flags=cv2.INTER_LINEAR) >= 128
              for mask in masks]  # fmt: skip
    kept = np.array([place for place, mask in enumerate(warped) if mask.any()], dtype=np.int64)
    boxes = np.array([_tight_box(warped[place]) for place in kept], dtype=np.float32).reshape(-1, 4)
    left = np.array([warped[place] for place in kept], dtype=np.uint8).reshape(-1, height, width)
    return left, boxes, kept


def _tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 around the pixels of a mask that has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def as_pseudo_clips(pipeline: list[Part], copies: int) -> list[Part]:
    """A training pipeline whose clips are made of stills.

    Args:
        pipeline: A pipeline of `recipes`: a sampler, then a ``TransformBroadcaster`` that begins by loading frames and
            annotations; everything after that stays as it is.
        copies: Frames of a clip, the still included.

    Raises:
        ConfigError: The pipeline does not begin like that, or no copy is asked for.
    """
    if copies < 1:
        raise ConfigError(
            f"pseudo_clips: {copies} frames make no clip; write 2 or more, or 0 for the videos themselves."
        )
    _, broadcast, *rest = pipeline
    loaded = [step["type"] for step in broadcast.get("transforms", [])[:2]]
    if broadcast["type"] != "TransformBroadcaster" or loaded != ["LoadFrame", "LoadTrackAnnotations"]:
        raise ConfigError("pseudo_clips: this method's pipeline does not load frames first; set pseudo_clips to 0.")
    loading = {"type": "TransformBroadcaster", "transforms": broadcast["transforms"][:2]}
    others = {**broadcast, "transforms": broadcast["transforms"][2:]}
    return [{"type": "StillCopies", "copies": copies}, loading, {"type": "WarpCopies"}, others, *rest]
