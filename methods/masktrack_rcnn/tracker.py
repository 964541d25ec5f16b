"""Association of MaskTrack R-CNN: per-frame detections against a memory of earlier ones (Yang et al. 2019, section 3).

Own implementation of the published rule. It differs from mmdet's ``MaskTrackRCNNTracker`` in three points, each a
switch or a correction described in this folder's README: unique ids per frame, label memory, expiry.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou

from methods.runtime.memory import LabelMemory, TrackMemory


@dataclass(frozen=True)
class MatchWeights:
    """Weights of the match score's terms; the embedding term has weight 1 (official configuration)."""

    det_score: float = 1.0
    iou: float = 2.0
    det_label: float = 10.0


def match_scores(
    similarity: Tensor,
    scores: Tensor,
    boxes: Tensor,
    labels: Tensor,
    memory_boxes: Tensor,
    memory_labels: Tensor,
    weights: MatchWeights,
) -> Tensor:
    """``S_ij = log softmax_j([0, e_i.f_1..f_n]) + a log(s_i) + b IoU(b_i, b_j) + c [c_i = c_j]``.

    Paper equation 4 with the official weights (1, 2, 10). Column 0 is "new object": similarity 0, IoU 0, label term 1.

    Args:
        similarity: [N, n] dot products of detections and memory.
        scores: [N] detection scores, 0..1.
        boxes: [N, 4] x1, y1, x2, y2 in pixels of the original frame.
        labels: [N].
        memory_boxes: [n, 4].
        memory_labels: [n].
        weights: Weights of the terms.

    Returns:
        [N, n + 1].
    """
    dummy = similarity.new_zeros(len(similarity), 1)
    embedding = torch.cat([dummy, similarity], dim=1).log_softmax(dim=1)
    iou = torch.cat([dummy, box_iou(boxes, memory_boxes).to(similarity.dtype)], dim=1)
    same_label = torch.cat([dummy + 1, (labels[:, None] == memory_labels[None]).to(similarity.dtype)], dim=1)
    # A score of exactly 0 would make every column -inf and the choice arbitrary.
    confidence = scores.clamp_min(torch.finfo(scores.dtype).tiny).log()[:, None]
    return embedding + weights.det_score * confidence + weights.iou * iou + weights.det_label * same_label


class AssociationMemory(TrackMemory):
    """The tracks of one video, matched by ``match_scores``.

    Args:
        weights: Weights of the match score.
        label_memory: ``first`` keeps the label a track was opened with (official code), ``latest`` takes each new
            detection's (mmdet).
        num_frames_retain: Tracks unseen for this many frames are forgotten; None never forgets (official code),
            mmdet uses 20.
    """

    def __init__(
        self,
        weights: MatchWeights | None = None,
        label_memory: LabelMemory = "first",
        num_frames_retain: int | None = None,
    ) -> None:
        super().__init__(label_memory, num_frames_retain)
        self.weights = weights or MatchWeights()

    def match_scores(self, embeddings: Tensor, boxes: Tensor, labels: Tensor, scores: Tensor) -> Tensor:
        """Equation 4 against the tracks' last appearances."""
        known, memory_boxes, memory_labels = self.stacked()
        return match_scores(embeddings @ known.T, scores, boxes, labels, memory_boxes, memory_labels, self.weights)
