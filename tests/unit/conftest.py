"""A small noisy scene, its files and its diagnosis, which several test files look at."""

import numpy as np
import pytest
from diagnosis_case import KEYS, write_files
from oracle_cases import noisy_tracks, random_clip

import mindthegap


@pytest.fixture(scope="session")
def scene():
    rng = np.random.default_rng(11)
    clips = [random_clip(rng, v + 1, objects=3) for v in range(5)]
    return clips, [t for clip in clips for t in noisy_tracks(clip, rng)], rng


@pytest.fixture(scope="session")
def files(scene, tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("given"), *scene[:2])


@pytest.fixture(scope="session", params=["tight", "iou"])
def written(request, files, tmp_path_factory):
    out = tmp_path_factory.mktemp(f"out-{request.param}")
    diagnosis = mindthegap.diagnose(
        *files, keys=KEYS, objective=request.param, out_dir=out, bootstrap=100, seed=4, time_limit=30
    )
    return diagnosis, out
