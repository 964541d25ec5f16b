"""Stills to pretrain on: COCO annotations as videos of one frame."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from mindthegap.config.datasets import CocoDataset
from mindthegap.data import contact_sheet
from mindthegap.data.coco import SHARED_CLASSES, category_map, read_coco
from mindthegap.data.registry import REGISTRY
from mindthegap.data.stills import prepare_stills
from mindthegap.errors import InputError
from mindthegap.formats import read_ground_truth

PERSON, BICYCLE, MOTORCYCLE, BENCH = 1, 2, 4, 15
HEIGHT, WIDTH = 24, 32


def annotation(number, image, category, segmentation=None, crowd=0):
    left = 2 * (number % 5)
    polygons = segmentation or [[left, 2, left + 12, 3, left + 10, 15, left, 12], [20, 18, 28, 18, 24, 22]]
    return {"id": number, "image_id": image, "category_id": category, "iscrowd": crowd, "segmentation": polygons,
            "bbox": [left, 2, 12, 13], "area": 100.5}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Six pictures: three to keep, a grey one, one without shared classes, one too full."""
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    images = [{"id": 10 * k, "file_name": f"{k:012d}.jpg", "height": HEIGHT, "width": WIDTH, "license": 3}
              for k in range(1, 7)]  # fmt: skip
    for image in images:
        shape = (HEIGHT, WIDTH) if image["id"] == 40 else (HEIGHT, WIDTH, 3)
        Image.fromarray(rng.integers(256, size=shape, dtype=np.uint8)).save(tmp_path / "pictures" / image["file_name"])
    runs = {"size": [HEIGHT, WIDTH], "counts": [48, 20, HEIGHT * WIDTH - 68]}
    kept = [annotation(1, 10, PERSON), annotation(2, 10, BICYCLE), annotation(3, 10, BENCH)]
    kept += [annotation(4, 20, MOTORCYCLE), annotation(5, 20, PERSON, runs, crowd=1), annotation(6, 30, PERSON)]
    lost = [annotation(7, 40, PERSON), annotation(8, 50, BENCH), *(annotation(20 + k, 60, PERSON) for k in range(4))]
    names = {1: "person", 2: "bicycle", 4: "motorcycle", 15: "bench"}
    categories = [{"id": number, "name": name, "supercategory": "x"} for number, name in names.items()]
    content = {"info": {}, "images": images, "annotations": kept + lost, "categories": categories}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    return tmp_path


def spec(folder, **changes):
    raw = {"kind": "coco", "frames": str(folder / "pictures"), "annotations": str(folder / "coco.json"),
           "categories": "youtube_vis_2019", "max_objects": 3}  # fmt: skip
    return CocoDataset.model_validate(raw | changes)


def rewrite(folder, change):
    content = json.loads((folder / "coco.json").read_text())
    change(content)
    (folder / "coco.json").write_text(json.dumps(content))


def test_pictures_become_videos_of_one_frame(folder):
    manifest = prepare_stills(spec(folder), folder / "out", "stills", progress=False)
    assert manifest["source"]["left_out"] == {"more than 3 objects": 1, "without colours": 1, "without objects": 1}
    parts = [read_ground_truth(folder / f"out/{split}.json") for split in ("train", "diagnostic")]
    assert [len(part.videos) for part in parts] == [2, 1]
    assert sorted(video.id for part in parts for video in part.videos) == [10, 20, 30]
    kept = {item.id: item for part in parts for item in part.objects}
    assert {number: item.category_id for number, item in kept.items()} == {1: 1, 2: 21, 4: 21, 5: 1, 6: 1}
    assert kept[5].iscrowd
    assert len(parts[0].categories) == 40
    for part in parts:
        for video in part.videos:
            assert (folder / "out/frames" / video.file_names[0]).is_file()


def test_masks_are_those_of_the_official_tools(folder):
    with contextlib.redirect_stdout(io.StringIO()):
        official = COCO(str(folder / "coco.json"))
    truth = read_coco(folder / "coco.json", progress=False)
    assert len(truth.objects) == len(official.anns)
    for item in truth.objects:
        assert np.array_equal(mask_api.decode(item.segmentations[0]), official.annToMask(official.anns[item.id]))


def test_without_a_map_all_categories_stay(folder):
    manifest = prepare_stills(spec(folder, categories=None, max_objects=9), folder / "out", "all", progress=False)
    assert [category["name"] for category in manifest["categories"]] == ["person", "bicycle", "motorcycle", "bench"]
    assert sum(split["videos"] for split in manifest["splits"].values()) == 5


def test_the_class_map_is_that_of_the_official_release():
    """The pairs as published; COCO's (computer) mouse is dropped where its number means a fox."""
    released = (
        "1-1 2-21 3-6 4-21 5-28 7-17 8-29 9-34 17-14 18-8 19-18 21-15 22-32 23-20 24-30 25-22 36-33 41-5 42-27 43-40 "
        "74-24"
    )
    pairs = dict(tuple(map(int, pair.split("-"))) for pair in released.split())
    del pairs[74]
    assert category_map("youtube_vis_2019") == pairs
    released = (
        "1-26 2-23 3-5 4-23 5-1 7-36 8-37 9-4 16-3 17-6 18-9 19-19 21-7 22-12 23-2 24-40 25-18 36-31 41-29 42-33 43-34 "
        "74-24"
    )
    assert category_map("youtube_vis_2021") == dict(tuple(map(int, pair.split("-"))) for pair in released.split())
    assert {shared.youtube_vis_2019 for shared in SHARED_CLASSES} - {None} <= set(
        REGISTRY["youtube_vis_2019"].categories
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "images: is missing; give COCO instance annotations"),
        (lambda c: c.update(annotations=None), "annotations: is null, not a list"),
        (lambda c: c["annotations"].append(3), r"annotations\[12\]: is 3, not a JSON object"),
        (lambda c: c["annotations"][1].pop("segmentation"), r"annotations\[1\].segmentations: is missing"),
        (lambda c: c["annotations"][1].update(image_id=99), "99"),
        (lambda c: c["categories"][1].update(name="tricycle"), "category 2 is 'tricycle', not 'bicycle' as in COCO"),
        (lambda c: c["images"][0].update(height=25), "but its video is 32x25"),
        (lambda c: c["images"][0].update(file_name="../x.jpg"), "leads out of the folder"),
        (lambda c: c["images"][0].update(file_name="none.jpg"), "does not exist"),
        (lambda c: c.update(annotations=[]), "has 0 picture"),
    ],
)
def test_mistakes_are_one_sentence(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(InputError, match=message):
        prepare_stills(spec(folder), folder / "out", "stills", progress=False)
    assert not (folder / "out").exists()


def test_stills_stand_side_by_side_on_the_sheet(folder):
    prepare_stills(spec(folder), folder / "out", "stills", progress=False)
    contact_sheet(folder / "out", "train", folder / "sheet.png", videos=2, frames=2, height=60)
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.width >= 2 * 60 * WIDTH / HEIGHT
        assert sheet.height < 2 * 60
