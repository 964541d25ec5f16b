"""Brings still pictures into the dataset contract, for pretraining."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mindthegap.data.coco import object_record, read_coco, video_record, without
from mindthegap.data.frames import link_frames, path_fault
from mindthegap.data.manifest import describe_split, manifest
from mindthegap.data.pictures import Fault, picture_fault
from mindthegap.data.staging import FRAMES, MANIFEST, staged_dataset
from mindthegap.errors import InputError
from mindthegap.files import sha256_file, write_json
from mindthegap.formats import GroundTruth, Video
from mindthegap.progress import track

if TYPE_CHECKING:
    from mindthegap.config.datasets import CocoDataset


def prepare_stills(
    spec: CocoDataset, out_dir: str | Path, name: str, *, workers: int = 1, progress: bool = True
) -> dict[str, Any]:
    """Writes pictures with COCO annotations as videos of one frame: both splits, ``frames`` (a link) and the manifest.

    Pictures without an object of the kept categories, with more than ``max_objects`` of them, or without colours are
    left out; the manifest counts them.

    Args:
        spec: Where the data is, and what is kept of it.
        out_dir: Folder; former output in it is replaced once everything is ready.
        name: Dataset's name in the manifest.
        workers: Eight times as many threads read headers of pictures.
        progress: Whether to show it on standard error.

    Returns:
        The manifest.

    Raises:
        InputError: The first thing wrong with the data.
        MindTheGapError: The folder cannot be written.
    """
    truth = read_coco(spec.annotations, spec.categories, progress=progress)
    left_out = _unfit(truth, spec.max_objects)
    truth = without(truth, left_out.keys())
    grey = _without_colours(truth, Path(spec.frames), workers, progress)
    truth = without(truth, grey)
    reasons = Counter(left_out.values()) + Counter({"without colours": len(grey)})
    splits = _divided(truth, spec)
    source = {
        "annotations": [{"file": spec.annotations, "sha256": sha256_file(spec.annotations)}],
        "frames": [spec.frames],
        "categories": spec.categories,
        "left_out": dict(sorted(reasons.items())),
        "title": spec.title,
    }
    recipe = {"how": "drawn", "fraction": spec.diagnostic_fraction, "seed": spec.seed}
    with staged_dataset(out_dir) as stage:
        records = {}
        for split, part in splits.items():
            path = stage / f"{split}.json"
            write_json(path, _document(part, name, split))
            records[split] = describe_split(path, part)
        link_frames(stage / FRAMES, [(spec.frames, truth.videos)], inside=Path(out_dir))
        categories = [{"id": category.id, "name": category.name} for category in truth.categories]
        result = manifest(name, source, categories, records, recipe, synthetic=False)
        write_json(stage / MANIFEST, result, indent=1)
    return result


def _unfit(truth: GroundTruth, most: int) -> dict[int, str]:
    """Why pictures are not trained on, by id."""
    count = Counter(item.video_id for item in truth.objects if not item.iscrowd)
    empty = {video.id: "without objects" for video in truth.videos if not count[video.id]}
    return empty | {number: f"more than {most} objects" for number, objects in count.items() if objects > most}


def _without_colours(truth: GroundTruth, root: Path, workers: int, progress: bool) -> set[int]:
    """Ids of the greyscale pictures, of which COCO has a few hundred.

    Raises:
        InputError: Another picture is missing, damaged, or not of the stated size.
    """
    if not root.is_dir():
        raise InputError(root, "", "there is no such folder", "name the folder that the file_names are relative to")

    def look(video: Video) -> Fault | None:
        name = video.file_names[0]
        return path_fault(name) or picture_fault(root / name, video.width, video.height)

    with ThreadPoolExecutor(8 * max(1, workers)) as pool:
        results = pool.map(look, truth.videos)
        faults = list(track(results, "checking pictures", len(truth.videos), enabled=progress))
    grey = set()
    for video, fault in zip(truth.videos, faults, strict=True):
        if fault is not None and fault.kind != "mode":
            place = f"image {video.id}"
            raise InputError(truth.path, place, f"{root / video.file_names[0]} {fault.problem}", fault.remedy)
        if fault is not None:
            grey.add(video.id)
    return grey


def _divided(truth: GroundTruth, spec: CocoDataset) -> dict[str, GroundTruth]:
    """Train and diagnostic pictures, drawn by seed over sorted ids.

    Raises:
        InputError: There are fewer than two pictures.
    """
    numbers = sorted(video.id for video in truth.videos)
    if len(numbers) < 2:
        problem = f"has {len(numbers)} picture to divide into train and diagnostic"
        raise InputError(truth.path, "images", problem, "give more pictures, or keep more categories")
    order = np.random.default_rng(spec.seed).permutation(len(numbers))
    wanted = min(max(1, round(spec.diagnostic_fraction * len(numbers))), len(numbers) - 1)
    chosen = {numbers[k] for k in order[:wanted]}
    return {"train": without(truth, chosen), "diagnostic": without(truth, set(numbers) - chosen)}


def _document(part: GroundTruth, name: str, split: str) -> dict[str, Any]:
    """The split's YouTube-VIS JSON."""
    video = {entry.id: entry for entry in part.videos}
    return {
        "info": {"description": f"{name}: stills as videos of one frame, {split} split"},
        "videos": [video_record(entry) for entry in part.videos],
        "categories": [{"id": category.id, "name": category.name} for category in part.categories],
        "annotations": [object_record(item, video[item.video_id]) for item in part.objects],
    }
