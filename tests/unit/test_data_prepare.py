"""Real folders: every quirk is read, and nothing is changed on the way."""

import copy
import json
import os
import random

import numpy as np
import pytest
from data_folders import make, prepared, rle, spec, union, write
from PIL import Image

from mindthegap.data import contact_sheet, draw_split, staging
from mindthegap.data.inventory import inventory
from mindthegap.data.registry import REGISTRY
from mindthegap.errors import InputError
from mindthegap.formats import read_ground_truth


@pytest.mark.parametrize("form", ["compressed", "uncompressed", "polygon"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_content_is_unchanged(tmp_path, form, encoding):
    content = make(form=form)
    write(tmp_path / "in", content, encoding)
    manifest, parts = prepared(tmp_path, content)
    for key in ("videos", "annotations"):
        assert union(parts, key) == sorted(content[key], key=lambda item: item["id"])
    for split, part in parts.items():
        for key in ("info", "licenses", "categories"):
            assert part[key] == content[key]
        assert [video for video in content["videos"] if video in part["videos"]] == part["videos"]
        truth = read_ground_truth(tmp_path / "out" / f"{split}.json")
        assert len(truth.objects) == manifest["splits"][split]["annotations"] == len(part["annotations"])
        for video in truth.videos:
            assert all((tmp_path / "out/frames" / name).is_file() for name in video.file_names)
    assert (tmp_path / "out/frames").is_symlink()
    assert manifest["frames"]["files"] == sum(len(video["file_names"]) for video in content["videos"])
    assert manifest["synthetic"] is False
    assert manifest["source"]["annotations"][0]["filled"] == {}


def test_splits_share_no_video_and_depend_on_the_seed_only(tmp_path):
    content = make(videos=40)
    write(tmp_path / "in", content)
    shuffled = copy.deepcopy(content)
    random.Random(1).shuffle(shuffled["videos"])
    random.Random(2).shuffle(shuffled["annotations"])
    (tmp_path / "in/shuffled.json").write_text(json.dumps(shuffled))
    lists = [
        prepared(tmp_path, content, "a")[0]["split_recipe"]["videos"],
        prepared(tmp_path, content, "b", annotations=str(tmp_path / "in/shuffled.json"))[0]["split_recipe"]["videos"],
        prepared(tmp_path, content, "c", split={"diagnostic_fraction": 0.25, "seed": 5})[0]["split_recipe"]["videos"],
    ]
    assert lists[0] == lists[1] != lists[2]
    assert len(lists[0]["diagnostic"]) == 10
    assert not set(lists[0]["train"]) & set(lists[0]["diagnostic"])


def test_split_is_stratified(tmp_path):
    content = make(videos=120)
    write(tmp_path / "in", content, frames=False)
    truth = read_ground_truth(tmp_path / "in/gt.json")
    rare = {item.video_id for item in truth.objects if item.category_id == 3}
    length = {video.id: video.length for video in truth.videos}
    objects = {number: sum(item.video_id == number for item in truth.objects) for number in length}
    for seed in range(5):
        chosen = draw_split(truth, 0.25, seed)
        rest = set(length) - chosen
        assert len(chosen) == 30
        assert abs(np.mean([length[v] for v in chosen]) - np.mean([length[v] for v in rest])) < 0.7
        assert abs(np.mean([objects[v] for v in chosen]) - np.mean([objects[v] for v in rest])) < 0.25
        assert rare & rest


def test_only_demanding_videos_are_drawn_where_asked(tmp_path):
    content = make(videos=40)
    heavy = {video["id"] for video in content["videos"] if video["id"] % 2}
    for item in content["annotations"]:
        level = "severe_occlusion" if item["video_id"] in heavy else "no_occlusion"
        item["occlusion"] = [level if mask else None for mask in item["segmentations"]]
    write(tmp_path / "in", content)
    demands = {"frames": 4, "density": 1.2, "occlusion": 0.5}
    manifest, parts = prepared(tmp_path, content, split={"diagnostic_fraction": 0.5, "at_least": demands})
    objects = {v["id"]: [i for i in content["annotations"] if i["video_id"] == v["id"]] for v in content["videos"]}
    fit = {
        video["id"]
        for video in content["videos"]
        if video["length"] >= 4
        and video["id"] in heavy
        and sum(bool(mask) for i in objects[video["id"]] for mask in i["segmentations"]) / video["length"] >= 1.2
    }
    drawn = {video["id"] for video in parts["diagnostic"]["videos"]}
    assert drawn < fit
    assert len(drawn) == round(len(fit) / 2) > 1
    assert len(parts["train"]["videos"]) == 40 - len(drawn)
    assert manifest["split_recipe"]["at_least"] == demands
    with pytest.raises(InputError, match="no video reaches"):
        prepared(tmp_path, content, split={"diagnostic_fraction": 0.5, "at_least": {"frames": 99}})


def test_a_category_that_occurs_once_is_trained_on(tmp_path):
    content = make(videos=20)
    for item in content["annotations"]:
        item["category_id"] = 3 if item["id"] == 4 else 1
    write(tmp_path / "in", content, frames=False)
    truth = read_ground_truth(tmp_path / "in/gt.json")
    only = next(item.video_id for item in truth.objects if item.category_id == 3)
    assert all(only not in draw_split(truth, 0.3, seed) for seed in range(8))


def test_videos_of_one_folder_stay_together(tmp_path):
    content = make(videos=12)
    for k, video in enumerate(content["videos"]):
        video["file_names"] = [f"clip{k // 3}/{video['id']}_{t}.jpg" for t in range(video["length"])]
    write(tmp_path / "in", content, frames=False)
    truth = read_ground_truth(tmp_path / "in/gt.json")
    for seed in range(4):
        chosen = draw_split(truth, 0.5, seed)
        assert len({v.name for v in truth.videos if v.id in chosen}) == 2
        assert len(chosen) == 6


def test_what_can_be_told_from_the_masks_is_filled_in(tmp_path):
    content = make(form="polygon")
    expected = copy.deepcopy(content)
    for item in content["annotations"]:
        for key in ("iscrowd", "areas", "bboxes"):
            del item[key]
    for video in content["videos"]:
        del video["length"]
    write(tmp_path / "in", content)
    manifest, parts = prepared(tmp_path, content)
    for found, wanted in zip(union(parts, "annotations"), expected["annotations"], strict=True):
        assert found == wanted
    assert union(parts, "videos") == sorted(expected["videos"], key=lambda video: video["id"])
    count = len(content["annotations"])
    filled = {"iscrowd": count, "areas": count, "bboxes": count, "length": 8}
    assert manifest["source"]["annotations"][0]["filled"] == filled


def test_a_published_list_plugs_in(tmp_path):
    content = make()
    write(tmp_path / "in", content)
    (tmp_path / "list.txt").write_text("# from a paper\n0003a\n0005a/\n\n0003a  # again\n")
    manifest, _ = prepared(tmp_path, content, split={"diagnostic_list": str(tmp_path / "list.txt")})
    assert manifest["split_recipe"]["videos"]["diagnostic"] == ["0003a", "0005a"]
    assert manifest["splits"]["train"]["videos"] == 6
    (tmp_path / "list.txt").write_text("0003a\nelsewhere\n")
    with pytest.raises(InputError, match=r"list.txt: line 2: there is no video 'elsewhere'"):
        prepared(tmp_path, content, split={"diagnostic_list": str(tmp_path / "list.txt")})
    with pytest.raises(InputError, match="no-such"):
        prepared(tmp_path, content, split={"diagnostic_list": str(tmp_path / "no-such.txt")})


def test_two_files_with_frames_of_their_own(tmp_path):
    train, other = make(videos=4), make(videos=3, seed=9)
    for video in other["videos"]:
        video["file_names"] = [f"x{name}" for name in video["file_names"]]
    write(tmp_path / "in", train)
    write(tmp_path / "more", other)
    split = {
        "diagnostic_annotations": str(tmp_path / "more/gt.json"), "diagnostic_frames": str(tmp_path / "more/JPEGImages")
    }  # fmt: skip
    _, parts = prepared(tmp_path, train, split=split)
    assert parts["train"]["annotations"] == train["annotations"]
    assert parts["diagnostic"]["annotations"] == other["annotations"]
    for part in parts.values():
        for video in part["videos"]:
            assert all((tmp_path / "out/frames" / name).is_file() for name in video["file_names"])
    write(tmp_path / "more", train)
    with pytest.raises(InputError, match="no video may be trained on and diagnosed"):
        prepared(tmp_path, train, split=split)
    other["categories"][0]["name"] = "Vehicle"
    write(tmp_path / "more", other)
    with pytest.raises(InputError, match="category 3 is 'Vehicle', but 'Vehical'"):
        prepared(tmp_path, train, split=split)


def test_borrowed_weights_leave_no_train_split(tmp_path):
    content = make()
    write(tmp_path / "in", content)
    manifest, _ = prepared(tmp_path, content, split=None, weights_from="other")
    assert set(manifest["splits"]) == {"diagnostic"}
    assert manifest["splits"]["diagnostic"]["videos"] == 8


def test_defaults_diagnose_fifteen_percent(tmp_path):
    content = make(videos=20)
    write(tmp_path / "in", content)
    assert prepared(tmp_path, content, split=None)[0]["splits"]["diagnostic"]["videos"] == 3


def test_contact_sheet_shows_outlines(tmp_path):
    content = make(form="uncompressed")
    write(tmp_path / "in", content)
    prepared(tmp_path, content)
    contact_sheet(tmp_path / "out", "train", tmp_path / "sheet.png", videos=3, frames=4, height=60)
    with Image.open(tmp_path / "sheet.png") as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=int)
        size = picture.size
    assert size[1] == 18 + 3 * (60 + 14 + 4) + 4
    reddish = (pixels[..., 0] > 200) & (pixels[..., 1] < 80) & (pixels[..., 2] < 80)
    assert reddish.sum() > 100
    with pytest.raises(InputError, match="no such file"):
        contact_sheet(tmp_path / "out", "test", tmp_path / "sheet.png")


def write_published(folder, videos=607, **changes):
    """Annotations with the number of videos and the categories of OVIS, spelled differently; frames are not needed."""
    content = make(videos=videos)
    content["categories"] = [
        {"id": number, "name": name.upper().replace("_", " ")}
        for number, name in enumerate(REGISTRY["ovis"].categories, start=1)
    ]
    folder.mkdir(exist_ok=True)
    (folder / "JPEGImages").mkdir(exist_ok=True)
    (folder / "gt.json").write_text(json.dumps(content | changes))


def test_a_published_dataset_is_recognised(tmp_path):
    write_published(tmp_path / "in")
    with pytest.raises(InputError, match="does not exist"):  # all is well up to the frames, which are not there
        prepared(tmp_path, None, expect="ovis")
    write_published(tmp_path / "in", videos=606)
    with pytest.raises(InputError, match=r"has 606 videos, but OVIS .train. has 607"):
        prepared(tmp_path, None, expect="ovis")
    write_published(tmp_path / "in", categories=[{"id": k, "name": f"c{k}"} for k in range(1, 26)])
    with pytest.raises(InputError, match="category 1 is 'c1', not 'Person' as in OVIS"):
        prepared(tmp_path, None, expect="ovis")


def test_registry_is_complete():
    assert {name: len(entry.categories) for name, entry in REGISTRY.items()} == {
        "youtube_vis_2019": 40, "youtube_vis_2021": 40, "ovis": 25,
    }  # fmt: skip
    for name, entry in REGISTRY.items():
        assert entry.name == name
        assert len(set(entry.categories)) == len(entry.categories)
        assert entry.page.startswith("http")
        looked_up = {"videos", "objects", "masks", "citation", "annotations", "frames", "categories", "terms"}
        assert set(entry.sources) == looked_up
        assert all(entry.sources.values())
    assert REGISTRY["youtube_vis_2019"].categories[25] == "owl"
    assert REGISTRY["youtube_vis_2021"].categories[39] == "zebra"
    assert REGISTRY["ovis"].categories[24] == "Vehical"


def test_inventory_tells_present_missing_and_wrong(tmp_path):
    content = make()
    write(tmp_path / "in", content)
    lost = spec(tmp_path / "nowhere", expect="ovis", split={"diagnostic_list": "no-list.txt"})
    found = {"mine": spec(tmp_path / "in"), "lost": lost, "other": spec(tmp_path / "in", expect="ovis")}
    states = {status.name: status for status in inventory(found)}
    assert [states[name].state for name in found] == ["present", "missing", "present"]
    told = "\n".join(states["lost"].details)
    assert "nowhere/gt.json is not there; put annotations_train.json there" in told
    assert "img_0000001.jpg exists" in told
    assert "from https://songbai.site/ovis/" in told
    assert any("no-list.txt is not there" in line for line in states["lost"].details)
    checked = {status.name: status for status in inventory(found, check=True)}
    assert [checked[name].state for name in found] == ["present", "missing", "wrong"]
    assert "2 videos and" in checked["mine"].details[0]
    assert "607" in checked["other"].details[0]


@pytest.mark.parametrize("indent", [None, 3])
@pytest.mark.parametrize("first", ["annotations", "videos"])
def test_layout_of_the_text_does_not_matter(tmp_path, indent, first):
    content = make(videos=4)
    content["annotations"][0]["note"] = 'a "quoted" ]}, \\ \u20ac \U0001f680'
    ordered = {first: content[first]} | content
    write(tmp_path / "in", content)
    for ascii_only in (True, False):
        text = json.dumps(ordered, indent=indent, ensure_ascii=ascii_only)
        (tmp_path / "in/gt.json").write_text(f"\n {text}\r\n\t", encoding="utf-8")
        _, parts = prepared(tmp_path, content)
        assert union(parts, "annotations") == content["annotations"]


def test_what_a_killed_run_left_is_removed(tmp_path):
    content = make()
    write(tmp_path / "in", content)
    dead = tmp_path / "out" / f"{staging._OURS}{2**22 + 1}-abc"
    alive = tmp_path / "out" / f"{staging._OURS}{os.getppid()}-abc"
    for folder in (dead, alive):
        folder.mkdir(parents=True)
    prepared(tmp_path, content)
    assert not dead.exists()
    assert alive.exists()


def test_statistics_of_a_known_scene(tmp_path):
    content = make(videos=1)
    content["videos"][0] |= {"length": 2, "file_names": ["a/0.jpg", "a/1.jpg"]}
    boxes = [[(0, 0), (0, 0)], [(0, 3), None]]  # the second overlaps 2 of the first's 5 columns in frame 0
    content["annotations"] = [
        {"id": k + 1, "video_id": content["videos"][0]["id"], "category_id": 1,
         "segmentations": [at and rle(*at) for at in places],
         "occlusion": ["slight_occlusion", None if k else "no_occlusion"]}
        for k, places in enumerate(boxes)
    ]  # fmt: skip
    write(tmp_path / "in", content)
    manifest, _ = prepared(tmp_path, content, split=None, weights_from="other")
    assert manifest["splits"]["diagnostic"]["statistics"] == {
        "frames_per_video": 2, "objects_per_video": 2, "objects_per_frame": 1.5, "presence": 0.75,
        "box_overlap_rate": 0.125, "occlusion": pytest.approx(
            {"no_occlusion": 1 / 3, "slight_occlusion": 2 / 3, "severe_occlusion": 0}, abs=1e-4),
    }  # fmt: skip
