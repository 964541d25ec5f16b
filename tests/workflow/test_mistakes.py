"""Mistakes of a user's: one clear sentence, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image


def folder_dataset(config: dict, where: Path) -> None:
    """Points the smoke scale at a folder of the user's."""
    config["datasets"]["mine"] = {
        "kind": "folder",
        "frames": str(where / "frames"),
        "annotations": str(where / "annotations.json"),
        "split": {"diagnostic_fraction": 0.5, "seed": 0},
    }
    config["scales"]["smoke"]["datasets"] = ["mine"]


def write_dataset(where: Path, videos: int = 4) -> None:
    """Four videos of two frames with a square each."""
    document: dict = {"videos": [], "annotations": [], "categories": [{"id": 1, "name": "square"}]}
    for number in range(1, videos + 1):
        names = [f"{number}/{frame}.jpg" for frame in range(2)]
        for name in names:
            (where / "frames" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 48)).save(where / "frames" / name)
        document["videos"].append({"id": number, "width": 64, "height": 48, "length": 2, "file_names": names})
        square = [[10, 10, 30, 10, 30, 30, 10, 30]]
        document["annotations"].append(
            {"id": number, "video_id": number, "category_id": 1, "iscrowd": 0, "segmentations": [square] * 2}
            | {"bboxes": [[10, 10, 20, 20]] * 2, "areas": [400, 400]}
        )
    (where / "annotations.json").write_text(json.dumps(document))


def fails(project, *arguments: str) -> str:
    """The output of a run that must fail without a Python traceback."""
    done = project.run("--cores", "1", *arguments, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    return done.stdout


def test_an_unknown_key_says_what_to_write(project):
    project.edit(lambda config: config["scales"]["smoke"].update(metods=["iai"]))
    text = fails(project)
    assert "scales.smoke.metods" in text
    assert "did you mean 'methods'?" in text


def test_an_unknown_scale_lists_the_known_ones(project):
    text = fails(project, "--config", "scale=papre")
    assert "scale: 'papre' is not in 'scales'" in text
    assert "paper" in text


def test_user_errors_exit_with_2(project):
    assert project.run("--cores", "1", "--config", "scale=papre", check=False).returncode == 2


def test_a_setting_that_its_method_cannot_use_is_named_before_anything_runs(project):
    project.edit(lambda config: config["scales"]["smoke"].update(training={"masktrack_rcnn": {"lr": -0.1}}))
    text = fails(project)
    assert "error: masktrack_rcnn (smoke): setting 'lr' must be above 0, not -0.1." in text
    assert not (project.out / "datasets").exists()


def test_missing_initial_weights_are_named_before_anything_runs(project):
    weights = {"masktrack_rcnn": {"r18_tiny": "data/weights/none.pth"}}
    project.edit(lambda config: config["scales"]["smoke"].update(init_weights=weights))
    assert "initial weights are not there: data/weights/none.pth" in fails(project)
    assert not (project.out / "datasets").exists()


def test_a_missing_dataset_folder(project, tmp_path):
    project.edit(lambda config: folder_dataset(config, tmp_path / "nowhere"))
    text = fails(project, "datasets")
    assert "error: " in text
    assert str(tmp_path / "nowhere") in text
    assert not (project.out / "datasets" / "mine" / "train.json").exists()


def test_frames_that_do_not_match_the_json(project, tmp_path):
    write_dataset(tmp_path / "data")
    Image.new("RGB", (60, 48)).save(tmp_path / "data" / "frames" / "3" / "1.jpg")
    project.edit(lambda config: folder_dataset(config, tmp_path / "data"))
    text = fails(project, "datasets")
    assert "3/1.jpg" in text
    assert "60" in text
    assert not (project.out / "datasets" / "mine" / "train.json").exists()


def test_a_file_in_the_place_of_the_results_folder(project):
    (project.folder / "results").write_text("in the way")
    assert "results" in fails(project)


def test_a_read_only_results_folder(project, tmp_path):
    (project.folder / "results").mkdir()
    (project.folder / "results").chmod(0o500)
    if os.access(project.folder / "results", os.W_OK):
        pytest.skip("this user may write everywhere (root)")
    assert "not writable" in fails(project)


def test_a_full_disk(project, tmp_path):
    small = project.folder / "results"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        text = fails(project, "datasets")
        assert "the disk is full" in text
        assert not list(small.rglob("train.json"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
