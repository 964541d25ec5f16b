"""Training and inference for real, on a handful of rendered clips: killed, stopped, resumed, refused."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from methods.runtime.inference import InferenceJob, infer
from methods.runtime.training import TrainingJob, train
from mindthegap.errors import ConfigError, InputError

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("masktrack_rcnn", "crossvis")
SETTINGS = {"steps": 14, "checkpoint_seconds": 0.0, "cpu_threads": 1, "cpu_processes": 1, "log_every": 5}

PROGRAM = """
import sys
from pathlib import Path
from methods.runtime.jobs import TrainingJob
from methods.runtime.training import train
from mindthegap.errors import MindTheGapError
try:
    train(TrainingJob.load(Path(sys.argv[1])))
except MindTheGapError as error:
    sys.exit(f"stopped: {error}")
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    from mindthegap.config.datasets import SyntheticDataset
    from mindthegap.synth import render_dataset

    folder = tmp_path_factory.mktemp("data") / "clips"
    spec = {"kind": "synthetic", "preset": "synth_ytvis19", "height": 64, "width": 96, "classes": ["disc", "square"]}
    spec |= {"train": {"videos": 3, "frames": 4}, "diagnostic": {"videos": 3, "frames": 5}}
    render_dataset(SyntheticDataset(**spec), folder, "clips", progress=False)
    return folder


def job(dataset, out, method="masktrack_rcnn", **changes):
    settings = SETTINGS | changes.pop("settings", {})
    return TrainingJob(
        method,
        "r18_tiny",
        "smoke",
        dataset,
        0,
        out / "work",
        out / "weights.pth",
        out / "history.jsonl",
        settings,
        **changes,
    )


def start(training_job, description):
    training_job.save(description)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(description)], env=environment, stderr=subprocess.PIPE, text=True
    )


def wait_for_checkpoint(work_dir, process, step):
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        found = [int(path.name[5:14]) for path in (work_dir / "checkpoints").glob("step_*.pth")]
        if found and max(found) >= step:
            return
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint of step {step}: {process.communicate()[1][-3000:]}")


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    """Folder of an undisturbed training of a method."""

    @functools.cache
    def folder(method):
        out = tmp_path_factory.mktemp(f"undisturbed_{method}")
        train(job(dataset, out, method))
        return out

    return folder


@pytest.fixture
def undisturbed(trained):
    return trained("masktrack_rcnn")


@pytest.mark.slow
@pytest.mark.parametrize("method", [*METHODS, "iai", "vistr"])
def test_killed_training_ends_in_the_same_bytes(dataset, trained, tmp_path, method):
    training_job = job(dataset, tmp_path, method)
    process = start(training_job, tmp_path / "job.json")
    wait_for_checkpoint(tmp_path / "work", process, 5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not training_job.weights.exists()
    # What a machine that fails while writing leaves behind must not matter.
    (tmp_path / "work/checkpoints/partial.tmp").write_bytes(b"half")
    newest = max((tmp_path / "work/checkpoints").glob("step_*.pth"))
    newest.write_bytes(newest.read_bytes()[:-100])
    # More data workers than before: the order and the augmentation must not depend on them.
    train(replace(training_job, settings=training_job.settings | {"workers": 2, "checkpoint_seconds": 600.0}))
    for name in ("weights.pth", "history.jsonl"):
        assert (tmp_path / name).read_bytes() == (trained(method) / name).read_bytes(), name
    assert [json.loads(line)["step"] for line in training_job.history.read_text().splitlines()] == [5, 10, 14]
    assert not (tmp_path / "work/checkpoints").exists()


@pytest.mark.slow
def test_stopped_training_saves_and_says_so(dataset, undisturbed, tmp_path):
    training_job = job(dataset, tmp_path, settings={"checkpoint_seconds": 0.0})
    process = start(training_job, tmp_path / "job.json")
    wait_for_checkpoint(tmp_path / "work", process, 2)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "was told to stop and saved its state after step" in errors
    assert not training_job.weights.exists()
    train(training_job)
    assert training_job.weights.read_bytes() == (undisturbed / "weights.pth").read_bytes()


@pytest.mark.slow
def test_data_parallel_processes_train_and_agree_with_themselves(dataset, tmp_path):
    for name in ("first", "second"):
        train(job(dataset, tmp_path / name, settings={"cpu_processes": 2, "steps": 3}))
    first, second = ((tmp_path / name / "weights.pth").read_bytes() for name in ("first", "second"))
    assert first == second


def inference(dataset, trained, out, method="masktrack_rcnn", **changes):
    return InferenceJob(
        method,
        "r18_tiny",
        "smoke",
        dataset,
        "diagnostic",
        trained / "weights.pth",
        out / "0.json",
        out / "0.speed.json",
        # Hardly trained: many detections are reported, because some lie in the padding, and masks cover the frame.
        {"score_threshold": 0.0, "max_per_frame": 20, "mask_threshold": 0.0, "cpu_threads": 1},
        **changes,
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_result_file_keeps_the_contract(dataset, trained, tmp_path, method):
    inference_job = inference(dataset, trained(method), tmp_path, method)
    infer(inference_job)
    rows = json.loads(inference_job.predictions.read_text())
    videos = {video["id"]: video for video in json.loads((dataset / "diagnostic.json").read_text())["videos"]}
    assert {row["video_id"] for row in rows} == set(videos)
    for row in rows:
        video = videos[row["video_id"]]
        assert len(row["segmentations"]) == len(row["frame_scores"]) == len(video["file_names"])
        assert row["category_id"] in (1, 2)
        present = [score for score, mask in zip(row["frame_scores"], row["segmentations"], strict=True) if mask]
        assert present
        assert all(mask["size"] == [64, 96] for mask in row["segmentations"] if mask)
    keys = [(row["video_id"], row["query_id"]) for row in rows]
    assert keys == sorted(set(keys))
    speed = json.loads(inference_job.speed.read_text())
    assert speed["frames"] == 15
    assert speed["frames_per_second"] > 0
    assert speed["peak_memory_mib"] > 100
    assert not list(tmp_path.glob(".*parts"))

    # Stopped after some videos: what is finished is kept, what follows is the same file.
    resumed = replace(inference_job, predictions=tmp_path / "1.json", speed=tmp_path / "1.speed.json")
    interrupt_after(resumed, videos=1)
    infer(resumed)
    assert resumed.predictions.read_bytes() == inference_job.predictions.read_bytes()


def interrupt_after(inference_job, videos):
    """Runs inference up to an interruption that leaves the given number of finished videos."""
    from methods.runtime import inference as module

    original, calls = module._run_video, []

    def interrupted(*arguments):
        if len(calls) == videos:
            raise KeyboardInterrupt
        calls.append(1)
        original(*arguments)

    module._run_video = interrupted
    try:
        with pytest.raises(KeyboardInterrupt):
            infer(inference_job)
    finally:
        module._run_video = original
    parts = inference_job.predictions.with_name(f".{inference_job.predictions.stem}.parts")
    assert len(list(parts.glob("[0-9]*.json"))) == videos
    assert not inference_job.predictions.exists()


@pytest.mark.slow
def test_weights_for_something_else_are_refused(dataset, undisturbed, tmp_path):
    with pytest.raises(InputError, match='of backbone "r18_tiny", not "r18"'):
        infer(replace(inference(dataset, undisturbed, tmp_path), backbone="r18"))
    other = tmp_path / "other"
    other.mkdir()
    content = json.loads((dataset / "diagnostic.json").read_text())
    content["categories"][0]["name"] = "heart"
    (other / "diagnostic.json").write_text(json.dumps(content))
    (other / "frames").symlink_to(dataset / "frames")
    from mindthegap.files import sha256_file

    manifest = {"dataset": "other", "splits": {"diagnostic": {"sha256": sha256_file(other / "diagnostic.json")}}}
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"of classes .* not .*heart"):
        infer(inference(other, undisturbed, tmp_path))
    assert not list(tmp_path.glob("*.json"))


def test_mistakes_are_named_before_anything_is_loaded(tmp_path):
    with pytest.raises(ConfigError, match="no such method"):
        train(replace(job(tmp_path, tmp_path), method="nope"))
    with pytest.raises(ConfigError, match="no such backbone"):
        train(replace(job(tmp_path, tmp_path), backbone="nope"))
    with pytest.raises(InputError, match="no such initial checkpoint"):
        train(job(tmp_path, tmp_path, init_weights=tmp_path / "coco.pth"))
    with pytest.raises(ConfigError, match="amp needs a GPU"):
        train(job(tmp_path, tmp_path, amp=True))
