"""Masks of SeqFormer: per-frame mask features, and a small network per instance whose weights the query predicts.

Own implementation after the paper (section 3.3) and the official ``models/segmentation.py``; the dynamic head is
CondInst's (Tian et al., ECCV 2020) with raw pixel offsets.
"""

from __future__ import annotations

import torch
from mmdet.models.utils import aligned_bilinear
from torch import Tensor, nn
from torch.nn import functional

from methods.seqformer.encoder import Memory

STRIDE = 8  # of the mask features in input pixels; the logits come at half of it
_FACTOR = 2


class MaskBranch(nn.Module):
    """Mask features [N * T, 8, H/8, W/8] from the encoder's three finest levels, top-down, without norms.

    Args:
        channels: Width of the tokens.
        hidden: Width before the last convolution; official: a quarter of ``channels``.
        out: Width of the mask features; official: 8.
    """

    def __init__(self, channels: int, hidden: int, out: int) -> None:
        super().__init__()
        sizes = [(channels, channels)] * 3 + [(channels, hidden), (hidden, out)]
        self.convs = nn.ModuleList([nn.Conv2d(before, after, 3, padding=1) for before, after in sizes])

    def reset_parameters(self) -> None:
        """Kaiming uniform with a = 1, bias 0."""
        for parameter in self.convs.parameters():
            if parameter.dim() > 1:
                nn.init.kaiming_uniform_(parameter, a=1)
            else:
                nn.init.zeros_(parameter)

    def forward(self, memory: Memory) -> Tensor:
        """Mask features of encoded frames."""
        fused = self.convs[0](memory.level(2)).relu()
        for conv, index in ((self.convs[1], 1), (self.convs[2], 0)):
            finer = memory.level(index)
            fused = conv(finer + functional.interpolate(fused, size=finer.shape[-2:])).relu()
        return self.convs[4](self.convs[3](fused).relu()).relu()


class DynamicMaskHead(nn.Module):
    """Three 1x1 convolutions per instance on [offset x, offset y, mask features]; it has no parameters of its own.

    Args:
        features: Width of the mask features.
        hidden: Width of the two hidden layers.
        offset_scale: Divides the offsets; 1 as in the official code, which feeds raw pixels.
    """

    def __init__(self, features: int, hidden: int, offset_scale: float) -> None:
        super().__init__()
        self.widths = [(features + 2, hidden), (hidden, hidden), (hidden, 1)]
        self.offset_scale = offset_scale

    @property
    def parameter_count(self) -> int:
        """Numbers that a query predicts: all weights, then all biases (169 with the official sizes)."""
        return sum(before * after + after for before, after in self.widths)

    def forward(self, features: Tensor, centres: Tensor, parameters: Tensor) -> Tensor:
        """Mask logits [M, T, 2 * h, 2 * w] at stride 4.

        Args:
            features: [M, T, F, h, w] mask features of each instance's clip.
            centres: [M, T, 2] reference points x, y in input pixels.
            parameters: [M, ``parameter_count``].
        """
        # Offsets of hundreds of pixels are beyond half precision.
        with torch.autocast(features.device.type, enabled=False):
            logits = self._logits(features.float(), centres.float(), parameters.float())
            if not len(logits):
                return logits.repeat(1, 1, _FACTOR, _FACTOR)
            return aligned_bilinear(logits, _FACTOR)

    def _logits(self, features: Tensor, centres: Tensor, parameters: Tensor) -> Tensor:
        """Mask logits [M, T, h, w] at the stride of the mask features."""
        height, width = features.shape[-2:]
        offsets = _offsets(centres, height, width) / self.offset_scale
        hidden = torch.cat([offsets, features], dim=2).transpose(1, 2).flatten(2)
        weights, biases = self._split(parameters)
        for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            hidden = torch.baddbmm(bias[:, :, None], weight, hidden)
            if index < len(weights) - 1:
                hidden = hidden.relu()
        return hidden.view(*features.shape[:2], height, width)

    def _split(self, parameters: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Weights [M, out, in] and biases [M, out] of the three layers."""
        sizes = [before * after for before, after in self.widths] + [after for _, after in self.widths]
        parts = parameters.split(sizes, dim=1)
        weights = [
            part.view(-1, after, before)
            for part, (before, after) in zip(parts[: len(self.widths)], self.widths, strict=True)
        ]
        return weights, list(parts[len(self.widths) :])


def _offsets(centres: Tensor, height: int, width: int) -> Tensor:
    """[M, T, 2, h, w] reference point minus centre of each cell, in input pixels, x first."""
    x = torch.arange(width, device=centres.device) * STRIDE + STRIDE // 2
    y = torch.arange(height, device=centres.device) * STRIDE + STRIDE // 2
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy")).to(centres.dtype)
    return centres[..., None, None] - grid
