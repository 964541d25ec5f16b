"""A table of what the published files look like, as far as it surprises; each line is in a fixture and is asserted."""

import copy
import json
import os
import struct
import zlib
from pathlib import Path

import pytest
from data_folders import HEIGHT, WIDTH, make, prepared, union, write
from PIL import Image
from pycocotools import mask as mask_api

from mindthegap.errors import InputError
from mindthegap.formats import read_ground_truth


def _quirky(form="uncompressed"):
    """One file with all that the three datasets do to their JSON."""
    content = make(videos=6, form=form)
    content["info"] = {"contributor": "somebody", "version": 1.0}
    content["categories"].append(
        {"supercategory": "object", "id": 9, "name": 'odd "name" / \u732b \U0001f408 $x$ ../a'}
    )
    content["annotations"][0]["category_id"] = 9
    for item in content["annotations"]:
        item["areas"] = [mask and 66 * 172 for mask in item["segmentations"]]
        item["bboxes"] = [box and [box[0] + 1.5, *box[1:]] for box in item["bboxes"]]
    content["annotations"][1]["segmentations"][0] = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}
    content["annotations"][2]["iscrowd"] = 1
    content["annotations"].append(copy.deepcopy(content["annotations"][0]) | {"id": 901, "segmentations":
        [None] * len(content["annotations"][0]["segmentations"])})  # fmt: skip
    return content


QUIRKS = {
    "length is 1 in every annotation and means nothing": lambda c: {a["length"] for a in c["annotations"]} == {1},
    "height and width are repeated per annotation": lambda c: all("height" in a for a in c["annotations"]),
    "categories are not sorted by id": lambda c: [k["id"] for k in c["categories"]] != sorted(
        k["id"] for k in c["categories"]),
    "category ids have holes": lambda c: {k["id"] for k in c["categories"]} == {1, 2, 3, 9},
    "categories carry a supercategory": lambda c: all(k["supercategory"] for k in c["categories"]),
    "a category is misspelt": lambda c: "Vehical" in {k["name"] for k in c["categories"]},
    "a category name has odd characters": lambda c: any("\u732b" in k["name"] for k in c["categories"]),
    "videos are not sorted by id": lambda c: [v["id"] for v in c["videos"]] != sorted(v["id"] for v in c["videos"]),
    "video ids do not start at 1": lambda c: min(v["id"] for v in c["videos"]) == 100,
    "annotation ids have holes": lambda c: max(a["id"] for a in c["annotations"]) == 901,
    "videos carry a license": lambda c: all(v["license"] == 1 for v in c["videos"]),
    "frames count from 1 in seven digits": lambda c: c["videos"][0]["file_names"][0].endswith("/img_0000001.jpg"),
    "absent is null": lambda c: any(None in a["segmentations"] for a in c["annotations"]),
    "an object is never visible": lambda c: set(c["annotations"][-1]["segmentations"]) == {None},
    "a mask is there and has no pixel": lambda c: any(
        mask and mask_api.area(_compressed(mask)) == 0 for a in c["annotations"] for mask in a["segmentations"]),
    "areas are those of boxes, not of masks": lambda c: c["annotations"][0]["areas"][0] == 66 * 172,
    "stored boxes differ from the masks' own": lambda c: c["annotations"][0]["bboxes"][0][0] % 1 == 0.5,
    "iscrowd is 1 somewhere": lambda c: {a["iscrowd"] for a in c["annotations"]} == {0, 1},
    "occlusion is graded per frame, null where absent": lambda c: all(
        [level is None for level in a["occlusion"]] == [mask is None for mask in a["segmentations"]]
        for a in c["annotations"][:-1]),
    "a key that nobody knows is kept (cats)": lambda c: all("cats" in a for a in c["annotations"]),
    "info and licenses are kept": lambda c: c["info"]["contributor"] == "somebody" and c["licenses"],
}  # fmt: skip


def _compressed(mask):
    if isinstance(mask, list):
        return mask_api.merge(mask_api.frPyObjects(mask, HEIGHT, WIDTH))
    return mask_api.frPyObjects(mask, *mask["size"]) if isinstance(mask["counts"], list) else mask


@pytest.fixture(scope="module", params=["utf-8", "utf-8-sig"])
def passed_through(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quirks")
    content = _quirky()
    write(folder / "in", content, encoding=request.param)
    manifest, parts = prepared(folder, content)
    return content, manifest, {**content, "videos": union(parts, "videos"), "annotations": union(parts, "annotations")}


@pytest.mark.parametrize("quirk", QUIRKS)
def test_every_quirk_is_in_the_fixture(quirk):
    assert QUIRKS[quirk](_quirky()), quirk


def test_every_quirk_passes_through(passed_through):
    before, manifest, after = passed_through
    assert after["annotations"] == sorted(before["annotations"], key=lambda item: item["id"])
    assert after["videos"] == sorted(before["videos"], key=lambda video: video["id"])
    assert [category["name"] for category in manifest["categories"]] == [c["name"] for c in before["categories"]]
    assert manifest["source"]["annotations"][0]["filled"] == {}


@pytest.mark.parametrize("form", ["compressed", "uncompressed", "polygon"])
def test_masks_of_every_form_mean_the_same(tmp_path, form):
    write(tmp_path / "in", make(videos=4, form=form), frames=False)
    truth = read_ground_truth(tmp_path / "in/gt.json")
    for item, source in zip(truth.objects, make(videos=4)["annotations"], strict=True):
        for found, wanted in zip(item.segmentations, source["segmentations"], strict=True):
            assert (found and found["counts"].decode()) == (wanted and wanted["counts"])


@pytest.mark.parametrize("value", [None, "missing"])
def test_hidden_ground_truth_is_named(tmp_path, value):
    """YouTube-VIS valid.json has no key ``annotations``, OVIS's says null."""
    content = make(videos=2)
    content["annotations"] = value
    if value:
        del content["annotations"]
    write(tmp_path / "in", content, frames=False)
    with pytest.raises(InputError, match=r"hides its ground truth \(as public validation and test files do\)"):
        prepared(tmp_path, content)


def _saved(mode, kind="PNG", **options):
    def damage(path):
        Image.new(mode, (WIDTH, HEIGHT)).save(path, kind, **options)

    return damage


def _deep(path):
    """A PNG of 16 bits per channel, which Pillow can read but not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + bytes(6 * WIDTH) for _ in range(HEIGHT))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def _cut(path):
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_saved("L", "JPEG"), r"is of mode L, not RGB \(greyscale\).*; convert it to 8-bit RGB"),
        (_saved("CMYK", "JPEG"), r"is of mode CMYK, not RGB \(inks of a printer\)"),
        (_saved("P"), r"is of mode P, not RGB \(colours from a palette\)"),
        (_saved("RGBA"), r"is of mode RGBA, not RGB"),
        (_saved("I;16"), r"is of mode I;16, not RGB \(16-bit greyscale\)"),
        (_deep, "has 16 bits per channel, not 8"),
        (_cut, "is cut off: its JPEG data has no end"),
        (lambda path: _saved("RGB")(path) or _cut(path) or _cut(path) or _cut(path), "is cut off: its PNG data"),
        (lambda path: os.unlink(path) or path.mkdir(), "cannot be read .*Is a directory"),
        (lambda path: os.unlink(path) or path.symlink_to("nowhere"), "does not exist"),
    ],
)
def test_frames_that_no_method_should_see(tmp_path, damage, message):
    content = make(videos=2)
    write(tmp_path / "in", content)
    damage(tmp_path / "in/JPEGImages" / content["videos"][1]["file_names"][1])
    with pytest.raises(InputError, match=r"videos\[1\]\.file_names\[1\]: .*" + message):
        prepared(tmp_path, content)
    assert not (tmp_path / "out").exists()


def test_trailing_bytes_and_linked_folders_are_fine(tmp_path):
    content = make(videos=3)
    write(tmp_path / "in", content)
    frame = tmp_path / "in/JPEGImages" / content["videos"][0]["file_names"][0]
    frame.write_bytes(frame.read_bytes() + b"\0" * 100)
    os.rename(tmp_path / "in/JPEGImages", tmp_path / "elsewhere")
    (tmp_path / "in/JPEGImages").symlink_to("../elsewhere")
    video = Path(content["videos"][1]["file_names"][0]).parent
    os.rename(tmp_path / "elsewhere" / video, tmp_path / "moved")
    (tmp_path / "elsewhere" / video).symlink_to(tmp_path / "moved")
    manifest, _ = prepared(tmp_path, content)
    assert manifest["splits"]["train"]["videos"] == 2


def test_a_video_entered_twice_is_named(tmp_path):
    content = make(videos=4)
    content["videos"].append(content["videos"][1] | {"id": 7})
    write(tmp_path / "in", content)
    with pytest.raises(InputError, match=r"videos\[4\]\.file_names\[0\]: .* is already a frame of videos\[1\]"):
        prepared(tmp_path, content)


SAMPLE = os.environ.get("MINDTHEGAP_SAMPLE")


@pytest.mark.skipif(not SAMPLE, reason="MINDTHEGAP_SAMPLE names no folder with annotations.json and frames/")
def test_a_real_sample_passes_through_unchanged(tmp_path):
    source = Path(SAMPLE)
    before = json.loads((source / "annotations.json").read_text(encoding="utf-8-sig"))
    places = {"frames": str(source / "frames"), "annotations": str(source / "annotations.json")}
    _, parts = prepared(tmp_path, before, **places)
    for key in ("videos", "annotations"):
        assert union(parts, key) == sorted(before[key], key=lambda item: item["id"])
    own = read_ground_truth(source / "annotations.json")
    written = [item for split in parts for item in read_ground_truth(tmp_path / f"out/{split}.json").objects]
    assert {item.id: item.segmentations for item in own.objects} == {item.id: item.segmentations for item in written}
