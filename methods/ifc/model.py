"""IFC: one query per instance of a clip decodes a class and a 1x1 filter for the masks of all its frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmdet.models.layers import SinePositionalEncoding
from mmdet.registry import MODELS
from mmdet.structures import TrackDataSample
from mmengine.model import BaseModel, BaseModule
from torch import Tensor, nn

from methods.ifc import sampling  # noqa: F401 - registers the clip sampler
from methods.ifc.heads import MLP, MaskHead, apply_filters
from methods.ifc.losses import ClipCriterion, LossWeights
from methods.ifc.transformer import IFCTransformer
from methods.runtime.clips import clip_targets, padding_mask, sliding_clips, window_length
from methods.runtime.frames import VideoFrames
from methods.runtime.semantic import SemanticAid
from methods.runtime.stitching import ClipPrediction, ClipStitcher, class_rows
from methods.runtime.tracks import Track

_FRAMES_AT_ONCE = 4  # of mask features at test time; the numbers do not depend on it


class ClipOutputs(NamedTuple):
    """What the network says of N clips.

    Attributes:
        class_logits: [layers, N, Q, C + 1], no object last.
        mask_logits: [layers, N, Q, T, h, w].
        queries: [layers, N, Q, D] decoder outputs.
        encoded: [N, T, D, h', w'] encoded pixels.
    """

    class_logits: Tensor
    mask_logits: Tensor
    queries: Tensor
    encoded: Tensor


class IFCHead(BaseModule):
    """Everything behind the backbone.

    Args:
        classes: Number of object classes C.
        queries: Number of queries Q.
        channels: Channels of the three backbone levels, fine first; the last one feeds the transformer.
        groups: Groups of the mask head's norms.
        transformer: Arguments of ``IFCTransformer``.
    """

    def __init__(
        self, *, classes: int, queries: int, channels: Sequence[int], groups: int, transformer: dict[str, Any]
    ) -> None:
        super().__init__()
        dims = transformer["dims"]
        fine, coarse, last = channels
        self.input_proj = nn.Conv2d(last, dims, 1)
        self.query_embed = nn.Embedding(queries, dims)
        self.positions = SinePositionalEncoding(num_feats=dims // 2, normalize=True)
        self.transformer = IFCTransformer(**transformer)
        self.class_embed = MLP(dims, dims, classes + 1)
        self.mask_head = MaskHead(dims, (coarse, fine), groups)

    def project(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Backbone levels of B frames in D channels, coarse first: all that does not depend on the clip."""
        fine, coarse, last = levels
        return (self.input_proj(last), *self.mask_head.adapt(coarse, fine))

    def decode(self, pixels: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        """Transformer on projected features.

        Args:
            pixels: [N, T, D, h, w].
            padding: [N, T, h, w] bool, True in the padding; None if there is none.

        Returns:
            Queries [layers, N, Q, D] and encoded pixels [N, T, D, h, w].
        """
        clips, length, _, height, width = pixels.shape
        mask = pixels.new_zeros(clips, length, height, width, dtype=torch.bool) if padding is None else padding
        positions = self.positions(mask.flatten(0, 1)).reshape(pixels.shape)
        queries, encoded = self.transformer(
            pixels.flatten(3).transpose(2, 3),
            positions.flatten(3).transpose(2, 3),
            None if padding is None else padding.flatten(2),
            self.query_embed.weight,
        )
        return queries, encoded.transpose(2, 3).reshape(pixels.shape)

    def forward(self, projected: Sequence[Tensor], clips: int, padding: Tensor | None) -> ClipOutputs:
        """All outputs of all decoder layers.

        Args:
            projected: As ``project`` returns them for the N * T frames, clip by clip.
            clips: N.
            padding: As for ``decode``.
        """
        pixels, coarse, fine = projected
        queries, encoded = self.decode(pixels.unflatten(0, (clips, -1)), padding)
        features = self.mask_head.features(encoded.flatten(0, 1), coarse, fine).unflatten(0, (clips, -1))
        mask_logits = apply_filters(self.mask_head.filters(queries), features)
        return ClipOutputs(self.class_embed(queries), mask_logits, queries, encoded)


@MODELS.register_module()
class GapIFC(BaseModel):
    """Inter-frame communication transformer (Hwang et al., NeurIPS 2021).

    Args:
        backbone: mmdet backbone; three of its outputs are used.
        levels: Which of its outputs, fine first.
        stride: Stride of the last of them.
        head: Arguments of ``IFCHead``.
        losses: Fields of ``LossWeights``.
        mask_stride: Stride of the masks in matching and losses.
        semantic_aid: Weight of ``SemanticAid``; 0 leaves it out, as the paper does.
        inference: Test settings, see ``config.INFERENCE``.
        data_preprocessor: Normalises and pads.
    """

    records_queries = True

    def __init__(
        self,
        *,
        backbone: dict[str, Any],
        levels: Sequence[int],
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
        self.head = IFCHead(**head)
        self.criterion = ClipCriterion(LossWeights(**losses), mask_stride)
        dims = head["transformer"]["dims"]
        self.semantic_aid = SemanticAid(dims, head["classes"], semantic_aid) if semantic_aid else None
        self.classes, self.levels, self.stride = head["classes"], tuple(levels), stride
        self.inference = inference

    def forward(self, inputs: Tensor, data_samples: list[TrackDataSample], mode: str = "tensor") -> Any:
        """Losses for ``mode="loss"``, otherwise ``clip_outputs``."""
        return self.loss(inputs, data_samples) if mode == "loss" else self.clip_outputs(inputs, data_samples)

    def _projected(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.backbone(frames)
        return self.head.project([features[level] for level in self.levels])

    def clip_outputs(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> ClipOutputs:
        """Raw outputs of a batch.

        Args:
            inputs: [N, T, 3, H, W], normalised and padded.
            data_samples: One per clip, for the images' sizes.
        """
        projected = self._projected(inputs.flatten(0, 1))
        size = (projected[0].shape[-2], projected[0].shape[-1])
        padding = padding_mask(data_samples, self.stride, size, inputs.device)
        return self.head(projected, len(inputs), padding if padding.any() else None)

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict[str, Tensor]:
        """Losses of a batch of clips, and how many queries see an object (a query that sees none is dropped at test).

        Args:
            inputs: [N, T, 3, H, W], normalised and padded.
            data_samples: One per clip.
        """
        targets = clip_targets(data_samples, inputs.device)
        outputs = self.clip_outputs(inputs, data_samples)
        losses = self.criterion(outputs.class_logits, outputs.mask_logits, targets)
        if self.semantic_aid is not None:
            losses |= self.semantic_aid.loss(outputs.encoded, targets)
        kept = (outputs.class_logits[-1].argmax(dim=-1) < self.classes).sum(dim=-1)
        return losses | {"kept_queries": kept.float().mean()}

    @torch.no_grad()
    def predict_video(self, frames: VideoFrames) -> list[Track]:
        """Tracks of one video: overlapping clips, stitched.

        A video of at most ``whole_video`` or ``window`` frames is one clip. Longer ones slide, so that memory follows
        the window and not the video.

        Args:
            frames: The video.
        """
        options = self.inference
        window = window_length(frames.length, options["window"], options["whole_video"])
        stitcher = ClipStitcher(window, (frames.height, frames.width), options["match_threshold"])
        stride = min(options["clip_stride"], window)
        for clip, projected in sliding_clips(frames, window, stride, self._encode):
            prediction, queries = self._predict_clip(clip, projected)
            ids = stitcher.add(prediction)
            if frames.queries is not None:
                frames.queries.add_clip(ids, clip, queries)
        tracks = stitcher.tracks(frames.length)
        return class_rows(tracks, self.classes, options["score_threshold"], options["max_rows"])

    def _encode(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        data = self.data_preprocessor(batch, training=False)
        return self._projected(data["inputs"][0])

    def _predict_clip(self, clip: range, projected: Sequence[Tensor]) -> tuple[ClipPrediction, Tensor]:
        """Queries whose likeliest class is an object, and their embeddings [n, D]."""
        pixels, coarse, fine = projected
        decoded, encoded = self.head.decode(pixels[None], None)
        queries = decoded[-1, 0]
        probs = self.head.class_embed(queries).float().softmax(dim=-1)
        queries, probs = (item[probs.argmax(dim=-1) < self.classes] for item in (queries, probs))
        filters = self.head.mask_head.filters(queries)[None, None]
        logits = []
        for start in range(0, len(clip), _FRAMES_AT_ONCE):
            part = slice(start, start + _FRAMES_AT_ONCE)
            features = self.head.mask_head.features(encoded[0, part], coarse[part], fine[part])
            logits.append(apply_filters(filters, features[None])[0, 0])
        return ClipPrediction(clip, torch.cat(logits, dim=1), probs), queries
