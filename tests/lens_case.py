"""Two squares that change their queries half way, as files in the pipeline's formats, for tests of the page."""

import json

import numpy as np
import pandas as pd
from PIL import Image
from pycocotools import mask as coco_mask

HEIGHT, WIDTH, LENGTH, SWAP = 60, 100, 12, 6
HOSTILE = "</script><img src=x onerror=\"document.title='hacked'\">"


def square(left, top, size=20):
    """A mask with one square."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[top : top + size, left : left + size] = 1
    encoded = coco_mask.encode(mask)
    return {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}


def tracks():
    """Masks of objects 11 (upper, absent in frames 3 and 4) and 12 (lower)."""
    upper = [None if t in (3, 4) else square(3 * t, 4) for t in range(LENGTH)]
    lower = [square(60 - 3 * t, 36) for t in range(LENGTH)]
    return upper, lower


def write_inputs(folder, *, frames=True, hostile=False, predictions=True):
    """Writes ground truth, results and frames; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    upper, lower = tracks()
    name = HOSTILE if hostile else "crossing"
    files = [f"crossing/{t:03d}.png" for t in range(LENGTH)]
    videos = [
        {"id": 1, "name": name, "height": HEIGHT, "width": WIDTH, "length": LENGTH, "file_names": files},
        {"id": 2, "name": "empty", "height": HEIGHT, "width": WIDTH, "length": 2, "file_names": ["e/0.png", "e/1.png"]},
    ]
    if hostile:
        videos[1]["file_names"] = ["javascript:alert(1)", 'e/"><b>.png']
    annotations = [_annotation(11, 1, upper), _annotation(12, 1, lower), _annotation(21, 2, [square(1, 1)] * 2)]
    truth = {"info": {"synthetic": True}, "videos": videos, "annotations": annotations}
    truth["categories"] = [{"id": 1, "name": HOSTILE if hostile else "square"}, {"id": 2, "name": "disc"}]
    rows = [
        {"video_id": 1, "category_id": 1, "score": 0.9, "segmentations": upper[:SWAP] + lower[SWAP:]},
        {"video_id": 1, "category_id": 1, "score": 0.8, "segmentations": lower[:SWAP] + upper[SWAP:]},
        {"video_id": 1, "category_id": 2, "score": 0.3, "segmentations": lower[:SWAP] + upper[SWAP:]},
    ]
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "rows.json").write_text(json.dumps(rows if predictions else []))
    if frames:
        (folder / "frames" / "crossing").mkdir(parents=True, exist_ok=True)
        for t in range(LENGTH):
            Image.new("RGB", (WIDTH, HEIGHT), (40, 60 + 10 * t, 90)).save(folder / "frames" / files[t])
        (folder / "frames" / "e").mkdir(exist_ok=True)
        for t in range(2):
            Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90)).save(folder / "frames" / "e" / f"{t}.png")
    return folder / "truth.json", folder / "rows.json"


def _annotation(number, video, masks):
    areas = [None if mask is None else 400 for mask in masks]
    boxes = [None if mask is None else [0, 0, 20, 20] for mask in masks]
    entry = {"id": number, "video_id": video, "category_id": 1, "iscrowd": 0, "segmentations": masks}
    return {**entry, "areas": areas, "bboxes": boxes, "height": HEIGHT, "width": WIDTH, "length": 1}


def gaps(ap=20.0, tracking=50.0, classification=5.0, **extra):
    """A gaps.json value whose parts add up to 100."""
    after = ap + tracking
    levels = {"default": ap, "oracle_tracking": after, "oracle_classification": after + classification}
    segmentation = 100 - after - classification
    return {
        "schema_version": 1,
        "objective": "tight",
        "levels": {name: {"AP": value, "AP50": value, "APs": None} for name, value in levels.items()},
        "gaps": {"tracking": tracking, "classification": classification, "segmentation": segmentation},
        "splits": {
            "tracking": {"ranking": 10.0, "selection": 15.0, "association": tracking - 25.0},
            "segmentation": {"missed": 5.0, "mask_quality": segmentation - 5.0},
        },
        "solver": {"name": "HiGHS", "optimal": True, "seconds": 0.1},
        **extra,
    }


def write_oracle(folder, *, failures=True, predictions=True, **extra):
    """Writes the oracle folder that belongs to ``write_inputs``; ``extra`` goes to ``gaps.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gaps.json").write_text(json.dumps(gaps(**extra)))
    keys = {"dataset": "", "method": "", "backbone": "", "seed": ""}
    shares = [(1, 11, 10, 0.4, 1.0, 20.0, 0.0), (1, 12, 12, 0.5, 1.0, 30.0, 0.0), (2, 21, 2, 0.0, 0.0, 0.0, 25.0)]
    rows = [
        {
            **keys,
            "video_id": video,
            "object_id": number,
            "category_id": 1,
            "category": "square",
            "frames_present": present,
            "frames_hull": present,
            "mean_area_px": 400.0,
            "occlusion_score": None,
            "iou_ranking": before,
            "iou_tracking": after,
            "iou_classification": after,
            "hits_ranking": 0,
            "hits_tracking": 10 * int(after),
            "hits_classification": 10 * int(after),
            "tracking_gap_points": track,
            "classification_gap_points": 0.0,
            "segmentation_gap_points": rest,
        }
        for video, number, present, before, after, track, rest in shares
    ]
    pd.DataFrame(rows).to_parquet(folder / "tracks.parquet")
    choices = []
    for level in ("tracking", "classification") if predictions else ():
        for t in range(LENGTH):
            for number, query in ((11, int(t >= SWAP)), (12, int(t < SWAP))):
                if number == 11 and t in (3, 4):
                    continue
                place = {
                    "level": level,
                    "video_id": 1,
                    "object_id": number,
                    "frame": t,
                    "query": query,
                    "row_index": query,
                }
                pixels = {"intersection_px": 400, "query_area_px": 400, "object_area_px": 400}
                choices.append({**keys, **place, **pixels})
    columns = [*keys, "level", "video_id", "object_id", "frame", "query", "row_index"]
    pd.DataFrame(choices, columns=None if choices else columns).to_parquet(folder / "association.parquet")
    if failures:
        _events(keys).to_parquet(folder / "failures.parquet")
    return folder


def _events(keys):
    """A swap of both objects at half time, and what nothing explains."""
    swap = {"mode": "identity_switch", "subtype": "swap", "start_frame": SWAP, "end_frame": SWAP + 2}
    rows = [
        {**swap, "object_id": 11, "other_object_id": 12, "query": 1, "other_query": 0, "cost_points": 18.0},
        {**swap, "object_id": 12, "other_object_id": 11, "query": 0, "other_query": 1, "cost_points": 30.0},
        {"mode": "other", "subtype": "", "object_id": 11, "cost_points": 2.0},
    ]
    frame = pd.DataFrame([{**keys, "video_id": 1, "cost_iou": 0.5, **row} for row in rows])
    whole = ("start_frame", "end_frame", "object_id", "other_object_id", "query", "other_query")
    return frame.astype(dict.fromkeys(whole, "Int64"))
