"""VisTR: every frame has one query per instance slot; a slot is one instance of the whole clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import TrackDataSample
from mmengine.model import BaseModel
from torch import Tensor

from methods.runtime.clips import clip_targets, padding_mask, sliding_clips
from methods.runtime.frames import VideoFrames
from methods.runtime.semantic import SemanticAid
from methods.runtime.stitching import ClipPrediction, ClipStitcher, StitchedTrack, resized_rles
from methods.runtime.tracks import Track
from methods.vistr import sampling  # noqa: F401 - registers the clip sampler
from methods.vistr.losses import LossWeights, SequenceCriterion
from methods.vistr.network import ClipOutputs, VisTRHead


@MODELS.register_module()
class GapVisTR(BaseModel):
    """Video instance segmentation with transformers (Wang et al., CVPR 2021).

    Args:
        backbone: mmdet backbone; all of its outputs are used.
        stride: Stride of the last of them.
        head: Arguments of ``VisTRHead``.
        losses: Fields of ``LossWeights``.
        mask_stride: Stride of the masks in the losses.
        semantic_aid: Weight of ``SemanticAid``; 0 leaves it out, as the paper does.
        inference: Test settings, see ``config.INFERENCE``.
        data_preprocessor: Normalises and pads.
    """

    records_queries = True

    def __init__(
        self,
        *,
        backbone: dict[str, Any],
        stride: int,
        head: dict[str, Any],
        losses: dict[str, float],
        mask_stride: int,
        semantic_aid: float,
        inference: dict[str, Any],
        data_preprocessor: dict[str, Any],
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.head = VisTRHead(**head)
        self.criterion = SequenceCriterion(LossWeights(**losses), mask_stride)
        self.semantic_aid = SemanticAid(head["dims"], head["classes"], semantic_aid) if semantic_aid else None
        self.classes, self.stride, self.inference = head["classes"], stride, inference

    def forward(self, inputs: Tensor, data_samples: list[TrackDataSample], mode: str = "tensor") -> Any:
        """Losses for ``mode="loss"``, otherwise ``clip_outputs``."""
        return self.loss(inputs, data_samples) if mode == "loss" else self.clip_outputs(inputs, data_samples)

    def clip_outputs(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> ClipOutputs:
        """Raw outputs of a batch.

        Args:
            inputs: [N, T, 3, H, W], normalised and padded.
            data_samples: One per clip, for the images' sizes.
        """
        projected = self.head.project(self.backbone(inputs.flatten(0, 1)))
        size = (projected[0].shape[-2], projected[0].shape[-1])
        padding = padding_mask(data_samples, self.stride, size, inputs.device)
        outputs: ClipOutputs = self.head(projected, len(inputs), padding if padding.any() else None)
        return outputs

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict[str, Tensor]:
        """Losses of a batch of clips.

        Args:
            inputs: [N, T, 3, H, W], normalised and padded.
            data_samples: One per clip.
        """
        outputs = self.clip_outputs(inputs, data_samples)
        sizes = [(sample[0].img_shape[0], sample[0].img_shape[1]) for sample in data_samples]
        targets = clip_targets(data_samples, inputs.device)
        losses = self.criterion(outputs, partial(self.head.mask_logits, outputs), targets, sizes)
        if self.semantic_aid is not None:
            losses |= self.semantic_aid.loss(outputs.memory, targets)
        return losses

    @torch.no_grad()
    def predict_video(self, frames: VideoFrames) -> list[Track]:
        """Tracks of one video.

        A video of at most T frames is one clip, repeated cyclically to T (official); longer ones are cut into
        overlapping clips whose slots are stitched, as the authors advise without having published it.

        Args:
            frames: The video.
        """
        if frames.length <= self.head.frames:
            clip, projected = next(sliding_clips(frames, frames.length, frames.length, self._encode))
            return self._slot_rows(frames, *self._predict_clip(clip, projected))
        stitcher = ClipStitcher(self.head.frames, (frames.height, frames.width), self.inference["match_threshold"])
        stride = self.inference["clip_stride"]
        for clip, projected in sliding_clips(frames, self.head.frames, stride, self._encode):
            logits, probs, queries = self._predict_clip(clip, projected)
            kept = 1 - probs[..., -1].mean(dim=0) >= self.inference["slot_threshold"]
            ids = stitcher.add(ClipPrediction(clip, logits[kept], probs.mean(dim=0)[kept]))
            if frames.queries is not None:
                for position, frame in enumerate(clip):
                    frames.queries.add_clip(ids, [frame], queries[position, kept])
        rows = (_best_class(track, self.classes) for track in stitcher.tracks(frames.length))
        return [row for row in rows if any(row.segmentations)]

    def _encode(self, batch: dict[str, Any]) -> tuple[Tensor, ...]:
        data = self.data_preprocessor(batch, training=False)
        return self.head.project(self.backbone(data["inputs"][0]))

    def _predict_clip(self, clip: range, projected: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Mask logits [K, t, h, w], probabilities [t, K, C + 1] and queries [t, K, D] of the clip's t <= T frames."""
        head = self.head
        cyclic = torch.arange(head.frames, device=projected[0].device) % len(clip)
        queries, memory = head.decode(projected[0][cyclic][None], None)
        slots = queries[-1, 0].reshape(head.frames, head.slots, -1)
        features, same = [], cyclic.new_zeros(head.slots)
        for position, frame in enumerate(cyclic.tolist()):
            laterals = [level[frame : frame + 1] for level in projected[1:]]
            one = slice(position, position + 1)
            maps = head.bbox_attention(slots[one], memory[0, one], None)[0]
            features.append(head.frame_features(memory[0, one], maps, same, laterals))
        # Slot by slot: all of them in the 3D convolutions at once would be most of the memory.
        sequences = (torch.stack([frame[slot] for frame in features], dim=1) for slot in range(head.slots))
        logits = torch.stack([head.insmask_head(sequence[None])[0, 0, : len(clip)] for sequence in sequences])
        probs = head.class_embed(slots).float().softmax(dim=-1)
        return logits, probs[: len(clip)], slots[: len(clip)]

    def _slot_rows(self, frames: VideoFrames, logits: Tensor, probs: Tensor, queries: Tensor) -> list[Track]:
        """One row per slot: majority class, mean of the frames' best probabilities (official ``inference.py``)."""
        best, labels = probs[..., :-1].max(dim=-1)
        encoded = [resized_rles(logits[:, frame], (frames.height, frames.width)) for frame in range(frames.length)]
        rows = []
        for slot in range(self.head.slots):
            if not any(frame[slot] for frame in encoded):
                continue
            scores = best[:, slot].tolist()
            shown = [score >= self.inference["frame_threshold"] for score in scores]
            masks = tuple(frame[slot] if keep else None for frame, keep in zip(encoded, shown, strict=True))
            counts = Counter(labels[:, slot].tolist())
            label = min(counts, key=lambda item: (-counts[item], item))
            present = tuple(score if mask else 0.0 for score, mask in zip(scores, masks, strict=True))
            if any(masks):
                rows.append(Track(label, sum(scores) / len(scores), masks, present, slot))
        if frames.queries is not None:
            for position in range(frames.length):
                frames.queries.add_clip(range(self.head.slots), [position], queries[position])
        return rows


def _best_class(track: StitchedTrack, classes: int) -> Track:
    """The row of a stitched track: its likeliest class and that class's mean probability."""
    label = int(track.class_probs[:classes].argmax())
    scores = zip(track.frame_probs[:, label].tolist(), track.segmentations, strict=True)
    frame_scores = tuple(score if mask else 0.0 for score, mask in scores)
    return Track(label, float(track.class_probs[label]), track.segmentations, frame_scores, track.query_id)
