"""Attention over time: inside each scale, between neighbouring scales, and among the box queries of a clip.

Built from the paper's figure and text; what they leave open is decided here and marked in the folder's README. Every
block works on a bottleneck of few channels and ends in a projection that starts at zero, so that a fresh network
computes exactly what SeqFormer does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class AttentionOptions:
    """Sizes of the temporal blocks.

    Attributes:
        width: Channels b of the bottleneck.
        heads: Attention heads.
        hidden: Hidden width of the feed-forward networks.
        dropout: Dropout rate, 0..1.
        fuse: How a scale and the next coarser one meet: ``time`` attends over 2T tokens, ``channel`` projects 2b
            channels to b and attends over T.
    """

    width: int = 64
    heads: int = 8
    hidden: int = 256
    dropout: float = 0.1
    fuse: str = "time"

    def __post_init__(self) -> None:
        if self.fuse not in ("time", "channel"):
            raise ValueError(f"fuse must be 'time' or 'channel', not {self.fuse!r}")


def over_time(attention: nn.MultiheadAttention, queries: Tensor, keys: Tensor) -> Tensor:
    """Attention along the frames of every position or query on its own.

    Args:
        attention: ``batch_first`` attention.
        queries: [N, T, P, b].
        keys: [N, T', P, b]; also the values.

    Returns:
        [N, T, P, b].
    """
    clips, frames, positions, _ = queries.shape
    sequences, memory = (tokens.transpose(1, 2).flatten(0, 1) for tokens in (queries, keys))
    attended = attention(sequences, memory, memory, need_weights=False)[0]
    return attended.view(clips, positions, frames, -1).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Linear, ReLU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))


class MultiScaleTemporalAttention(nn.Module):
    """Intra-scale, then inter-scale attention over the frames of a clip; shared by all scales.

    Args:
        channels: Width of the tokens.
        options: Sizes.
    """

    def __init__(self, channels: int, options: AttentionOptions) -> None:
        super().__init__()
        width = options.width
        attention = {"dropout": options.dropout, "batch_first": True}
        self.fuse = options.fuse
        self.in_proj = nn.Linear(channels, width)
        self.intra_attn = nn.MultiheadAttention(width, options.heads, **attention)
        self.intra_norm = nn.LayerNorm(width)
        self.intra_ffn = FeedForward(width, options.hidden)
        self.inter_proj = nn.Linear(width, width)
        self.fuse_proj = nn.Linear(2 * width, width) if options.fuse == "channel" else nn.Identity()
        self.inter_norm1 = nn.LayerNorm(width)
        self.inter_attn = nn.MultiheadAttention(width, options.heads, **attention)
        self.dropout = nn.Dropout(options.dropout)
        self.inter_norm2 = nn.LayerNorm(width)
        self.inter_ffn = FeedForward(width, options.hidden)
        self.out_proj = nn.Linear(width, channels)

    def reset_parameters(self) -> None:
        """Xavier uniform for matrices; the last projection is zero."""
        reset_to_zero_output(self, self.out_proj)

    def forward(self, tokens: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        """Contribution [N, T, S, C] to the encoder layer.

        Args:
            tokens: [N, T, S, C] with positions, the scales one after the other, finest first.
            shapes: Rows and columns of each scale.
        """
        projected = self.in_proj(tokens)
        own = self.intra(projected)
        return self.out_proj(self.inter(own, self.coarser(own, projected, shapes)))

    def intra(self, projected: Tensor) -> Tensor:
        """Attention among the frames of each position, [N, T, S, b] in and out."""
        mixed = self.intra_norm(projected + over_time(self.intra_attn, projected, projected))
        return mixed + self.intra_ffn(mixed)

    def coarser(self, own: Tensor, projected: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        """What each scale receives [N, T, S, b]: the next coarser scale, resized to it; the coarsest its own input."""
        sizes = [rows * columns for rows, columns in shapes]
        scales = own.split(sizes, dim=2)
        received = [
            _resized(scale, shape, target) for scale, shape, target in zip(scales[1:], shapes[1:], shapes, strict=False)
        ]
        return torch.cat([*received, projected.split(sizes, dim=2)[-1]], dim=2)

    def inter(self, own: Tensor, received: Tensor) -> Tensor:
        """Attention between a scale and what it received, [N, T, S, b].

        With ``time`` the 2T tokens of both are the keys; only the scale's own T tokens are queries, because the other
        outputs would be dropped.
        """
        own, received = self.inter_proj(own), self.inter_proj(received)
        if self.fuse == "channel":
            own = self.fuse_proj(torch.cat([own, received], dim=-1))
            keys = queries = self.inter_norm1(own)
        else:
            keys = self.inter_norm1(torch.cat([own, received], dim=1))
            queries = keys[:, : own.shape[1]]
        mixed = own + self.dropout(over_time(self.inter_attn, queries, keys))
        return mixed + self.inter_ffn(self.inter_norm2(mixed))


class TemporalAttention(nn.Module):
    """Attention among the frames' box queries of one object, before they look at the frames.

    Args:
        channels: Width of the queries.
        options: Sizes.
    """

    def __init__(self, channels: int, options: AttentionOptions) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.in_proj = nn.Linear(channels, options.width)
        self.attn = nn.MultiheadAttention(options.width, options.heads, dropout=options.dropout, batch_first=True)
        self.out_proj = nn.Linear(options.width, channels)
        self.dropout = nn.Dropout(options.dropout)

    def reset_parameters(self) -> None:
        """Xavier uniform for matrices; the last projection is zero."""
        reset_to_zero_output(self, self.out_proj)

    def forward(self, boxes: Tensor) -> Tensor:
        """Box queries [N, T, Q, C] in and out."""
        narrow = self.in_proj(self.norm(boxes))
        return boxes + self.dropout(self.out_proj(over_time(self.attn, narrow, narrow)))


def reset_to_zero_output(module: nn.Module, last: nn.Linear) -> None:
    """Xavier uniform for the module's matrices, zero biases, and a last projection of zeros."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    for part in module.modules():
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
    nn.init.zeros_(last.weight)


def _resized(tokens: Tensor, shape: tuple[int, int], target: tuple[int, int]) -> Tensor:
    """Tokens [N, T, P, b] of a map of one shape at another shape, bilinearly."""
    clips, frames, _, width = tokens.shape
    maps = tokens.flatten(0, 1).transpose(1, 2).reshape(clips * frames, width, *shape)
    resized = functional.interpolate(maps, size=target, mode="bilinear", align_corners=False)
    return resized.flatten(2).transpose(1, 2).unflatten(0, (clips, frames))
