"""VisTR behind the backbone: one sequence of all pixels of a clip, one query per frame and instance slot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.models.layers import DetrTransformerDecoder, DetrTransformerEncoder
from mmengine.model import BaseModule
from torch import Tensor, nn

from methods.ifc.heads import MLP
from methods.ifc.transformer import decoder_config, layer_config
from methods.runtime.attention import use_lean_attention
from methods.vistr.heads import AttentionMap, FrameMaskHead, InstanceMaskHead


def sine_3d(padding: Tensor, dims: int, temperature: float = 10000.0) -> Tensor:
    """Positional encoding over time, rows and columns, ``dims / 3`` channels each, in this order.

    Own implementation after official ``models/position_encoding.py``; mmdet's adds time to the other two instead.

    Args:
        padding: [N, T, h, w] bool, True in the padding.
        dims: D, a multiple of 6.
        temperature: Base of the wavelengths.

    Returns:
        [N, T, D, h, w].
    """
    valid = (~padding).float()
    width = dims // 3
    channel = torch.arange(width, dtype=torch.float32, device=padding.device)
    wavelength = temperature ** (2 * (channel // 2) / width)
    parts = []
    for axis in (1, 2, 3):
        count = valid.cumsum(axis)
        scaled = count / (count.narrow(axis, count.shape[axis] - 1, 1) + 1e-6) * (2 * math.pi)
        phase = scaled[..., None] / wavelength
        parts.append(torch.stack([phase[..., 0::2].sin(), phase[..., 1::2].cos()], dim=-1).flatten(-2))
    return torch.cat(parts, dim=-1).movedim(-1, 2)


Pair = tuple[Tensor, Tensor]


class ClipOutputs(NamedTuple):
    """What the network says of N clips; queries are ordered by frame, then slot.

    Attributes:
        class_logits: [layers, N, T * K, C + 1], no object last.
        boxes: [layers, N, T * K, 4] cx, cy, w, h as fractions of the image without padding.
        queries: [N, T, K, D] of the last layer.
        memory: [N, T, D, h, w] encoded pixels.
        maps: [N, T, K, heads, h, w] where each query looks for its mask, summing to 1.
        laterals: [N * T, C, H, W] finer backbone levels in the mask head's widths, coarse first.
    """

    class_logits: Tensor
    boxes: Tensor
    queries: Tensor
    memory: Tensor
    maps: Tensor
    laterals: tuple[Tensor, ...]


class VisTRHead(BaseModule):
    """Everything behind the backbone.

    Args:
        classes: Number of object classes C.
        frames: T, the only clip length that the queries fit.
        slots: K instances per clip.
        channels: Channels of the backbone levels, fine first; the last one feeds the transformer.
        dims: Width D, a multiple of 6 and of ``heads``.
        heads: Attention heads.
        ffn: Hidden width of the feed-forward parts.
        dropout: 0..1.
        encoder_layers: Number of layers.
        decoder_layers: Number of layers.
        mask_channels: Widths of the frame mask head, one more than finer levels.
        instance_channels: Width of the 3D convolutions, a multiple of 4.
        deformable: Whether the mask head ends in a deformable convolution.
        placed_pixels: Whether the encoder's input has the positions in it, as in ViT, and not its attention alone.
        scaled_maps: Whether the mask head gets the attention maps times their number of cells.
    """

    def __init__(
        self,
        *,
        classes: int,
        frames: int,
        slots: int,
        channels: Sequence[int],
        dims: int = 384,
        heads: int = 8,
        ffn: int = 2048,
        dropout: float = 0.1,
        encoder_layers: int = 6,
        decoder_layers: int = 6,
        mask_channels: Sequence[int] = (192, 96, 48, 24),
        instance_channels: int = 12,
        deformable: bool = True,
        placed_pixels: bool = False,
        scaled_maps: bool = False,
    ) -> None:
        super().__init__()
        self.frames, self.slots, self.dims = frames, slots, dims
        self.placed_pixels, self.scaled_maps = placed_pixels, scaled_maps
        self.input_proj = nn.Conv2d(channels[-1], dims, 1)
        self.query_embed = nn.Embedding(frames * slots, dims)
        self.encoder = DetrTransformerEncoder(encoder_layers, layer_config(dims, heads, ffn, dropout))
        self.decoder = DetrTransformerDecoder(
            decoder_layers, decoder_config(dims, heads, ffn, dropout), return_intermediate=True
        )
        use_lean_attention(self)
        self.class_embed = nn.Linear(dims, classes + 1)
        self.bbox_embed = MLP(dims, dims, dims, 4)
        self.bbox_attention = AttentionMap(dims, heads)
        laterals = list(channels[-2::-1])
        self.mask_head = FrameMaskHead(dims + heads, laterals, mask_channels, deformable=deformable)
        self.insmask_head = InstanceMaskHead(mask_channels[-1], instance_channels)

    def init_weights(self) -> None:
        """Xavier uniform on every matrix of the transformer (official code)."""
        super().init_weights()
        for part in (self.encoder, self.decoder):
            for parameter in part.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

    def decode(self, pixels: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        """Transformer on projected pixels.

        Args:
            pixels: [N, T, D, h, w].
            padding: [N, T, h, w] bool or None.

        Returns:
            Queries [layers, N, T * K, D] and memory [N, T, D, h, w].
        """
        clips, length, _, height, width = pixels.shape
        mask = pixels.new_zeros(clips, length, height, width, dtype=torch.bool) if padding is None else padding
        positions = sine_3d(mask, self.dims).flatten(3).transpose(2, 3).flatten(1, 2)
        tokens = pixels.flatten(3).transpose(2, 3).flatten(1, 2)
        ignored = None if padding is None else padding.flatten(1)
        if self.placed_pixels:
            tokens = tokens + positions
        memory = self.encoder(tokens, query_pos=positions, key_padding_mask=ignored)
        query_pos = self.query_embed.weight.expand(clips, -1, -1)
        queries = self.decoder(
            query=torch.zeros_like(query_pos),
            key=memory,
            value=memory,
            query_pos=query_pos,
            key_pos=positions,
            key_padding_mask=ignored,
        )
        restored = memory.reshape(clips, length, height * width, self.dims).transpose(2, 3).reshape(pixels.shape)
        return queries, restored

    def project(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Backbone levels of B frames, fine first, in the head's widths, coarse first: what no clip changes."""
        return self.input_proj(levels[-1]), *self.mask_head.adapt(list(levels[-2::-1]))

    def frame_features(self, memory: Tensor, maps: Tensor, frames: Tensor, laterals: Sequence[Tensor]) -> Tensor:
        """What masks are made of, frame by frame: arguments and result as for ``FrameMaskHead``."""
        scale = maps.shape[-2] * maps.shape[-1] if self.scaled_maps else 1
        features: Tensor = self.mask_head(memory, scale * maps, frames, laterals)
        return features

    def mask_logits(self, outputs: ClipOutputs, clips: Tensor, slots: Tensor) -> Tensor:
        """Masks of some instances.

        No instance's mask depends on another's, and only matched slots have a mask to learn. The official code makes
        those of all slots and then drops the others.

        Args:
            outputs: What ``forward`` returned.
            clips: [M] the instances' clips, below N.
            slots: [M] their slots, below K.

        Returns:
            [M, T, H / 4, W / 4].
        """
        time = torch.arange(self.frames, device=clips.device)
        maps = outputs.maps[clips[:, None], time, slots[:, None]].flatten(0, 1)
        frames = (clips[:, None] * self.frames + time).flatten()
        features = self.frame_features(outputs.memory.flatten(0, 1), maps, frames, outputs.laterals)
        logits: Tensor = self.insmask_head(features.unflatten(0, (len(clips), -1)).transpose(1, 2))
        return logits[:, 0]

    def forward(self, projected: Sequence[Tensor], clips: int, padding: Tensor | None) -> ClipOutputs:
        """All outputs but the masks.

        Args:
            projected: As ``project`` returns them for the N * T frames, clip by clip.
            clips: N.
            padding: [N, T, h, w] bool, True in the padding; None if there is none.
        """
        pixels, *laterals = projected
        queries, memory = self.decode(pixels.reshape(clips, self.frames, *pixels.shape[1:]), padding)
        slots = queries[-1].reshape(clips, self.frames, self.slots, -1)
        ignored = None if padding is None else padding.flatten(0, 1)
        maps = self.bbox_attention(slots.flatten(0, 1), memory.flatten(0, 1), ignored).unflatten(0, (clips, -1))
        classes, boxes = self.class_embed(queries), self.bbox_embed(queries).sigmoid()
        return ClipOutputs(classes, boxes, slots, memory, maps, tuple(laterals))
