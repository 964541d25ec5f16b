"""Small videos for the oracle's tests: pixel counts drawn directly, or real masks; and brute force."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mindthegap.evaluation import OverlapTables, VideoOverlaps, compute_overlaps
from mindthegap.formats import Category, GroundTruth, ObjectTrack, ResultRow, Results, Video
from mindthegap.oracle import SolverSettings, hits, link, linked_sums
from mindthegap.oracle.gates import allowed
from mindthegap.oracle.whole import whole_video_optimum


def table(shared, query_area, object_area, *, classes=None, rows=None, video_id=1, crowd=None) -> VideoOverlaps:
    """Overlaps from shared [T][Q][G], query_area [T][Q], object_area [T][G]; rows are (query, class, score)."""
    shared, query_area, object_area = (np.array(x, np.int32) for x in (shared, query_area, object_area))
    frames, queries, objects = shared.shape
    classes = np.ones(objects, np.int64) if classes is None else np.array(classes, np.int64)
    rows = [(q, 1, 1.0 - q / 100) for q in range(queries)] if rows is None else rows
    return VideoOverlaps(
        video_id=video_id,
        length=frames,
        height=1000,
        width=1000,
        query_area=query_area,
        object_area=object_area,
        intersection=shared,
        object_id=np.arange(1, objects + 1) + 100 * video_id,
        object_category=classes,
        object_crowd=np.zeros(objects, bool) if crowd is None else np.array(crowd, bool),
        object_mean_area=object_area.sum(0) / np.maximum((object_area > 0).sum(0), 1),
        object_occlusion=(None,) * objects,
        row_index=np.arange(len(rows)),
        row_query=np.array([r[0] for r in rows], np.int64).reshape(-1),
        row_category=np.array([r[1] for r in rows], np.int64).reshape(-1),
        row_score=np.array([r[2] for r in rows], np.float64).reshape(-1),
    )


def tables_of(*videos: VideoOverlaps, classes: int = 3) -> OverlapTables:
    return OverlapTables(videos, tuple(range(1, classes + 1)), tuple(f"c{c}" for c in range(1, classes + 1)), True)


def contested_video(rng: np.random.Generator, *, classes: int = 1) -> VideoOverlaps:
    """Disjoint objects, clean masks in some frames, and masks that merge two objects in many."""
    objects = int(rng.integers(2, 4))
    frames = int(rng.integers(2, 4)) if objects == 3 else int(rng.integers(2, 5))
    queries = 3
    object_area = rng.integers(3, 20, (frames, objects)) * (rng.random((frames, objects)) > 0.08)
    shared = np.zeros((frames, queries, objects), int)
    for t, q in itertools.product(range(frames), range(queries)):
        merge = q == 0 or rng.random() < 0.25
        for g in rng.permutation(objects)[: 2 if merge else 1] if q else rng.permutation(objects)[:2]:
            shared[t, q, g] = round(object_area[t, g] * rng.uniform(0.5, 1.0))
        if rng.random() < 0.3:
            shared[t, q] = 0
    query_area = shared.sum(2) + rng.integers(0, 3, (frames, queries))
    rows = [(q, int(rng.integers(1, classes + 1)), float(rng.random())) for q in range(queries)]
    rows += [(int(rng.integers(queries)), int(rng.integers(1, classes + 1)), float(rng.random())) for _ in range(2)]
    rows = list({(q, c): (q, c, s) for q, c, s in rows}.values())
    return table(shared, query_area, object_area, classes=rng.integers(1, classes + 1, objects), rows=rows)


def clashing_video(rng: np.random.Generator, *, classes: int = 1) -> VideoOverlaps:
    """Objects with a clean mask in the first frame and only masks merged with a neighbour in the others."""
    objects = int(rng.integers(2, 4))
    frames = 4 if objects == 2 else 3
    object_area = rng.integers(6, 24, (frames, objects))
    shared = np.zeros((frames, 3, objects), int)
    shared[0, range(objects), range(objects)] = object_area[0]
    for t in range(1, frames):
        for q in range(1 if objects == 2 else 2):
            for g in rng.permutation(objects)[:2]:
                shared[t, q, g] = round(object_area[t, g] * rng.uniform(0.7, 1.0))
    query_area = shared.sum(2) + rng.integers(0, 2, (frames, 3))
    rows = [(q, c, float(rng.random())) for q in range(3) for c in range(1, classes + 1)]
    return table(shared, query_area, object_area, classes=rng.integers(1, classes + 1, objects), rows=rows)


@cache
def choices(queries: int, objects: int) -> np.ndarray:
    """Every way to give each object of one frame at most one query, each query to at most one object: [N, G]."""
    every = itertools.product(range(-1, queries), repeat=objects)
    return np.array([c for c in every if len({q for q in c if q >= 0}) == sum(q >= 0 for q in c)])


def all_linkings(video: VideoOverlaps, gate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums (I, U), each [N, G], of every linking there is."""
    objects = len(video.object_id)
    options = choices(video.query_area.shape[1], objects)
    index, taken = np.maximum(options, 0), options >= 0
    taken = taken & gate[index, np.arange(objects)]
    shared = np.zeros((1, objects), int)
    union = video.object_area.sum(0, dtype=int)[None]
    for t in range(video.length):
        inter = np.where(taken, video.intersection[t, index, np.arange(objects)], 0)
        area = np.where(taken, video.query_area[t, index], 0)
        shared = (shared[:, None] + inter).reshape(-1, objects)
        union = (union[:, None] + area - inter).reshape(-1, objects)
    return shared, union


def brute_force(video: VideoOverlaps, gate: np.ndarray, weights: np.ndarray) -> float:
    """Largest worth of (object, threshold) pairs over all linkings."""
    return float((hits(*all_linkings(video, gate)) @ weights).max())


@dataclass(frozen=True)
class Track:
    """A predicted track of masks [T, H, W]."""

    video: int
    category: int
    score: float
    masks: np.ndarray


@dataclass(frozen=True)
class Clip:
    """A video: ``labels [T, H, W]`` holds object numbers from 1 (0 is background), ``classes`` their categories."""

    id: int
    labels: np.ndarray
    classes: tuple[int, ...]

    def mask(self, number: int) -> np.ndarray:
        return self.labels == number

    def perfect(self, rng: np.random.Generator) -> list[Track]:
        scores = rng.random(len(self.classes))
        return [Track(self.id, c, float(scores[n]), self.mask(n + 1)) for n, c in enumerate(self.classes)]


def random_clip(rng: np.random.Generator, video: int, *, objects=4, frames=6, classes=3, height=24, width=36) -> Clip:
    """Boxes that never touch, each in its own column, moving up and down and absent in some frames."""
    labels = np.zeros((frames, height, width), int)
    for n in range(objects):
        tall, wide = rng.integers(8, 12), rng.integers(6, width // objects + 1)
        for t in range(frames):
            top = rng.integers(0, height - tall + 1)
            if t == 0 or rng.random() > 0.15:
                labels[t, top : top + tall, n * (width // objects) : n * (width // objects) + wide] = n + 1
    return Clip(video, labels, tuple(int(c) for c in rng.integers(1, classes + 1, objects)))


def rle(mask: np.ndarray):
    return None if not mask.any() else coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def to_truth(clips: list[Clip], *, classes: int = 3) -> GroundTruth:
    videos, objects = [], []
    for clip in clips:
        frames, height, width = clip.labels.shape
        names = tuple(f"{clip.id}/{t}.jpg" for t in range(frames))
        videos.append(Video(clip.id, str(clip.id), height, width, frames, names))
        for n, category in enumerate(clip.classes):
            masks = [rle(m) for m in clip.mask(n + 1)]
            areas = tuple(None if m is None else float(coco_mask.area(m)) for m in masks)
            objects.append(ObjectTrack(len(objects) + 1, clip.id, category, False, tuple(masks), areas, None))
    categories = tuple(Category(c, f"c{c}") for c in range(1, classes + 1))
    return GroundTruth("truth.json", tuple(videos), categories, tuple(objects), True)


def to_results(tracks: list[Track]) -> Results:
    rows = [
        ResultRow(i, t.video, t.category, t.score, tuple(rle(m) for m in t.masks), None, None)
        for i, t in enumerate(tracks)
    ]
    return Results("results.json", tuple(rows))


def to_tables(clips: list[Clip], tracks: list[Track], *, classes: int = 3) -> OverlapTables:
    return compute_overlaps(to_truth(clips, classes=classes), to_results(tracks))


def noisy_tracks(clip: Clip, rng: np.random.Generator, *, classes: int = 3) -> list[Track]:
    """Tracks as a mediocre method gives them: eroded masks, swaps, merges, false tracks, wrong classes, doubles."""
    tracks = []
    for n, category in enumerate(clip.classes):
        masks = clip.mask(n + 1) & (rng.random(clip.labels.shape) < rng.uniform(0.6, 1.0))
        other = clip.mask(int(rng.integers(len(clip.classes))) + 1)
        frames = rng.random(len(masks))
        masks[frames < 0.15] = other[frames < 0.15]
        masks[frames > 0.85] |= other[frames > 0.85]
        label = category if rng.random() < 0.7 else int(rng.integers(1, classes + 1))
        tracks.append(Track(clip.id, label, float(rng.random()), masks))
        if rng.random() < 0.3:
            tracks.append(replace(tracks[-1], category=int(rng.integers(1, classes + 1)), score=float(rng.random())))
    noise = np.zeros_like(clip.labels, bool)
    noise[:, 2:9, 3:12] = rng.random((len(noise), 1, 1)) < 0.8
    tracks.append(Track(clip.id, int(rng.integers(1, classes + 1)), float(rng.random()), noise))
    return [tracks[i] for i in rng.permutation(len(tracks))]


def shuffle_within_frames(tracks: list[Track], rng: np.random.Generator, *, by_class: bool) -> list[Track]:
    """Permutes the masks of each frame between the tracks of a video (of one class only, if asked)."""
    groups: dict = {}
    for i, track in enumerate(tracks):
        groups.setdefault((track.video, track.category if by_class else 0), []).append(i)
    result = list(tracks)
    for members in groups.values():
        stack = np.stack([tracks[i].masks for i in members])
        mixed = np.stack([stack[rng.permutation(len(members)), t] for t in range(stack.shape[1])], axis=1)
        for i, masks in zip(members, mixed, strict=True):
            result[i] = replace(tracks[i], masks=masks)
    return result


def reached(video, linking, weights):
    return float(hits(*linked_sums(video, linking.chosen)) @ weights)


def check_instance(video, rng, solver, *, whole, stage):
    """Compares linking (and the whole program) with brute force; returns the number of programs solved."""
    settings = SolverSettings(solver)
    weights = 1 / rng.integers(1, 4, len(video.object_id))
    best = brute_force(video, allowed(video, stage), weights)
    linking = link(video, stage, weights=weights, settings=settings, compare_thresholds=False)
    assert reached(video, linking, weights) == pytest.approx(best, abs=1e-9)
    assert all(solve.optimal and solve.status == "optimal" for solve in linking.solves)
    assert_valid(video, linking.chosen)
    if whole:
        solution, chosen = whole_video_optimum(video, stage, weights=weights, settings=settings)
        assert solution.optimal
        assert float(hits(*linked_sums(video, chosen)) @ weights) == pytest.approx(best, abs=1e-9)
    return len(linking.solves)


def assert_valid(video, chosen):
    """R1 and R2: a mask is used at most once per frame, and only where it is on the object."""
    for t in range(video.length):
        used = chosen[t][chosen[t] >= 0]
        assert len(used) == len(set(used.tolist()))
        assert all(video.intersection[t, q, g] > 0 for g, q in enumerate(chosen[t]) if q >= 0)
