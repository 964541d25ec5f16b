"""One video's data files: its objects once per ground truth, its queries and lanes once per experiment."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from mindthegap.evaluation.tables import VideoOverlaps
from mindthegap.formats import ObjectTrack, ResultRow, Video
from mindthegap.tracklens.experiment import event_rows
from mindthegap.tracklens.lanes import Lanes
from mindthegap.tracklens.masks import drawn_masks, drawn_size

EXTRA_QUERIES = 10
"""Queries kept for drawing by score, beyond those that carry an object, are chosen by the oracle or have an event."""


def frame_name(name: str) -> str | None:
    """A frame's path relative to the frames folder, or ``None`` if it would lead out of it."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not name or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return None
    return str(path)


def truth_shard(video: Video, objects: Iterable[ObjectTrack]) -> dict[str, Any]:
    """What the page draws of a video's ground truth.

    Returns:
        ``name``; ``size`` and ``drawn`` ([height, width]); ``length``; ``files`` (a path per frame or ``None``);
        ``objects`` with ``o`` (id), ``c`` (category), ``crowd``, ``masks`` (a string or ``None`` per frame).
    """
    size = drawn_size(video.height, video.width)
    files = [frame_name(name) for name in video.file_names]
    return {
        "name": video.name,
        "size": [video.height, video.width],
        "drawn": list(size),
        "length": video.length,
        "files": files,
        "objects": [
            {"o": o.id, "c": o.category_id, "crowd": o.iscrowd, "masks": drawn_masks(o.segmentations, size)}
            for o in objects
        ],
    }


def prediction_shard(
    video: Video,
    overlaps: VideoOverlaps,
    lanes: Lanes,
    rows: dict[int, ResultRow],
    association: pd.DataFrame,
    failures: pd.DataFrame | None,
) -> dict[str, Any]:
    """What the page draws of one experiment's predictions for a video.

    Args:
        video: The video.
        overlaps: Its integer tables; query numbers are those of the association table.
        lanes: Its carriers and owners.
        rows: Rows of the result file by position.
        association: The oracle's choices in this video.
        failures: Failure events in this video, ``None`` when they were not sought.

    Returns:
        ``queries`` (``q``, ``family``, ``rows`` [position, category, score], ``masks``, ``owner``), ``objects``
        (``o``, ``hidden`` and, as run-length pairs over frames, query and IoU in percent of ``carrier``,
        ``tracking``, ``classification``), ``events`` and ``left_out`` (queries that are not drawn).
    """
    chosen = {"carrier": lanes.carrier}
    for level in ("tracking", "classification"):
        chosen[level] = _choices(overlaps, association[association["level"] == level])
    events = event_rows(failures)
    kept = _kept_queries(overlaps, chosen.values(), events)
    size = drawn_size(video.height, video.width)
    queries = []
    for q in kept:
        members = np.flatnonzero(overlaps.row_query == q)
        labels = [_label(overlaps, int(row)) for row in members]
        masks = rows[int(overlaps.row_index[members[0]])].segmentations
        entry = {"q": q, "family": int(lanes.family[q]), "rows": labels, "masks": drawn_masks(masks, size)}
        queries.append({**entry, "owner": pairs(lanes.owner[:, q])})
    objects = []
    for g, object_id in enumerate(overlaps.object_id.tolist()):
        strips = {name: _lane(table[:, g], lanes.iou[:, :, g]) for name, table in chosen.items()}
        objects.append({"o": int(object_id), "hidden": [list(span) for span in lanes.hidden[g]], **strips})
    left_out = overlaps.query_area.shape[1] - len(kept)
    return {"queries": queries, "objects": objects, "events": events, "left_out": left_out}


def _label(overlaps: VideoOverlaps, row: int) -> list[float | int]:
    """Position in the result file, category and score of a row."""
    score = round(float(overlaps.row_score[row]), 4)
    return [int(overlaps.row_index[row]), int(overlaps.row_category[row]), score]


def _choices(overlaps: VideoOverlaps, association: pd.DataFrame) -> np.ndarray:
    """The oracle's query per frame and object, ``[T, G]``, ``-1`` where it chose none."""
    frames, objects = overlaps.object_area.shape
    place = {int(object_id): g for g, object_id in enumerate(overlaps.object_id.tolist())}
    table = np.full((frames, objects), -1, dtype=np.int64)
    columns = (association[name].tolist() for name in ("object_id", "frame", "query"))
    for object_id, frame, query in zip(*columns, strict=True):
        table[int(frame), place[int(object_id)]] = int(query)
    return table


def _kept_queries(
    overlaps: VideoOverlaps, tables: Iterable[np.ndarray], events: list[dict[str, Any]] | None
) -> list[int]:
    """Queries worth drawing, ascending: in a lane, in an event, or among the best by score."""
    kept = {int(q) for table in tables for q in np.unique(table) if q >= 0}
    for event in events or []:
        kept |= {event[name] for name in ("q", "q2") if event[name] is not None}
    order = np.lexsort((overlaps.row_index, -overlaps.row_score))
    others = [int(q) for q in dict.fromkeys(overlaps.row_query[order].tolist()) if q not in kept]
    count = overlaps.query_area.shape[1]
    return sorted(q for q in kept | set(others[:EXTRA_QUERIES]) if 0 <= q < count)


def _lane(queries: np.ndarray, iou: np.ndarray) -> dict[str, list[int]]:
    """One lane: run-length pairs of the query, and the IoU in percent of each frame."""
    frames = np.arange(len(queries))
    percent = np.rint(100 * iou[frames, np.maximum(queries, 0)]).astype(np.int64) if iou.shape[1] else queries * 0
    return {"q": pairs(queries), "iou": np.where(queries >= 0, percent, -1).tolist()}


def pairs(values: np.ndarray) -> list[int]:
    """Run-length pairs ``value, count, value, count, ...`` of a sequence."""
    if len(values) == 0:
        return []
    starts = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1])
    counts = np.diff(np.concatenate([starts, [len(values)]]))
    return [int(number) for pair in zip(values[starts].tolist(), counts.tolist(), strict=True) for number in pair]
