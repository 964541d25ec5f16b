"""Which candidates of a frame become detections: thresholds, ranking by class and identity, suppression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import nms


@dataclass(frozen=True)
class SelectionRules:
    """Numbers of the choice.

    Attributes:
        nms_pre: Candidates per level that are looked at.
        score_threshold: Class scores must exceed it.
        id_threshold: Identity scores must exceed it.
        nms_iou: A box is dropped when it overlaps a better one by more, whatever their classes.
        max_per_frame: Largest number of detections.
    """

    nms_pre: int = 200
    score_threshold: float = 0.1
    id_threshold: float = 0.1
    nms_iou: float = 0.5
    max_per_frame: int = 10


def best_per_level(quality: Tensor, level_sizes: Sequence[int], count: int) -> Tensor:
    """Indices of the ``count`` best candidates of every level.

    Args:
        quality: [P], levels one after the other.
        level_sizes: Candidates per level; their sum is P.
        count: Largest number per level.
    """
    chosen, start = [], 0
    for size in level_sizes:
        chosen.append(start + quality[start : start + size].topk(min(count, size)).indices)
        start += size
    return torch.cat(chosen)


def clipped(boxes: Tensor, image_shape: Sequence[int]) -> Tensor:
    """Boxes [n, 4] (x1, y1, x2, y2) within an image of this height and width."""
    height, width = image_shape
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))


def ranking_scores(classes: Tensor, identities: Tensor | None, centerness: Tensor, *, first: bool) -> Tensor:
    """``(p_c + 0.5 p_d) ctr`` in the first frame, where identities say nothing yet, ``(0.5 p_c + p_d) ctr`` later.

    Args:
        classes: [P] best class score p_c.
        identities: [P] best identity score p_d; None without an identity head, which leaves ``p_c ctr``.
        centerness: [P], 0..1.
        first: Whether it is the first frame of the video.
    """
    if identities is None:
        return classes * centerness
    weights = (1.0, 0.5) if first else (0.5, 1.0)
    return (weights[0] * classes + weights[1] * identities) * centerness


def select(
    boxes: Tensor,
    classes: Tensor,
    identities: Tensor | None,
    centerness: Tensor,
    rules: SelectionRules,
    *,
    first: bool,
) -> Tensor:
    """Indices of the detections among P candidates, best first.

    Args:
        boxes: [P, 4] x1, y1, x2, y2.
        classes: [P, C] class scores, without centerness.
        identities: [P, N] identity scores, or None.
        centerness: [P], 0..1.
        rules: Thresholds.
        first: Whether it is the first frame of the video.
    """
    best_class = classes.amax(dim=1)
    best_identity = None if identities is None else identities.amax(dim=1)
    valid = best_class > rules.score_threshold
    if best_identity is not None:
        valid &= best_identity > rules.id_threshold
    candidates = valid.nonzero()[:, 0]
    scores = ranking_scores(best_class, best_identity, centerness, first=first)[candidates]
    kept = nms(boxes[candidates].float(), scores.float(), rules.nms_iou)
    return candidates[kept[: rules.max_per_frame]]
