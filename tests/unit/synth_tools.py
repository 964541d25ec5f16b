"""A tracker that is given perfect masks and classes, and links them by overlap with the last frame alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as mask_api
from scipy.optimize import linear_sum_assignment


def overlap_tracks(ground_truth: dict[str, Any]) -> list[dict[str, Any]]:
    """Result rows: every mask of the ground truth, identities guessed by IoU > 0 with a track's last frame."""
    rows = []
    for video in ground_truth["videos"]:
        objects = [item for item in ground_truth["annotations"] if item["video_id"] == video["id"]]
        rows += _link(objects, video["id"], video["length"])
    return rows


def _link(objects: list[dict[str, Any]], video_id: int, length: int) -> list[dict[str, Any]]:
    tracks: list[dict[str, Any]] = []
    for time in range(length):
        seen = [item for item in objects if item["segmentations"][time]]
        live = [track for track in tracks if track["segmentations"][time - 1]] if time else []
        taken: dict[int, dict[str, Any]] = {}
        if seen and live:
            masks = [item["segmentations"][time] for item in seen]
            iou = mask_api.iou(masks, [track["segmentations"][time - 1] for track in live], [0] * len(live))
            rows, columns = linear_sum_assignment(-iou)
            taken = {r: live[c] for r, c in zip(rows, columns, strict=True) if np.asarray(iou)[r, c] > 0}
        for position, item in enumerate(seen):
            track = taken.get(position)
            if track is None:
                track = {"video_id": video_id, "category_id": item["category_id"], "segmentations": [None] * length}
                tracks.append(track)
            track["segmentations"][time] = item["segmentations"][time]
    for track in tracks:
        track["score"] = sum(mask is not None for mask in track["segmentations"]) / length
    return tracks
