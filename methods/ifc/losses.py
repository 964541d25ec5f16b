"""IFC's matching and losses on whole clips (paper section 3.3; official ``ifc/models/{matcher,ifc}.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmdet.utils import reduce_mean
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from methods.runtime.clips import ClipTargets

Pairs = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses, which the matching uses too, except for the class term, which is 1 there.

    Attributes:
        classes: Cross entropy.
        focal: Focal loss of the masks.
        dice: Dice loss of the masks.
        no_object: Weight of a no-object target inside the cross entropy.
        match_focal: Weight of the focal cost in the matching; the official matching has none.
    """

    classes: float = 1.0
    focal: float = 3.0
    dice: float = 3.0
    no_object: float = 0.1
    match_focal: float = 0.0


def dice_scores(logits: Tensor, masks: Tensor) -> Tensor:
    """``(2 sum(s m) + 1) / (sum(s) + sum(m) + 1)`` of predictions [Q, V] and masks [n, V], as [Q, n]."""
    soft = logits.sigmoid()
    return (2 * soft @ masks.T + 1) / (soft.sum(dim=1)[:, None] + masks.sum(dim=1)[None] + 1)


def focal_scores(logits: Tensor, masks: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Minus the mean focal cost of predictions [Q, V] against masks [n, V], as [Q, n]; exact for binary masks."""
    soft = logits.sigmoid()
    foreground = alpha * (1 - soft) ** gamma * functional.logsigmoid(logits)
    background = (1 - alpha) * soft**gamma * functional.logsigmoid(-logits)
    return (foreground @ masks.T + background @ (1 - masks).T) / logits.shape[1]


def match(class_logits: Tensor, mask_logits: Tensor, labels: Tensor, masks: Tensor, weights: LossWeights) -> Pairs:
    """Queries and objects of one clip that belong together, one to one.

    Args:
        class_logits: [Q, C + 1].
        mask_logits: [Q, T, h, w] at the masks' size.
        labels: [n].
        masks: [n, T, h, w] in 0..1.
        weights: Weights of the terms.

    Returns:
        Query indices and object indices, each [min(Q, n)].
    """
    score = class_logits.float().softmax(dim=-1)[:, labels]
    flat, targets = mask_logits.float().flatten(1), masks.flatten(1)
    score = score + weights.dice * dice_scores(flat, targets)
    if weights.match_focal:
        score = score + weights.match_focal * focal_scores(flat, targets)
    rows, columns = linear_sum_assignment(score.cpu().numpy(), maximize=True)
    return torch.as_tensor(rows, device=labels.device), torch.as_tensor(columns, device=labels.device)


def focal_loss(logits: Tensor, masks: Tensor, count: float, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of [n, V] logits against soft masks: mean over V, sum over n, divided by ``count``."""
    soft = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    hit = soft * masks + (1 - soft) * (1 - masks)
    weight = alpha * masks + (1 - alpha) * (1 - masks)
    return (weight * entropy * (1 - hit) ** gamma).mean(dim=1).sum() / count


def dice_loss(logits: Tensor, masks: Tensor, count: float) -> Tensor:
    """``1 - (2 sum(s m) + 1) / (sum(s) + sum(m) + 1)`` of [n, V], summed over n and divided by ``count``."""
    soft = logits.sigmoid()
    overlap = (2 * (soft * masks).sum(dim=1) + 1) / (soft.sum(dim=1) + masks.sum(dim=1) + 1)
    return (1 - overlap).sum() / count


class ClipCriterion:
    """Losses of all decoder layers, each with a matching of its own.

    Args:
        weights: Weights of the terms.
        mask_stride: Stride of the targets' masks; predictions are resized to it.
    """

    def __init__(self, weights: LossWeights, mask_stride: int) -> None:
        self.weights, self.mask_stride = weights, mask_stride

    def __call__(self, class_logits: Tensor, mask_logits: Tensor, targets: Sequence[ClipTargets]) -> dict[str, Tensor]:
        """Losses of a batch of N clips.

        Args:
            class_logits: [layers, N, Q, C + 1].
            mask_logits: [layers, N, Q, T, h, w].
            targets: One per clip.

        Returns:
            ``loss_cls``, ``loss_focal``, ``loss_dice`` of the last layer, with the prefix ``d0.``, ``d1.``, ... of the
            earlier ones.
        """
        masks = [target.scaled_masks(self.mask_stride) for target in targets]
        count = class_logits.new_tensor(float(sum(len(target) for target in targets)), dtype=torch.float32)
        number = max(1.0, float(reduce_mean(count)))
        losses: dict[str, Tensor] = {}
        for layer in range(len(class_logits)):
            prefix = "" if layer == len(class_logits) - 1 else f"d{layer}."
            values = self._layer(class_logits[layer].float(), mask_logits[layer].float(), targets, masks, number)
            losses |= {f"{prefix}{name}": value for name, value in values.items()}
        return losses

    def _layer(
        self,
        class_logits: Tensor,
        mask_logits: Tensor,
        targets: Sequence[ClipTargets],
        masks: Sequence[Tensor],
        number: float,
    ) -> dict[str, Tensor]:
        resized = resize_masks(mask_logits, (masks[0].shape[-2], masks[0].shape[-1]))
        labels = torch.full(class_logits.shape[:2], class_logits.shape[-1] - 1, device=class_logits.device)
        chosen, wanted = [], []
        for clip, (target, mask) in enumerate(zip(targets, masks, strict=True)):
            with torch.no_grad():
                queries, objects = match(class_logits[clip], resized[clip], target.labels, mask, self.weights)
            labels[clip, queries] = target.labels[objects]
            chosen.append(resized[clip, queries].flatten(1))
            wanted.append(mask[objects].flatten(1))
        pixels, truth = torch.cat(chosen), torch.cat(wanted)
        class_weight = class_logits.new_ones(class_logits.shape[-1])
        class_weight[-1] = self.weights.no_object
        entropy = functional.cross_entropy(class_logits.flatten(0, 1), labels.flatten(), class_weight)
        return {
            "loss_cls": self.weights.classes * entropy,
            "loss_focal": self.weights.focal * focal_loss(pixels, truth, number),
            "loss_dice": self.weights.dice * dice_loss(pixels, truth, number),
        }


def resize_masks(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits [N, Q, T, h, w] resized bilinearly to ``size``."""
    if logits.shape[-2:] == size:
        return logits
    flat = functional.interpolate(logits.flatten(0, 1), size=size, mode="bilinear", align_corners=False)
    return flat.reshape(*logits.shape[:3], *size)
