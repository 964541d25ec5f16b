"""IAI on CondInst, the released model; the reconstruction on Mask R-CNN is registered with it."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.utils import aligned_bilinear
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor

from methods.iai import heads, mask_rcnn  # noqa: F401 - registers their modules
from methods.iai.base import IdentityVideoModel, Levels, Losses
from methods.iai.selection import best_per_level, clipped, select
from methods.iai.video import FrameDetections


@MODELS.register_module()
class GapIAICondInst(IdentityVideoModel):
    """IAI + CondInst.

    Args:
        bbox_head: Configuration of an ``IdentityCondInstHead``.
        mask_head: Configuration of a ``GapCondInstMaskHead``.
        mask_threshold: Smallest probability of an object's pixel, exclusive.
        **kwargs: As for ``IdentityVideoModel``.
    """

    def __init__(
        self, *, bbox_head: dict[str, Any], mask_head: dict[str, Any], mask_threshold: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.bbox_head, self.mask_head = MODELS.build(bbox_head), MODELS.build(mask_head)
        self.mask_threshold = mask_threshold

    def image_losses(self, pyramid: Levels, samples: list[Any], objects: list[InstanceData]) -> Losses:
        """Class, identity, box, centerness and mask loss; the dice is the mean over all positive locations."""
        locations = self.bbox_head(pyramid)
        assignment = self.bbox_head.assign(locations, objects)
        losses = self.bbox_head.losses(locations, assignment)
        if self.bbox_head.identities:
            targets = [image.identity_targets for image in objects]
            losses["loss_id"] = self.bbox_head.identity_loss(locations, assignment, targets)
        features = self.mask_head.mask_feature_head(pyramid)
        dice = []
        for image, truth in enumerate(objects):
            positive = assignment.positive[image]
            logits = self.mask_head.logits(
                features[image],
                locations.params[image, positive],
                locations.points[positive],
                locations.strides[positive],
            )
            targets = self.mask_head.targets(truth.masks, features.device)
            dice.append(self.mask_head.dice(logits, targets[assignment.objects[image, positive]]))
        together = torch.cat(dice)
        losses["loss_mask"] = together.sum() / max(len(together), 1)
        return losses

    def detect(self, pyramid: Levels, sample: Any, *, first: bool) -> FrameDetections:
        """Detections of one image: thresholds, ranking, suppression, dynamic masks."""
        locations = self.bbox_head(pyramid)
        classes, centerness = locations.cls_logits[0].sigmoid(), locations.centerness[0].sigmoid()
        quality = classes.amax(dim=1) * centerness
        best = best_per_level(quality, locations.level_sizes, self.selection.nms_pre)
        identities = None if locations.extra is None else locations.extra[0, best].sigmoid()
        boxes = clipped(locations.boxes(0, best), sample.img_shape[:2])
        chosen = select(boxes, classes[best], identities, centerness[best], self.selection, first=first)
        kept = best[chosen]
        features = self.mask_head.mask_feature_head(pyramid)[0]
        logits = self.mask_head.logits(
            features, locations.params[0, kept], locations.points[kept], locations.strides[kept]
        )
        return FrameDetections(
            classes[kept] * centerness[kept, None],
            None if identities is None else identities[chosen],
            self._input_masks(logits),
            self.mask_head.image_masks(logits, sample.metainfo, self.mask_threshold),
        )

    def _input_masks(self, logits: Tensor) -> Tensor:
        """Masks [n, H, W] bool at the size of the padded input, of logits at the mask head's stride."""
        stride = self.mask_head.mask_out_stride
        if not len(logits):
            return logits.new_zeros((0, *(side * stride for side in logits.shape[1:])), dtype=torch.bool)
        return aligned_bilinear(logits.sigmoid()[:, None], stride)[:, 0] > self.mask_threshold
