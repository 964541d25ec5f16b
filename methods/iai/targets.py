"""What the identity head and the memory learn from: clip numbers, identity targets, one-hot mask stacks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def clip_numbers(frames: Sequence[Tensor], limit: int, *, shuffle: bool = False) -> list[Tensor]:
    """Numbers the identities of a clip 0, 1, ... in ascending annotation id.

    A clip with more identities than ``limit`` keeps a random choice of them; the official code has no guard and fails.

    Args:
        frames: Annotation ids [G] of the objects in each frame.
        limit: Largest number of identities, N - 1.
        shuffle: Whether the numbers are drawn from 0..limit-1 at random instead (AOT's permutation; officially off).

    Returns:
        Per frame the numbers [G]; -1 for an identity that was not chosen.
    """
    present = torch.unique(torch.cat(list(frames))) if frames else torch.zeros(0, dtype=torch.long)
    if len(present) > limit:
        present = present[torch.randperm(len(present))[:limit].sort().values.to(present.device)]
    numbers = torch.randperm(limit)[: len(present)] if shuffle else torch.arange(len(present))
    numbers = numbers.to(present.device)
    numbered = []
    for ids in frames:
        found = ids[:, None] == present[None]
        number = (found * numbers[None]).sum(dim=1)
        numbered.append(torch.where(found.any(dim=1), number, torch.full_like(number, -1)))
    return numbered


def identity_targets(frames: Sequence[Tensor], channels: int) -> list[Tensor]:
    """Targets of the identity head: N - 1 ("new") where an identity appears first, its number ever after.

    Args:
        frames: Clip numbers [G] of each frame, in temporal order, all >= 0.
        channels: Identity channels N.
    """
    seen: set[int] = set()
    targets = []
    for numbers in frames:
        fresh = torch.tensor([number not in seen for number in numbers.tolist()], dtype=torch.bool)
        seen.update(numbers.tolist())
        targets.append(torch.where(fresh.to(numbers.device), torch.full_like(numbers, channels - 1), numbers))
    return targets


def mask_stack(masks: Tensor, numbers: Tensor | Sequence[int], channels: int) -> Tensor:
    """One-hot stack of a frame's masks; where masks overlap, the smallest object is in front.

    Args:
        masks: [G, H, W] bool.
        numbers: Channel of each mask, 0..N-1.
        channels: Identity channels N.

    Returns:
        [N + 1, H, W] float, the last channel background.
    """
    owner = torch.full(masks.shape[1:], channels, dtype=torch.long, device=masks.device)
    order = masks.flatten(1).sum(1).argsort(descending=True, stable=True).tolist()
    for index in order:
        owner[masks[index]] = int(numbers[index])
    return (owner[None] == torch.arange(channels + 1, device=masks.device)[:, None, None]).float()
