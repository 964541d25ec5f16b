"""Masks for drawing: no wider than the page shows them, as compressed run lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

MAX_DRAWN_WIDTH = 480


def drawn_size(height: int, width: int) -> tuple[int, int]:
    """Height and width in pixels at which masks of a video are stored for drawing; never larger than the video."""
    if width <= MAX_DRAWN_WIDTH:
        return height, width
    return max(1, round(height * MAX_DRAWN_WIDTH / width)), MAX_DRAWN_WIDTH


def drawn_masks(masks: Sequence[dict[str, Any] | None], size: tuple[int, int]) -> list[str | None]:
    """Compressed run lengths of masks at the size they are drawn.

    A mask is sampled at the centres of the new pixels, and one that would vanish keeps a single pixel: a small
    object must not look absent. Numbers on the page never come from these masks.

    Args:
        masks: Masks of one video, ``None`` where absent.
        size: Height and width from :func:`drawn_size`.

    Returns:
        One string per mask; ``None`` where absent or without any pixel.
    """
    return [None if mask is None else _drawn(mask, size) for mask in masks]


def _drawn(mask: dict[str, Any], size: tuple[int, int]) -> str | None:
    """One mask at drawing size."""
    height, width = mask["size"]
    if (height, width) == size:
        counts = mask["counts"]
        empty = coco_mask.area(mask) == 0
        return None if empty else (counts.decode("ascii") if isinstance(counts, bytes) else counts)
    full = coco_mask.decode(mask)
    rows = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(np.intp)
    columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(np.intp)
    small = full[rows[:, None], columns[None, :]]
    if not small.any():
        ys, xs = np.nonzero(full)
        if len(ys) == 0:
            return None
        small[min(size[0] - 1, ys[0] * size[0] // height), min(size[1] - 1, xs[0] * size[1] // width)] = 1
    counts = coco_mask.encode(np.asfortranarray(small))["counts"]
    return str(counts.decode("ascii"))
