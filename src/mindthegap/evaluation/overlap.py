"""Overlap tables from checked files: masks are touched here once, and never again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np

from mindthegap.errors import MindTheGapError
from mindthegap.evaluation.masksets import (
    Measured,
    Track,
    distinct_as_given,
    fitting_overlaps,
    number_distinct,
    official_overlaps,
)
from mindthegap.evaluation.tables import Int64s, OverlapTables, VideoOverlaps
from mindthegap.formats import rle
from mindthegap.formats.model import GroundTruth, ObjectTrack, ResultRow, Results, Video
from mindthegap.progress import track

_MAX_CELLS = 2**30  # a table of 4 GiB; 300 frames, 200 queries and 50 objects make 3 million
_MASKS_PER_PROCESS = 20_000  # starting another process pays only above this many masks


@dataclass(frozen=True, eq=False)
class _Job:
    """One video with its objects and rows, as a worker needs it."""

    video: Video
    objects: Sequence[ObjectTrack]
    rows: Sequence[ResultRow]
    official_quirks: bool


def compute_overlaps(
    ground_truth: GroundTruth,
    results: Results,
    *,
    official_quirks: bool = False,
    workers: int = 1,
    progress: bool = False,
) -> OverlapTables:
    """Computes the overlap tables of all videos.

    Args:
        ground_truth: Checked ground truth.
        results: Checked results for it.
        official_quirks: The files were read with it; masks that do not fit their video are then treated as the
            official evaluator does.
        workers: Processes to use; the tables do not depend on it.
        progress: Shows a progress bar on standard error.

    Raises:
        MindTheGapError: A video has so many tracks that its table would not fit in memory.
    """
    jobs = _jobs(ground_truth, results, official_quirks)
    masks = sum(job.video.length * (len(job.objects) + len(job.rows)) for job in jobs)
    workers = max(1, min(workers, len(jobs), masks // _MASKS_PER_PROCESS))
    videos = tuple(track(_run(jobs, workers), "overlap tables", len(jobs), enabled=progress))
    categories = sorted(ground_truth.categories, key=lambda category: category.id)
    ids, names = tuple(c.id for c in categories), tuple(c.name for c in categories)
    return OverlapTables(videos, ids, names, ground_truth.synthetic)


def _jobs(ground_truth: GroundTruth, results: Results, official_quirks: bool) -> list[_Job]:
    """One job per video, ascending by id."""
    objects: dict[int, list[ObjectTrack]] = defaultdict(list)
    rows: dict[int, list[ResultRow]] = defaultdict(list)
    for entry in ground_truth.objects:
        objects[entry.video_id].append(entry)
    known = {category.id for category in ground_truth.categories}
    for row in results.rows:
        if row.category_id in known:  # others exist under official quirks only, where they count for nothing
            rows[row.video_id].append(row)
    videos = sorted(ground_truth.videos, key=lambda video: video.id)
    return [_Job(video, objects[video.id], rows[video.id], official_quirks) for video in videos]


def _run(jobs: Sequence[_Job], workers: int) -> Iterator[VideoOverlaps]:
    """Runs the jobs in order, in this process or in several."""
    if workers == 1:
        yield from map(_video_overlaps, jobs)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_video_overlaps, jobs)


def _video_overlaps(job: _Job) -> VideoOverlaps:
    """The tables of one video."""
    video, objects, rows = job.video, job.objects, job.rows
    if video.length * len(rows) * len(objects) > _MAX_CELLS:
        raise MindTheGapError(
            f"Video {video.id} has {len(rows)} rows and {len(objects)} objects in {video.length} frames, more than the "
            "overlap tables can hold; keep the best-scored rows of each video only."
        )
    object_masks = [entry.segmentations for entry in objects]
    if job.official_quirks:
        queries, row_query = distinct_as_given([row.segmentations for row in rows])
        measured = official_overlaps(queries, object_masks, video)
    else:
        queries, row_query = _distinct([row.segmentations for row in rows], video)
        measured = Measured(*fitting_overlaps(queries, object_masks, video, video.length), None)
    return VideoOverlaps(
        video_id=video.id,
        length=len(measured.query_area),
        height=video.height,
        width=video.width,
        query_area=measured.query_area,
        object_area=measured.object_area,
        intersection=measured.intersection,
        object_id=np.array([entry.id for entry in objects], np.int64),
        object_category=np.array([entry.category_id for entry in objects], np.int64),
        object_crowd=np.array([entry.iscrowd for entry in objects], bool),
        object_mean_area=np.array([mean_area(entry.areas) for entry in objects], np.float64),
        object_occlusion=tuple(entry.occlusion for entry in objects),
        row_index=np.array([row.index for row in rows], np.int64),
        row_query=row_query,
        row_category=np.array([row.category_id for row in rows], np.int64),
        row_score=np.array([row.score for row in rows], np.float64),
        official=measured.official,
    )


def mean_area(areas: Iterable[float | None]) -> float:
    """Mean over frames whose area is neither null nor 0, 0 without any (``ytvoseval.py``, ``avg_area``)."""
    present = [area for area in areas if area]
    return float(np.add.reduce(np.array(present, np.float64)) / len(present)) if present else 0.0


def _distinct(tracks: Sequence[Track], video: Video) -> tuple[list[Track], Int64s]:
    """Distinct mask sequences in order of appearance, and for each track which one it is.

    An absent mask and a mask without pixels are the same, as they are for the IoU.
    """
    empty = _empty_mask(video.height * video.width)
    keys: dict[int, tuple[bytes, ...]] = {}
    for masks in tracks:
        if id(masks) not in keys:  # the reader lets equal rows share a tuple
            keys[id(masks)] = tuple([m["counts"] if m else empty for m in masks])
    return number_distinct(tracks, [keys[id(masks)] for masks in tracks])


@cache
def _empty_mask(pixels: int) -> bytes:
    """The compressed runs of a frame without a mask."""
    return rle.encode(rle.Runs(np.array([pixels], np.int32), np.array([0, 1])))[0]
