"""Who is who in a frame: disjoint masks and identities of detections. Pure functions (IAI ``iai_condinst_head.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Overflow = Literal["official", "discard"]


def disjoint_masks(
    masks: Tensor, min_visible: float = 0.1, *, hide_behind_dropped: bool = True
) -> tuple[list[int], Tensor]:
    """Gives every pixel to the first mask that claims it and drops masks of which too little is left.

    Args:
        masks: [n, H, W] bool, best detection first.
        min_visible: Smallest part of a mask's own area that must be left, 0..1.
        hide_behind_dropped: Whether the pixels of a dropped mask stay taken (official, in the network-size copy).

    Returns:
        Indices of the kept masks, and what is left of them [kept, H, W].
    """
    taken = torch.zeros(masks.shape[1:], dtype=torch.bool, device=masks.device)
    kept, left = [], []
    for index, mask in enumerate(masks):
        free = mask & ~taken
        area = int(mask.sum())
        visible = area > 0 and int(free.sum()) / area >= min_visible
        if visible or hide_behind_dropped:
            taken |= free
        if visible:
            kept.append(index)
            left.append(free)
    return kept, torch.stack(left) if left else masks[:0]


def identity_columns(scores: Tensor) -> list[int]:
    """The best one-to-one choice of identity channels (Hungarian algorithm).

    The channels are extended by a zero column and by a copy of the last ("new") channel for every detection but the
    first, so that several detections can be new.

    Args:
        scores: [L, N] identity scores, 0..1, the last channel "new".

    Returns:
        A column per detection; a number below that of the known identities is that identity, any other means new.
    """
    if not len(scores):
        return []
    zero = scores.new_zeros(len(scores), 1)
    table = torch.cat([scores, zero, scores[:, -1:].expand(-1, len(scores) - 1)], dim=1)
    return linear_sum_assignment(-table.double().cpu().numpy())[1].tolist()


def overlap_columns(masks: Tensor, last_masks: Sequence[Tensor], minimum: float) -> list[int]:
    """The same choice without an identity head: by the overlap with each identity's last mask.

    Args:
        masks: [L, H, W] bool, disjoint.
        last_masks: Last mask [H, W] of identities 0, 1, ...
        minimum: Smallest IoU of a continued identity.

    Returns:
        A column per detection; ``len(last_masks)`` means new.
    """
    new = len(last_masks)
    if not len(masks) or not new:
        return [new] * len(masks)
    now, before = masks.flatten(1).double(), torch.stack(list(last_masks)).flatten(1).double()
    intersection = now @ before.T
    union = now.sum(1)[:, None] + before.sum(1)[None] - intersection
    iou = (intersection / union.clamp_min(1)).cpu().numpy()
    columns = [new] * len(masks)
    for row, column in zip(*linear_sum_assignment(-iou), strict=True):
        if iou[row, column] >= minimum:
            columns[row] = int(column)
    return columns


@dataclass(frozen=True)
class Assignment:
    """Identities of one frame's detections.

    Attributes:
        ids: One per detection; None for a detection that is discarded because all identities are taken.
        known: Number of identities after the frame.
        new: Whether the frame opened one.
    """

    ids: list[int | None]
    known: int
    new: bool


def assign_identities(
    columns: Sequence[int] | None, count: int, known: int, channels: int, overflow: Overflow
) -> Assignment:
    """Turns chosen columns into identities and opens new ones.

    ``discard`` opens up to ``channels - 1`` identities (all but the channel "new") and discards further objects, as the
    paper says. ``official`` is what the released code does: its counter stops at ``channels - 2``, so further objects
    overwrite that one channel, whose masks it never returns although its class scores still compete.

    Args:
        columns: As ``identity_columns`` returns them; None in the first frame, where all are new.
        count: Number of detections.
        known: Number of identities before the frame.
        channels: Identity channels N.
        overflow: What happens to objects beyond the capacity.
    """
    capacity = channels - (1 if overflow == "discard" else 2)
    ids: list[int | None] = []
    opened, new = known, False
    for detection in range(count):
        identity: int | None = None if columns is None or columns[detection] >= known else columns[detection]
        if identity is None or identity in ids:
            identity = opened
            new = new or opened < capacity or overflow == "official"
            opened = min(opened + 1, capacity)
            if identity == capacity and overflow == "discard":
                identity = None
        ids.append(identity)
    return Assignment(ids, opened, new)
