"""Attention that does not return its weights."""

from __future__ import annotations

from typing import Any

from mmcv.cnn.bricks.transformer import MultiheadAttention
from torch import nn


class LeanAttention(nn.MultiheadAttention):
    """PyTorch's attention without the weights of all pairs of tokens, which then need not be kept in memory."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the parent's, with None in place of the weights."""
        return super().forward(*args, **{**kwargs, "need_weights": False})


def use_lean_attention(module: nn.Module) -> None:
    """Makes mmcv's attention layers inside a fresh module lean: they read only the output, never the weights."""
    for part in module.modules():
        if isinstance(part, MultiheadAttention):
            part.attn = LeanAttention(part.attn.embed_dim, part.attn.num_heads, part.attn.dropout)
