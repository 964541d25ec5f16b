"""One video, frame by frame: identities of detections, memory, results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from methods.iai.identity import (
    Overflow,
    assign_identities,
    disjoint_masks,
    identity_columns,
    overlap_columns,
)
from methods.iai.memory import Memory
from methods.iai.results import Average, IdentityTracks
from methods.runtime.tracks import encode_masks


@dataclass(frozen=True)
class IdentityRules:
    """Numbers of the identity manager and of the result.

    Attributes:
        overflow: What happens to objects beyond the capacity, see ``identity.assign_identities``.
        min_visible: Smallest part of a mask's own area that better masks must leave.
        min_overlap: Without an identity head: smallest IoU with an identity's last mask.
        max_rows: Largest number of rows per video.
        min_row_score: Rows must score more.
        average: What a row's score is averaged over.
    """

    overflow: Overflow = "official"
    min_visible: float = 0.1
    min_overlap: float = 0.1
    max_rows: int = 10
    min_row_score: float = 0.05
    average: Average = "video"


@dataclass(frozen=True)
class FrameDetections:
    """What an image model finds in a frame, best first.

    Attributes:
        classes: [L, C] class scores, as they are averaged over the video.
        identities: [L, N] identity scores; None without an identity head.
        masks: [L, H, W] bool at the size of the network's input with padding.
        original: [L, height, width] bool at the size of the frame.
    """

    classes: Tensor
    identities: Tensor | None
    masks: Tensor
    original: Tensor


@dataclass
class VideoState:
    """Everything a video needs between frames; lives outside of the modules, so that videos cannot mix.

    Attributes:
        channels: Identity channels N.
        rules: Numbers.
        tracks: Results so far.
        memory: Association memory; None before the first frame and in models without association.
        known: Identities so far.
        last_masks: Without an identity head, the last mask of each identity.
        started: Whether a frame has been seen.
    """

    channels: int
    rules: IdentityRules
    tracks: IdentityTracks
    memory: Memory | None = None
    known: int = 0
    last_masks: list[Tensor] = field(default_factory=list)
    started: bool = False

    @classmethod
    def start(cls, channels: int, rules: IdentityRules) -> VideoState:
        """The state before the first frame."""
        return cls(channels, rules, IdentityTracks(rules.max_rows, rules.min_row_score, rules.average))

    def take(self, found: FrameDetections) -> tuple[Tensor, bool]:
        """Takes up a frame's detections.

        Args:
            found: The detections.

        Returns:
            The one-hot mask stack [1, N + 1, H, W] that the memory is to encode, and whether an identity was opened.
        """
        kept, masks = disjoint_masks(found.masks, self.rules.min_visible)
        columns = self._columns(None if found.identities is None else found.identities[kept], masks)
        assigned = assign_identities(columns, len(kept), self.known, self.channels, self.rules.overflow)
        self.known, self.started = assigned.known, True
        places = [place for place, identity in enumerate(assigned.ids) if identity is not None]
        ids = [identity for identity in assigned.ids if identity is not None]
        chosen = [kept[place] for place in places]
        # The copies of the original size are made disjoint among the kept detections alone (official).
        original = _disjoint(found.original[kept])[places]
        self.tracks.add_frame(ids, found.classes[chosen], encode_masks(original.cpu().numpy()))
        masks = masks[places]
        if found.identities is None:
            self._note(ids, masks)
        return _stack(ids, masks, self.channels), assigned.new

    def _columns(self, identities: Tensor | None, masks: Tensor) -> list[int] | None:
        """A column per detection, None in the first frame."""
        if not self.started:
            return None
        if identities is None:
            return overlap_columns(masks, self.last_masks, self.rules.min_overlap)
        return identity_columns(identities)

    def _note(self, ids: Sequence[int], masks: Tensor) -> None:
        for identity, mask in zip(ids, masks, strict=True):
            if identity == len(self.last_masks):
                self.last_masks.append(mask)
            self.last_masks[identity] = mask


def _disjoint(masks: Tensor) -> Tensor:
    """Masks [n, H, W] with every pixel at the first mask that claims it."""
    taken, left = torch.zeros_like(masks[:1]), masks.clone()
    for mask in left.split(1):
        mask &= ~taken
        taken |= mask
    return left


def _stack(ids: Sequence[int], masks: Tensor, channels: int) -> Tensor:
    """[1, N + 1, H, W]; of two masks with one identity the last one fills the channel (official overflow)."""
    stack = masks.new_zeros((1, channels + 1, *masks.shape[1:]), dtype=torch.float32)
    for identity, mask in zip(ids, masks, strict=True):
        stack[0, identity] = mask.float()
    stack[0, channels] = (~masks.any(dim=0)).float()
    return stack
