"""IAI on Mask R-CNN: our reconstruction of a row of the paper's table 6; the official code has none.

From the paper: the identity head stands beside the other heads on the same features, nearly copies the classification
head, and imitates its loss; suppression knows no classes. Everything else here is our design, see the README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmdet.models.task_modules import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional

from methods.iai.base import IdentityVideoModel, Levels, Losses
from methods.iai.selection import select
from methods.iai.video import FrameDetections


@MODELS.register_module()
class IdentityBoxHead(ConvFCBBoxHead):
    """Box head with a second classifier for identities on the shared features.

    Args:
        identities: Identity channels N; the classifier has one more for background. 0 leaves it out.
        **kwargs: As for mmdet's ``ConvFCBBoxHead``, with shared layers only.
    """

    def __init__(self, *, identities: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.identities = identities
        if identities:
            self.id_hidden = nn.Linear(self.fc_out_channels, self.fc_out_channels)
            self.id_out = nn.Linear(self.fc_out_channels, identities + 1)
            nn.init.normal_(self.id_out.weight, std=0.01)
            nn.init.zeros_(self.id_out.bias)

    def forward(self, roi_features: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Class [n, C + 1], box [n, 4 C] and identity outputs [n, N + 1] of RoI features [n, channels, 7, 7]."""
        for layer in self.shared_convs:
            roi_features = layer(roi_features)
        shared = roi_features.flatten(1)
        for layer in self.shared_fcs:
            shared = self.relu(layer(shared))
        identities = self.id_out(self.relu(self.id_hidden(shared))) if self.identities else None
        return self.fc_cls(shared), self.fc_reg(shared), identities

    def identity_loss(self, logits: Tensor, samples: Sequence[SamplingResult], targets: Sequence[Tensor]) -> Tensor:
        """Softmax cross entropy over the sampled RoIs, the class loss's normaliser; negatives are background.

        Args:
            logits: [n, N + 1] of all sampled RoIs, image by image, positives first.
            samples: The sample of each image.
            targets: Identity target [G] of every object of each image.
        """
        wanted = torch.cat(
            [
                functional.pad(target[sample.pos_assigned_gt_inds], (0, len(sample.neg_priors)), value=self.identities)
                for sample, target in zip(samples, targets, strict=True)
            ]
        )
        return functional.cross_entropy(logits.float(), wanted, reduction="sum") / max(len(wanted), 1)


@MODELS.register_module()
class IdentityRoIHead(StandardRoIHead):
    """Mask R-CNN's RoI head around an ``IdentityBoxHead``."""

    def outputs(self, features: Levels, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """What the box head says of the boxes [n, 4] of each image."""
        levels = features[: self.bbox_roi_extractor.num_inputs]
        return self.bbox_head(self.bbox_roi_extractor(levels, bbox2roi(list(boxes))))

    def identity_losses(
        self, features: Levels, proposals: Sequence[InstanceData], objects: Sequence[InstanceData]
    ) -> Losses:
        """Class, box, mask and identity loss.

        Args:
            features: Pyramid levels.
            proposals: ``bboxes`` of the region proposal network.
            objects: ``bboxes``, ``labels``, ``masks`` and ``identity_targets`` of each image.
        """
        samples = [self._sampled(*pair) for pair in zip(proposals, objects, strict=True)]
        boxes = [sample.priors for sample in samples]
        classes, distances, identities = self.outputs(features, boxes)
        found = self.bbox_head.loss_and_target(classes, distances, bbox2roi(boxes), samples, self.train_cfg)
        losses: Losses = found["loss_bbox"]
        losses |= self.mask_loss(features, samples, None, list(objects))["loss_mask"]
        if identities is not None:
            targets = [image.identity_targets for image in objects]
            losses["loss_id"] = self.bbox_head.identity_loss(identities, samples, targets)
        return losses

    def _sampled(self, proposals: InstanceData, objects: InstanceData) -> SamplingResult:
        proposals.priors = proposals.pop("bboxes")
        assigned = self.bbox_assigner.assign(proposals, objects)
        return self.bbox_sampler.sample(assigned, proposals, objects)


@MODELS.register_module()
class GapIAIMaskRCNN(IdentityVideoModel):
    """IAI + Mask R-CNN, a reconstruction.

    Args:
        rpn_head: mmdet configuration; the region proposals see the associated features too.
        roi_head: Configuration of an ``IdentityRoIHead``.
        train_cfg: mmdet's, with ``rpn``, ``rpn_proposal`` and ``rcnn``.
        test_cfg: mmdet's, with ``rpn`` and ``rcnn``.
        **kwargs: As for ``IdentityVideoModel``.
    """

    def __init__(
        self,
        *,
        rpn_head: dict[str, Any],
        roi_head: dict[str, Any],
        train_cfg: dict[str, Any],
        test_cfg: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rpn_head = MODELS.build(rpn_head | {"train_cfg": train_cfg["rpn"], "test_cfg": test_cfg["rpn"]})
        self.roi_head = MODELS.build(roi_head | {"train_cfg": train_cfg["rcnn"], "test_cfg": test_cfg["rcnn"]})
        self.proposals = train_cfg["rpn_proposal"]

    def image_losses(self, pyramid: Levels, samples: list[Any], objects: list[InstanceData]) -> Losses:
        """Losses of the proposals and of the RoI head."""
        metas = [sample.metainfo for sample in samples]
        outputs = self.rpn_head(pyramid)
        # The proposal network knows one class.
        boxes = [InstanceData(bboxes=image.bboxes, labels=torch.zeros_like(image.labels)) for image in objects]
        found = self.rpn_head.loss_by_feat(*outputs, boxes, metas)
        losses = {name: sum(values) for name, values in found.items()}
        proposals = self.rpn_head.predict_by_feat(*outputs, batch_img_metas=metas, cfg=self.proposals)
        return losses | self.roi_head.identity_losses(pyramid, proposals, objects)

    def detect(self, pyramid: Levels, sample: Any, *, first: bool) -> FrameDetections:
        """Detections of one image, by the same rules as on CondInst with a centerness of 1."""
        proposals = self.rpn_head.predict(pyramid, [sample])[0].bboxes
        class_logits, deltas, id_logits = self.roi_head.outputs(pyramid, [proposals])
        classes = class_logits.softmax(dim=1)[:, :-1]
        identities = None if id_logits is None else id_logits.softmax(dim=1)[:, :-1]
        labels = classes.argmax(dim=1)
        own = deltas.view(len(labels), -1, 4)[torch.arange(len(labels)), labels]
        boxes = self.roi_head.bbox_head.bbox_coder.decode(proposals, own, max_shape=sample.img_shape)
        ones = torch.ones(len(boxes), device=boxes.device)
        kept = select(boxes, classes, identities, ones, self.selection, first=first)
        return FrameDetections(
            classes[kept],
            None if identities is None else identities[kept],
            *self._masks(pyramid, boxes[kept], labels[kept], sample),
        )

    def _masks(self, pyramid: Levels, boxes: Tensor, labels: Tensor, sample: Any) -> tuple[Tensor, Tensor]:
        """Masks [n, H, W] bool at the padded input's and at the frame's size."""
        padded, original = tuple(sample.batch_input_shape), tuple(sample.ori_shape[:2])
        if not len(boxes):
            empty = [boxes.new_zeros((0, *size), dtype=torch.bool) for size in (padded, original)]
            return empty[0], empty[1]
        logits = self.roi_head._mask_forward(pyramid, bbox2roi([boxes]))["mask_preds"]
        pasted = []
        for rescale in (False, True):
            scale = boxes.new_tensor(sample.scale_factor).repeat(2) if rescale else 1.0
            found = InstanceData(bboxes=boxes / scale, labels=labels)
            head = self.roi_head.mask_head
            head.predict_by_feat([logits], [found], [sample.metainfo], self.roi_head.test_cfg, rescale=rescale)
            pasted.append(found.masks)
        height, width = padded[0] - pasted[0].shape[1], padded[1] - pasted[0].shape[2]
        return functional.pad(pasted[0], (0, width, 0, height)), pasted[1]
