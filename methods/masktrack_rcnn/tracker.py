"""Association of MaskTrack R-CNN: per-frame detections against a memory of earlier ones (Yang et al. 2019, section 3).

Own implementation of the published rule. It differs from mmdet's ``MaskTrackRCNNTracker`` in three points, each a
switch or a correction described in this folder's README: unique ids per frame, label memory, expiry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import box_iou

LabelMemory = Literal["first", "latest"]


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


def resolve(scores: Tensor) -> list[int]:
    """Memory index of each detection: -1 for a new track, -2 for a detection that is dropped.

    Each detection asks for the column with its highest score. A track goes to the detection that asks for it with the
    highest score (the first one on a tie); the others are dropped. The official loop writes the winner over an earlier
    loser in a dictionary, to the same effect; mmdet's loop leaves two detections with one id.

    Args:
        scores: [N, n + 1] as ``match_scores`` returns them.
    """
    wanted = scores.argmax(dim=1).tolist()
    winner: dict[int, int] = {}
    for detection, column in enumerate(wanted):
        best = winner.get(column)
        if column and (best is None or scores[detection, column] > scores[best, column]):
            winner[column] = detection
    return [
        -1 if column == 0 else column - 1 if winner[column] == detection else -2
        for detection, column in enumerate(wanted)
    ]


class AssociationMemory:
    """The tracks of one video: last embedding and box, and a label, of each.

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
        self.weights = weights or MatchWeights()
        self.label_memory = label_memory
        self.num_frames_retain = num_frames_retain
        self.reset()

    def reset(self) -> None:
        """Forgets everything; a new video begins."""
        self._opened = 0
        self._frame = -1
        self._ids: list[int] = []
        self._last_seen: list[int] = []
        self._embeddings: list[Tensor] = []
        self._boxes: list[Tensor] = []
        self._labels: list[Tensor] = []

    def step(self, embeddings: Tensor, boxes: Tensor, labels: Tensor, scores: Tensor) -> list[int]:
        """Assigns the detections of the next frame.

        Args:
            embeddings: [N, D].
            boxes: [N, 4] in pixels of the original frame.
            labels: [N].
            scores: [N].

        Returns:
            A track id per detection, unique within the frame; -1 for a detection that is dropped.
        """
        self._frame += 1
        choice = self._choices(embeddings, boxes, labels, scores)
        ids = []
        for detection, slot in enumerate(choice):
            if slot == -2:
                ids.append(-1)
                continue
            if slot == -1:
                slot = self._open(labels[detection])
            self._remember(slot, embeddings[detection], boxes[detection], labels[detection])
            ids.append(self._ids[slot])
        self._forget()
        return ids

    def _choices(self, embeddings: Tensor, boxes: Tensor, labels: Tensor, scores: Tensor) -> list[int]:
        if not len(boxes):
            return []
        if not self._ids:
            return [-1] * len(boxes)
        similarity = embeddings @ torch.stack(self._embeddings).T
        memory = torch.stack(self._boxes), torch.stack(self._labels)
        return resolve(match_scores(similarity, scores, boxes, labels, *memory, self.weights))

    def _open(self, label: Tensor) -> int:
        self._ids.append(self._opened)
        self._opened += 1
        self._last_seen.append(self._frame)
        self._embeddings.append(torch.empty(0))
        self._boxes.append(torch.empty(0))
        self._labels.append(label)
        return len(self._ids) - 1

    def _remember(self, slot: int, embedding: Tensor, box: Tensor, label: Tensor) -> None:
        self._last_seen[slot] = self._frame
        self._embeddings[slot], self._boxes[slot] = embedding, box
        if self.label_memory == "latest":
            self._labels[slot] = label

    def _forget(self) -> None:
        if self.num_frames_retain is None:
            return
        keep = [slot for slot, seen in enumerate(self._last_seen) if self._frame - seen < self.num_frames_retain]
        for name in ("_ids", "_last_seen", "_embeddings", "_boxes", "_labels"):
            values = getattr(self, name)
            setattr(self, name, [values[slot] for slot in keep])
