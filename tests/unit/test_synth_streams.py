"""One knob at a time: a sweep may change what it sweeps and nothing else."""

from __future__ import annotations

import functools
import multiprocessing
import time

import numpy as np
import pytest

from mindthegap.config.datasets import SyntheticDataset
from mindthegap.synth import render_dataset
from mindthegap.synth.plan import plan_video
from mindthegap.synth.presets import preset_knobs
from mindthegap.synth.render import render

CLASSES = ("disc", "square", "star", "fish")
SIZE = (48, 64)
BUSY = preset_knobs("synth_ovis").changed(frames=(30, 30), objects=(4, 4), object_size=(0.2, 0.4), exits=0.5)
PATH_FIELDS = ("x", "y", "width", "height", "angle", "cycle")
BODY_FIELDS = ("width", "height", "angle", "cycle")
LOOKS = ("shape", "depth", "amplitude", "bend", "look", "tint", "extent")


def plans(videos=3, **changes):
    return [plan_video(BUSY.changed(**changes), len(CLASSES), SIZE, (7, 1, index)) for index in range(videos)]


def pictures(plan):
    return [(frame.pixels.copy(), frame.owner.copy()) for frame in render(plan, CLASSES)]


def same_looks(one, two):
    return all(getattr(one, name) == getattr(two, name) for name in LOOKS)


def same_paths(one, two, fields=PATH_FIELDS, frames=None):
    pairs = ((getattr(one.path, name), getattr(two.path, name)) for name in fields)
    return all(np.array_equal(first[:frames], second[:frames]) for first, second in pairs)


@pytest.mark.parametrize("short", [2, 9, 17])
def test_a_longer_video_begins_like_a_shorter_one(short):
    for brief, whole in zip(plans(frames=(short, short)), plans(), strict=True):
        for first, second in zip(pictures(brief), pictures(whole), strict=False):
            assert np.array_equal(first[0], second[0])
            assert np.array_equal(first[1], second[1])
        assert len(brief.objects[0].path.x) == short


def test_a_fuller_video_holds_the_objects_of_an_emptier_one():
    for few, many in zip(plans(objects=(2, 2)), plans(objects=(6, 6)), strict=True):
        assert (len(few.objects), len(many.objects)) == (2, 6)
        for one, two in zip(few.objects, many.objects, strict=False):
            assert same_looks(one, two)
            assert same_paths(one, two)
        assert np.array_equal(few.camera.shake, many.camera.shake)
        assert few.canvas_seed == many.canvas_seed


@pytest.mark.parametrize("change", [{"occlusion": 0.0}, {"exits": 0.0}, {"motion": 0.9}, {"clutter": 0.0}])
def test_other_knobs_leave_looks_bodies_and_camera_alone(change):
    for before, after in zip(plans(), plans(**change), strict=True):
        assert before.frames == after.frames
        assert np.array_equal(before.camera.centre, after.camera.centre)
        for one, two in zip(before.objects, after.objects, strict=True):
            assert same_looks(one, two)
            assert same_paths(one, two, BODY_FIELDS)


def test_occlusion_moves_objects_and_occluders_only():
    free, covered = plans(occlusion=0.0), plans(occlusion=0.9)
    assert not any(thing.depth >= 3000 for plan in free for thing in plan.others)
    assert sum(thing.depth >= 3000 for plan in covered for thing in plan.others) >= 3
    assert all(plan.canvas_seed == other.canvas_seed for plan, other in zip(free, covered, strict=True))
    moved = [not same_paths(one, two, ("x",)) for plan, other in zip(free, covered, strict=True)
             for one, two in zip(plan.objects[1:], other.objects[1:], strict=True)]  # fmt: skip
    assert any(moved)


def test_a_tripod_changes_the_view_but_not_the_scene():
    for moving, still in zip(plans(), plans(camera=0.0), strict=True):
        assert (moving.camera.canvas_height, moving.canvas_seed) == (still.camera.canvas_height, still.canvas_seed)
        assert all(same_looks(one, two) for one, two in zip(moving.objects, still.objects, strict=True))


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_killed_rendering_ends_in_the_same_files(tmp_path):
    raw = {"kind": "synthetic", "height": 48, "width": 64, "weights_from": "synth_ytvis19",
           "diagnostic": {"videos": 16, "frames": 10}}  # fmt: skip
    dataset = SyntheticDataset.model_validate(raw)
    render = functools.partial(render_dataset, dataset, progress=False)
    child = multiprocessing.get_context("fork").Process(target=render, args=(tmp_path / "clips", "clips"))
    child.start()
    while not list(tmp_path.glob("clips/.building-*/frames/*/00000.jpg")) and child.is_alive():
        time.sleep(0.001)
    child.kill()
    child.join()
    assert list(tmp_path.glob("clips/.building-*"))
    assert not (tmp_path / "clips/manifest.json").exists()
    for folder in ("clips", "whole/clips"):
        render(tmp_path / folder, "clips")
    assert files_of(tmp_path / "clips") == files_of(tmp_path / "whole/clips")
