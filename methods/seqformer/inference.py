"""Tracks of whole videos from SeqFormer's queries: in one pass, or clip by clip where memory does not allow it.

Rules: ``pairs`` is the official ``inference.py`` (the best pairs of query and class), ``queries`` the authors' later
VNext code (the best queries, each with every class over a threshold). Long videos follow VNext's clip matching.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from methods.runtime.clips import Features, sliding_clips, window_length
from methods.runtime.frames import VideoFrames
from methods.runtime.stitching import ClipPrediction, ClipStitcher, class_rows, resized_rles
from methods.runtime.tracks import Rle, Track, encode_masks
from methods.seqformer.decoder import Decoded
from methods.seqformer.encoder import Memory

_MASK_CHUNK = 8  # frames whose masks exist at once; bounds memory, changes nothing


@dataclass(frozen=True)
class Rules:
    """How videos become rows.

    Attributes:
        selection: ``pairs``: the ``top`` best pairs of query and class; ``queries``: the ``top`` best queries, each
            with the classes whose score exceeds ``class_threshold``.
        top: Pairs or queries that are kept.
        min_score: Rows with a lower score are left out (official: they keep their score but lose their masks).
        class_threshold: For ``queries``, and for stitched clips.
        whole_video_mib: A video is taken in one pass if its encoded frames need at most this much memory. 0 always
            goes clip by clip.
        clip_frames: Frames per clip of longer videos.
        clip_stride: Distance of clip starts, 1..clip_frames.
        match_threshold: Soft IoU that a clip's query needs to continue a track.
        frames_per_pass: Frames that pass the backbone and the attention inside frames at once; bounds memory, changes
            nothing.
        context_frames: Frames of a whole video that see each other while they are encoded, at most; only a network
            that looks across frames there needs it.
    """

    selection: str = "pairs"
    top: int = 10
    min_score: float = 0.001
    class_threshold: float = 0.05
    whole_video_mib: float = 1024.0
    clip_frames: int = 5
    clip_stride: int = 1
    match_threshold: float = 0.01
    frames_per_pass: int = 2
    context_frames: int = 36

    def __post_init__(self) -> None:
        if self.selection not in ("pairs", "queries"):
            raise ValueError(f"selection must be 'pairs' or 'queries', not {self.selection!r}")


class Row(NamedTuple):
    """One result before its masks: class ``label`` of query ``query``."""

    query: int
    label: int
    score: float


def select_pairs(scores: Tensor, top: int, min_score: float) -> list[Row]:
    """The best pairs of query and class by score [Q, K]; a query may come with several classes."""
    best, index = scores.flatten().topk(min(top, scores.numel()))
    queries, labels = index // scores.shape[1], index % scores.shape[1]
    rows = zip(queries.tolist(), labels.tolist(), best.tolist(), strict=True)
    return [Row(*row) for row in rows if row[2] >= min_score]


def select_queries(scores: Tensor, top: int, threshold: float) -> list[Row]:
    """The queries with the best class score, each with every class over the threshold."""
    best = scores.amax(1).topk(min(top, len(scores))).indices
    return [
        Row(int(query), label, float(scores[query, label]))
        for query in best
        for label in range(scores.shape[1])
        if scores[query, label] > threshold
    ]


class ClipReader:
    """Encodes frames batch by batch and puts clips together from what it encoded.

    Args:
        model: A ``GapSeqFormer``.

    Attributes:
        size: Height and width of the network's input without padding.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.size = (0, 0)
        self._layout: Memory | None = None

    def images(self, batch: dict[str, Any]) -> Tensor:
        """Frames [1, T, 3, H, W] of a batch, without padding, as the official code feeds them."""
        data = self.model.data_preprocessor(batch, training=False)
        self.size = tuple(data["data_samples"][0][0].img_shape[:2])
        images: Tensor = data["inputs"][:, :, :, : self.size[0], : self.size[1]]
        return images.contiguous()

    def encode(self, batch: dict[str, Any]) -> Features:
        """Tokens [T, S, C] and mask features [T, F, H/8, W/8] of frames that are encoded together."""
        return self.finish(self.features(batch))

    def features(self, batch: dict[str, Any]) -> Features:
        """Backbone maps [T, ...] of frames."""
        parts = [
            self.model.backbone(images) for images in self.images(batch)[0].split(self.model.rules.frames_per_pass)
        ]
        return tuple(torch.cat(level) for level in zip(*parts, strict=True))

    def whole(self, frames: VideoFrames) -> Features:
        """Tokens and mask features of a whole video, encoded in parts of equal length."""
        rules = self.model.rules
        parts = -(-frames.length // (rules.context_frames if self.model.encodes_clips else rules.frames_per_pass))
        chunk = -(-frames.length // parts)  # a last part of a single frame would see no other
        gathered: list[Tensor] = []
        for start in range(0, frames.length, chunk):
            span = range(start, min(start + chunk, frames.length))
            encoded = self.encode(frames.batch(span))
            gathered = gathered or [level.new_empty(frames.length, *level.shape[1:]) for level in encoded]
            for level, part in zip(gathered, encoded, strict=True):
                level[span.start : span.stop] = part
        return tuple(gathered)

    def finish(self, features: Features) -> Features:
        """Tokens and mask features of a clip's backbone maps."""
        padding = torch.zeros(1, len(features[0]), *self.size, dtype=torch.bool, device=features[0].device)
        self._layout = memory = self.model.encoder(features, padding)
        return memory.tokens[0], self.model.mask_branch(memory)

    def decode(self, tokens: Tensor) -> Decoded:
        """Decoder output for the clip of these tokens."""
        assert self._layout is not None
        padding = torch.zeros(1, *tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        decoded: Decoded = self.model.decoder(replace(self._layout, tokens=tokens[None], padding=padding))
        return decoded

    def masks(self, features: Tensor, decoded: Decoded, queries: Sequence[int]) -> Iterator[Tensor]:
        """Mask logits [n, H/4, W/4] of some queries, frame after frame."""
        chosen = torch.tensor(queries, dtype=torch.long, device=features.device)
        parameters = self.model.controller(decoded.instances[-1, 0, chosen])
        scale = features.new_tensor([self.size[1], self.size[0]])
        centres = decoded.centres[-1, 0, :, chosen].transpose(0, 1) * scale
        for start in range(0, len(features), _MASK_CHUNK):
            part = slice(start, start + _MASK_CHUNK)
            repeated = features[part].expand(len(queries), *features[part].shape)
            yield from self.model.mask_head(repeated, centres[:, part], parameters).unbind(1)


def predict_video(model: Any, frames: VideoFrames, rules: Rules) -> list[Track]:
    """Tracks of one video.

    Args:
        model: A ``GapSeqFormer`` in evaluation mode.
        frames: The video.
        rules: How the video becomes rows.
    """
    reader = ClipReader(model)
    reader.images(frames.batch([0]))  # tells the size of the network's input
    limit = int(rules.whole_video_mib * 2**20 / frame_bytes(model, reader.size))
    window = window_length(frames.length, rules.clip_frames, limit)
    if window == frames.length:
        return _whole_video(reader, frames, rules)
    return _clip_by_clip(reader, frames, rules)


def frame_bytes(model: Any, size: tuple[int, int]) -> int:
    """Memory of one encoded frame: a float per channel and cell of every level."""
    levels, channels = model.encoder.level_embed.shape
    cells = sum(-(-size[0] // stride) * -(-size[1] // stride) for stride in (8 * 2**level for level in range(levels)))
    return 4 * int(channels) * cells


def _whole_video(reader: ClipReader, frames: VideoFrames, rules: Rules) -> list[Track]:
    """One pass over the video: every frame encoded, one decoding."""
    tokens, features = reader.whole(frames)
    decoded = reader.decode(tokens)
    scores = reader.model.class_heads[-1](decoded.instances[-1, 0]).sigmoid()
    if rules.selection == "pairs":
        rows = select_pairs(scores, rules.top, rules.min_score)
    else:
        rows = select_queries(scores, rules.top, rules.class_threshold)
    queries = sorted({row.query for row in rows})
    if not queries:
        return []
    size = (frames.height, frames.width)
    segmentations: list[list[Rle | None]] = [[] for _ in queries]
    for logits in reader.masks(features, decoded, queries):
        rles = resized_rles(logits, size) if rules.selection == "pairs" else _rles_by_steps(logits, reader.size, size)
        for mine, rle in zip(segmentations, rles, strict=True):
            mine.append(rle)
    if frames.queries is not None:
        for frame in range(frames.length):
            for query in queries:
                frames.queries.add(query, frame, decoded.box_queries[-1, 0, frame, query])
    return _tracks(rows, dict(zip(queries, segmentations, strict=True)))


def _rles_by_steps(logits: Tensor, input_size: tuple[int, int], size: tuple[int, int]) -> list[Rle | None]:
    """VNext's way to full size: bilinear to the network's input, threshold, crop, nearest neighbour."""
    larger = functional.interpolate(logits[None], scale_factor=4, mode="bilinear", align_corners=False)
    cropped = larger[:, :, : input_size[0], : input_size[1]].sigmoid()
    masks = functional.interpolate(cropped, size=size, mode="nearest")[0] > 0.5
    return encode_masks(masks.cpu().numpy())


def _tracks(rows: Sequence[Row], segmentations: dict[int, list[Rle | None]]) -> list[Track]:
    """One track per row; rows of a query whose masks are all empty are left out, as officially."""
    return [
        Track(
            label=row.label,
            score=row.score,
            segmentations=tuple(segmentations[row.query]),
            frame_scores=tuple(row.score if rle else 0.0 for rle in segmentations[row.query]),
            query_id=row.query,
        )
        for row in rows
        if any(segmentations[row.query])
    ]


def _clip_by_clip(reader: ClipReader, frames: VideoFrames, rules: Rules) -> list[Track]:
    """VNext's clip matching: the best queries of each clip, joined by soft mask IoU."""
    temporal = reader.model.encodes_clips
    stitcher = ClipStitcher(rules.clip_frames, (frames.height, frames.width), rules.match_threshold)
    encode = reader.features if temporal else reader.encode
    for clip, kept in sliding_clips(frames, rules.clip_frames, rules.clip_stride, encode, rules.clip_frames):
        tokens, features = reader.finish(kept) if temporal else kept
        decoded = reader.decode(tokens)
        probs = reader.model.class_heads[-1](decoded.instances[-1, 0]).sigmoid()
        best = probs.amax(1).topk(min(rules.top, len(probs))).indices
        logits = torch.stack(list(reader.masks(features, decoded, best.tolist())), dim=1)
        ids = stitcher.add(ClipPrediction(clip, logits, probs[best]))
        if frames.queries is not None:
            for position, frame in enumerate(clip):
                for query_id, query in zip(ids, best.tolist(), strict=True):
                    frames.queries.add(query_id, frame, decoded.box_queries[-1, 0, position, query])
    classes = len(reader.model.classes)
    return class_rows(stitcher.tracks(frames.length), classes, rules.class_threshold, limit=None)
