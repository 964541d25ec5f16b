"""COCO instance annotations as videos of one frame, and which of COCO's classes the video datasets share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pycocotools import mask as mask_api

from mindthegap.data.registry import REGISTRY
from mindthegap.errors import InputError
from mindthegap.files import read_json
from mindthegap.formats import Category, GroundTruth, ObjectTrack, Problems, Video
from mindthegap.formats.ground_truth import parse_ground_truth
from mindthegap.formats.problems import shown
from mindthegap.progress import track


@dataclass(frozen=True)
class SharedClass:
    """A class of COCO that video datasets have, too, under other ids and partly other names."""

    coco_id: int
    coco_name: str
    youtube_vis_2019: str | None
    youtube_vis_2021: str | None


# After SeqFormer (Wu et al., ECCV 2022), official release, datasets/coco2seq.py: bicycles join motorbikes there.
# COCO's mouse is the computer's. The release sends it to id 24, which is a fox in 2019, so it is left out for 2019;
# in 2021 id 24 is the animal of the same name, and it is kept as released.
SHARED_CLASSES = tuple(
    SharedClass(*row)
    for row in (
        (1, "person", "person", "person"),
        (2, "bicycle", "motorbike", "motorbike"),
        (3, "car", "sedan", "car"),
        (4, "motorcycle", "motorbike", "motorbike"),
        (5, "airplane", "airplane", "airplane"),
        (7, "train", "train", "train"),
        (8, "truck", "truck", "truck"),
        (9, "boat", "boat", "boat"),
        (16, "bird", None, "bird"),
        (17, "cat", "cat", "cat"),
        (18, "dog", "dog", "dog"),
        (19, "horse", "horse", "horse"),
        (21, "cow", "cow", "cow"),
        (22, "elephant", "elephant", "elephant"),
        (23, "bear", "bear", "bear"),
        (24, "zebra", "zebra", "zebra"),
        (25, "giraffe", "giraffe", "giraffe"),
        (36, "snowboard", "snowboard", "snowboard"),
        (41, "skateboard", "skateboard", "skateboard"),
        (42, "surfboard", "surfboard", "surfboard"),
        (43, "tennis racket", "tennis_racket", "tennis_racket"),
        (74, "mouse", None, "mouse"),
    )
)


def category_map(dataset: str) -> dict[int, int]:
    """Category id of a video dataset by COCO category id.

    Args:
        dataset: ``youtube_vis_2019`` or ``youtube_vis_2021``.
    """
    number = {name: place for place, name in enumerate(REGISTRY[dataset].categories, start=1)}
    names = {shared.coco_id: getattr(shared, dataset) for shared in SHARED_CLASSES}
    return {coco_id: number[name] for coco_id, name in names.items() if name is not None}


def read_coco(path: str | Path, categories: str | None = None, *, progress: bool = True) -> GroundTruth:
    """Reads COCO instance annotations as videos of one frame.

    Args:
        path: COCO JSON (``images``, ``annotations`` with polygons or run lengths, ``categories``). Main memory peaks
            at about six times the file's size.
        categories: Video dataset whose categories are kept, under its ids and names; None keeps COCO's own.
        progress: Whether to show it on standard error.

    Returns:
        All pictures, and the objects of the categories that are kept; objects without a pixel are left out.

    Raises:
        InputError: The first thing wrong with the file.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(path, "", f"is {shown(content)}, not a JSON object", "give COCO instance annotations")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            found = f"is {shown(content[key])}, not a list" if key in content else "is missing"
            raise InputError(path, key, found, "give COCO instance annotations, e.g. instances_train2017.json")
    header = {"videos": [_video(entry) for entry in content["images"]], "categories": content["categories"]}
    entries = track(_annotations(content["annotations"]), "reading stills", len(content["annotations"]),
                    enabled=progress)  # fmt: skip
    truth = parse_ground_truth(header, entries, Problems(str(path)))
    seen = tuple(item for item in truth.objects if _has_pixels(item))
    return _renamed(replace(truth, objects=seen), categories)


def _video(image: Any) -> Any:
    """An entry of ``images`` as one of ``videos``; anything else is handed on, to be reported."""
    if not isinstance(image, Mapping):
        return image
    kept = {key: image[key] for key in ("id", "height", "width") if key in image}
    return {**kept, "length": 1, **({"file_names": [image["file_name"]]} if "file_name" in image else {})}


def _annotations(entries: list[Any]) -> Iterator[Any]:
    """Entries of COCO's ``annotations`` as tracks of one frame; each is forgotten once it has been read."""
    for place, entry in enumerate(entries):
        entries[place] = None
        if not isinstance(entry, Mapping):
            yield entry
            continue
        kept = {key: entry[key] for key in ("id", "category_id") if key in entry}
        if "image_id" in entry:
            kept["video_id"] = entry["image_id"]
        for one, many in (("segmentation", "segmentations"), ("bbox", "bboxes"), ("area", "areas")):
            if one in entry:
                kept[many] = [entry[one]]
        yield {**kept, "iscrowd": entry.get("iscrowd", 0)}


def _has_pixels(item: ObjectTrack) -> bool:
    """Whether anything of an object is left once its polygons are drawn."""
    return item.segmentations[0] is not None and int(mask_api.area(item.segmentations[0])) > 0


def _renamed(truth: GroundTruth, dataset: str | None) -> GroundTruth:
    """The ground truth with the categories of a video dataset."""
    if dataset is None:
        return truth
    named = {category.id: category.name for category in truth.categories}
    for shared in SHARED_CLASSES:
        if named.get(shared.coco_id, shared.coco_name) != shared.coco_name:
            problem = f"category {shared.coco_id} is {named[shared.coco_id]!r}, not {shared.coco_name!r} as in COCO"
            raise InputError(truth.path, "categories", problem, "leave out 'categories' to keep the file's own")
    number = category_map(dataset)
    kept = tuple(
        replace(item, category_id=number[item.category_id]) for item in truth.objects if item.category_id in number
    )
    names = enumerate(REGISTRY[dataset].categories, start=1)
    return replace(truth, categories=tuple(Category(k, name) for k, name in names), objects=kept)


def without(truth: GroundTruth, pictures: Collection[int]) -> GroundTruth:
    """The ground truth without some of its pictures."""
    videos = tuple(video for video in truth.videos if video.id not in pictures)
    return replace(truth, videos=videos, objects=tuple(item for item in truth.objects if item.video_id not in pictures))


def video_record(video: Video) -> dict[str, Any]:
    """A video as YouTube-VIS JSON writes it."""
    return {"id": video.id, "height": video.height, "width": video.width, "length": video.length,
            "file_names": list(video.file_names)}  # fmt: skip


def object_record(item: ObjectTrack, video: Video) -> dict[str, Any]:
    """A track as YouTube-VIS JSON writes it, areas and boxes of the masks included."""
    masks = [None if mask is None else {"size": list(mask["size"]), "counts": mask["counts"].decode("ascii")}
             for mask in item.segmentations]  # fmt: skip
    return {
        "id": item.id,
        "video_id": item.video_id,
        "category_id": item.category_id,
        "iscrowd": int(item.iscrowd),
        "height": video.height,
        "width": video.width,
        "length": 1,
        "segmentations": masks,
        "bboxes": [None if mask is None else mask_api.toBbox(mask).tolist() for mask in item.segmentations],
        "areas": [None if mask is None else int(mask_api.area(mask)) for mask in item.segmentations],
    }
