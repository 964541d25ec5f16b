"""OVIS-like ground truth and results of any size, drawn column by column without painting a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mindthegap.formats import rle

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Size:
    """How large a set is; ``rows`` are predicted tracks per video, half of them doubles under another class."""

    name: str
    videos: int
    frames: int
    objects: int
    rows: int
    height: int
    width: int
    classes: int


@dataclass(frozen=True)
class Spans:
    """One mask: pixels ``top <= y < bottom`` in every column, none where ``top == bottom``."""

    top: Ints
    bottom: Ints


def make(size: Size, seed: int = 0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ground truth and results as JSON values.

    Objects drift as wobbling ellipses and hide one another; queries follow one object each, with ragged edges, births,
    gaps and swaps of identity.
    """
    rng = np.random.default_rng(seed)
    truth: dict[str, Any] = {
        "info": {"synthetic": True},
        "videos": [],
        "categories": [{"id": k + 1, "name": f"class {k + 1}"} for k in range(size.classes)],
        "annotations": [],
    }
    results: list[dict[str, Any]] = []
    for video in range(1, size.videos + 1):
        names = [f"{video:04d}/{t:05d}.jpg" for t in range(size.frames)]
        entry = {"id": video, "height": size.height, "width": size.width, "length": size.frames, "file_names": names}
        truth["videos"].append(entry)
        tracks = _objects(size, rng)
        # As in OVIS, where a video shows a shoal or a herd, its objects are of one or two classes.
        pair = rng.integers(1, size.classes + 1, 2)
        classes = rng.choice(pair, size.objects).tolist()
        truth["annotations"] += _annotations(video, tracks, classes, len(truth["annotations"]) + 1, size)
        results += _rows(video, tracks, classes, pair, size, rng)
    return truth, results


def _annotations(
    video: int, tracks: list[list[Spans]], classes: list[int], first_id: int, size: Size
) -> list[dict[str, Any]]:
    """Annotations of the objects of a video."""
    entries = []
    for i, (masks, category) in enumerate(zip(tracks, classes, strict=True)):
        track = _track(masks, size)
        pixels = [int((spans.bottom - spans.top).sum()) or None for spans in masks]
        fields = {"id": first_id + i, "video_id": video, "category_id": category, "iscrowd": 0}
        entries.append(fields | {"segmentations": track, "areas": pixels})
    return entries


def _objects(size: Size, rng: np.random.Generator) -> list[list[Spans]]:
    """Masks of all objects of a video, nearer ones cutting those behind."""
    frames = np.arange(size.frames)
    tracks: list[list[Spans]] = []
    for _ in range(size.objects):
        x = rng.uniform(0.1, 0.9) * size.width + rng.normal(0, 2) * frames
        y = rng.uniform(0.2, 0.8) * size.height + rng.normal(0, 1) * frames
        radius = np.array([rng.uniform(0.04, 0.14) * size.width, rng.uniform(0.06, 0.25) * size.height])
        phase = rng.uniform(0, 6)
        masks = []
        for t in range(size.frames):
            spans = _ellipse(x[t], y[t], radius * (1 + 0.15 * np.sin(phase + t / 7)), size, rng)
            for nearer in tracks:
                spans = _hide(spans, nearer[t])
            masks.append(spans)
        tracks.append(masks)
    return tracks


def _ellipse(x: float, y: float, radius: npt.NDArray[np.float64], size: Size, rng: np.random.Generator) -> Spans:
    """An ellipse with a ragged outline."""
    reach = np.clip(1 - ((np.arange(size.width) - x) / radius[0]) ** 2, 0, None)
    half = radius[1] * np.sqrt(reach)
    ragged = rng.normal(0, 1.5, (2, size.width)) * (half > 0)
    return _clipped(np.rint(y - half + ragged[0]), np.rint(y + half + ragged[1]), half > 0, size)


def _clipped(top: npt.ArrayLike, bottom: npt.ArrayLike, present: npt.NDArray[np.bool_], size: Size) -> Spans:
    """Spans within the frame; the first and last row stay free, so that no two columns touch."""
    low = np.clip(top, 1, size.height - 1).astype(np.int64)
    high = np.clip(bottom, 1, size.height - 1).astype(np.int64)
    return Spans(np.where(present & (high > low), low, 0), np.where(present & (high > low), high, 0))


def _hide(behind: Spans, front: Spans) -> Spans:
    """What is left of ``behind``: in each column the larger part above or below ``front``."""
    above, below = np.minimum(behind.bottom, front.top), np.maximum(behind.top, front.bottom)
    keep_above = above - behind.top >= behind.bottom - below
    meet = (front.bottom > front.top) & (behind.top < front.bottom) & (front.top < behind.bottom)
    top = np.where(meet & ~keep_above, below, behind.top)
    bottom = np.where(meet & keep_above, above, behind.bottom)
    empty = bottom <= top
    return Spans(np.where(empty, 0, top), np.where(empty, 0, bottom))


def _rows(
    video: int,
    tracks: list[list[Spans]],
    classes: list[int],
    pair: Ints,
    size: Size,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Predicted tracks of a video; doubles mostly name one of its two classes (``pair``)."""
    rows: list[dict[str, Any]] = []
    queries = max(1, size.rows // 2) if size.classes > 1 else size.rows
    for query in range(queries):
        target = int(rng.integers(size.objects))
        masks: list[Spans | None] = []
        for t in range(size.frames):
            if rng.random() < 0.02:
                target = int(rng.integers(size.objects))
            masks.append(_ragged(tracks[target][t], size, rng) if rng.random() < 0.85 else None)
        track = _track(masks, size)
        labels = [classes[target]]
        if size.classes > 1 and len(rows) + queries - query < size.rows:
            labels.append(int(rng.choice([*pair, rng.integers(1, size.classes + 1)])))
        fields = {"video_id": video, "segmentations": track}
        rows += [fields | {"category_id": category, "score": float(rng.random())} for category in labels]
    return rows


def _ragged(spans: Spans, size: Size, rng: np.random.Generator) -> Spans:
    """A predicted copy of a mask: shifted, with noisy edges."""
    noise = np.rint(rng.normal(0, 2, (2, size.width)) + rng.normal(0, 3))
    return _clipped(spans.top + noise[0], spans.bottom + noise[1], spans.bottom > spans.top, size)


def _track(masks: list[Spans] | list[Spans | None], size: Size) -> list[dict[str, Any] | None]:
    """Compressed RLE of the masks of a track; ``None`` where there are no pixels."""
    present = [i for i, spans in enumerate(masks) if spans is not None and spans.bottom.any()]
    track: list[dict[str, Any] | None] = [None] * len(masks)
    if not present:
        return track
    runs = [_runs(masks[i], size) for i in present]
    first = np.concatenate([[0], np.cumsum([len(counts) for counts in runs])])
    for i, counts in zip(present, rle.encode(rle.Runs(np.concatenate(runs), first)), strict=True):
        track[i] = {"size": [size.height, size.width], "counts": counts.decode()}
    return track


def _runs(spans: Spans, size: Size) -> Ints:
    """Run lengths of a mask."""
    columns = np.flatnonzero(spans.bottom)
    edges = np.stack(
        [columns * size.height + spans.top[columns], columns * size.height + spans.bottom[columns]], axis=1
    )
    return np.diff(np.concatenate([[0], edges.ravel(), [size.height * size.width]]))
