"""Frame encoder of SeqFormer: feature levels as tokens, refined by deformable attention inside each frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from mmdet.models.layers import DeformableDetrTransformerEncoder
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Memory:
    """Encoded frames of N clips.

    Attributes:
        tokens: [N, T, S, C], the levels one after the other, finest first.
        padding: [N, T, S] bool, True in the padding.
        shapes: [L, 2] rows and columns of each level.
        starts: [L] index of each level's first token.
        valid_ratios: [N, L, 2] share of columns and rows that are not padding.
    """

    tokens: Tensor
    padding: Tensor
    shapes: Tensor
    starts: Tensor
    valid_ratios: Tensor

    @property
    def frames(self) -> int:
        """Frames per clip."""
        return self.tokens.shape[1]

    def level(self, index: int) -> Tensor:
        """One level as maps [N * T, C, rows, columns]."""
        rows, columns = self.shapes[index].tolist()
        start = int(self.starts[index])
        tokens = self.tokens[:, :, start : start + rows * columns].flatten(0, 1)
        return tokens.transpose(1, 2).unflatten(2, (rows, columns))

    def part(self, frames: slice) -> Memory:
        """Some of the frames."""
        return replace(self, tokens=self.tokens[:, frames], padding=self.padding[:, frames])


class FrameEncoder(nn.Module):
    """Projection to one width, positions, and the deformable encoder (official ``deformable_transformer.py``).

    Args:
        neck: mmdet configuration of the projection (``ChannelMapper``).
        layers: Number of encoder layers.
        layer: Configuration of mmdet's ``DeformableDetrTransformerEncoderLayer``.
        levels: Feature levels after the neck.
        channels: Width of the tokens.
    """

    def __init__(self, *, neck: dict[str, Any], layers: int, layer: dict[str, Any], levels: int, channels: int) -> None:
        super().__init__()
        self.neck = MODELS.build(neck)
        position = {"type": "SinePositionalEncoding", "num_feats": channels // 2, "normalize": True, "offset": -0.5}
        self.position = MODELS.build(position)
        self.level_embed = nn.Parameter(torch.empty(levels, channels))
        self.encoder = self.build_encoder(layers, layer)

    def build_encoder(self, layers: int, layer: dict[str, Any]) -> DeformableDetrTransformerEncoder:
        """The stack of layers; a method with other layers overrides this."""
        return DeformableDetrTransformerEncoder(num_layers=layers, layer_cfg=layer)

    def reset_parameters(self) -> None:
        """Xavier uniform for matrices, deformable attention's own start, N(0, 1) for the level embedding."""
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for layer in self.encoder.layers:
            layer.self_attn.init_weights()
        for module in self.neck.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.level_embed)

    def forward(self, features: tuple[Tensor, ...], padding: Tensor) -> Memory:
        """Encodes clips.

        Args:
            features: Backbone maps, each [N * T, C_l, H_l, W_l], clips one after the other.
            padding: [N, T, H, W] bool of the input, True in the padding; the frames of a clip share it.
        """
        levels = self.neck(features)
        clips, frames = padding.shape[:2]
        masks = [_shrunk(padding.flatten(0, 1), level.shape[-2:]) for level in levels]
        tokens = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        positions = torch.cat([self._position(mask, index) for index, mask in enumerate(masks)], dim=1)
        flat_padding = torch.cat([mask.flatten(1) for mask in masks], dim=1)
        shapes = torch.tensor([level.shape[-2:] for level in levels], device=tokens.device)
        starts = torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]])
        valid_ratios = torch.stack([valid_ratio(mask) for mask in masks], dim=1)
        encoded = self.encoder(
            query=tokens,
            query_pos=positions,
            key_padding_mask=flat_padding,
            spatial_shapes=shapes,
            level_start_index=starts,
            valid_ratios=valid_ratios,
            frames=frames,
        )
        split = (clips, frames)
        # All frames of a clip are padded alike; the official code reads the first one's ratios.
        first = valid_ratios.unflatten(0, split)[:, 0]
        return Memory(encoded.unflatten(0, split), flat_padding.unflatten(0, split), shapes, starts, first)

    def _position(self, mask: Tensor, level: int) -> Tensor:
        position = self.position(mask).flatten(2).transpose(1, 2)
        return position + self.level_embed[level].view(1, 1, -1)


def _shrunk(padding: Tensor, size: torch.Size) -> Tensor:
    """Padding mask [B, H, W] at the size of a level, by nearest neighbour as the official code does."""
    return functional.interpolate(padding[None].float(), size=size)[0].bool()


def valid_ratio(mask: Tensor) -> Tensor:
    """[B, 2] share of columns and rows that are not padding, of masks [B, H, W]."""
    height, width = mask.shape[1:]
    rows, columns = (~mask[:, :, 0]).sum(1), (~mask[:, 0, :]).sum(1)
    return torch.stack([columns.float() / width, rows.float() / height], dim=-1)
