"""CondInst's heads (Tian, Shen and Chen, ECCV 2020) on mmdet's layers, for methods that add a branch or reuse filters.

Layers, initialisation and target rule are mmdet's ``CondInstBboxHead`` and ``CondInstMaskHead``. What is computed from
them is written here, because video methods need the raw predictions at every location, losses per frame, and filters
of one frame on the features of another; all losses and the dynamic convolutions run in float32 under mixed precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.dense_heads.anchor_free_head import AnchorFreeHead
from mmdet.models.dense_heads.condinst_head import CondInstBboxHead, CondInstMaskHead
from mmdet.models.utils import aligned_bilinear
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional

_MASKS_AT_ONCE = 16  # masks enlarged to the frame's size together; bounds the memory of a crowded frame


@dataclass(frozen=True)
class Locations:
    """What the head says at all P locations of all levels, for a batch of B images; float32.

    Attributes:
        points: [P, 2] x, y in pixels of the network's input, finest level first, row by row.
        strides: [P] stride of each location's level.
        level_sizes: Locations per level.
        cls_logits: [B, P, C].
        distances: [B, P, 4] left, top, right, bottom side distances in strides, >= 0.
        centerness: [B, P] logits.
        params: [B, P, F] dynamic filters.
        extra: [B, P, E] output of the subclass's branch, if it has one.
    """

    points: Tensor
    strides: Tensor
    level_sizes: tuple[int, ...]
    cls_logits: Tensor
    distances: Tensor
    centerness: Tensor
    params: Tensor
    extra: Tensor | None = None

    def boxes(self, image: int, indices: Tensor) -> Tensor:
        """Boxes [n, 4] (x1, y1, x2, y2) in pixels of the network's input, not clipped to the image.

        Args:
            image: Index in the batch.
            indices: [n] locations.
        """
        offsets = self.distances[image, indices] * self.strides[indices, None]
        points = self.points[indices]
        return torch.cat([points - offsets[:, :2], points + offsets[:, 2:]], dim=1)


@dataclass(frozen=True)
class Assignment:
    """Training targets of every location.

    Attributes:
        labels: [B, P] class; C is background.
        distances: [B, P, 4] target side distances in strides; meaningless for background.
        objects: [B, P] index among the image's objects; -1 for background.
    """

    labels: Tensor
    distances: Tensor
    objects: Tensor

    @property
    def positive(self) -> Tensor:
        """[B, P] whether a location belongs to an object."""
        return self.objects >= 0


@MODELS.register_module()
class GapCondInstHead(CondInstBboxHead):
    """FCOS head with a controller.

    Args:
        iou_offset: Added to intersection and union in the box loss (AdelaiDet's code adds 1; 0 is GIoU's paper).
        **kwargs: As for mmdet's ``CondInstBboxHead``; ``norm_on_bbox`` and ``centerness_on_reg`` must be True.
    """

    def __init__(self, *, iou_offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (self.norm_on_bbox and self.centerness_on_reg):
            raise ValueError("CondInst regresses distances in strides and centerness from the box tower")
        self.iou_offset = iou_offset

    def branch(self, features: Tensor) -> Tensor | None:
        """A subclass's branch: [B, channels, h, w] of one level to [B, E, h, w]. None here."""
        return None

    def forward(self, features: Sequence[Tensor]) -> Locations:
        """Predictions of a batch from its feature levels, each [B, channels, h, w]."""
        levels = [self._level(level, scale) for level, scale in zip(features, self.scales, strict=True)]
        cls_logits, distances, centerness, params = (_flattened(maps) for maps in zip(*levels, strict=True))
        extra = [maps for level in features if (maps := self.branch(level)) is not None]
        sizes = [tuple(level.shape[-2:]) for level in features]
        priors = torch.cat(self.prior_generator.grid_priors(sizes, device=features[0].device, with_stride=True))
        return Locations(
            priors[:, :2],
            priors[:, 2],
            tuple(height * width for height, width in sizes),
            cls_logits,
            distances,
            centerness[..., 0],
            params,
            _flattened(extra) if extra else None,
        )

    def _level(self, features: Tensor, scale: torch.nn.Module) -> list[Tensor]:
        """Class, distance, centerness and filter maps of a level."""
        cls_logits, distances, _, box_features = AnchorFreeHead.forward_single(self, features)
        distances = scale(distances).float().clamp(min=0)
        centerness, params = self.conv_centerness(box_features), self.controller(box_features)
        return [cls_logits, distances, centerness, params]

    def assign(self, locations: Locations, objects: Sequence[InstanceData]) -> Assignment:
        """FCOS targets with centre sampling around the mask centroid (mmdet's rule, which is AdelaiDet's).

        Args:
            locations: Predictions; only the geometry is read.
            objects: ``bboxes``, ``labels`` and padded ``masks`` of each image.
        """
        ranges = torch.cat(
            [
                locations.points.new_tensor(bounds).expand(size, 2)
                for bounds, size in zip(self.regress_ranges, locations.level_sizes, strict=True)
            ]
        )
        labels, distances, indices = [], [], []
        for instances in objects:
            label, distance, positive, index = self._get_targets_single(
                instances, locations.points, ranges, list(locations.level_sizes)
            )
            labels.append(label)
            distances.append(distance / locations.strides[:, None])
            indices.append(torch.full_like(label, -1).index_copy(0, positive, index))
        return Assignment(torch.stack(labels), torch.stack(distances), torch.stack(indices))

    def losses(self, locations: Locations, assignment: Assignment) -> dict[str, Tensor]:
        """Focal, box and centerness loss of a batch; positives are counted over all GPUs.

        Class: focal loss / number of positives. Box: 1 - GIoU weighted by the target centerness / their sum.
        Centerness: binary cross entropy / number of positives.
        """
        positive = assignment.positive
        count = reduce_mean(positive.sum().float()).clamp(min=1.0)
        predicted, wanted = locations.distances[positive], assignment.distances[positive]
        quality = self.centerness_target(wanted)
        total = reduce_mean(quality.sum()).clamp(min=1e-6)
        centerness = functional.binary_cross_entropy_with_logits(
            locations.centerness[positive], quality, reduction="sum"
        )
        labels = assignment.labels.flatten()
        return {
            "loss_cls": self.loss_cls(locations.cls_logits.flatten(0, 1), labels, avg_factor=count),
            "loss_bbox": (giou_loss(predicted, wanted, self.iou_offset) * quality).sum() / total,
            "loss_centerness": centerness / count,
        }


def _flattened(maps: Sequence[Tensor]) -> Tensor:
    """Maps [B, c, h, w] of the levels as [B, P, c] in float32."""
    return torch.cat([level.float().flatten(2).transpose(1, 2) for level in maps], dim=1)


def giou_loss(predicted: Tensor, wanted: Tensor, offset: float) -> Tensor:
    """1 - GIoU of boxes that contain a common location (Rezatofighi et al., CVPR 2019).

    Args:
        predicted: [n, 4] left, top, right, bottom distances, >= 0.
        wanted: [n, 4].
        offset: Added to intersection and union of the IoU term.

    Returns:
        [n].
    """

    def area(sides: Tensor) -> Tensor:
        return (sides[:, 0] + sides[:, 2]) * (sides[:, 1] + sides[:, 3])

    intersection, hull = area(torch.minimum(predicted, wanted)), area(torch.maximum(predicted, wanted))
    union = area(predicted) + area(wanted) - intersection
    tiny = torch.finfo(union.dtype).tiny
    iou = (intersection + offset) / (union + offset).clamp(min=tiny)
    return 1 - iou + (hull - union) / hull.clamp(min=tiny)


@MODELS.register_module()
class GapCondInstMaskHead(CondInstMaskHead):
    """Mask features (``mask_feature_head(levels)``: [B, 8, h, w] at the finest stride) and dynamic convolutions."""

    def logits(self, features: Tensor, params: Tensor, points: Tensor, strides: Tensor) -> Tensor:
        """Mask logits of n instances on one image's mask features.

        The three 1x1 convolutions 10 -> 8 -> 8 -> 1 of every instance, whose first two inputs are the coordinates
        relative to the instance, (point - pixel centre) / (8 x stride). They are linear in column and row, so the
        ten input maps are never built.

        Args:
            features: [8, h, w].
            params: [n, F]: all weights, then all biases; coordinates come first among the inputs.
            points: [n, 2] x, y of the instances' locations in pixels.
            strides: [n] strides of their levels.

        Returns:
            [n, H, W] at ``mask_out_stride``, float32.
        """
        with torch.autocast(features.device.type, enabled=False):
            return self._logits(features.float(), params.float(), points.float(), strides.float())

    def _logits(self, features: Tensor, params: Tensor, points: Tensor, strides: Tensor) -> Tensor:
        count, (channels, height, width) = len(params), features.shape
        size, stride = self.feat_channels, self.mask_feat_stride
        weights = params.split(self.weight_nums + self.bias_nums, dim=1)
        first = weights[0].view(count, size, channels + 2)
        xs = (torch.arange(width, device=features.device) + 0.5) * stride
        ys = (torch.arange(height, device=features.device) + 0.5) * stride
        reach = (self.size_of_interest * strides)[:, None]
        relative_x, relative_y = (points[:, :1] - xs) / reach, (points[:, 1:] - ys) / reach
        hidden = (first[..., 2:].reshape(-1, channels) @ features.flatten(1)).view(count, size, height, width)
        hidden = hidden + (first[..., 0, None] * relative_x[:, None])[:, :, None]
        hidden = hidden + (first[..., 1, None] * relative_y[:, None] + weights[3][..., None])[..., None]
        hidden = hidden.relu().flatten(2)
        second = weights[1].view(count, size, size)
        hidden = torch.baddbmm(weights[4][..., None], second, hidden).relu()
        logits = torch.baddbmm(weights[5][..., None], weights[2][:, None], hidden).view(count, 1, height, width)
        return aligned_bilinear(logits, stride // self.mask_out_stride)[:, 0]

    def targets(self, masks: BitmapMasks, device: torch.device) -> Tensor:
        """Padded object masks sampled at the stride of the logits, [objects, H, W] in {0, 1}."""
        step = self.mask_out_stride
        return masks.to_tensor(torch.float32, device)[:, step // 2 :: step, step // 2 :: step]

    def dice(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Dice loss 1 - 2 sum(p g) / (sum(p^2) + sum(g^2) + 1e-5) of each instance, [n].

        Args:
            logits: [n, H, W].
            targets: [n, H, W] in {0, 1}.
        """
        if not len(logits):
            return logits.sum((1, 2))
        loss: Tensor = self.loss_mask(logits.float(), targets, reduction_override="none")
        return loss

    def image_masks(self, logits: Tensor, meta: dict[str, Any], threshold: float) -> Tensor:
        """Masks in the original frame, [n, height, width] bool.

        Probabilities are enlarged to the network's input with the aligned bilinear rule, cropped to the image, and
        resized to the original size, as in AdelaiDet.

        Args:
            logits: [n, H, W] from ``logits``.
            meta: ``img_shape`` and ``ori_shape`` of the image.
            threshold: Smallest probability of an object's pixel, exclusive.
        """
        height, width = meta["img_shape"][:2]
        original = tuple(meta["ori_shape"][:2])
        if not len(logits):
            return logits.new_zeros((0, *original), dtype=torch.bool)
        masks = []
        for part in logits.split(_MASKS_AT_ONCE):
            large = aligned_bilinear(part.sigmoid()[:, None], self.mask_out_stride)[:, :, :height, :width]
            resized = functional.interpolate(large, original, mode="bilinear", align_corners=False)
            masks.append(resized[:, 0] > threshold)
        return torch.cat(masks)
