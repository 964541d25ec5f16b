"""Backbones by name: the mmdet configuration and the channels that a feature pyramid receives. Imports no torch."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from mindthegap.errors import ConfigError


@dataclass(frozen=True)
class Backbone:
    """One entry of the table.

    Attributes:
        name: Name in ``config.yaml`` and in result paths.
        config: mmdet configuration; four outputs at strides 4, 8, 16, 32.
        channels: Channels of the four outputs.
        pretrained: Whether published runs start from pretrained weights.
    """

    name: str
    config: dict[str, Any]
    channels: tuple[int, int, int, int]
    pretrained: bool


def _resnet(depth: int, *, width: int, pretrained: bool) -> dict[str, Any]:
    """ResNet; from scratch its batch norm must learn statistics, fine-tuning freezes them (mmdet's defaults)."""
    return {
        "type": "ResNet",
        "depth": depth,
        "num_stages": 4,
        "base_channels": width,
        "stem_channels": width,
        "out_indices": (0, 1, 2, 3),
        "frozen_stages": 1 if pretrained else -1,
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "norm_eval": pretrained,
        "style": "pytorch",
    }


def _swin_large() -> dict[str, Any]:
    """Swin-L, window 12 (Liu et al., ICCV 2021, table 7)."""
    return {
        "type": "SwinTransformer",
        "embed_dims": 192,
        "depths": [2, 2, 18, 2],
        "num_heads": [6, 12, 24, 48],
        "window_size": 12,
        "mlp_ratio": 4,
        "qkv_bias": True,
        "drop_path_rate": 0.3,
        "patch_norm": True,
        "out_indices": (0, 1, 2, 3),
        "with_cp": True,
        "convert_weights": False,
    }


_TABLE = (
    Backbone("r18_tiny", _resnet(18, width=32, pretrained=False), (32, 64, 128, 256), False),
    Backbone("r18", _resnet(18, width=64, pretrained=False), (64, 128, 256, 512), False),
    Backbone("r50", _resnet(50, width=64, pretrained=True), (256, 512, 1024, 2048), True),
    Backbone("r101", _resnet(101, width=64, pretrained=True), (256, 512, 1024, 2048), True),
    Backbone("swin_l", _swin_large(), (192, 384, 768, 1536), True),
)
BACKBONES = {backbone.name: backbone for backbone in _TABLE}


def get_backbone(name: str) -> Backbone:
    """A backbone by name; its ``config`` may be changed freely.

    Raises:
        ConfigError: The name is not in the table.
    """
    if name not in BACKBONES:
        raise ConfigError(f"backbone '{name}': there is no such backbone; choose from {', '.join(BACKBONES)}.")
    return copy.deepcopy(BACKBONES[name])


def frozen_norms(backbone: Backbone) -> dict[str, Any]:
    """Changes to a backbone whose code freezes every batch norm of a pretrained ResNet (``FrozenBatchNorm2d``)."""
    if backbone.config["type"] != "ResNet" or not backbone.pretrained:
        return {}
    return {"norm_cfg": {"type": "BN", "requires_grad": False}}


def resnet_stages(stride: int) -> dict[str, Any]:
    """Changes to a ResNet whose last output shall have a stride of 32 (none), 16 or 8.

    Below 32 the last stage is left out; for 8 the third one is dilated instead of strided, so that it takes the same
    weights.
    """
    if stride == 32:
        return {}
    third, dilation = (2, 1) if stride == 16 else (1, 2)
    return {"num_stages": 3, "out_indices": (0, 1, 2), "strides": (1, 2, third), "dilations": (1, 1, dilation)}
