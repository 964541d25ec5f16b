"""A training aid that the paper does not have: the encoded pixels of an object, averaged, say which class it is.

From random weights a query learns where an object is long before it learns what it is, because its class comes through
two rounds of attention. This loss reads the class where the decoder will have to find it. It is off at paper scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.runtime.clips import ClipTargets


def object_means(encoded: Tensor, targets: Sequence[ClipTargets]) -> tuple[Tensor, Tensor]:
    """Mean encoded pixel of every object in every frame that shows it.

    Args:
        encoded: [N, T, D, h, w].
        targets: One per clip.

    Returns:
        Means [m, D], weighted by how much of each cell the object fills, and labels [m].
    """
    means, labels = [], []
    for pixels, target in zip(encoded, targets, strict=True):
        cells = functional.adaptive_avg_pool2d(target.masks.float(), pixels.shape[-2:])
        total = torch.einsum("tdyx,ntyx->ntd", pixels.float(), cells)
        means.append((total / cells.sum(dim=(2, 3))[..., None].clamp_min(1e-6))[target.visible])
        labels.append(target.labels[:, None].expand_as(target.visible)[target.visible])
    return torch.cat(means), torch.cat(labels)


class SemanticAid(nn.Module):
    """A linear classifier of objects' mean pixels and its loss.

    Args:
        dims: Width D of the pixels.
        classes: Number of classes C.
        weight: Weight of the loss.
    """

    def __init__(self, dims: int, classes: int, weight: float) -> None:
        super().__init__()
        self.classify = nn.Linear(dims, classes)
        self.weight = weight

    def loss(self, encoded: Tensor, targets: Sequence[ClipTargets]) -> dict[str, Tensor]:
        """Cross entropy, a mean over objects and frames, and the share that is classified rightly (not a loss)."""
        means, labels = object_means(encoded, targets)
        logits = self.classify(means)
        entropy = functional.cross_entropy(logits, labels, reduction="sum") / max(len(labels), 1)
        accuracy = (logits.argmax(dim=1) == labels).float().sum() / max(len(labels), 1)
        return {"loss_semantic": self.weight * entropy, "semantic_accuracy": accuracy}
