"""Association of CrossVIS: embedding and overlap with each track's last appearance, within a class."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_area

from methods.runtime.memory import TrackMemory

_OTHER_CLASS = -1.0


def box_overlap(first: Tensor, second: Tensor) -> Tensor:
    """IoU [n, m] of boxes [n, 4] and [m, 4] with the official 1e-5 in the denominator."""
    corner = torch.maximum(first[:, None, :2], second[None, :, :2])
    sides = (torch.minimum(first[:, None, 2:], second[None, :, 2:]) - corner).clamp(min=0)
    intersection = sides.prod(dim=2)
    union = box_area(first)[:, None] + box_area(second)[None] - intersection
    return intersection / (union + 1e-5)


def association_scores(
    embeddings: Tensor, boxes: Tensor, labels: Tensor, known: Tensor, known_boxes: Tensor, known_labels: Tensor
) -> Tensor:
    """``cos(e_i, e_k) + IoU(b_i, b_k)`` of detections and tracks, -1 for a track of another class.

    Args:
        embeddings: [N, D].
        boxes: [N, 4] in pixels of the original frame.
        labels: [N].
        known: [n, D] embeddings of the tracks' last appearances.
        known_boxes: [n, 4].
        known_labels: [n].

    Returns:
        [N, n] in -1..2.
    """
    cosine = functional.normalize(embeddings, dim=1) @ functional.normalize(known, dim=1).T
    scores = cosine + box_overlap(boxes, known_boxes).to(cosine.dtype)
    return scores.masked_fill(labels[:, None] != known_labels[None], _OTHER_CLASS)


class CrossVISMemory(TrackMemory):
    """The tracks of one video. A detection opens a track when no score reaches the threshold.

    Two detections that ask for one track: the higher score gets it, the other is discarded (official
    ``tools/test_vis.py``). All detections of a track have one class, because the class gates the match.

    Args:
        match_threshold: Smallest score of a match.
        num_frames_retain: Tracks unseen for this many frames are forgotten; None never forgets (official code).
    """

    def __init__(self, match_threshold: float = 0.4, num_frames_retain: int | None = None) -> None:
        super().__init__("first", num_frames_retain)
        self.match_threshold = match_threshold

    def match_scores(self, embeddings: Tensor, boxes: Tensor, labels: Tensor, scores: Tensor) -> Tensor:
        """Association scores behind a column for "new track", which a score equal to the threshold still beats."""
        matches = association_scores(embeddings, boxes, labels, *self.stacked())
        limit = torch.tensor(self.match_threshold, dtype=matches.dtype)
        below = torch.nextafter(limit, torch.tensor(-math.inf, dtype=matches.dtype)).item()
        return torch.cat([matches.new_full((len(matches), 1), below), matches], dim=1)
