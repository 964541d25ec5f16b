"""Weights and clips of the parity test, from NumPy's frozen legacy generator: the same numbers everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

CLIPS, FRAMES, HEIGHT, BREADTH = 2, 3, 64, 96
WIDTH, HEADS, LEVELS, POINTS, FFN, LAYERS, QUERIES, CLASSES = 32, 4, 4, 2, 48, 2, 12, 7
CHANNELS = (8, 12, 16)
SIZES = ((64, 96), (48, 80))  # unpadded height and width of the two clips
SHOWN = [3, 8]  # queries whose masks are compared at test time
GRADIENTS = (
    "detr.query_embed.weight",
    "detr.transformer.reference_points.weight",
    "detr.transformer.level_embed",
    "detr.transformer.decoder.layers.0.norm1_box.weight",
    "detr.transformer.decoder.layers.1.cross_attn.output_proj_box.weight",
    "detr.bbox_embed.0.layers.2.weight",
    "controller.layers.2.bias",
    "mask_head.lay2.weight",
)


def weights(keys: Sequence[tuple[str, Sequence[int]]]) -> dict[str, np.ndarray]:
    """A state dict for official keys and shapes; aliases of one tensor get the same numbers."""
    values = {}
    for key, shape in keys:
        name = key.replace("transformer.decoder.bbox_embed", "bbox_embed")
        draw = np.random.RandomState(sum(ord(letter) * (place + 1) for place, letter in enumerate(name)))
        value = draw.normal(size=shape) * (0.5 if len(shape) == 1 else 1.0 / np.sqrt(shape[1] * 1.5))
        if key.endswith("query_embed.weight"):
            value = draw.normal(size=shape)
        values[key] = value.astype(np.float32)
    return values


def clips() -> dict[str, Any]:
    """Feature maps [N * T, C, H, W] per level, padding [N, T, H, W], and the clips' objects."""
    draw = np.random.RandomState(7)
    features = [
        draw.normal(size=(CLIPS * FRAMES, channels, HEIGHT // stride, BREADTH // stride)).astype(np.float32)
        for channels, stride in zip(CHANNELS, (8, 16, 32), strict=True)
    ]
    padding = np.ones((CLIPS, FRAMES, HEIGHT, BREADTH), bool)
    targets = []
    for clip, (size, count) in enumerate(zip(SIZES, (3, 2), strict=True)):
        padding[clip, :, : size[0], : size[1]] = False
        targets.append(_objects(draw, size, count))
    return {"features": features, "padding": padding, "targets": targets}


def _objects(draw: np.random.RandomState, size: tuple[int, int], count: int) -> dict[str, Any]:
    """Rectangles that move; the last object is absent in the second frame."""
    masks = np.zeros((count, FRAMES, HEIGHT, BREADTH), bool)
    boxes = np.zeros((count, FRAMES, 4), np.float32)
    corners = np.zeros((count, FRAMES, 4), np.float32)
    for index in range(count):
        for frame in range(FRAMES):
            if index == count - 1 and frame == 1:
                continue
            x, y = draw.randint(0, size[1] - 30), draw.randint(0, size[0] - 24)
            width, height = draw.randint(8, 30), draw.randint(8, 24)
            masks[index, frame, y : y + height, x : x + width] = True
            corners[index, frame] = x, y, x + width, y + height
            centre = (x + width / 2) / size[1], (y + height / 2) / size[0]
            boxes[index, frame] = *centre, width / size[1], height / size[0]
    labels = draw.randint(0, CLASSES, size=count)
    clamped = np.maximum(boxes, 1e-6)  # as the official data set does
    return {"labels": labels, "boxes": clamped, "corners": corners, "masks": masks, "size": size}
