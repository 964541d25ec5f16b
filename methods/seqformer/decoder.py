"""Decoder of SeqFormer: one instance query per object, decomposed into one box query per frame (paper section 3.2).

Own implementation after the paper and the official ``models/deformable_transformer.py``. Frames are folded into the
batch, so that nothing loops over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from mmcv.ops import MultiScaleDeformableAttention
from mmdet.models.layers import MLP, inverse_sigmoid
from torch import Tensor, nn

from methods.seqformer.encoder import Memory


@dataclass(frozen=True)
class DecoderOptions:
    """Sizes of the decoder; the defaults are the official ones.

    Attributes:
        channels: Width of queries and tokens.
        heads: Attention heads.
        levels: Feature levels.
        points: Sampling points per head and level.
        hidden: Width of the feed-forward networks' hidden layer.
        layers: Number of layers.
        dropout: Dropout rate, 0..1.
        frame_chunk: Frames whose tokens are sampled at once at test time; bounds memory, changes nothing.
    """

    channels: int = 256
    heads: int = 8
    levels: int = 4
    points: int = 4
    hidden: int = 1024
    layers: int = 6
    dropout: float = 0.1
    frame_chunk: int = 16


@dataclass(frozen=True)
class Decoded:
    """What the decoder's D layers make of N clips of T frames with Q queries.

    Attributes:
        instances: [D, N, Q, C] instance embeddings.
        box_queries: [D, N, T, Q, C].
        centres: [D, N, T, Q, 2] reference points x, y that entered each layer, 0..1 of the unpadded frame.
        boxes: [D, N, T, Q, 4] centre x, centre y, width, height, 0..1 of the unpadded frame.
        time_weights: [D, N, T, Q], sum 1 over T.
    """

    instances: Tensor
    box_queries: Tensor
    centres: Tensor
    boxes: Tensor
    time_weights: Tensor


class DualOutputAttention(nn.Module):
    """Deformable attention whose samples pass two projections: one to the instance query, one to the box query."""

    def __init__(self, options: DecoderOptions) -> None:
        super().__init__()
        channels = options.channels
        self.sampler = MultiScaleDeformableAttention(
            channels, options.heads, options.levels, options.points, dropout=0.0, batch_first=True
        )
        self.sampler.output_proj = nn.Identity()
        self.instance_proj = nn.Linear(channels, channels)
        self.box_proj = nn.Linear(channels, channels)
        self.chunk = options.frame_chunk

    def reset_parameters(self) -> None:
        """Deformable DETR's start; both projections Xavier uniform with bias 0."""
        self.sampler.init_weights()
        for projection in (self.instance_proj, self.box_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, queries: Tensor, references: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Contributions [N, T, Q, C] to the instance and to the box queries.

        Args:
            queries: [N, T, Q, C] box queries with position.
            references: [N, T, Q, L, 2 or 4] points or boxes per level, 0..1 of the padded frame.
            memory: Encoded frames.
        """
        if self.training:
            sampled = self._sample(queries, references, memory)
        else:
            spans = [slice(start, start + self.chunk) for start in range(0, memory.frames, self.chunk)]
            parts = [self._sample(queries[:, span], references[:, span], memory.part(span)) for span in spans]
            sampled = torch.cat(parts, dim=1)
        return self.instance_proj(sampled), self.box_proj(sampled)

    def _sample(self, queries: Tensor, references: Tensor, memory: Memory) -> Tensor:
        sampled = self.sampler(
            query=queries.flatten(0, 1),
            value=memory.tokens.flatten(0, 1),
            identity=queries.new_zeros(()),
            key_padding_mask=memory.padding.flatten(0, 1),
            reference_points=references.flatten(0, 1),
            spatial_shapes=memory.shapes,
            level_start_index=memory.starts,
        )
        return sampled.unflatten(0, queries.shape[:2])


class FeedForward(nn.Module):
    """Two linear layers with ReLU, residual and layer norm."""

    def __init__(self, options: DecoderOptions) -> None:
        super().__init__()
        self.linear1 = nn.Linear(options.channels, options.hidden)
        self.linear2 = nn.Linear(options.hidden, options.channels)
        self.dropout = nn.Dropout(options.dropout)
        self.norm = nn.LayerNorm(options.channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [..., C] in and out."""
        hidden = self.linear2(self.dropout(self.linear1(tokens).relu()))
        return self.norm(tokens + self.dropout(hidden))


class SelfAttention(nn.Module):
    """Attention among the queries of one frame or clip, with residual and layer norm."""

    def __init__(self, options: DecoderOptions) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(options.channels, options.heads, dropout=options.dropout, batch_first=True)
        self.dropout = nn.Dropout(options.dropout)
        self.norm = nn.LayerNorm(options.channels)

    def forward(self, queries: Tensor, position: Tensor) -> Tensor:
        """Queries [B, Q, C] in and out; positions [Q, C] enter the keys and queries only."""
        placed = queries + position
        attended = self.attn(placed, placed, queries, need_weights=False)[0]
        return self.norm(queries + self.dropout(attended))


class DecoderLayer(nn.Module):
    """One layer: self-attention of both kinds of queries, dual cross-attention, time-weighted merge."""

    def __init__(self, options: DecoderOptions) -> None:
        super().__init__()
        channels = options.channels
        self.instance_attn, self.box_attn = SelfAttention(options), SelfAttention(options)
        self.cross_attn = DualOutputAttention(options)
        self.instance_cross_norm, self.box_cross_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.instance_ffn, self.box_ffn = FeedForward(options), FeedForward(options)
        self.time_weight = nn.Linear(channels, 1)
        self.dropout = nn.Dropout(options.dropout)

    def mix_frames(self, boxes: Tensor) -> Tensor:
        """Exchange between the frames' box queries [N, T, Q, C]; SeqFormer has none."""
        return boxes

    def forward(
        self, instances: Tensor, boxes: Tensor, position: Tensor, references: Tensor, memory: Memory
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step of refinement.

        Args:
            instances: [N, Q, C] instance queries.
            boxes: Box queries, [N, 1, Q, C] in the first layer, where all frames share them, then [N, T, Q, C].
            position: [Q, C] position part of the queries.
            references: [N, T, Q, L, 2 or 4].
            memory: Encoded frames.

        Returns:
            Instance queries [N, Q, C], box queries [N, T, Q, C], time weights [N, T, Q].
        """
        instances = self.instance_attn(instances, position)
        boxes = self.box_attn(boxes.flatten(0, 1), position).unflatten(0, boxes.shape[:2])
        boxes = self.mix_frames(boxes.expand(-1, memory.frames, -1, -1))
        to_instance, to_box = self.cross_attn(boxes + position, references, memory)
        boxes = self.box_ffn(self.box_cross_norm(boxes + self.dropout(to_box)))
        weights = self.time_weight(boxes).softmax(dim=1)
        merged = (to_instance * weights).sum(dim=1)
        instances = self.instance_ffn(self.instance_cross_norm(instances + self.dropout(merged)))
        return instances, boxes, weights.squeeze(-1)


class Decoder(nn.Module):
    """Learnt queries and the stack of layers with box refinement.

    Args:
        options: Sizes.
        queries: Number of queries Q.
    """

    def __init__(self, options: DecoderOptions, queries: int) -> None:
        super().__init__()
        channels = options.channels
        self.query_embed = nn.Embedding(queries, 2 * channels)  # position, then content
        self.reference = nn.Linear(channels, 2)
        self.layers = nn.ModuleList([self.build_layer(options) for _ in range(options.layers)])
        self.box_heads = nn.ModuleList([MLP(channels, channels, 4, 3) for _ in range(options.layers)])

    def build_layer(self, options: DecoderOptions) -> DecoderLayer:
        """One layer; a method with other layers overrides this."""
        return DecoderLayer(options)

    def reset_parameters(self) -> None:
        """Deformable DETR's start: Xavier uniform; boxes begin as small squares around the reference points."""
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for layer in cast("list[DecoderLayer]", list(self.layers)):
            layer.cross_attn.reset_parameters()
        nn.init.xavier_uniform_(self.reference.weight)
        nn.init.zeros_(self.reference.bias)
        nn.init.normal_(self.query_embed.weight)
        heads: list[MLP] = list(self.box_heads)
        first, *others = heads
        for linear in first.layers:
            linear.reset_parameters()
        nn.init.zeros_(first.layers[-1].weight)
        nn.init.zeros_(first.layers[-1].bias)
        for head in others:
            head.load_state_dict(first.state_dict())  # the official heads start as copies of one
        nn.init.constant_(first.layers[-1].bias[2:], -2.0)

    def forward(self, memory: Memory) -> Decoded:
        """Decodes clips."""
        clips = len(memory.tokens)
        position, content = self.query_embed.weight.chunk(2, dim=1)
        start = self.reference(position).sigmoid()
        reference = start.expand(clips, memory.frames, *start.shape)
        instances = content.expand(clips, *content.shape)
        boxes = instances[:, None]
        steps = []
        for layer, head in zip(self.layers, self.box_heads, strict=True):
            scaled = _per_level(reference, memory.valid_ratios)
            instances, boxes, weights = layer(instances, boxes, position, scaled, memory)
            refined = _refine(head(boxes), reference)
            steps.append((instances, boxes, reference[..., :2], refined, weights))
            reference = refined.detach()
        return Decoded(*(torch.stack(values) for values in zip(*steps, strict=True)))


def _per_level(reference: Tensor, valid_ratios: Tensor) -> Tensor:
    """References [N, T, Q, 2 or 4] of the unpadded frame as [N, T, Q, L, 2 or 4] of each padded level."""
    ratios = valid_ratios.repeat(1, 1, reference.shape[-1] // 2)
    return reference[:, :, :, None] * ratios[:, None, None]


def _refine(offset: Tensor, reference: Tensor) -> Tensor:
    """Boxes [..., 4] in 0..1 from offsets in logit space; a reference point moves the centre only."""
    offset, known = offset.float(), inverse_sigmoid(reference)  # half precision would move boxes by pixels
    if known.shape[-1] == 2:
        known = torch.cat([known, torch.zeros_like(known)], dim=-1)
    return (offset + known).sigmoid()
