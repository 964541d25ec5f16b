"""From per-frame identities to scored tracks (end of IAI's ``simple_test``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from methods.runtime.tracks import Rle, Track

Average = Literal["video", "present"]


class IdentityTracks:
    """Gathers masks and class scores by identity; holds RLE and one class vector per identity and frame present.

    Args:
        max_rows: Largest number of rows (official: the same number as detections per frame).
        min_score: Rows must score more.
        average: ``video`` divides an identity's summed scores by the length of the video (official), so that short
            tracks score low; ``present`` by the number of frames in which it appears, like MaskTrack R-CNN.
    """

    def __init__(self, max_rows: int, min_score: float, average: Average) -> None:
        self.max_rows, self.min_score, self.average = max_rows, min_score, average
        self._frames: dict[int, dict[int, tuple[Tensor, Rle | None]]] = {}
        self._length = 0

    def add_frame(self, ids: Sequence[int], class_scores: Tensor, masks: Sequence[Rle | None]) -> None:
        """Adds the next frame of the video.

        Args:
            ids: Identity of each detection; of several with the same one the last counts (official overflow).
            class_scores: [L, C].
            masks: Of the original size; None for an empty mask.
        """
        for row, (identity, mask) in enumerate(zip(ids, masks, strict=True)):
            self._frames.setdefault(identity, {})[self._length] = (class_scores[row].cpu(), mask)
        self._length += 1

    def tracks(self, identities: int) -> list[Track]:
        """Rows by descending score; one identity can have several with different classes, sharing ``query_id``.

        Args:
            identities: Number of identities whose masks count. Rows of others take part in the choice of the best but
                have no masks and are left out.
        """
        if not self._frames:
            return []
        numbers = sorted(self._frames)
        table = torch.stack([self._mean(self._frames[number]) for number in numbers])
        best = table.flatten().topk(min(self.max_rows, table.numel()))
        rows = []
        for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            row, label = divmod(place, table.shape[1])
            if score > self.min_score and numbers[row] < identities:
                rows.append(self._track(numbers[row], label, score))
        return [row for row in rows if any(row.segmentations)]

    def _mean(self, frames: dict[int, tuple[Tensor, Rle | None]]) -> Tensor:
        total = torch.stack([scores for scores, _ in frames.values()]).double().sum(0)
        return total / (self._length if self.average == "video" else len(frames))

    def _track(self, identity: int, label: int, score: float) -> Track:
        masks: list[Rle | None] = [None] * self._length
        scores = [0.0] * self._length
        for frame, (class_scores, mask) in self._frames[identity].items():
            masks[frame], scores[frame] = mask, float(class_scores[label])
        return Track(label, score, tuple(masks), tuple(scores), identity)
