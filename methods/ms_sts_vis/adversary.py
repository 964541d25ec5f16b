"""Foreground-background separability: a discriminator of masks, and the losses of both players.

The architecture follows the description of the authors' discriminator; formula and weights of the loss are in no
available source and are decided here (README). A network that is fooled less by its own masks must separate foreground
from background in features that the discriminator sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

STRIDE = 8  # of images and masks that the discriminator sees, in input pixels


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of maps [B, C, H, W]."""

    def forward(self, maps: Tensor) -> Tensor:
        """Maps in and out."""
        return super().forward(maps.movedim(1, -1)).movedim(-1, 1)


class Discriminator(nn.Module):
    """Tells masks of annotators from masks of the network, per patch, given the image and its features.

    Args:
        channels: Width of the features.
        narrow: Width in front of the blocks.
        blocks: Widths of the blocks.
    """

    def __init__(self, channels: int = 256, narrow: int = 64, blocks: tuple[int, ...] = (128, 256, 512)) -> None:
        super().__init__()
        self.entries = nn.ModuleList([_conv(3 + channels + 1, channels), _conv(channels, channels)])
        self.narrow = _conv(channels, narrow)
        self.blocks = nn.Sequential()
        for before, after in zip((narrow, *blocks), blocks, strict=False):
            self.blocks.extend([nn.LeakyReLU(0.2), _conv(before, after), ChannelNorm(after, eps=1e-6)])
        self.judge = nn.Sequential(nn.LeakyReLU(0.2), _conv(blocks[-1], 1))

    def forward(self, images: Tensor, features: list[Tensor], masks: Tensor) -> Tensor:
        """Logits [B, 1, ceil(H / 32), ceil(W / 32)], high for an annotator's mask.

        Args:
            images: [B, 3, ceil(H / 8), ceil(W / 8)].
            features: Encoder maps [B, channels, ...] at strides 8, 16 and 32.
            masks: [B, 1, ceil(H / 8), ceil(W / 8)] in 0..1.
        """
        hidden = torch.cat([images, features[0], masks], dim=1)
        for entry, level in zip(self.entries, features[1:], strict=True):
            hidden = functional.max_pool2d(entry(hidden), 3, stride=2, padding=1) + level
        logits: Tensor = self.judge(self.blocks(self.narrow(hidden)))
        return logits


def _conv(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, bias=False)


@dataclass(frozen=True)
class Scene:
    """What both players look at: B frames that show an object.

    Attributes:
        images: [B, 3, h, w] at stride 8.
        features: Encoder maps at strides 8, 16, 32.
        real: [B, 1, h, w] union of the annotated masks, 0..1.
        fake: [B, 1, h, w] the network's foreground probability.
    """

    images: Tensor
    features: list[Tensor]
    real: Tensor
    fake: Tensor


def discriminator_loss(discriminator: Discriminator, scene: Scene) -> tuple[Tensor, Tensor]:
    """``-mean log D(E, I, M_gt) - mean log(1 - D(E, I, M_pred))``; no gradient reaches the network.

    Returns:
        The loss, and the share of patches that the discriminator tells apart, 0..1.
    """
    features = [level.detach() for level in scene.features]
    real = discriminator(scene.images, features, scene.real)
    fake = discriminator(scene.images, features, scene.fake.detach())
    accuracy = ((real > 0).float().mean() + (fake < 0).float().mean()) / 2
    return _entropy(real, 1.0) + _entropy(fake, 0.0), accuracy.detach()


def network_loss(discriminator: Discriminator, scene: Scene) -> tuple[Tensor, Tensor]:
    """``-mean log D(E, I, M_pred)`` and ``mean |D(E, I, M_gt) - D(E, I, M_pred)|``; none reaches the discriminator."""
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    fake = functional_call(discriminator, frozen, (scene.images, scene.features, scene.fake))
    real = functional_call(discriminator, frozen, (scene.images, scene.features, scene.real))
    return _entropy(fake, 1.0), (real.sigmoid() - fake.sigmoid()).abs().mean()


def _entropy(logits: Tensor, target: float) -> Tensor:
    """Cross entropy in float32, whatever precision the discriminator ran in."""
    logits = logits.float()
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
