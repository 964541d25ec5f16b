"""VisTR's mask branch: attention maps per box query, masks per frame, 3D convolutions per instance (section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import deform_conv2d


class AttentionMap(BaseModule):
    """Where each query looks: scaled dot products per head, softmax over heads and pixels together (official code).

    Args:
        dims: Width D of queries and memory.
        heads: Number of maps per query.
    """

    def __init__(self, dims: int, heads: int) -> None:
        super().__init__()
        self.q_linear, self.k_linear = nn.Linear(dims, dims), nn.Linear(dims, dims)
        self.heads = heads

    def init_weights(self) -> None:
        """Xavier uniform, zero bias."""
        super().init_weights()
        for layer in (self.q_linear, self.k_linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, queries: Tensor, memory: Tensor, padding: Tensor | None) -> Tensor:
        """Maps of B frames.

        Args:
            queries: [B, K, D].
            memory: [B, D, h, w].
            padding: [B, h, w] bool, True in the padding; None if there is none.

        Returns:
            [B, K, heads, h, w], summing to 1 per query.
        """
        width = queries.shape[-1] // self.heads
        wanted = self.q_linear(queries).unflatten(-1, (self.heads, width)) * float(width) ** -0.5
        keys = self.k_linear(memory.flatten(2).transpose(1, 2)).unflatten(-1, (self.heads, width))
        weights = torch.einsum("bqnc,bpnc->bqnp", wanted, keys).float()
        if padding is not None:
            weights = weights.masked_fill(padding.flatten(1)[:, None, None], float("-inf"))
        return weights.flatten(2).softmax(dim=-1).reshape(*weights.shape[:3], *memory.shape[-2:])


def norm_groups(channels: int, most: int = 8) -> int:
    """The largest number of groups up to ``most`` that divides the channels."""
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


class FrameMaskHead(BaseModule):
    """Mask features of every instance in one frame, from memory, attention maps and the finer backbone levels.

    Own implementation after official ``models/segmentation.py`` (``MaskHeadSmallConv``), for any number of levels.

    Args:
        dims: Channels of memory and attention maps together.
        laterals: Channels of the finer levels, coarse first.
        channels: Widths after each upsampling, and of the output: one more than ``laterals``.
        deformable: Whether the last convolution is deformable (official) or plain.
    """

    def __init__(self, dims: int, laterals: Sequence[int], channels: Sequence[int], *, deformable: bool) -> None:
        super().__init__()
        self.laterals = len(laterals)
        widths = [dims, dims, *channels[:-1]]
        for index, (width, out) in enumerate(pairwise(widths), start=1):
            setattr(self, f"lay{index}", nn.Conv2d(width, out, 3, padding=1))
            setattr(self, f"gn{index}", nn.GroupNorm(norm_groups(out), out))
        for index, (lateral, out) in enumerate(zip(laterals, channels, strict=False), start=1):
            setattr(self, f"adapter{index}", nn.Conv2d(lateral, out, 1))
        setattr(self, f"gn{len(widths)}", nn.GroupNorm(norm_groups(channels[-1]), channels[-1]))
        self.conv_offset = nn.Conv2d(channels[-2], 18, 1) if deformable else None
        self.dcn = nn.Conv2d(channels[-2], channels[-1], 3, padding=1, bias=False)

    def init_weights(self) -> None:
        """Kaiming uniform (a = 1) and zero bias; offsets start at zero; the deformable weight has ReLU's gain."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:  # all but the deformable one
                nn.init.kaiming_uniform_(module.weight, a=1)
                nn.init.zeros_(module.bias)
        nn.init.kaiming_uniform_(self.dcn.weight, nonlinearity="relu")
        if self.conv_offset is not None:
            nn.init.zeros_(self.conv_offset.weight)

    def adapt(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Finer backbone levels [B, C, H', W'], coarse first, in the head's widths; they do not depend on the clip."""
        return [getattr(self, f"adapter{index}")(level) for index, level in enumerate(levels, start=1)]

    def forward(self, memory: Tensor, maps: Tensor, frames: Tensor, laterals: Sequence[Tensor]) -> Tensor:
        """Features of M attention maps in B frames.

        Args:
            memory: [B, D, h, w].
            maps: [M, heads, h, w].
            frames: [M] which of the B frames each map belongs to.
            laterals: [B, C, H', W'], as ``adapt`` returns them.

        Returns:
            [M, channels[-1], H, W] at the size of the last level.
        """
        x = torch.cat([memory.index_select(0, frames), maps], dim=1)
        x = self._block(1, x)
        for index, level in enumerate(laterals, start=1):
            x = self._block(index + 1, x)
            lateral = level.index_select(0, frames)
            x = lateral + functional.interpolate(x, size=lateral.shape[-2:], mode="nearest")
        if self.conv_offset is None:
            x = self.dcn(x)
        else:
            x = deform_conv2d(x, self.conv_offset(x), self.dcn.weight, padding=1)
        normed: Tensor = getattr(self, f"gn{self.laterals + 2}")(x)
        return normed.relu()

    def _block(self, index: int, x: Tensor) -> Tensor:
        normed: Tensor = getattr(self, f"gn{index}")(getattr(self, f"lay{index}")(x))
        return normed.relu()


class InstanceMaskHead(nn.Sequential):
    """3D convolutions over the frames of one instance: [N, channels, T, h, w] to [N, 1, T, h, w] logits."""

    def __init__(self, channels: int, hidden: int) -> None:
        layers: list[nn.Module] = []
        for width in (channels, hidden, hidden):
            layers += [nn.Conv3d(width, hidden, 3, padding=2, dilation=2), nn.GroupNorm(4, hidden), nn.ReLU()]
        super().__init__(*layers, nn.Conv3d(hidden, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the instances."""
        for layer in self:
            if features.shape[2] == 1 and isinstance(layer, nn.Conv3d):
                features = _on_one_frame(layer, features)
            else:
                features = layer(features)
        return features


def _on_one_frame(layer: nn.Conv3d, features: Tensor) -> Tensor:
    """The same numbers for a third of the work: beside a single frame there is only padding."""
    middle = layer.weight[:, :, layer.kernel_size[0] // 2]
    padding = tuple(int(side) for side in layer.padding[1:])
    flat = functional.conv2d(features[:, :, 0], middle, layer.bias, padding=padding, dilation=layer.dilation[1:])
    return flat[:, :, None]
