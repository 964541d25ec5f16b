"""Tiny clips written as strings: one letter per frame names the box an object or a query occupies."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from mindthegap.evaluation.tables import OverlapTables, VideoOverlaps
from mindthegap.failures import VideoLinking
from mindthegap.strata import VideoGeometry

HEIGHT, WIDTH = 12, 40
BOXES = {  # x, y, width, height
    "A": (0, 0, 6, 6),
    "B": (10, 0, 6, 6),
    "C": (20, 0, 6, 6),
    "Z": (30, 0, 6, 6),  # background
    "l": (0, 0, 2, 6),  # left third of A
    "r": (4, 0, 2, 6),  # right third of A
    "M": (0, 0, 16, 6),  # A and B in one
    "O": (0, 0, 10, 6),  # A and as much again beside it: IoU .6
    "S": (0, 0, 6, 4),  # upper two thirds of A
    "D": (1, 0, 6, 6),  # A shifted by a pixel: IoU .714
    "X": (4, 0, 6, 6),  # a third on A: mixed
    "t": (0, 0, 2, 2),  # what is left of A when something stands before it
    "N": (2, 2, 6, 6),  # stands before A
    "n": (2, 2, 3, 4),  # a third of that, far away
}


def spell(text: str) -> str:
    """``A3.2`` becomes ``AAA..``: a letter and how often it is repeated."""
    return "".join(letter * int(count or 1) for letter, count in re.findall(r"(\D)(\d*)", text))


NIBBLED = {ord(letter): chr(ord(letter) + 1000) for letter in BOXES}  # the same boxes, a corner pixel short


def draw(text: str) -> np.ndarray:
    masks = np.zeros((len(text), HEIGHT, WIDTH), dtype=bool)
    for frame, letter in enumerate(text):
        if letter != ".":
            x, y, w, h = BOXES[chr(ord(letter) % 1000)]
            masks[frame, y : y + h, x : x + w] = True
            if ord(letter) >= 1000:
                masks[frame, y, x] = False
    return masks


@dataclass(frozen=True)
class Clip:
    """Objects: (letters, category); queries: (letters, ((category, score), ...)); ``severe`` marks frames by ``x``."""

    objects: tuple[tuple[str, int], ...]
    queries: tuple[tuple[str, tuple[tuple[int, float], ...]], ...]
    severe: dict[int, str] = field(default_factory=dict)
    crowd: tuple[int, ...] = ()
    video_id: int = 1

    def mirrored(self) -> Clip:
        return replace(
            self,
            objects=tuple((text[::-1], category) for text, category in self.objects),
            queries=tuple((text[::-1], rows) for text, rows in self.queries),
            severe={index: text[::-1] for index, text in self.severe.items()},
        )

    def video(self) -> VideoOverlaps:
        objects = [draw(text) for text, _ in self.objects]
        queries = [draw(text) for text, _ in self.queries]
        rows = [(query, *row) for query, (_, entries) in enumerate(self.queries) for row in entries]
        return table(
            objects,
            queries,
            [category for _, category in self.objects],
            rows,
            video_id=self.video_id,
            crowd=self.crowd,
            occlusion=tuple(self._levels(index) for index in range(len(objects))),
        )

    def _levels(self, index: int) -> tuple[str | None, ...] | None:
        if index not in self.severe:
            return None
        return tuple("severe_occlusion" if mark == "x" else "no_occlusion" for mark in self.severe[index])

    def geometry(self) -> VideoGeometry:
        boxes = [[BOXES[c] if c != "." else (np.nan,) * 4 for c in text] for text, _ in self.objects]
        identities = np.arange(1, len(self.objects) + 1) + 100 * self.video_id
        return VideoGeometry(identities, np.array(boxes, dtype=float).transpose(1, 0, 2))


def clip(objects: list[object], queries: list[object], **options: object) -> Clip:
    """Objects default to category 1, queries to one row of category 1 with score .9, .8, ... in order."""
    full_objects = [(entry, 1) if isinstance(entry, str) else entry for entry in objects]
    full_queries = [
        (entry, ((1, 0.9 - 0.1 * place),)) if isinstance(entry, str) else entry for place, entry in enumerate(queries)
    ]
    return Clip(
        tuple((spell(text), category) for text, category in full_objects),
        tuple((spell(text), tuple(rows)) for text, rows in full_queries),
        **options,
    )


def table(objects, queries, categories, rows, *, video_id=1, crowd=(), occlusion=None) -> VideoOverlaps:
    """Overlap tables of boolean masks ``[T, H, W]``; ``rows`` are (query, category, score)."""
    frames, height, width = (objects + queries)[0].shape
    flat_objects = np.array(objects, dtype=np.int32).reshape(len(objects), frames, height * width)
    flat_queries = np.array(queries, dtype=np.int32).reshape(len(queries), frames, height * width)
    object_area = flat_objects.sum(axis=2).T.astype(np.int32)
    visible = np.maximum((object_area > 0).sum(axis=0), 1)
    return VideoOverlaps(
        video_id=video_id,
        length=frames,
        height=height,
        width=width,
        query_area=flat_queries.sum(axis=2).T.astype(np.int32),
        object_area=object_area,
        intersection=np.einsum("qtp,gtp->tqg", flat_queries, flat_objects).astype(np.int32),
        object_id=np.arange(1, len(objects) + 1) + 100 * video_id,
        object_category=np.array(categories, dtype=np.int64),
        object_crowd=np.array([index in crowd for index in range(len(objects))], dtype=bool),
        object_mean_area=object_area.sum(axis=0) / visible,
        object_occlusion=occlusion if occlusion is not None else (None,) * len(objects),
        row_index=np.arange(len(rows)),
        row_query=np.array([row[0] for row in rows], dtype=np.int64),
        row_category=np.array([row[1] for row in rows], dtype=np.int64),
        row_score=np.array([row[2] for row in rows], dtype=np.float64),
    )


def tables_of(*videos: VideoOverlaps) -> OverlapTables:
    categories = sorted({int(c) for v in videos for c in [*v.object_category.tolist(), *v.row_category.tolist()]})
    return OverlapTables(tuple(videos), tuple(categories), tuple(f"class {c}" for c in categories), True)


def relink(video: VideoOverlaps) -> VideoLinking:
    """A plain oracle for tests: best one-to-one match of right-class queries, per frame and over the whole track."""
    allowed = np.zeros((video.query_area.shape[1], len(video.object_id)), dtype=bool)
    np.logical_or.at(allowed, video.row_query, video.row_category[:, None] == video.object_category[None, :])
    areas = video.query_area[:, :, None].astype(float) + video.object_area[:, None, :] - video.intersection
    shared = video.intersection.astype(float)
    free = np.broadcast_to(~video.object_crowd, allowed.shape)
    track = shared.sum(axis=0) / np.maximum(areas.sum(axis=0), 1)
    return VideoLinking(
        video.video_id,
        _best(track * (allowed & free)),
        np.array([_best(frame * (allowed & free)) for frame in shared / np.maximum(areas, 1)]),
        np.array([_best(frame * free) for frame in shared / np.maximum(areas, 1)]),
    )


def pair_iou_of(entry: Clip):
    """Exact mutual track IoU of a clip's queries, from its masks."""
    masks = [draw(text) for text, _ in entry.queries]

    def measure(_: VideoOverlaps, pairs: np.ndarray) -> np.ndarray:
        return np.array([(masks[a] & masks[b]).sum() / (masks[a] | masks[b]).sum() for a, b in pairs.tolist()])

    return measure


def _best(value: np.ndarray) -> np.ndarray:
    choice = np.full(value.shape[1], -1, dtype=np.int64)
    for query, index in zip(*linear_sum_assignment(value, maximize=True), strict=True):
        if value[query, index] > 0:
            choice[index] = query
    return choice
