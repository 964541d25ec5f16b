"""SeqFormer's encoder and decoder with attention over time; each addition is a switch."""

from __future__ import annotations

from typing import Any, cast

import torch
from mmdet.models.layers import DeformableDetrTransformerEncoder
from mmdet.models.layers.transformer.deformable_detr_layers import DeformableDetrTransformerEncoderLayer
from mmengine.model import ModuleList
from torch import Tensor, nn

from methods.ms_sts_vis.attention import AttentionOptions, MultiScaleTemporalAttention, TemporalAttention
from methods.seqformer.decoder import Decoder, DecoderLayer, DecoderOptions
from methods.seqformer.encoder import FrameEncoder


class MsStsEncoderLayer(DeformableDetrTransformerEncoderLayer):
    """Encoder layer with a parallel branch: ``LN(X + dropout(A(X) + Z(X)))``, then the feed-forward network.

    Args:
        temporal: Sizes of the branch Z.
        frame_chunk: Frames that pass everything but the branch at once at test time; bounds memory, changes nothing.
        **kwargs: As for mmdet's layer.
    """

    def __init__(self, *, temporal: AttentionOptions, frame_chunk: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frame_chunk = frame_chunk
        self.dropout = self.self_attn.dropout
        self.self_attn.dropout = nn.Identity()  # one dropout over the sum of both branches
        self.msts = MultiScaleTemporalAttention(self.embed_dims, temporal)

    def forward(
        self, query: Tensor, query_pos: Tensor, key_padding_mask: Tensor, *, frames: int, **kwargs: Any
    ) -> Tensor:
        """One layer over the frames of all clips.

        Args:
            query: [N * T, S, C] tokens.
            query_pos: [N * T, S, C] positions.
            key_padding_mask: [N * T, S], True in the padding.
            frames: Frames per clip T.
            **kwargs: Passed to the deformable attention, among them ``spatial_shapes``.
        """
        shapes = [tuple(shape) for shape in kwargs["spatial_shapes"].tolist()]
        across = self.msts((query + query_pos).unflatten(0, (-1, frames)), shapes).flatten(0, 1)
        across = across.masked_fill(key_padding_mask[..., None], 0.0)
        references = kwargs.pop("reference_points")
        size = len(query) if self.training else self.frame_chunk
        parts = zip(
            *(each.split(size) for each in (query, query_pos, across, key_padding_mask, references)), strict=True
        )
        return torch.cat([self._inside_frames(*part, **kwargs) for part in parts])

    def _inside_frames(
        self, query: Tensor, query_pos: Tensor, across: Tensor, padding: Tensor, references: Tensor, **kwargs: Any
    ) -> Tensor:
        """The layer given the branch's output [B, S, C] for some of the frames."""
        inside = self.self_attn(
            query=query,
            query_pos=query_pos,
            key_padding_mask=padding,
            reference_points=references,
            identity=query.new_zeros(()),
            **kwargs,
        )
        query = self.norms[0](query + self.dropout(inside + across))
        normed: Tensor = self.norms[1](self.ffn(query))
        return normed


class MsStsEncoder(DeformableDetrTransformerEncoder):
    """A stack of ``MsStsEncoderLayer``; ``layer_cfg`` holds its ``temporal`` too."""

    def _init_layers(self) -> None:
        self.layers = ModuleList([MsStsEncoderLayer(**self.layer_cfg) for _ in range(self.num_layers)])
        self.embed_dims = self.layers[0].embed_dims


class MsStsFrameEncoder(FrameEncoder):
    """SeqFormer's frame encoder with attention over time in every layer.

    Args:
        temporal: Sizes of the temporal blocks.
        **kwargs: As for ``FrameEncoder``.
    """

    def __init__(self, *, temporal: AttentionOptions, **kwargs: Any) -> None:
        self.temporal = temporal
        super().__init__(**kwargs)

    def build_encoder(self, layers: int, layer: dict[str, Any]) -> MsStsEncoder:
        """The stack of layers."""
        return MsStsEncoder(num_layers=layers, layer_cfg={**layer, "temporal": self.temporal})

    def reset_parameters(self) -> None:
        """As SeqFormer's; the branches over time start with an output of zero."""
        super().reset_parameters()
        for layer in self.encoder.layers:
            layer.msts.reset_parameters()


class MsStsDecoderLayer(DecoderLayer):
    """Decoder layer whose box queries exchange over time between self- and cross-attention."""

    def __init__(self, options: DecoderOptions, temporal: AttentionOptions) -> None:
        super().__init__(options)
        self.temporal_attn = TemporalAttention(options.channels, temporal)

    def mix_frames(self, boxes: Tensor) -> Tensor:
        """Attention among the frames of each query [N, T, Q, C]."""
        mixed: Tensor = self.temporal_attn(boxes)
        return mixed


class MsStsDecoder(Decoder):
    """SeqFormer's decoder with temporal attention on the box queries.

    Args:
        options: Sizes of the decoder.
        queries: Number of queries.
        temporal: Sizes of the temporal blocks.
    """

    def __init__(self, options: DecoderOptions, queries: int, temporal: AttentionOptions) -> None:
        self._temporal = temporal
        super().__init__(options, queries)

    def build_layer(self, options: DecoderOptions) -> DecoderLayer:
        """One layer."""
        return MsStsDecoderLayer(options, self._temporal)

    def reset_parameters(self) -> None:
        """As SeqFormer's; the attention over time starts with an output of zero."""
        super().reset_parameters()
        for layer in cast("list[MsStsDecoderLayer]", list(self.layers)):
            layer.temporal_attn.reset_parameters()
