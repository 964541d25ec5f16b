"""Random ground truth and results as JSON values, made to hit every corner of the official evaluator."""

import numpy as np
from pycocotools import mask as coco_mask

CATEGORY_IDS = (7, 2, 40, 5)
AREAS = (None, 0, 1, 100.5, 16384, 16384.0, 20000, 65536, 65537.25)


def encode(mask):
    """A boolean mask as compressed RLE with text counts."""
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


def uncompressed(mask):
    """A boolean mask as RLE with a list of counts."""
    flat = mask.astype(np.uint8).flatten(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def rectangle(shape, rng):
    """A random rectangle of at least one pixel."""
    height, width = shape
    top, left = rng.integers(height), rng.integers(width)
    mask = np.zeros(shape, bool)
    mask[top : top + 1 + rng.integers(height), left : left + 1 + rng.integers(width)] = True
    return mask


def make_set(seed, *, many=False):
    """Ground truth (a dict) and results (a list) drawn from ``seed``.

    Covers ties of score, crowds, absent and empty masks, IoUs of exactly 0.5, 0.55, ..., several classes (some without
    objects), polygons, all RLE forms, size groups with areas on their borders, and, with ``many``, more than 100 tracks
    per video and category.
    """
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in ((20, 40), (31, 60), (160, 200))[rng.integers(3)])
    truth = {
        "info": {"synthetic": True},
        "videos": [],
        "categories": [{"id": i, "name": f"class {i}"} for i in CATEGORY_IDS[: 1 + rng.integers(4)]],
        "annotations": [],
    }
    results = []
    for video_id in rng.permutation(4)[: 1 + rng.integers(4)].tolist():
        length = int(1 + rng.integers(4))
        names = [f"video{video_id}/{t:05d}.jpg" for t in range(length)]
        truth["videos"].append(
            {"id": video_id, "height": shape[0], "width": shape[1], "length": length, "file_names": names}
        )
        tracks = [_add_object(truth, video_id, length, shape, rng) for _ in range(rng.integers(5))]
        number = int(rng.integers(100, 130)) if many else int(rng.integers(9))
        results += [_row(truth, video_id, length, shape, tracks, rng) for _ in range(number)]
    order = rng.permutation(len(results))
    return truth, [results[i] for i in order]


def _add_object(truth, video_id, length, shape, rng):
    """Adds an annotation and returns its masks and category."""
    masks = [rectangle(shape, rng) if rng.random() < 0.8 else None for _ in range(length)]
    if rng.random() < 0.4:  # 20 columns, so that a part of them has an IoU of exactly k / 20
        masks = [np.zeros(shape, bool) for _ in range(length)]
        for mask in masks:
            mask[3:9, 5:25] = True
    category = int(rng.choice([entry["id"] for entry in truth["categories"]]))
    crowd = bool(rng.random() < 0.2)
    areas = [None if mask is None else int(mask.sum()) for mask in masks]
    if rng.random() < 0.3:
        areas = [AREAS[rng.integers(len(AREAS))] for _ in masks]
    truth["annotations"].append(
        {
            "id": len(truth["annotations"]) + 1,
            "video_id": video_id,
            "category_id": category,
            "iscrowd": int(crowd),
            "segmentations": [_any_form(mask, rng) for mask in masks],
            "areas": areas,
            "bboxes": [None] * length,
            "height": shape[0],
            "width": shape[1],
            "length": 1,
        }
    )
    return masks, category


def _any_form(mask, rng):
    """A mask in one of the forms that ground truth comes in."""
    if mask is None:
        return None
    form = rng.integers(3)
    if form == 0:
        return encode(mask)
    if form == 1:
        return uncompressed(mask)
    rows, columns = np.nonzero(mask)
    x0, x1, y0, y1 = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    return [[float(v) for v in (x0, y0, x1, y0, x1, y1, x0, y1)]]


def _row(truth, video_id, length, shape, tracks, rng):
    """A predicted track: a damaged copy of an object, or a random one."""
    category = int(rng.choice([entry["id"] for entry in truth["categories"]]))
    masks = [rectangle(shape, rng) if rng.random() < 0.7 else None for _ in range(length)]
    if tracks and rng.random() < 0.8:
        source, source_category = tracks[rng.integers(len(tracks))]
        category = source_category if rng.random() < 0.8 else category
        masks = [_damaged(mask, rng) for mask in source]
    segmentations = [None if mask is None else encode(mask) for mask in masks]
    segmentations = [{} if mask is None and rng.random() < 0.3 else mask for mask in segmentations]
    score = float(rng.choice([0.1, 0.5, 0.9])) if rng.random() < 0.6 else float(rng.random())
    return {"video_id": video_id, "category_id": category, "score": score, "segmentations": segmentations}


def _damaged(mask, rng):
    """A copy of a mask: whole, cut to k of 20 columns, emptied or absent."""
    if mask is None:
        return None
    kind = rng.random()
    mask = mask.copy()
    if kind < 0.6:
        columns = np.flatnonzero(mask.any(axis=0))
        mask[:, columns[int(np.ceil(len(columns) * rng.integers(9, 21) / 20)) :]] = False
    elif kind < 0.7:
        mask[:] = False
    elif kind < 0.75:
        return None
    return mask
