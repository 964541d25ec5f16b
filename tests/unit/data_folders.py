"""Small folders in the form of the published datasets, made by own code, with every quirk that they have."""

import json
import random

import numpy as np
from PIL import Image
from pycocotools import mask as mask_api

from mindthegap.config.datasets import FolderDataset
from mindthegap.data import prepare_folder

HEIGHT, WIDTH = 12, 16


def rle(top, left, form="compressed"):
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8, order="F")
    mask[top : top + 4, left : left + 5] = 1
    if form == "polygon":
        return [[left, top, left + 5, top, left + 5, top + 4, left, top + 4]]
    if form == "uncompressed":
        flat = mask.ravel(order="F")
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
        counts = np.diff([0, *edges, flat.size]).tolist()
        return {"size": [HEIGHT, WIDTH], "counts": counts}
    encoded = mask_api.encode(mask)
    return {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}


def make(videos=8, form="compressed", seed=0):
    """Ground truth of small videos with 2 to 9 frames; category 3 is rare."""
    rng = random.Random(seed)
    content = {
        "info": {"contributor": "nobody"},
        "licenses": [{"id": 1, "name": "free"}],
        "videos": [],
        "categories": [
            {"supercategory": "object", "id": 3, "name": "Vehical"},
            {"supercategory": "object", "id": 1, "name": "person"},
            {"supercategory": "object", "id": 2, "name": "fish"},
        ],
        "annotations": [],
    }
    for k in rng.sample(range(videos), videos):
        length = 2 + k % 8
        names = [f"{k:04x}a/img_{t:07d}.jpg" for t in range(1, length + 1)]
        video = {"id": 100 + k, "height": HEIGHT, "width": WIDTH, "length": length, "file_names": names, "license": 1}
        content["videos"].append(video)
        for n in range(1 + k % 3):
            masks = [rle(t % 6, 3 * n, form) if t != 1 else None for t in range(length)]
            content["annotations"].append({
                "length": 1, "category_id": 3 if k in (0, 4) else 1 + n % 2, "video_id": 100 + k, "iscrowd": 0,
                "id": len(content["annotations"]) + 1, "height": HEIGHT, "width": WIDTH, "segmentations": masks,
                "bboxes": [None if m is None else [3 * n, t % 6, 5, 4] for t, m in enumerate(masks)],
                "areas": [None if m is None else 20 for m in masks],
                "occlusion": [None if m is None else "slight_occlusion" for m in masks], "cats": [7] * length,
            })  # fmt: skip
    return content


def write(folder, content, encoding="utf-8", frames=True):
    folder.mkdir(exist_ok=True)
    (folder / "gt.json").write_text(json.dumps(content), encoding=encoding)
    for video in content["videos"] if frames else []:
        for name in video["file_names"]:
            (folder / "JPEGImages" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 60)).save(folder / "JPEGImages" / name)
    return folder


def spec(folder, **changes):
    raw = {"kind": "folder", "frames": str(folder / "JPEGImages"), "annotations": str(folder / "gt.json")}
    return FolderDataset.model_validate(raw | {"split": {"diagnostic_fraction": 0.25}} | changes)


def prepared(tmp_path, content, name="out", **changes):
    manifest = prepare_folder(spec(tmp_path / "in", **changes), tmp_path / name, "mine", progress=False)
    parts = {s: json.loads((tmp_path / name / f"{s}.json").read_text()) for s in manifest["splits"]}
    return manifest, parts


def union(parts, key):
    return sorted((item for part in parts.values() for item in part[key]), key=lambda item: item["id"])
