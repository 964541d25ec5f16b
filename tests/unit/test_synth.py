"""Rendered video: exact, reproducible, steerable, and as hard as its presets promise."""

import hashlib
import json
import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api
from pydantic import ValidationError

from mindthegap.config.datasets import SyntheticDataset
from mindthegap.data.linking import linking_ap
from mindthegap.errors import InputError, MindTheGapError
from mindthegap.formats import read_ground_truth
from mindthegap.synth import dataset as synth_dataset
from mindthegap.synth import render_dataset
from mindthegap.synth.dataset import render_video, video_tasks
from mindthegap.synth.shapes import AMPLITUDES, SHAPE_NAMES, silhouette


def spec(preset="synth_ytvis19", videos=2, **changes):
    split_keys = ("frames", "objects", "occlusion", "exits", "look_alikes", "camera", "object_size", "deformation")
    split = {key: changes.pop(key) for key in split_keys if key in changes}
    raw = {"kind": "synthetic", "preset": preset, "diagnostic": {"videos": videos, **split}, "weights_from": "other"}
    return SyntheticDataset.model_validate(raw | changes)


def annotations_of(dataset):
    return [render_video(task, None) for task in video_tasks(dataset, "diagnostic")]


def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("synth_ytvis19", "1a018aee093efb8c"),
        ("synth_ytvis21", "d238c0cfaa9f351a"),
        ("synth_ovis", "4761f9f521ca1fbe"),
    ],
)
def test_masks_are_the_same_on_every_machine(preset, expected):
    dataset = spec(preset, frames=9, seed=3, classes=SHAPE_NAMES, amodal=True)
    assert digest(annotations_of(dataset)) == expected


def test_output_depends_neither_on_workers_nor_on_the_number_of_videos(tmp_path):
    few = render_dataset(spec(videos=2, frames=4), tmp_path / "few", "clips", progress=False)
    many = render_dataset(spec(videos=4, frames=4), tmp_path / "many", "clips", workers=2, progress=False)
    again = render_dataset(spec(videos=4, frames=4), tmp_path / "again", "clips", workers=1, progress=False)
    assert many == again
    assert few["splits"]["diagnostic"]["sha256"] != many["splits"]["diagnostic"]["sha256"]
    small, large = (json.loads((tmp_path / name / "diagnostic.json").read_text()) for name in ("few", "many"))
    assert small["videos"] == large["videos"][:2]
    assert small["annotations"] == large["annotations"][: len(small["annotations"])]
    name = small["videos"][1]["file_names"][3]
    pictures = [(tmp_path / folder / "frames" / name).read_bytes() for folder in ("few", "many", "again")]
    assert pictures[0] == pictures[1] == pictures[2]


def test_dataset_folder_fulfils_the_contract(tmp_path):
    raw = {"kind": "synthetic", "train": {"videos": 3, "frames": 5}, "diagnostic": {"videos": 2, "frames": [3, 6]}}
    manifest = render_dataset(SyntheticDataset.model_validate(raw), tmp_path / "out", "clips", progress=False)
    assert manifest == json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["synthetic"] is True
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "diagnostic.json", "frames", "manifest.json", "train.json",
    ]  # fmt: skip
    names = []
    for split, videos in (("train", 3), ("diagnostic", 2)):
        path = tmp_path / "out" / f"{split}.json"
        record = manifest["splits"][split]
        assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        truth = read_ground_truth(path)
        assert truth.synthetic
        assert len(truth.videos) == record["videos"] == videos
        assert len(truth.objects) == record["annotations"]
        masks = sum(mask is not None for item in truth.objects for mask in item.segmentations)
        assert masks == record["masks"] > 0
        names += [name for video in truth.videos for name in video.file_names]
    files = [str(path.relative_to(tmp_path / "out/frames")) for path in (tmp_path / "out/frames").rglob("*.jpg")]
    assert sorted(files) == sorted(names)
    assert len(names) == manifest["frames"]["files"]
    with Image.open(tmp_path / "out/frames" / names[0]) as picture:
        assert (picture.size, picture.mode) == ((160, 96), "RGB")


def test_masks_are_exact():
    dataset = spec("synth_ovis", videos=3, frames=12, amodal=True)
    levels = Counter()
    for _, objects in annotations_of(dataset):
        for time in range(12):
            taken = np.zeros((96, 160), dtype=int)
            for item in objects:
                mask, whole = item["segmentations"][time], item["amodal_segmentations"][time]
                if mask is None:
                    assert item["areas"][time] is item["bboxes"][time] is item["occlusion"][time] is None
                    continue
                pixels, all_pixels = mask_api.decode(mask), mask_api.decode(whole)
                taken += pixels
                assert not (pixels & ~all_pixels & 1).any()
                assert item["areas"][time] == pixels.sum() >= 8
                assert item["bboxes"][time] == mask_api.toBbox(mask).tolist()
                visible = pixels.sum() / all_pixels.sum()
                assert item["visibility"][time] == pytest.approx(visible, abs=1e-4)
                level = "no" if visible >= 0.98 else "slight" if visible >= 0.5 else "severe"
                assert item["occlusion"][time] == f"{level}_occlusion"
                levels[level] += 1
            assert taken.max() <= 1
    assert all(levels[level] > 20 for level in ("no", "slight", "severe"))


def test_the_picture_shows_an_object_where_its_mask_is(tmp_path):
    dataset = spec(videos=4, frames=3, objects=1, occlusion=0, camera=0)
    render_dataset(dataset, tmp_path / "out", "clips", progress=False)
    content = json.loads((tmp_path / "out/diagnostic.json").read_text())
    names = {video["id"]: video["file_names"] for video in content["videos"]}
    for item in content["annotations"]:
        before, after = (
            np.asarray(Image.open(tmp_path / "out/frames" / names[item["video_id"]][time]), dtype=int)
            for time in (0, 2)
        )
        old, new = (mask_api.decode(item["segmentations"][time]).astype(bool) for time in (0, 2))
        change = np.abs(before - after).sum(axis=2)
        elsewhere = ~(old | new)
        assert change[old ^ new].mean() > 40
        assert change[elsewhere].mean() < change[old ^ new].mean() / 3


def occluded_share(dataset):
    levels = Counter(
        level for _, objects in annotations_of(dataset) for item in objects for level in item["occlusion"] if level
    )
    return 1 - levels["no_occlusion"] / sum(levels.values())


@pytest.mark.parametrize("wanted", [0.3, 0.6, 0.9])
def test_occlusion_follows_the_knob(wanted):
    assert occluded_share(spec(videos=16, frames=24, objects=[2, 5], occlusion=wanted)) == pytest.approx(
        wanted, abs=0.12
    )


def test_without_the_knob_hardly_anything_is_covered():
    assert occluded_share(spec(videos=16, frames=24, objects=[1, 3], occlusion=0)) < 0.08


def test_objects_come_late_leave_early_and_return():
    ways = Counter()
    for video, objects in annotations_of(spec(videos=16, frames=40, objects=3, exits=1.0, occlusion=0)):
        for item in objects:
            seen = [mask is not None for mask in item["segmentations"]]
            assert len(seen) == video["length"] == 40
            first, last = seen.index(True), len(seen) - 1 - seen[::-1].index(True)
            ways["late"] += first > 0
            ways["early"] += last < 39
            ways["return"] += not all(seen[first : last + 1])
    assert min(ways["late"], ways["early"], ways["return"]) >= 3


def test_look_alikes_share_class_and_texture():
    plain = annotations_of(spec(videos=12, frames=1, objects=4, look_alikes=0.0, occlusion=0))
    alike = annotations_of(spec(videos=12, frames=1, objects=4, look_alikes=1.0, occlusion=0))
    classes = [[len({item["category_id"] for item in objects}) for _, objects in videos] for videos in (plain, alike)]
    assert set(classes[1]) == {1}
    assert np.mean(classes[0]) > 2


def test_presets_are_as_hard_as_they_should_be(tmp_path):
    scores = {}
    for preset in ("synth_ytvis19", "synth_ovis"):
        dataset = spec(preset, videos=8)
        tasks = video_tasks(dataset, "diagnostic")
        truth = synth_dataset.split_document(dataset, preset, "diagnostic", tasks, annotations_of(dataset))
        (tmp_path / "gt.json").write_text(json.dumps(truth))
        scores[preset] = linking_ap(read_ground_truth(tmp_path / "gt.json"))
    assert scores["synth_ytvis19"] > 95
    assert 10 < scores["synth_ovis"] < 70


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": 1, "objects": 1},
        {"frames": 2, "objects": 16, "occlusion": 0.9},
        {"frames": 3, "height": 32, "width": 40},
        {"frames": 2, "height": 720, "width": 1280},
        {"frames": 3, "object_size": [0.04, 0.05]},
        {"frames": 3, "object_size": [0.9, 1.0], "objects": 3},
        {"frames": 150, "objects": 2},
    ],
)
def test_any_length_density_and_resolution(changes):
    for video, objects in annotations_of(spec(videos=1, camera=1.0, **changes)):
        assert objects
        for item in objects:
            assert len(item["segmentations"]) == video["length"]
            assert all(
                mask is None or mask["size"] == [video["height"], video["width"]] for mask in item["segmentations"]
            )


def test_silhouettes_are_distinct_and_inside_their_square():
    wholes = {}
    for name in SHAPE_NAMES:
        for amplitude in range(AMPLITUDES):
            cover = silhouette(name, 64, amplitude)
            assert len(cover) == (8 if amplitude else 1)
            assert (cover >= 128).mean(axis=(1, 2)).min() > 0.08
            assert not cover[:, [0, -1], :].any()
            assert not cover[:, :, [0, -1]].any()
        wholes[name] = silhouette(name, 64, 0)[0] >= 128
        assert amplitude == 0 or len(np.unique(silhouette(name, 64, amplitude), axis=0)) > 2
    for first in SHAPE_NAMES:
        for second in SHAPE_NAMES:
            if first < second:
                iou = (wholes[first] & wholes[second]).sum() / (wholes[first] | wholes[second]).sum()
                assert iou < 0.85, (first, second)


def test_every_class_occurs():
    videos = annotations_of(spec(videos=24, frames=1))
    assert {item["category_id"] for _, objects in videos for item in objects} == set(range(1, 9))


def test_splits_show_different_videos(tmp_path):
    raw = {"kind": "synthetic", "train": {"videos": 1, "frames": 2}, "diagnostic": {"videos": 1, "frames": 2}}
    render_dataset(SyntheticDataset.model_validate(raw), tmp_path / "out", "clips", progress=False)
    first, second = (json.loads((tmp_path / f"out/{s}.json").read_text()) for s in ("train", "diagnostic"))
    assert first["annotations"][0]["segmentations"] != second["annotations"][0]["segmentations"]


def test_a_failure_leaves_the_former_output_alone(tmp_path, monkeypatch):
    out = tmp_path / "out"
    render_dataset(spec(frames=2), out, "clips", progress=False)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synth_dataset.Image.Image, "save", full)
    with pytest.raises(MindTheGapError, match="disk is full"):
        render_dataset(spec(frames=3), out, "clips", progress=False)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert sorted(os.listdir(out)) == ["diagnostic.json", "frames", "manifest.json"]
    with pytest.raises(MindTheGapError, match="disk is full"):
        render_dataset(spec(frames=3), tmp_path / "new/deep", "clips", progress=False)
    assert os.listdir(tmp_path) == ["out"]


def test_a_second_run_replaces_the_first(tmp_path):
    out = tmp_path / "out"
    raw = {"kind": "synthetic", "train": {"videos": 1, "frames": 2}, "diagnostic": {"videos": 2, "frames": 2}}
    render_dataset(SyntheticDataset.model_validate(raw), out, "clips", progress=False)
    (out / "notes.txt").write_text("mine")
    render_dataset(spec(videos=1, frames=2), out, "clips", progress=False)
    assert sorted(os.listdir(out)) == ["diagnostic.json", "frames", "manifest.json", "notes.txt"]
    assert os.listdir(out / "frames") == ["diagnostic_00000"]


def test_somebody_elses_frames_are_not_replaced(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames/holiday.jpg").write_text("mine")
    with pytest.raises(InputError, match="did not come from here"):
        render_dataset(spec(frames=2), tmp_path, "clips", progress=False)
    assert (tmp_path / "frames/holiday.jpg").read_text() == "mine"


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(InputError, match="is a file"):
            render_dataset(spec(frames=2), out, "clips", progress=False)


@pytest.mark.parametrize("out", ["/proc/nowhere", "/proc/self/nowhere/deep", "x" * 300])
def test_a_folder_that_cannot_be_made_is_named(out):
    with pytest.raises(InputError, match="cannot be made"):
        render_dataset(spec(frames=2), out, "clips", progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": [5, 2]}, "runs backwards"),
        ({"frames": 0}, "greater than or equal to 1"),
        ({"occlusion": 1.5}, "less than or equal to 1"),
        ({"object_size": [0.0, 0.5]}, "below 0.04"),
        ({"preset": "synth_davis"}, "synth_ytvis19"),
        ({"classes": ["disc", "disc"]}, "twice"),
        ({"train": {"videos": 1}}, "does not go with weights_from"),
        ({"weights_from": None}, "train: is missing"),
    ],
)
def test_mistaken_knobs_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        spec(**{"preset": "synth_ytvis19"} | change)
