"""Attributes of a whole dataset, written as tables."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from pycocotools import mask as mask_api
from typer.testing import CliRunner

from mindthegap.cli import app
from mindthegap.config.datasets import SyntheticDataset
from mindthegap.strata import dataset_strata
from mindthegap.strata.files import mean_visibility
from mindthegap.synth import render_dataset


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    raw = {"kind": "synthetic", "height": 48, "width": 64, "amodal": True, "weights_from": "other",
           "diagnostic": {"videos": 2, "frames": 6, "objects": 3, "occlusion": 0.6}}  # fmt: skip
    folder = tmp_path_factory.mktemp("clips")
    render_dataset(SyntheticDataset.model_validate(raw), folder, "clips", progress=False)
    return folder / "diagnostic.json"


def test_the_command_writes_one_row_per_video_and_object(clips, tmp_path):
    done = CliRunner().invoke(app, ["strata", str(clips), "-o", str(tmp_path), "--name", "clips", "--workers", "1"])
    assert done.exit_code == 0, done.exception
    content = json.loads(clips.read_text())
    videos, objects = (pd.read_parquet(tmp_path / f"strata_{kind}.parquet") for kind in ("videos", "objects"))
    assert videos.video_id.tolist() == [video["id"] for video in content["videos"]]
    assert objects.object_id.tolist() == [entry["id"] for entry in content["annotations"]]
    assert set(videos.dataset) == set(objects.dataset) == {"clips"}
    listed = {"frames_present", "frames_hull", "absences", "mean_area_px", "occlusion_score", "visibility", "speed",
              "motion_iou", "scale_change", "aspect_change", "same_class_neighbours", "crossings"}  # fmt: skip
    assert listed <= set(objects.columns)
    assert {"video_length", "density", "occlusion_score", "crossings", "mean_speed"} <= set(videos.columns)
    first = objects[objects.video_id == videos.video_id[0]]
    assert videos.mean_visibility[0] == pytest.approx(first.visibility.mean())
    assert videos.mean_absences[0] == pytest.approx(first.absences.mean())


def test_a_video_without_objects_keeps_its_row(clips, tmp_path):
    content = json.loads(clips.read_text())
    content["annotations"] = [entry for entry in content["annotations"] if entry["video_id"] == 2]
    (tmp_path / "gt.json").write_text(json.dumps(content))
    videos, objects = dataset_strata(tmp_path / "gt.json")
    assert videos.video_id.tolist() == [1, 2]
    assert videos.mean_speed.isna().tolist() == [True, False]
    assert set(objects.video_id) == {2}


def test_visibility_is_visible_over_whole_area(clips):
    content = json.loads(clips.read_text())
    by_id = {entry["id"]: entry for entry in content["annotations"]}
    _, objects = dataset_strata(clips)
    for number, share in zip(objects.object_id, objects.visibility, strict=True):
        entry = by_id[number]
        times = [time for time, mask in enumerate(entry["segmentations"]) if mask]
        exact = [
            mask_api.area(entry["segmentations"][time]) / mask_api.area(entry["amodal_segmentations"][time])
            for time in times
        ]
        assert share == pytest.approx(sum(exact) / len(exact), abs=1e-4)
        assert mean_visibility({key: entry[key] for key in entry if key != "visibility"}) == pytest.approx(
            share, abs=1e-4
        )
    assert objects.visibility.min() < 0.9


def test_without_whole_masks_visibility_is_unknown(clips, tmp_path):
    content = json.loads(clips.read_text())
    for entry in content["annotations"]:
        del entry["visibility"], entry["amodal_segmentations"]
    (tmp_path / "gt.json").write_text(json.dumps(content))
    _, objects = dataset_strata(tmp_path / "gt.json")
    assert objects.visibility.isna().all()
    assert objects.occlusion_score.notna().all()
