"""IFC's heads: multi-layer perceptrons on the queries, and the mask features of every frame (paper section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional


class MLP(nn.Module):
    """Linear layers with ReLU in between: ``dims`` lists the widths from input to output."""

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, out) for width, out in pairwise(dims))

    def forward(self, x: Tensor) -> Tensor:
        """[..., dims[0]] to [..., dims[-1]]."""
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


class MaskHead(BaseModule):
    """Mask features from encoded pixels and two finer backbone levels, and the filters that turn them into masks.

    Own implementation after official ``ifc/models/segmentation.py``: three 3x3 convolutions with group norm, between
    them nearest upsampling plus a 1x1 adapter of the finer level; then a depthwise 5x5 and a pointwise convolution.

    Args:
        dims: Width D.
        laterals: Channels of the two finer levels, coarse first.
        groups: Groups of the norms; they divide ``dims``.
    """

    def __init__(self, dims: int, laterals: Sequence[int], groups: int = 32) -> None:
        super().__init__()
        for index in (1, 2, 3):
            setattr(self, f"lay{index}", nn.Conv2d(dims, dims, 3, padding=1))
            setattr(self, f"gn{index}", nn.GroupNorm(groups, dims))
        self.adapter1, self.adapter2 = (nn.Conv2d(channels, dims, 1) for channels in laterals)
        self.depthwise = nn.Conv2d(dims, dims, 5, padding=2, groups=dims)
        self.pointwise = nn.Conv2d(dims, dims, 1)
        self.convert_to_weight = MLP(dims, dims, dims, dims)

    def init_weights(self) -> None:
        """Kaiming uniform (a = 1) and zero bias on all convolutions (official code)."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def adapt(self, coarse: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        """The two finer levels [B, C, h, w] in D channels; they do not depend on the clip and can be kept."""
        return self.adapter1(coarse), self.adapter2(fine)

    def features(self, pixels: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
        """Mask features of B frames.

        Args:
            pixels: [B, D, h, w] encoded pixels.
            coarse: [B, D, 2h, 2w] adapted level.
            fine: [B, D, 4h, 4w] adapted level.

        Returns:
            [B, D, 4h, 4w].
        """
        x = self.gn1(self.lay1(pixels))
        x = coarse + functional.interpolate(x, size=coarse.shape[-2:], mode="nearest")
        x = self.gn2(self.lay2(x))
        x = fine + functional.interpolate(x, size=fine.shape[-2:], mode="nearest")
        x = self.gn3(self.lay3(x)).relu()
        return self.pointwise(self.depthwise(x).relu()).relu()

    def filters(self, queries: Tensor) -> Tensor:
        """[..., D] decoder outputs to [..., D] 1x1 filters, the same for all frames of the clip."""
        return self.convert_to_weight(queries)


def apply_filters(filters: Tensor, features: Tensor) -> Tensor:
    """Mask logits, the inner product of filter and feature at every cell.

    Args:
        filters: [layers, N, Q, D].
        features: [N, T, D, h, w].

    Returns:
        [layers, N, Q, T, h, w].
    """
    return torch.einsum("lnqc,ntcyx->lnqtyx", filters, features)
