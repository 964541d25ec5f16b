"""CrossVIS: CondInst with a re-identification branch, trained across pairs of frames, run frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmdet.models import CondInst
from mmdet.registry import MODELS
from mmdet.structures import TrackDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn

from methods.crossvis import sampling  # noqa: F401 - registers NeighbourPair
from methods.crossvis.detection import DetectionRule, detect
from methods.crossvis.losses import IdentityClassifier, crossover_partners
from methods.crossvis.tracker import CrossVISMemory
from methods.runtime.condinst_heads import Assignment, GapCondInstHead, Locations
from methods.runtime.frames import VideoFrames
from methods.runtime.tracks import Track, TrackCollector, frame_detections
from mindthegap.errors import ConfigError

Features = Sequence[Tensor]


@MODELS.register_module()
class CrossVISHead(GapCondInstHead):
    """CondInst's head with a re-identification tower.

    Args:
        reid_channels: Length of the embeddings.
        **kwargs: As for ``GapCondInstHead``.
    """

    def __init__(self, *, reid_channels: int, **kwargs: Any) -> None:
        self.reid_channels = reid_channels
        super().__init__(**kwargs)

    def _init_layers(self) -> None:
        super()._init_layers()
        inputs = [self.in_channels] + [self.feat_channels] * (self.stacked_convs - 1)
        self.reid_convs = nn.ModuleList(
            ConvModule(width, self.feat_channels, 3, padding=1, norm_cfg=self.norm_cfg, bias=self.conv_bias)
            for width in inputs
        )
        self.reid_pred = nn.Conv2d(self.feat_channels, self.reid_channels, 1)
        self.reid_bn = nn.BatchNorm2d(self.reid_channels)

    def branch(self, features: Tensor) -> Tensor:
        """Embeddings [B, D, h, w] of one level. One norm serves all levels, each with its own batch statistics."""
        for layer in self.reid_convs:
            features = layer(features)
        if self.training and features[:, 0].numel() == 1:
            raise ConfigError(
                "crossvis: a feature level of one cell and a batch of one pair per process leave nothing to normalise; "
                "raise batch_size or lower levels."
            )
        embeddings: Tensor = self.reid_bn(self.reid_pred(features))
        return embeddings


@dataclass(frozen=True)
class FramePass:
    """One frame of every pair, seen by the heads.

    Attributes:
        locations: Predictions.
        assignment: Targets.
        mask_features: [B, 8, h, w].
        masks: Object masks of each image at the stride of the mask logits, [objects, H, W].
        identities: Identity of each image's objects, 0..identities - 1.
        chosen: [B, P] the positive locations that the mask losses use.
    """

    locations: Locations
    assignment: Assignment
    mask_features: Tensor
    masks: list[Tensor]
    identities: list[Tensor]
    chosen: Tensor

    def location_identities(self, image: int, locations: Tensor) -> Tensor:
        """Identity [n] of positive locations (mask [P] or indices) of an image."""
        return self.identities[image][self.assignment.objects[image, locations]]


@MODELS.register_module()
class GapCrossVIS(CondInst):
    """CrossVIS.

    Args:
        identities: Identities of the training split.
        reid_channels: Length of the embeddings.
        gradient_scale: Factor on the gradient that the heads pass to pyramid and backbone (official: 0.1).
        max_positives: Positive locations per process and frame that mask and crossover loss use, drawn at random.
        crossover_weight: Weight of the crossover loss (official: 1).
        identity_weight: Weight of the identity loss (official: 1).
        mask_threshold: Smallest probability of an object's pixel, exclusive.
        detection: Arguments of ``DetectionRule``.
        association: Arguments of ``CrossVISMemory``.
        **kwargs: As for mmdet's ``CondInst``.
    """

    records_queries = True  # the embeddings that detections are matched by

    def __init__(
        self,
        *,
        identities: int,
        reid_channels: int,
        gradient_scale: float,
        max_positives: int,
        crossover_weight: float,
        identity_weight: float,
        mask_threshold: float,
        detection: dict[str, Any],
        association: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.identity_classifier = IdentityClassifier(reid_channels, identities)
        self.gradient_scale, self.max_positives = gradient_scale, max_positives
        self.crossover_weight, self.identity_weight = crossover_weight, identity_weight
        self.mask_threshold = mask_threshold
        self.rule = DetectionRule(**detection)
        self.memory = CrossVISMemory(**association)

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample], **kwargs: Any) -> dict[str, Tensor]:
        """Losses of a batch of pairs; those of CondInst are the mean over the two frames.

        Args:
            inputs: [B, 2, 3, H, W], normalised and padded.
            data_samples: One per pair.
            **kwargs: Ignored.
        """
        count = len(inputs)
        features = [self._scaled(level) for level in self.extract_feat(inputs.transpose(0, 1).flatten(0, 1))]
        passes = []
        losses: dict[str, Tensor] = {}
        for frame in range(2):
            # The heads' batch norms see one frame of the pairs at a time, as officially.
            levels = [level[frame * count : (frame + 1) * count] for level in features]
            seen, detection = self._frame_pass(levels, [sample[frame].gt_instances for sample in data_samples])
            passes.append(seen)
            for key, value in (detection | {"loss_mask": self._mask_loss(seen)}).items():
                losses[key] = losses.get(key, value.new_zeros(())) + value / 2
        crossed = [self._crossover(*passes), self._crossover(*reversed(passes))]
        losses["loss_crossover"] = self.crossover_weight * (crossed[0] + crossed[1]) / 2
        losses["loss_identity"] = self.identity_weight * self._identity_loss(passes)
        return losses

    def _scaled(self, features: Tensor) -> Tensor:
        """The same values with a scaled gradient."""
        if self.gradient_scale == 1.0:
            return features
        return self.gradient_scale * features + (1 - self.gradient_scale) * features.detach()

    def _frame_pass(self, features: Features, objects: Sequence[InstanceData]) -> tuple[FramePass, dict[str, Tensor]]:
        """Heads, targets and detection losses of one frame of every pair."""
        locations = self.bbox_head(features)
        assignment = self.bbox_head.assign(locations, objects)
        device = locations.points.device
        seen = FramePass(
            locations,
            assignment,
            self.mask_head.mask_feature_head(features),
            [self.mask_head.targets(item.masks, device) for item in objects],
            [item.instances_ids.long().to(device) - 1 for item in objects],
            self._chosen(assignment.positive),
        )
        return seen, self.bbox_head.losses(locations, assignment)

    def _chosen(self, positive: Tensor) -> Tensor:
        """At most ``max_positives`` of the positive locations [B, P]."""
        indices = positive.flatten().nonzero()[:, 0]
        if len(indices) <= self.max_positives:
            return positive
        kept = indices[torch.randperm(len(indices), device=indices.device)[: self.max_positives]]
        return torch.zeros_like(positive.flatten()).index_fill(0, kept, True).view_as(positive)

    def _mask_loss(self, seen: FramePass) -> Tensor:
        """Mean dice loss of the chosen locations, each with its own filters."""
        dices = []
        for image, chosen in enumerate(seen.chosen):
            locations = seen.locations
            logits = self.mask_head.logits(
                seen.mask_features[image],
                locations.params[image, chosen],
                locations.points[chosen],
                locations.strides[chosen],
            )
            dices.append(self.mask_head.dice(logits, seen.masks[image][seen.assignment.objects[image, chosen]]))
        return _mean(torch.cat(dices))

    def _crossover(self, source: FramePass, target: FramePass) -> Tensor:
        """Mean dice loss of the source frame's filters on the target frame's features (paper, section 3.2).

        Relative coordinates are those of a random positive location of the same identity in the target frame.
        """
        dices = []
        for image, chosen in enumerate(source.chosen):
            there = target.assignment.positive[image].nonzero()[:, 0]
            own, partners = crossover_partners(
                source.location_identities(image, chosen), target.location_identities(image, there)
            )
            there = there[partners]
            logits = self.mask_head.logits(
                target.mask_features[image],
                source.locations.params[image, chosen][own],
                target.locations.points[there],
                target.locations.strides[there],
            )
            dices.append(self.mask_head.dice(logits, target.masks[image][target.assignment.objects[image, there]]))
        return _mean(torch.cat(dices))

    def _identity_loss(self, passes: Sequence[FramePass]) -> Tensor:
        embeddings, identities = [], []
        for seen in passes:
            positive = seen.assignment.positive
            assert seen.locations.extra is not None
            embeddings.append(seen.locations.extra[positive])
            identities += [seen.location_identities(image, mask) for image, mask in enumerate(positive)]
        return self.identity_classifier.loss(torch.cat(embeddings), torch.cat(identities))

    @torch.no_grad()
    def predict_video(self, frames: VideoFrames) -> list[Track]:
        """Tracks of one video, read frame by frame; memory does not grow with its length apart from the RLEs.

        Args:
            frames: The video.
        """
        self.memory.reset()
        collector = TrackCollector()
        for frame, batch in enumerate(frames.batches(1)):
            data = self.data_preprocessor(batch, training=False)
            meta = data["data_samples"][0][0].metainfo
            features = self.extract_feat(data["inputs"][:, 0].contiguous())
            locations = self.bbox_head(features)
            found = detect(locations, self.rule, meta["scale_factor"], meta["ori_shape"][:2])
            assert locations.extra is not None
            embeddings = locations.extra[0, found.locations]
            ids = self.memory.step(embeddings, found.boxes, found.labels, found.scores)
            kept = torch.tensor([index for index, track_id in enumerate(ids) if track_id >= 0], dtype=torch.long)
            masks = self._masks(features, locations, found.locations[kept], meta)
            tracks = [ids[index] for index in kept.tolist()]
            collector.add_frame(tracks, frame_detections(found.labels[kept], found.scores[kept], masks))
            if frames.queries is not None:
                for track_id, embedding in zip(tracks, embeddings[kept], strict=True):
                    frames.queries.add(track_id, frame, embedding)
        return collector.tracks()

    def _masks(self, features: Features, locations: Locations, indices: Tensor, meta: dict[str, Any]) -> Tensor:
        """Masks [n, H, W] in the original frame."""
        logits = self.mask_head.logits(
            self.mask_head.mask_feature_head(features)[0],
            locations.params[0, indices],
            locations.points[indices],
            locations.strides[indices],
        )
        masks: Tensor = self.mask_head.image_masks(logits, meta, self.mask_threshold)
        return masks


def _mean(losses: Tensor) -> Tensor:
    """Mean, or 0 with a gradient for none."""
    return losses.sum() / max(len(losses), 1)
