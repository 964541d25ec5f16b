"""Memory of an online tracker: the last embedding and box, and a label, of every track of a video."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor

LabelMemory = Literal["first", "latest"]


def resolve(scores: Tensor) -> list[int]:
    """Memory index of each detection: -1 for a new track, -2 for a detection that is dropped.

    Each detection asks for the column with its highest score. A track goes to the detection that asks for it with the
    highest score (the first one on a tie); the others are dropped. The official loops write a winner over an earlier
    loser, to the same effect; mmdet's loop leaves two detections with one id.

    Args:
        scores: [N, n + 1]; column 0 is "new track", column k + 1 is track k of the memory.
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


class TrackMemory(ABC):
    """The tracks of one video. A method says in ``match_scores`` how well a detection fits a track.

    Args:
        label_memory: ``first`` keeps the label a track was opened with, ``latest`` takes each new detection's.
        num_frames_retain: Tracks unseen for this many frames are forgotten; None never forgets.
    """

    def __init__(self, label_memory: LabelMemory = "first", num_frames_retain: int | None = None) -> None:
        self.label_memory = label_memory
        self.num_frames_retain = num_frames_retain
        self.reset()

    @abstractmethod
    def match_scores(self, embeddings: Tensor, boxes: Tensor, labels: Tensor, scores: Tensor) -> Tensor:
        """Scores [N, n + 1] of a frame's detections against "new track" and the n tracks; called with n >= 1.

        Args:
            embeddings: [N, D].
            boxes: [N, 4] in pixels of the original frame.
            labels: [N].
            scores: [N].
        """

    def reset(self) -> None:
        """Forgets everything; a new video begins."""
        self._opened = 0
        self._frame = -1
        self._ids: list[int] = []
        self._last_seen: list[int] = []
        self._embeddings: list[Tensor] = []
        self._boxes: list[Tensor] = []
        self._labels: list[Tensor] = []

    def stacked(self) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings [n, D], boxes [n, 4] and labels [n] of the tracks."""
        return torch.stack(self._embeddings), torch.stack(self._boxes), torch.stack(self._labels)

    def __len__(self) -> int:
        return len(self._ids)

    def step(self, embeddings: Tensor, boxes: Tensor, labels: Tensor, scores: Tensor) -> list[int]:
        """Assigns the detections of the next frame; arguments as for ``match_scores``.

        Returns:
            A track id per detection, unique within the frame; -1 for a detection that is dropped.
        """
        self._frame += 1
        ids = []
        for detection, slot in enumerate(self._choices(embeddings, boxes, labels, scores)):
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
        return resolve(self.match_scores(embeddings, boxes, labels, scores))

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
        # Clones: a row would keep the whole frame's tensors alive.
        self._embeddings[slot], self._boxes[slot] = embedding.clone(), box.clone()
        if self.label_memory == "latest":
            self._labels[slot] = label

    def _forget(self) -> None:
        if self.num_frames_retain is None:
            return
        keep = [slot for slot, seen in enumerate(self._last_seen) if self._frame - seen < self.num_frames_retain]
        for name in ("_ids", "_last_seen", "_embeddings", "_boxes", "_labels"):
            values = getattr(self, name)
            setattr(self, name, [values[slot] for slot in keep])
