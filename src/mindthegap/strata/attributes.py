"""What a video and an object are like: length, crowding, occlusion, size and motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from mindthegap.evaluation import occlusion_score
from mindthegap.failures.intervals import true_runs
from mindthegap.strata.geometry import VideoGeometry
from mindthegap.strata.motion import (
    aspect_change,
    crossings,
    frame_overlap_rates,
    hidden_shares,
    motion_iou,
    relative_speed,
    scale_change,
)

if TYPE_CHECKING:
    from pandas import DataFrame

    from mindthegap.evaluation.tables import OverlapTables, VideoOverlaps

OBJECT_COLUMNS = {
    "video_id": "int64",
    "object_id": "int64",
    "category_id": "int64",
    "category": "string",
    "frames_present": "int64",
    "frames_hull": "int64",
    "absences": "int64",
    "mean_area_px": "Float64",
    "relative_area": "Float64",
    "occlusion_score": "Float64",
    "overlap_rate": "Float64",
    "same_class_neighbours": "Float64",
    "speed": "Float64",
    "motion_iou": "Float64",
    "scale_change": "Float64",
    "aspect_change": "Float64",
    "crossings": "Int64",
}
VIDEO_COLUMNS = {
    "video_id": "int64",
    "video_length": "int64",
    "objects": "int64",
    "density": "float64",
    "occlusion_score": "Float64",
    "overlap_rate": "Float64",
    "crossings": "Int64",
}


def object_attributes(tables: OverlapTables, geometry: Mapping[int, VideoGeometry] | None = None) -> DataFrame:
    """One row per object that is not crowd; what cannot be known is null.

    Columns: ``frames_present`` (frames with a pixel), ``frames_hull`` (from first to last of them), ``absences`` (runs
    of frames without a pixel in between), ``mean_area_px`` (mask pixels per present frame) and ``relative_area`` (the
    same as a share of the frame, 0-1), ``occlusion_score`` (OVIS's, 0-0.75), ``same_class_neighbours`` (other
    visible objects of its class, mean over its frames; crowd does not count), and with ``geometry`` ``overlap_rate``
    (`hidden_shares`), ``speed`` (`relative_speed`), ``motion_iou`` (`motion_iou`), ``scale_change`` and
    ``aspect_change`` (functions of these names), ``crossings`` (`crossings`).
    """
    import pandas as pd

    names = dict(zip(tables.category_ids, tables.category_names, strict=True))
    rows: list[dict[str, Any]] = []
    for video in tables.videos:
        boxes = None if geometry is None else geometry[video.video_id].ordered(video.object_id)
        moves = _motion(video, boxes)
        for index in np.flatnonzero(~video.object_crowd).tolist():
            category = int(video.object_category[index])
            rows.append(
                {
                    "video_id": video.video_id,
                    "object_id": int(video.object_id[index]),
                    "category_id": category,
                    "category": names[category],
                    **_presence(video, index),
                    **moves[index],
                }
            )
    return pd.DataFrame(rows, columns=list(OBJECT_COLUMNS)).astype(OBJECT_COLUMNS)


def video_attributes(tables: OverlapTables, geometry: Mapping[int, VideoGeometry] | None = None) -> DataFrame:
    """One row per video; crowd objects do not count, what cannot be known is null.

    Columns: ``video_length`` (frames), ``objects``, ``density`` (visible objects per frame, as in Qi et al., IJCV 2022,
    table 1), ``occlusion_score`` (mean of its objects'), and with ``geometry`` ``overlap_rate`` (mBOR, the mean of
    `frame_overlap_rates`) and ``crossings`` (pairs of objects changing sides).
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for video in tables.videos:
        counted = ~video.object_crowd
        scores = [_occlusion(video.object_occlusion[index]) for index in np.flatnonzero(counted).tolist()]
        known = [score for score in scores if score is not None]
        row: dict[str, Any] = {
            "video_id": video.video_id,
            "video_length": video.length,
            "objects": int(counted.sum()),
            "density": float((video.object_area[:, counted] > 0).sum() / max(video.length, 1)),
            "occlusion_score": float(np.mean(known)) if known else None,
        }
        if geometry is not None:
            boxes = geometry[video.video_id].ordered(video.object_id)[:, counted]
            rates = frame_overlap_rates(boxes)
            row["overlap_rate"] = float(np.nanmean(rates)) if np.isfinite(rates).any() else None
            row["crossings"] = int(crossings(boxes).sum()) // 2
        rows.append(row)
    return pd.DataFrame(rows, columns=list(VIDEO_COLUMNS)).astype(VIDEO_COLUMNS)


def _presence(video: VideoOverlaps, index: int) -> dict[str, Any]:
    """Attributes of one object that pixel counts and labels tell."""
    present = video.object_area[:, index] > 0
    frames = np.flatnonzero(present)
    hull = present[frames[0] : frames[-1] + 1] if frames.size else present[:0]
    area = float(video.object_area[frames, index].mean()) if frames.size else None
    alike = (video.object_category == video.object_category[index]) & ~video.object_crowd
    alike[index] = False
    neighbours = (video.object_area[frames][:, alike] > 0).sum(axis=1)
    return {
        "frames_present": len(frames),
        "frames_hull": len(hull),
        "absences": len(true_runs(~hull)),
        "mean_area_px": area,
        "relative_area": None if area is None else area / (video.height * video.width),
        "occlusion_score": _occlusion(video.object_occlusion[index]),
        "same_class_neighbours": float(neighbours.mean()) if frames.size else None,
    }


def _occlusion(levels: Sequence[str | None] | None) -> float | None:
    """OVIS's occlusion score, None without a level."""
    score = occlusion_score(levels or ())
    return None if isnan(score) else score


def _motion(video: VideoOverlaps, boxes: np.ndarray | None) -> list[dict[str, Any]]:
    """Attributes of all objects that boxes ``[T, G, 4]`` tell; empty without boxes."""
    if boxes is None:
        return [{} for _ in video.object_id]
    counted = np.flatnonzero(~video.object_crowd)
    crossed, hidden = crossings(boxes[:, counted]), hidden_shares(boxes[:, counted])
    moves: list[dict[str, Any]] = [{} for _ in video.object_id]
    for place, index in enumerate(counted.tolist()):
        moves[index] = {
            "overlap_rate": float(hidden[place]) if np.isfinite(hidden[place]) else None,
            "speed": relative_speed(boxes[:, index], video.object_area[:, index]),
            "motion_iou": motion_iou(boxes[:, index]),
            "scale_change": scale_change(boxes[:, index]),
            "aspect_change": aspect_change(boxes[:, index]),
            "crossings": int(crossed[place]),
        }
    return moves
