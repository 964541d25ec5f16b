"""Attention of the association block: global over tokens, local in a window (IAI ``lstt_block/transformer.py``)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GlobalAttention(nn.Module):
    """Multi-head attention over sequences of tokens.

    Args:
        channels: Width of the tokens.
        heads: Number of heads.
        projected: Whether query, key and value pass linear layers first; the output always does.
    """

    def __init__(self, channels: int, heads: int, *, projected: bool) -> None:
        super().__init__()
        self.heads, self.projected = heads, projected
        if projected:
            self.linear_Q = nn.Linear(channels, channels)
            self.linear_K = nn.Linear(channels, channels)
            self.linear_V = nn.Linear(channels, channels)
        self.projection = nn.Linear(channels, channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attended values [Q, B, C] of query [Q, B, C] over key and value [K, B, C]."""
        if self.projected:
            query, key, value = self.linear_Q(query), self.linear_K(key), self.linear_V(value)
        query, key, value = (self._split(tokens) for tokens in (query, key, value))
        weights = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(dim=-1)
        return self.projection((weights.to(value.dtype) @ value).permute(2, 0, 1, 3).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        """[T, B, C] as [B, heads, T, C / heads]."""
        return tokens.unflatten(2, (self.heads, -1)).permute(1, 2, 0, 3)


def window_index(height: int, width: int, reach: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """For every position the positions in the square window around it.

    Args:
        height: Rows of the map.
        width: Columns of the map.
        reach: Largest distance along an axis, so that the window has (2 reach + 1)^2 positions.
        device: Where the result lies.

    Returns:
        Indices [H * W, window] in row-major order of (dy, dx), which is the order of ``F.unfold`` and of the official
        correlation sampler; and whether each lies outside of the map (its index is 0 then).
    """
    numbers = torch.arange(1, height * width + 1, dtype=torch.float32, device=device)
    windows = F.unfold(numbers.view(1, 1, height, width), kernel_size=2 * reach + 1, padding=reach)
    index = windows[0].T.long() - 1  # the padding is 0, hence -1 here
    return index.clamp_min(0), index < 0


class LocalAttention(nn.Module):
    """Attention to a window around each position, with a learnt bias per relative position for keys and for values.

    ``softmax_w(q.k_w / sqrt(d) + r_w(q))`` weights ``v_w + b_w``. The official code unfolds keys to 225 copies or calls
    a CUDA correlation sampler; here all pairs are multiplied once (HW x HW) and the windows are read off by index,
    which is the same sum with less memory on maps of this size.

    Args:
        channels: Width of the features.
        heads: Number of heads.
        reach: Largest distance along an axis (official ``max_dis``, 7).
    """

    def __init__(self, channels: int, heads: int, reach: int) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        window = (2 * reach + 1) ** 2
        self.relative_emb = nn.Conv2d(channels, heads * window, kernel_size=1, groups=heads)
        self.V_bias = nn.Parameter(torch.zeros(1, heads, channels // heads, window, 1))
        self.fc = nn.Linear(channels, channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attended values as tokens [HW, B, C], from maps [B, C, H, W]."""
        height, width = query.shape[-2:]
        index, outside = window_index(height, width, self.reach, query.device)
        weights = self._weights(query, key, index, outside)
        index = index.expand(*weights.shape[:2], -1, -1)
        # Positions outside have weight 0, so that adding them to position 0 changes nothing.
        dense = weights.new_zeros(*weights.shape[:3], height * width).scatter_add(-1, index, weights)
        attended = dense @ self._split(value).transpose(-2, -1).to(weights.dtype)
        attended = attended + weights @ self.V_bias[0, ..., 0].transpose(-2, -1).to(weights.dtype)
        return self.fc(attended.permute(2, 0, 1, 3).flatten(2))

    def _weights(self, query: Tensor, key: Tensor, index: Tensor, outside: Tensor) -> Tensor:
        """Attention weights [B, heads, HW, window]."""
        bias = self.relative_emb(query).unflatten(1, (self.heads, -1)).flatten(3).transpose(-2, -1)
        queries, keys = self._split(query), self._split(key)
        products = queries.transpose(-2, -1) @ keys / math.sqrt(queries.shape[2])
        logits = products.gather(-1, index.expand(*products.shape[:2], -1, -1)) + bias
        return logits.masked_fill(outside, torch.finfo(logits.dtype).min).softmax(dim=-1)

    def _split(self, features: Tensor) -> Tensor:
        """[B, C, H, W] as [B, heads, C / heads, H * W]."""
        return features.unflatten(1, (self.heads, -1)).flatten(3)
