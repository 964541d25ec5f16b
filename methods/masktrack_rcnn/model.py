"""MaskTrack R-CNN on mmdet's detector: embedding head, pair losses, streaming prediction."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models import MaskTrackRCNN, RoIEmbedHead
from mmdet.registry import MODELS
from mmdet.structures import TrackDataSample
from torch import Tensor

from methods.masktrack_rcnn.tracker import AssociationMemory, MatchWeights
from methods.runtime.frames import VideoFrames
from methods.runtime.tracks import Track, TrackCollector, frame_detections


@MODELS.register_module()
class GapRoIEmbedHead(RoIEmbedHead):
    """Embedding head with the official head's last layer, loss normaliser and initialisation.

    Args:
        final_relu: Whether ReLU follows the last layer too. False is the official head; True is mmdet's, needed for
            weights trained with it. With True all similarities are >= 0, the constant "new object" logit, so a second
            object of a class that is already tracked can hardly open a track.
        normalise_by: ``positives`` divides the loss by the number of positive RoIs (official), ``matched`` by those
            whose identity is in the reference frame (mmdet).
        embed_channels: Width of the last layer; None keeps ``fc_out_channels``.
        **kwargs: As for mmdet's ``RoIEmbedHead``.
    """

    def __init__(
        self,
        *,
        final_relu: bool = False,
        normalise_by: str = "positives",
        embed_channels: int | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault(
            "init_cfg", {"type": "Normal", "layer": "Linear", "mean": 0.0, "std": 0.01, "bias": 0.0}
        )  # official track_head.py draws both layers from N(0, 0.01)
        super().__init__(**kwargs)
        if normalise_by not in ("positives", "matched"):
            raise ValueError(f"normalise_by must be 'positives' or 'matched', not {normalise_by!r}")
        self.final_relu, self.normalise_by = final_relu, normalise_by
        if embed_channels is not None:
            self.fcs[-1] = torch.nn.Linear(self.fcs[-1].in_features, embed_channels)

    def embed(self, roi_features: Tensor) -> Tensor:
        """Embeddings [N, D] of RoI features [N, C, h, w]."""
        hidden = roi_features.flatten(1)
        for fc in self.fcs[:-1]:
            hidden = self.relu(fc(hidden))
        hidden = self.fcs[-1](hidden)
        return hidden.relu() if self.final_relu else hidden

    def extract_feat(self, x: Tensor, num_x_per_img: list[int]) -> tuple[Tensor, ...]:
        """Embeddings of all RoIs, split by image."""
        return self.embed(x).split(num_x_per_img)

    def loss_by_feat(
        self,
        x_split: tuple[Tensor, ...],
        ref_x_split: tuple[Tensor, ...],
        sampling_results: list[Any],
        gt_instance_ids: list[Tensor],
        ref_gt_instance_ids: list[Tensor],
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """Cross entropy over [0, e_i.f_1, ..., e_i.f_R], target 0 for an identity absent from the reference frame.

        Paper equation 2; mean over the images of the batch.
        """
        targets, weights = self.get_targets(sampling_results, gt_instance_ids, ref_gt_instance_ids)
        losses, hits, counted = [], 0.0, 0.0
        for embedding, reference, target, weight in zip(x_split, ref_x_split, targets, weights, strict=True):
            logits = torch.cat([embedding.new_zeros(len(embedding), 1), embedding @ reference.T], dim=1)
            if not len(logits):
                losses.append(logits.sum())
                continue
            normaliser = weight.sum() if self.normalise_by == "positives" else (target > 0).sum().to(weight.dtype)
            losses.append(
                self.loss_match(
                    logits,
                    target,
                    weight,
                    avg_factor=max(float(normaliser), 1.0),
                    reduction_override=reduction_override,
                )
            )
            hits += float(((logits.argmax(dim=1) == target) & (weight > 0)).sum())
            counted += float((weight > 0).sum())
        accuracy = losses[0].new_tensor(100.0 * hits / max(counted, 1.0))
        return {"loss_match": torch.stack(losses).mean(), "match_accuracy": accuracy}


def _swapped(sample: TrackDataSample) -> TrackDataSample:
    """The same pair of frames with key and reference frame exchanged."""
    other = TrackDataSample()
    other.video_data_samples = sample.video_data_samples
    other.set_metainfo({"key_frames_inds": sample.ref_frames_inds, "ref_frames_inds": sample.key_frames_inds})
    return other


@MODELS.register_module()
class GapMaskTrackRCNN(MaskTrackRCNN):
    """MaskTrack R-CNN.

    Args:
        association: Arguments of ``AssociationMemory``; ``weights`` as a dict.
        symmetric_pairs: Whether each pair of frames is learnt from in both directions in one step, with one pass of
            the backbone. False is the official training (detection losses on the key frame only).
        **kwargs: As for mmdet's ``MaskTrackRCNN`` (``detector``, ``track_head``, ``data_preprocessor``).
    """

    def __init__(
        self, *, association: dict[str, Any] | None = None, symmetric_pairs: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        options = dict(association or {})
        options["weights"] = MatchWeights(**options.pop("weights", {}))
        self.memory = AssociationMemory(**options)
        self.symmetric_pairs = symmetric_pairs

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample], **kwargs: Any) -> dict[str, Tensor]:
        """Losses of a batch of pairs.

        Args:
            inputs: [N, 2, 3, H, W], normalised and padded.
            data_samples: One per pair, with key and reference frame.
            **kwargs: Passed to the detector's heads.
        """
        rows = torch.arange(len(inputs), device=inputs.device)
        key = torch.tensor([sample.key_frames_inds[0] for sample in data_samples], device=inputs.device)
        frames = torch.cat([inputs[rows, key], inputs[rows, 1 - key]])
        features = self.detector.extract_feat(frames)
        count = len(inputs)
        if self.symmetric_pairs:
            data_samples = [*data_samples, *map(_swapped, data_samples)]
            key_features, count = features, 2 * count
            other = torch.cat([rows + len(rows), rows])
        else:
            key_features, other = [level[:count] for level in features], rows + count
        reference_features = [level[other] for level in features]
        return self._pair_losses(key_features, reference_features, data_samples, **kwargs)

    def _pair_losses(
        self, features: list[Tensor], reference: list[Tensor], data_samples: list[TrackDataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Detection losses on the key frames and the matching loss against the reference frames' objects."""
        key_samples = [sample.get_key_frames()[0] for sample in data_samples]
        detector = self.detector
        rpn_losses, proposals = detector.rpn_head.loss_and_predict(
            features, key_samples, proposal_cfg=detector.train_cfg.rpn_proposal, **kwargs
        )
        losses = {key if "rpn" in key else f"rpn_{key}": value for key, value in rpn_losses.items()}
        # The order matters: the RoI head renames the proposals' `bboxes` to the `priors` that the track head reads.
        losses |= detector.roi_head.loss(features, proposals, key_samples, **kwargs)
        return losses | self.track_head.loss(features, reference, proposals, data_samples, **kwargs)

    @torch.no_grad()
    def predict_video(self, frames: VideoFrames) -> list[Track]:
        """Tracks of one video, read frame by frame; memory does not grow with its length apart from the RLEs.

        Args:
            frames: The video.
        """
        self.memory.reset()
        collector = TrackCollector()
        for batch in frames.batches(1):
            data = self.data_preprocessor(batch, training=False)
            sample = data["data_samples"][0][0]
            features = self.detector.extract_feat(data["inputs"][:, 0].contiguous())
            proposals = self.detector.rpn_head.predict(features, [sample])
            detections = self.detector.roi_head.predict(features, proposals, [sample], rescale=True)[0]
            ids = self._associate(features, detections, sample.scale_factor)
            kept = [index for index, track_id in enumerate(ids) if track_id >= 0]
            chosen = detections[torch.tensor(kept, dtype=torch.long)]
            collector.add_frame(
                [ids[index] for index in kept],
                frame_detections(chosen.labels, chosen.scores, chosen.masks),
            )
        return collector.tracks()

    def _associate(self, features: list[Tensor], detections: Any, scale_factor: tuple[float, float]) -> list[int]:
        """Track ids of a frame's detections; RoI features are taken at the boxes in network scale."""
        if not len(detections):
            return self.memory.step(*(detections.bboxes.new_zeros(0) for _ in range(4)))
        boxes = detections.bboxes * detections.bboxes.new_tensor(scale_factor).repeat(2)
        roi_features, _ = self.track_head.extract_roi_feats(features, [boxes])
        embeddings = self.track_head.embed_head.embed(roi_features)
        return self.memory.step(embeddings, detections.bboxes, detections.labels, detections.scores)
