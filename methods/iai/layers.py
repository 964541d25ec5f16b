"""Small layers of the association block (IAI ``lstt_block/basic.py``, ``gct.py``, ``position.py``)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Grid = tuple[int, int]


def to_tokens(features: Tensor) -> Tensor:
    """[B, C, H, W] as [H * W, B, C]."""
    return features.flatten(2).permute(2, 0, 1)


def to_map(tokens: Tensor, grid: Grid) -> Tensor:
    """[H * W, B, C] as [B, C, H, W]."""
    return tokens.permute(1, 2, 0).unflatten(2, grid)


class DropPath(nn.Module):
    """Drops entries of the first dimension while training and scales the others up.

    The first dimension is the token axis here: positions are dropped over the whole batch, not samples (official).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [T, B, C] of which about ``rate`` are zero."""
        if self.rate == 0.0 or not self.training:
            return tokens
        keep = 1.0 - self.rate
        drawn = torch.rand(len(tokens), *(1,) * (tokens.dim() - 1), device=tokens.device)
        return tokens / keep * (drawn < keep).to(tokens.dtype)


class GatedChannels(nn.Module):
    """Gated channel transformation (Yang et al., CVPR 2020): ``x (1 + tanh(e n + beta))`` per channel.

    ``e = alpha sqrt(sum_hw x^2 + eps)`` and ``n = gamma / sqrt(mean_c e^2 + eps)``.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.epsilon = epsilon

    def forward(self, features: Tensor) -> Tensor:
        """Gated features [B, C, H, W]; sums of squares are taken in float32."""
        energy = features.float().pow(2).sum((2, 3), keepdim=True)
        embedding = (energy + self.epsilon).sqrt() * self.alpha
        norm = self.gamma / (embedding.pow(2).mean(dim=1, keepdim=True) + self.epsilon).sqrt()
        return features * (1 + torch.tanh(embedding * norm + self.beta)).to(features.dtype)


class GatedDepthwiseConv(nn.Module):
    """The feed-forward part's activation: GroupNorm, GELU, channel gate, depthwise 5x5 convolution.

    Args:
        channels: Width, a multiple of 32 (the groups of its norm).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(32, channels)
        self.GCT = GatedChannels(channels)
        self.conv = nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Tokens [H * W, B, C] to the same shape."""
        return to_tokens(self.conv(self.GCT(F.gelu(self.gn(to_map(tokens, grid))))))


def position_code(grid: Grid, channels: int, device: torch.device | str = "cpu") -> Tensor:
    """Sine and cosine code of the positions, first of the row, then of the column.

    Coordinates count from 0 and are divided by the last one, times 2 pi (mmdet's ``SinePositionalEncoding`` counts from
    1 and gives other values).

    Args:
        grid: Rows and columns.
        channels: Width of the code, a multiple of 4.
        device: Where the result lies.

    Returns:
        [H * W, 1, channels].
    """
    half = channels // 2
    order = torch.arange(half, dtype=torch.float32, device=device)
    wavelength = 10000 ** (2 * (order // 2) / half)

    def code(size: int) -> Tensor:
        place = torch.arange(size, dtype=torch.float32, device=device)
        angle = (place / (size - 1 + 1e-6) * 2 * math.pi)[:, None] / wavelength
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)

    rows, columns = code(grid[0]), code(grid[1])
    both = torch.cat([rows[:, None].expand(*grid, half), columns[None].expand(*grid, half)], dim=2)
    return both.reshape(-1, 1, 2 * half)
