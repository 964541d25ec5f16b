"""Joins the predictions of overlapping clips into tracks of a whole video, in memory that its length does not change.

Own implementation of the clip-level tracking of IFC (Hwang et al., NeurIPS 2021, section 3.3; official
``ifc/structures/clip_output.py``). The official store holds every clip's masks over the whole video twice; here a frame
is averaged, resized and encoded as soon as no later clip covers it, to the same numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from methods.runtime.tracks import Rle, Track, encode_masks

_EPSILON = 1e-6  # official value, in the soft IoU and in its mean over clips


@dataclass(frozen=True)
class ClipPrediction:
    """What a method predicts for one clip.

    Attributes:
        frames: The clip's frames in the video, T consecutive ones.
        mask_logits: [n, T, h, w]; the mask is where the logit is > 0.
        class_probs: [n, K], for the whole clip.
    """

    frames: range
    mask_logits: Tensor
    class_probs: Tensor


@dataclass
class StitchedTrack:
    """One instance of the whole video.

    Attributes:
        query_id: 0, 1, ... in the order in which the tracks were opened.
        class_probs: [K], mean over the clips in which the track appears.
        segmentations: One RLE per frame; None where the track has no pixel or no clip with it covers the frame.
        frame_probs: [L, K], per frame the mean over the clips that cover it; zeros where none does.
    """

    query_id: int
    class_probs: np.ndarray
    segmentations: tuple[Rle | None, ...]
    frame_probs: np.ndarray


@dataclass
class _Clip:
    """Soft masks of an earlier clip, by frame; only frames that later clips may cover."""

    track_ids: list[int]
    masks: dict[int, Tensor]


@dataclass
class _Sum:
    """Running sums of one track in one frame."""

    logits: Tensor
    probs: Tensor
    clips: int = 1

    def add(self, logits: Tensor, probs: Tensor) -> None:
        self.logits += logits
        self.probs = self.probs + probs
        self.clips += 1


@dataclass
class _Row:
    """What is known of one track for good."""

    probs: Tensor
    clips: int = 1
    rles: dict[int, Rle | None] = field(default_factory=dict)
    frame_probs: dict[int, np.ndarray] = field(default_factory=dict)


def soft_iou(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Soft IoU of volumes, ``sum(a b) / (sum(a + b - a b) + 1e-6)``.

    Args:
        first: Soft masks of every common frame, each [n, h, w] in 0..1.
        second: The same frames of the other clip, each [m, h, w].

    Returns:
        [n, m].
    """
    products = torch.stack([a.flatten(1) @ b.flatten(1).T for a, b in zip(first, second, strict=True)]).sum(dim=0)
    areas = torch.stack([a.sum(dim=(1, 2)) for a in first]).sum(dim=0)
    other = torch.stack([b.sum(dim=(1, 2)) for b in second]).sum(dim=0)
    return products / (areas[:, None] + other[None] - products + _EPSILON)


class ClipStitcher:
    """Tracks of one video from its clips, which come in ascending order of their first frame.

    Memory: the sums of the frames of the latest clip, and the soft masks in which up to ``window`` earlier clips
    overlap it; both grow with the window and with the number of tracks seen in it. Of everything before, RLEs remain.

    Args:
        window: Number of earlier clips that a new one is compared with: the clip length.
        size: Height and width of the video, which finished masks are resized to.
        threshold: Pairs with a mean soft IoU up to this are not matched (official: 0.05).
    """

    def __init__(self, window: int, size: tuple[int, int], threshold: float = 0.05) -> None:
        self.size, self.threshold = size, threshold
        self._clips: deque[_Clip] = deque(maxlen=window)
        self._sums: dict[int, dict[int, _Sum]] = {}
        self._rows: list[_Row] = []
        self._start = 0

    def add(self, clip: ClipPrediction) -> list[int]:
        """Takes the next clip.

        Returns:
            The track of each of the clip's n predictions.

        Raises:
            ValueError: The clip starts before the one before it.
        """
        if clip.frames.start < self._start:
            raise ValueError(f"a clip from frame {clip.frames.start} comes after one from frame {self._start}")
        self._start = clip.frames.start
        self._finish_before(clip.frames.start)
        soft = {frame: clip.mask_logits[:, index].float().sigmoid() for index, frame in enumerate(clip.frames)}
        ids = self._identify(soft, len(clip.mask_logits))
        for index, track_id in enumerate(ids):
            self._accumulate(track_id, clip, index)
        self._clips.append(_Clip(ids, soft))
        return ids

    def _identify(self, soft: dict[int, Tensor], count: int) -> list[int]:
        """Existing tracks for the predictions that match one, fresh ids for the others, in their order."""
        ids = [-1] * count
        known, scores = self._scores(soft, count)
        if known and count:
            scores = np.where(scores > self.threshold, scores, 0)
            for row, column in zip(*linear_sum_assignment(scores, maximize=True), strict=True):
                if scores[row, column] > 0:
                    ids[column] = known[row]
        fresh = len(self._rows)
        for index, track_id in enumerate(ids):
            if track_id < 0:
                ids[index], fresh = fresh, fresh + 1
        return ids

    def _scores(self, soft: dict[int, Tensor], count: int) -> tuple[list[int], np.ndarray]:
        """Tracks that overlap the clip in time, and their soft IoU [tracks, n] as a mean over earlier clips."""
        known = sorted({track_id for clip in self._clips if clip.masks for track_id in clip.track_ids})
        position = {track_id: row for row, track_id in enumerate(known)}
        total, clips = np.zeros((len(known), count), np.float32), np.zeros(len(known), np.float32)
        for clip in self._clips:
            common = sorted(clip.masks.keys() & soft.keys())
            if common and clip.track_ids and count:
                rows = [position[track_id] for track_id in clip.track_ids]
                overlap = soft_iou([clip.masks[frame] for frame in common], [soft[frame] for frame in common])
                total[rows] += overlap.float().cpu().numpy()
                clips[rows] += 1
        return known, total / (clips[:, None] + _EPSILON)

    def _accumulate(self, track_id: int, clip: ClipPrediction, index: int) -> None:
        probs = clip.class_probs[index].float().cpu()
        if track_id == len(self._rows):
            self._rows.append(_Row(probs))
        else:
            self._rows[track_id].probs = self._rows[track_id].probs + probs
            self._rows[track_id].clips += 1
        for position, frame in enumerate(clip.frames):
            logits, tracks = clip.mask_logits[index, position].float(), self._sums.setdefault(frame, {})
            if track_id in tracks:
                tracks[track_id].add(logits, probs)
            else:
                tracks[track_id] = _Sum(logits.clone(), probs)  # the caller's tensor must not change

    def _finish_before(self, start: int) -> None:
        """Averages and encodes the frames that no later clip covers, and forgets their masks."""
        for frame in sorted(frame for frame in self._sums if frame < start):
            tracks = self._sums.pop(frame)
            logits = torch.stack([item.logits / item.clips for item in tracks.values()])
            for (track_id, item), rle in zip(tracks.items(), resized_rles(logits, self.size), strict=True):
                self._rows[track_id].rles[frame] = rle
                self._rows[track_id].frame_probs[frame] = (item.probs / item.clips).numpy()
        for clip in self._clips:
            for frame in [frame for frame in clip.masks if frame < start]:
                del clip.masks[frame]

    def tracks(self, length: int) -> Iterator[StitchedTrack]:
        """All tracks of the video one by one, as each holds a table of its length; call it once, after the last clip.

        Args:
            length: Number of frames of the video.
        """
        self._finish_before(length)
        return (self._track(query_id, row, length) for query_id, row in enumerate(self._rows))

    @staticmethod
    def _track(query_id: int, row: _Row, length: int) -> StitchedTrack:
        frame_probs = np.zeros((length, len(row.probs)), np.float32)
        for frame, probs in row.frame_probs.items():
            frame_probs[frame] = probs
        segmentations = tuple(row.rles.get(frame) for frame in range(length))
        return StitchedTrack(query_id, (row.probs / row.clips).numpy(), segmentations, frame_probs)


def resized_rles(logits: Tensor, size: tuple[int, int]) -> list[Rle | None]:
    """Masks where the bilinearly resized logits [n, h, w] are > 0, as RLE of ``size``; None for an empty one."""
    resized = functional.interpolate(logits[None].float(), size=size, mode="bilinear", align_corners=False)[0]
    return encode_masks((resized > 0).cpu().numpy())


def class_rows(
    tracks: Iterable[StitchedTrack], classes: int, threshold: float, limit: int | None = None
) -> list[Track]:
    """One row per pair of track and class with a mean probability over the threshold, which is its score.

    The multi-class output of the official IFC. A row without any pixel is left out: a result file cannot express it.

    Args:
        tracks: Stitched tracks.
        classes: Number of object classes; further columns of the probabilities (no object) give no rows.
        threshold: Rows need more than this.
        limit: Largest number of rows per video, by score; None keeps all.
    """
    rows = [
        Track(
            label=label,
            score=float(track.class_probs[label]),
            segmentations=track.segmentations,
            frame_scores=tuple(
                float(probs[label]) if rle else 0.0
                for probs, rle in zip(track.frame_probs, track.segmentations, strict=True)
            ),
            query_id=track.query_id,
        )
        for track in tracks
        if any(track.segmentations)
        for label in range(classes)
        if track.class_probs[label] > threshold
    ]
    if limit is not None and len(rows) > limit:
        kept = {id(row) for row in sorted(rows, key=lambda row: -row.score)[:limit]}
        rows = [row for row in rows if id(row) in kept]
    return rows
