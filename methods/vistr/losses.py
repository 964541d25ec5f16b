"""VisTR's matching of whole sequences and its losses (paper section 3.4; official ``models/{matcher,vistr}.py``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from mmdet.utils import reduce_mean
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_convert, generalized_box_iou

from methods.ifc.losses import dice_loss, focal_loss
from methods.runtime.clips import ClipTargets
from methods.vistr.network import ClipOutputs, Pair

_UNSEEN = 1e-6  # keeps logarithm and quotient finite


@dataclass(frozen=True)
class LossWeights:
    """Weights of losses and matching costs (official values).

    Attributes:
        classes: Cross entropy; 1 in the matching.
        l1: L1 of boxes, in both.
        iou: 1 - GIoU as a loss, plain IoU in the matching.
        focal: Focal loss of masks.
        dice: Dice loss of masks.
        no_object: Weight of a no-object target inside the cross entropy.
        attention: Cross entropy between where an object is and where its query looks for its mask; officially none.
    """

    classes: float = 1.0
    l1: float = 5.0
    iou: float = 2.0
    focal: float = 1.0
    dice: float = 1.0
    no_object: float = 0.1
    attention: float = 0.0


@dataclass(frozen=True)
class SlotTargets:
    """Targets of one clip as the losses want them.

    Attributes:
        labels: [n].
        boxes: [n, T, 4] cx, cy, w, h as fractions of the image; zeros where absent.
        visible: [n, T].
        masks: [n, T, h, w] in 0..1.
    """

    labels: Tensor
    boxes: Tensor
    visible: Tensor
    masks: Tensor


def slot_targets(target: ClipTargets, image_size: tuple[int, int], mask_stride: int) -> SlotTargets:
    """Boxes as fractions of the image's (height, width), masks at ``mask_stride``."""
    height, width = image_size
    scale = target.boxes.new_tensor([width, height, width, height])
    boxes = box_convert((target.boxes / scale).flatten(0, 1), "xyxy", "cxcywh").reshape(target.boxes.shape)
    masks = target.masks.float() if mask_stride == 1 else target.scaled_masks(mask_stride)
    return SlotTargets(target.labels, boxes, target.visible, masks)


def sequence_iou(boxes: Tensor, other: Tensor) -> Tensor:
    """Plain IoU of boxes [K, 1, T, 4] and [1, n, T, 4] in cx, cy, w, h, smoothed by 1e-6 as in the official code."""
    first, second = (box_convert(item, "cxcywh", "xyxy") for item in (boxes, other))
    corner = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    overlap = corner.clamp_min(0).prod(dim=-1)
    union = boxes[..., 2:].prod(dim=-1) + other[..., 2:].prod(dim=-1) - overlap
    return (overlap + 1e-6) / (union + 1e-6)


def match(class_logits: Tensor, boxes: Tensor, target: SlotTargets, weights: LossWeights) -> Pair:
    """Slots and objects of one clip that belong together, one to one.

    Args:
        class_logits: [T, K, C + 1].
        boxes: [T, K, 4].
        target: The clip's objects; where one is absent, no object and a zero box are wanted.
        weights: Weights of the costs.

    Returns:
        Slot indices and object indices, each [min(K, n)].
    """
    probs = class_logits.float().softmax(dim=-1)
    wanted = target.labels[:, None].where(target.visible, probs.shape[-1] - 1)  # [n, T]
    picked = torch.stack([probs[frame][:, wanted[:, frame]] for frame in range(len(probs))])
    predicted, truth = boxes.float().transpose(0, 1)[:, None], target.boxes[None]
    cost = -picked.mean(dim=0)
    cost = cost + weights.l1 * (predicted - truth).abs().mean(dim=(2, 3))
    cost = cost - weights.iou * sequence_iou(predicted, truth).mean(dim=2)
    rows, columns = linear_sum_assignment(cost.cpu().numpy())
    return torch.as_tensor(rows, device=boxes.device), torch.as_tensor(columns, device=boxes.device)


def attention_loss(maps: Tensor, wanted: Sequence[SlotTargets], pairs: Sequence[Pair]) -> Tensor:
    """Cross entropy from an object's share of every cell to where its query looks, a mean over objects and frames.

    An own training aid, not in the paper: the masks teach the maps only through the mask head's convolutions.

    Args:
        maps: [N, T, K, heads, h, w], summing to 1 per query.
        wanted: Targets of each clip.
        pairs: Slots and objects of each clip that belong together.
    """
    losses = [maps.new_zeros(0)]
    for clip, (target, (slots, objects)) in enumerate(zip(wanted, pairs, strict=True)):
        pair, frame = target.visible[objects].nonzero(as_tuple=True)
        masks = target.masks[objects[pair], frame][:, None]
        cells = functional.adaptive_avg_pool2d(masks, (maps.shape[-2], maps.shape[-1])).flatten(1)
        seen = maps[clip, frame, slots[pair]].sum(dim=1).flatten(1).clamp_min(_UNSEEN).log()
        losses.append(-(cells * seen).sum(dim=1) / cells.sum(dim=1).clamp_min(_UNSEEN))
    joined = torch.cat(losses)
    return joined.sum() / max(len(joined), 1)


class SequenceCriterion:
    """Losses of all decoder layers, each with a matching of its own; masks are learnt in the last layer only.

    The official code takes the validity of the wrong object whenever the assignment is not the identity; here pairs
    are the visible frames of the object that a slot is matched with.

    Args:
        weights: Weights of the terms.
        mask_stride: Stride of the targets' masks; predictions are resized to it. 1 is the official full size.
    """

    def __init__(self, weights: LossWeights, mask_stride: int) -> None:
        self.weights, self.mask_stride = weights, mask_stride

    def __call__(
        self,
        outputs: ClipOutputs,
        masks_of: Callable[[Tensor, Tensor], Tensor],
        targets: Sequence[ClipTargets],
        image_sizes: Sequence[tuple[int, int]],
    ) -> dict[str, Tensor]:
        """Losses of a batch of N clips.

        Args:
            outputs: What the network says of them.
            masks_of: Mask logits [M, T, h, w] of the instances in these clips [M] and slots [M].
            targets: One per clip.
            image_sizes: (height, width) of every clip's frames without padding.

        Returns:
            ``loss_cls``, ``loss_bbox``, ``loss_giou``, ``loss_focal``, ``loss_dice`` of the last layer, and the first
            three with the prefix ``d0.``, ``d1.``, ... of the earlier ones; ``loss_attention`` if it has a weight.
        """
        wanted = [
            slot_targets(target, size, self.mask_stride) for target, size in zip(targets, image_sizes, strict=True)
        ]
        rows = sum(target.visible.numel() for target in wanted)  # absent frames count (official normaliser)
        number = max(1.0, float(reduce_mean(outputs.boxes.new_tensor(float(rows), dtype=torch.float32))))
        shape = outputs.queries.shape[:3]  # N, T, K
        losses: dict[str, Tensor] = {}
        for layer in range(len(outputs.boxes)):
            last = layer == len(outputs.boxes) - 1
            classes, boxes = outputs.class_logits[layer].float(), outputs.boxes[layer].float()
            classes, boxes = classes.reshape(*shape, -1), boxes.reshape(*shape, 4)
            with torch.no_grad():
                pairs = [match(*item, self.weights) for item in zip(classes, boxes, wanted, strict=True)]
            values = self._boxes(classes, boxes, wanted, pairs, number)
            if last:
                values |= self._masks(masks_of, wanted, pairs, number)
                if self.weights.attention:
                    values["loss_attention"] = self.weights.attention * attention_loss(outputs.maps, wanted, pairs)
            losses |= {name if last else f"d{layer}.{name}": value for name, value in values.items()}
        return losses

    def _boxes(
        self,
        classes: Tensor,
        boxes: Tensor,
        wanted: Sequence[SlotTargets],
        pairs: Sequence[Pair],
        number: float,
    ) -> dict[str, Tensor]:
        """Class and box losses of one layer: classes [N, T, K, C + 1], boxes [N, T, K, 4]."""
        labels = torch.full(classes.shape[:3], classes.shape[-1] - 1, device=classes.device)
        chosen, truth = [], []
        for clip, (target, (slots, objects)) in enumerate(zip(wanted, pairs, strict=True)):
            pair, frame = target.visible[objects].nonzero(as_tuple=True)
            labels[clip, frame, slots[pair]] = target.labels[objects[pair]]
            chosen.append(boxes[clip, frame, slots[pair]])
            truth.append(target.boxes[objects[pair], frame])
        predicted, expected = torch.cat(chosen), torch.cat(truth)
        class_weight = classes.new_ones(classes.shape[-1])
        class_weight[-1] = self.weights.no_object
        entropy = functional.cross_entropy(classes.flatten(0, 2), labels.flatten(), class_weight)
        overlap = generalized_box_iou(*(box_convert(item, "cxcywh", "xyxy") for item in (predicted, expected)))
        return {
            "loss_cls": self.weights.classes * entropy,
            "loss_bbox": self.weights.l1 * (predicted - expected).abs().sum() / number,
            "loss_giou": self.weights.iou * (1 - overlap.diagonal()).sum() / number,
        }

    def _masks(
        self,
        masks_of: Callable[[Tensor, Tensor], Tensor],
        wanted: Sequence[SlotTargets],
        pairs: Sequence[Pair],
        number: float,
    ) -> dict[str, Tensor]:
        """Mask losses of the matched slots in the frames where their objects are."""
        clips = torch.cat([torch.full_like(slots, clip) for clip, (slots, _) in enumerate(pairs)])
        slots = torch.cat([slots for slots, _ in pairs])
        visible = [target.visible[objects] for target, (_, objects) in zip(wanted, pairs, strict=True)]
        masks = [target.masks[objects] for target, (_, objects) in zip(wanted, pairs, strict=True)]
        truth = torch.cat([mask[seen] for mask, seen in zip(masks, visible, strict=True)])
        # Of a batch without objects one mask is made all the same, so that all parameters have a gradient, if only 0.
        asked = (clips, slots) if len(slots) else (clips.new_zeros(1), slots.new_zeros(1))
        logits = masks_of(*asked).float()[: len(slots)][torch.cat(visible)]
        pixels = functional.interpolate(logits[:, None], size=truth.shape[-2:], mode="bilinear", align_corners=False)
        predicted, expected = pixels[:, 0].flatten(1), truth.flatten(1)
        return {
            "loss_focal": self.weights.focal * focal_loss(predicted, expected, number),
            "loss_dice": self.weights.dice * dice_loss(predicted, expected, number),
        }
