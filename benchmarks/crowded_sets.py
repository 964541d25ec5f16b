"""OVIS-like ground truth and results of any size, drawn column by column without painting a pixel."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mindthegap.formats import rle

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Size:
    """How large a set is.

    Attributes:
        name: For the table.
        videos: Number of videos.
        frames: Frames of each video, or their mean where ``longest`` is given.
        objects: Objects per video.
        rows: Predicted tracks per video, half of them doubles under another class.
        height: Frame height in pixels.
        width: Frame width in pixels.
        classes: Classes of the set.
        own_classes: Every object of a video has a class of its own; else they share one or two, as in OVIS, where a
            video shows a shoal or a herd.
        longest: Frames of the longest video; lengths are then spread as in OVIS, most short and a few very long.
        polygons: Ground truth as polygons, as some annotation tools write it.
        copies: Every video comes so many times, under other ids; makes very large sets in reasonable time.
        dense: Predictions name a mask in every frame, empty ones included, as query-based methods write them.
    """

    name: str
    videos: int
    frames: int
    objects: int
    rows: int
    height: int
    width: int
    classes: int
    own_classes: bool = False
    longest: int = 0
    polygons: bool = False
    dense: bool = False
    copies: int = 1


@dataclass(frozen=True)
class Spans:
    """One mask: pixels ``top <= y < bottom`` in every column, none where ``top == bottom``."""

    top: Ints
    bottom: Ints


def lengths(size: Size, rng: np.random.Generator) -> list[int]:
    """Frames of each video."""
    if not size.longest:
        return [size.frames] * size.videos
    shape = 0.6  # of a log-normal; OVIS has a median of 60 annotated frames and a longest video of about 300
    drawn = rng.lognormal(np.log(size.frames) - shape**2 / 2, shape, size.videos)
    found = np.clip(np.rint(drawn), 4, size.longest).astype(int)
    found[-1] = size.longest
    return [int(n) for n in found]


def make(size: Size, seed: int = 0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ground truth and results as JSON values."""
    truth = header(size)
    results: list[dict[str, Any]] = []
    for entry, objects, rows in videos(size, seed):
        truth["videos"].append(entry)
        truth["annotations"] += objects
        results += rows
    return truth, results


def write(size: Size, gt: Path, results: Path, seed: int = 0) -> None:
    """The same as two JSON files, video by video, so that a large set needs the memory of one video."""
    entries = []
    truth = header(size)
    with gt.open("w") as truth_stream, results.open("w") as rows:
        truth_stream.write('{"annotations": [')
        rows.write("[")
        for number, (entry, objects, tracks) in enumerate(_copied(size, seed)):
            entries.append(entry)
            for stream, items in ((truth_stream, objects), (rows, tracks)):
                stream.write(", " * bool(number and items) + ", ".join(map(json.dumps, items)))
        rows.write("]")
        rest = {"info": truth["info"], "videos": entries, "categories": truth["categories"]}
        truth_stream.write("], " + json.dumps(rest)[1:])


def _copied(size: Size, seed: int) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]]:
    """``videos``, each as often as the set asks for."""
    for entry, objects, rows in videos(size, seed):
        for copy in range(size.copies):
            video = {"video_id": entry["id"] + copy * size.videos}
            shift = copy * size.videos * size.objects
            moved = [item | video | {"id": item["id"] + shift} for item in objects]
            yield entry | {"id": video["video_id"]}, moved, [item | video for item in rows]


def header(size: Size) -> dict[str, Any]:
    """A ground truth without videos."""
    categories = [{"id": k + 1, "name": f"class {k + 1}"} for k in range(size.classes)]
    return {"info": {"synthetic": True}, "videos": [], "categories": categories, "annotations": []}


def videos(size: Size, seed: int = 0) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]]:
    """Each video with its annotations and rows.

    Objects drift as wobbling ellipses and hide one another; queries follow one object each, with ragged edges, births,
    gaps and swaps of identity.
    """
    rng = np.random.default_rng(seed)
    for video, frames in enumerate(lengths(size, rng), start=1):
        names = [f"{video:04d}/{t:05d}.jpg" for t in range(frames)]
        entry = {"id": video, "height": size.height, "width": size.width, "length": frames, "file_names": names}
        tracks = _objects(size, frames, rng)
        if size.own_classes:
            pool = rng.permutation(size.classes)[: size.objects] + 1
            classes = pool.tolist()
        else:
            pool = rng.integers(1, size.classes + 1, 2)
            classes = rng.choice(pool, size.objects).tolist()
        first_id = (video - 1) * size.objects + 1
        yield (
            entry,
            _annotations(video, tracks, classes, first_id, size),
            _rows(video, tracks, classes, pool, size, rng),
        )


def _annotations(
    video: int, tracks: list[list[Spans]], classes: list[int], first_id: int, size: Size
) -> list[dict[str, Any]]:
    """Annotations of the objects of a video."""
    entries = []
    for i, (masks, category) in enumerate(zip(tracks, classes, strict=True)):
        track = [_polygon(spans) for spans in masks] if size.polygons else _track(masks, size)
        pixels = [int((spans.bottom - spans.top).sum()) or None for spans in masks]
        fields = {"id": first_id + i, "video_id": video, "category_id": category, "iscrowd": 0}
        entries.append(fields | {"segmentations": track, "areas": pixels})
    return entries


def _polygon(spans: Spans) -> list[list[float]] | None:
    """The outline of a mask: along its upper edge, and back along the lower one, every fourth column."""
    columns = np.flatnonzero(spans.bottom)
    if not len(columns):
        return None
    kept = np.union1d(columns[::4], columns[-1:])
    upper = np.stack([kept, spans.top[kept]], axis=1)
    lower = np.stack([kept + 1, spans.bottom[kept]], axis=1)[::-1]
    return [np.concatenate([upper, lower]).astype(float).ravel().tolist()]


def _objects(size: Size, length: int, rng: np.random.Generator) -> list[list[Spans]]:
    """Masks of all objects of a video, nearer ones cutting those behind."""
    frames = np.arange(length)
    tracks: list[list[Spans]] = []
    for _ in range(size.objects):
        x = rng.uniform(0.1, 0.9) * size.width + rng.normal(0, 2) * frames
        y = rng.uniform(0.2, 0.8) * size.height + rng.normal(0, 1) * frames
        radius = np.array([rng.uniform(0.04, 0.14) * size.width, rng.uniform(0.06, 0.25) * size.height])
        phase = rng.uniform(0, 6)
        masks = []
        for t in range(length):
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
    pool: Ints,
    size: Size,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Predicted tracks of a video; doubles mostly name a class of the video (``pool``)."""
    rows: list[dict[str, Any]] = []
    queries = max(1, size.rows // 2) if size.classes > 1 else size.rows
    for query in range(queries):
        target = int(rng.integers(size.objects))
        masks: list[Spans | None] = []
        for t in range(len(tracks[0])):
            if rng.random() < 0.02:
                target = int(rng.integers(size.objects))
            masks.append(_ragged(tracks[target][t], size, rng) if rng.random() < 0.85 else None)
        track = _track(masks, size, dense=size.dense)
        labels = [classes[target]]
        if size.classes > 1 and len(rows) + queries - query < size.rows:
            labels.append(int(rng.choice([*pool, rng.integers(1, size.classes + 1)])))
        fields = {"video_id": video, "segmentations": track}
        rows += [fields | {"category_id": category, "score": float(rng.random())} for category in labels]
    return rows


def _ragged(spans: Spans, size: Size, rng: np.random.Generator) -> Spans:
    """A predicted copy of a mask: shifted, with noisy edges."""
    noise = np.rint(rng.normal(0, 2, (2, size.width)) + rng.normal(0, 3))
    return _clipped(spans.top + noise[0], spans.bottom + noise[1], spans.bottom > spans.top, size)


def _track(masks: Sequence[Spans | None], size: Size, *, dense: bool = False) -> list[dict[str, Any] | None]:
    """Compressed RLE of the masks of a track; ``None`` where there are no pixels, or an empty mask if ``dense``."""
    present = [i for i, spans in enumerate(masks) if spans is not None and spans.bottom.any()]
    blank = rle.encode(rle.Runs(np.array([size.height * size.width], np.int32), np.array([0, 1])))[0].decode()
    empty = {"size": [size.height, size.width], "counts": blank} if dense else None
    track: list[dict[str, Any] | None] = [empty] * len(masks)
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
