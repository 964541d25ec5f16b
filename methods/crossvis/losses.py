"""What CrossVIS adds to CondInst: crossover learning and identity classification (Yang et al. 2021, section 3)."""

from __future__ import annotations

import math

import torch
from mmdet.models.losses import FocalLoss
from torch import Tensor, nn
from torch.nn import functional


def crossover_partners(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs every location of one frame with a random location of the same identity in the other frame.

    Args:
        source: [n] identity of each positive location of the frame that gives the filters.
        target: [m] identity of each positive location of the frame they are applied to.

    Returns:
        Indices [k] of the source locations whose identity is in the other frame, and of their partners [k].
    """
    same = source[:, None] == target[None]
    draws = torch.rand(same.shape, device=source.device).masked_fill(~same, -1.0)
    kept = same.any(dim=1).nonzero()[:, 0]
    if not len(kept):
        return kept, kept
    return kept, draws[kept].argmax(dim=1)


def embedding_scale(identities: int) -> float:
    """Length that embeddings get before the classifier, ``sqrt(2) ln(n - 1)``.

    It would be 0 for two identities and has no value for one; those count as three.
    """
    return math.sqrt(2) * math.log(max(identities - 1, 2))


class IdentityClassifier(nn.Module):
    """Classifies embeddings as the identities of the training set; needed for training only.

    Args:
        channels: Length of the embeddings.
        identities: Number of identities of the training split, >= 1.
    """

    def __init__(self, channels: int, identities: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, identities)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.constant_(self.fc.bias, -math.log(99.0))  # a probability of 0.01, as in RetinaNet
        self.scale = embedding_scale(identities)
        self.focal = FocalLoss(use_sigmoid=True, alpha=0.25, gamma=2.0)

    def loss(self, embeddings: Tensor, identities: Tensor) -> Tensor:
        """Sigmoid focal loss, summed over the identities, mean over the positive locations of this process.

        Args:
            embeddings: [n, D] of all positive locations of both frames.
            identities: [n] in 0..identities - 1.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            logits = self.fc(functional.normalize(embeddings.float(), dim=1) * self.scale)
            if not len(logits):
                return logits.sum() + 0 * self.fc.weight.sum()
            loss: Tensor = self.focal(logits, identities, avg_factor=len(identities))
            return loss
