"""Matching and losses of SeqFormer (paper section 3.4; official ``models/matcher.py`` and ``models/seqformer.py``).

Boxes are centre x, centre y, width, height in 0..1 of the unpadded frame. Absent objects have a box of ~0 and an empty
mask, and are penalised like any other (official behaviour: no loss looks at the visibility).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from mmdet.utils import reduce_mean
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_convert

from methods.runtime.clips import ClipTargets

_ALPHA, _GAMMA = 0.25, 2.0
_EMPTY_BOX = 1e-6  # the official data set clamps every number of a box to it
MASK_STRIDE = 4


@dataclass(frozen=True)
class Weights:
    """Weights of the matching costs and of the losses; official values."""

    cost_class: float = 2.0
    cost_box: float = 5.0
    cost_giou: float = 2.0
    loss_class: float = 2.0
    loss_box: float = 5.0
    loss_giou: float = 2.0
    loss_mask: float = 2.0
    loss_dice: float = 5.0


class Objects(NamedTuple):
    """The objects of one clip in the losses' units.

    Attributes:
        labels: [n].
        boxes: [n, T, 4] in 0..1.
        masks: [n, T, H/4, W/4] float 0 or 1.
    """

    labels: Tensor
    boxes: Tensor
    masks: Tensor


class Matches(NamedTuple):
    """Matched pairs of all layers and clips, one after the other.

    Attributes:
        layer: [M] decoder layer.
        clip: [M] clip of the batch.
        query: [M] query of the clip.
        target: [M] object of the clip.
    """

    layer: Tensor
    clip: Tensor
    query: Tensor
    target: Tensor


def prepare(targets: ClipTargets, size: tuple[int, int]) -> Objects:
    """Targets in the losses' units.

    Args:
        targets: Objects of a clip.
        size: Height and width of the unpadded frames in pixels.
    """
    scale = targets.boxes.new_tensor([size[1], size[0]]).repeat(2)
    boxes = box_convert(targets.boxes / scale, "xyxy", "cxcywh").clamp(min=_EMPTY_BOX)
    start = MASK_STRIDE // 2
    masks = targets.masks[..., start::MASK_STRIDE, start::MASK_STRIDE].to(boxes.dtype)
    return Objects(targets.labels, boxes, masks)


def giou(boxes: Tensor, others: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al. 2019) of boxes [..., 4] and [..., 4], broadcast."""
    first, second = box_convert(boxes, "cxcywh", "xyxy"), box_convert(others, "cxcywh", "xyxy")
    inner = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    outer = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    intersection, hull = inner.clamp(min=0).prod(-1), outer.clamp(min=0).prod(-1)
    union = (first[..., 2:] - first[..., :2]).prod(-1) + (second[..., 2:] - second[..., :2]).prod(-1) - intersection
    return intersection / union - (hull - union) / hull


def match_costs(logits: Tensor, boxes: Tensor, objects: Objects, weights: Weights) -> Tensor:
    """Cost [P, n] of giving each of P predictions to each of n objects.

    ``cost_class * focal + cost_box * |b - b'|_2 + cost_giou * mean_t(-GIoU)``. The distance is Euclidean over all 4T
    numbers and not divided by T (official code; the paper calls it L1).

    Args:
        logits: [P, classes].
        boxes: [P, T, 4].
        objects: Objects of the clip.
        weights: Weights of the terms.
    """
    probability = logits.sigmoid()
    negative = (1 - _ALPHA) * probability**_GAMMA * -(1 - probability + 1e-8).log()
    positive = _ALPHA * (1 - probability) ** _GAMMA * -(probability + 1e-8).log()
    class_cost = (positive - negative)[:, objects.labels]
    box_cost = torch.cdist(boxes.flatten(1), objects.boxes.flatten(1))
    giou_cost = -giou(boxes[:, None], objects.boxes[None]).mean(-1)
    return weights.cost_class * class_cost + weights.cost_box * box_cost + weights.cost_giou * giou_cost


@torch.no_grad()
def match(logits: Tensor, boxes: Tensor, objects: Sequence[Objects], weights: Weights) -> Matches:
    """Hungarian matching, of every decoder layer and clip on its own.

    Args:
        logits: [D, N, Q, classes].
        boxes: [D, N, T, Q, 4].
        objects: Objects of each clip.
        weights: Weights of the costs.
    """
    layers, clips, queries = logits.shape[:3]
    logits, boxes = logits.float(), boxes.float().transpose(2, 3)
    rows: list[tuple[int, int, int, int]] = []
    for clip in range(clips):
        cost = match_costs(logits[:, clip].flatten(0, 1), boxes[:, clip].flatten(0, 1), objects[clip], weights)
        costs = cost.view(layers, queries, len(objects[clip].labels)).cpu().numpy()
        for layer in range(layers):
            pairs = zip(*linear_sum_assignment(costs[layer]), strict=True)
            rows += [(layer, clip, int(query), int(target)) for query, target in pairs]
    columns = torch.tensor(sorted(rows), dtype=torch.long, device=logits.device).view(-1, 4)
    return Matches(*columns.unbind(1))


def object_count(objects: Sequence[Objects], like: Tensor) -> Tensor:
    """Objects of the batch, averaged over the processes, at least 1; every loss is divided by it."""
    count = like.new_tensor([float(sum(len(clip.labels) for clip in objects))])
    return reduce_mean(count).clamp(min=1.0)[0]


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Sigmoid focal loss per element (Lin et al. 2017, equation 5, alpha 0.25 and gamma 2)."""
    probability = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    hit = probability * targets + (1 - probability) * (1 - targets)
    return (_ALPHA * targets + (1 - _ALPHA) * (1 - targets)) * entropy * (1 - hit) ** _GAMMA


def dice(logits: Tensor, targets: Tensor) -> Tensor:
    """1 - Dice coefficient of each mask [M, ...], over all its frames, smoothed by 1 (Milletari et al. 2016)."""
    probability, targets = logits.sigmoid().flatten(1), targets.flatten(1)
    return 1 - (2 * (probability * targets).sum(1) + 1) / (probability.sum(1) + targets.sum(1) + 1)


def class_loss(logits: Tensor, matches: Matches, objects: Sequence[Objects]) -> Tensor:
    """Focal loss per layer [D], summed over clips, queries and classes.

    Args:
        logits: [D, N, Q, classes].
        matches: Matched pairs; every other query has no class.
        objects: Objects of each clip.
    """
    targets = torch.zeros_like(logits, dtype=torch.float32)
    labels = gather([clip.labels for clip in objects], matches)
    targets[matches.layer, matches.clip, matches.query, labels] = 1.0
    return focal(logits.float(), targets).flatten(1).sum(1)


def box_losses(boxes: Tensor, matches: Matches, objects: Sequence[Objects]) -> tuple[Tensor, Tensor]:
    """L1 and 1 - GIoU per layer [D], averaged over frames, summed over objects.

    Args:
        boxes: [D, N, T, Q, 4].
        matches: Matched pairs.
        objects: Objects of each clip.
    """
    predicted = boxes.float().transpose(2, 3)[matches.layer, matches.clip, matches.query]
    wanted = gather([clip.boxes for clip in objects], matches)
    distance = (predicted - wanted).abs().sum(-1).mean(-1)
    overlap = (1 - giou(predicted, wanted)).mean(-1)
    return per_layer(distance, matches, len(boxes)), per_layer(overlap, matches, len(boxes))


def mask_losses(logits: Tensor, wanted: Tensor, matches: Matches, layers: int) -> tuple[Tensor, Tensor]:
    """Focal loss (mean over T, h, w) and Dice loss per layer [D], summed over objects.

    Args:
        logits: [M, T, h, w] of the matched pairs, at stride 4.
        wanted: [M, T, h, w] target masks of the pairs.
        matches: Matched pairs.
        layers: Number of decoder layers D.
    """
    logits = logits.float()
    return (
        per_layer(focal(logits, wanted).flatten(1).mean(1), matches, layers),
        per_layer(dice(logits, wanted), matches, layers),
    )


def gather(values: Sequence[Tensor], matches: Matches) -> Tensor:
    """Each pair's object's value, of values [n, ...] per clip."""
    starts = torch.tensor([0] + [len(value) for value in values[:-1]], device=matches.clip.device).cumsum(0)
    return torch.cat(list(values))[starts[matches.clip] + matches.target]


def per_layer(values: Tensor, matches: Matches, layers: int) -> Tensor:
    """Sum of the pairs' values [M] of each layer, [D]."""
    return values.new_zeros(layers).index_add(0, matches.layer, values)
