"""Training and inference for real, on a handful of rendered clips: killed, stopped, resumed, refused."""

import functools
import json
import signal
from dataclasses import replace

import pytest
from method_runs import inference_job, kill_after, render_clips, start_training, training_job, wait_for_checkpoint

from methods.runtime.inference import infer
from methods.runtime.training import train
from mindthegap.errors import ConfigError, InputError

METHODS = ("masktrack_rcnn", "crossvis")
SETTINGS = {"steps": 14, "log_every": 5}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return render_clips(tmp_path_factory.mktemp("data") / "clips", train=(3, 4), diagnostic=(3, 5))


def job(dataset, out, method="masktrack_rcnn", init=None, **settings):
    return training_job(method, dataset, out, init=init, **SETTINGS | settings)


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
    killed = job(dataset, tmp_path, method)
    kill_after(killed, 5)
    # What a machine that fails while writing leaves behind must not matter.
    (tmp_path / "work/checkpoints/partial.tmp").write_bytes(b"half")
    newest = max((tmp_path / "work/checkpoints").glob("step_*.pth"))
    newest.write_bytes(newest.read_bytes()[:-100])
    # More data workers than before: the order and the augmentation must not depend on them.
    train(replace(killed, settings=killed.settings | {"workers": 2, "checkpoint_seconds": 600.0}))
    for name in ("weights.pth", "history.jsonl"):
        assert (tmp_path / name).read_bytes() == (trained(method) / name).read_bytes(), name
    assert [json.loads(line)["step"] for line in killed.history.read_text().splitlines()] == [5, 10, 14]
    assert not (tmp_path / "work/checkpoints").exists()


@pytest.mark.slow
def test_stopped_training_saves_and_says_so(dataset, undisturbed, tmp_path):
    stopped = job(dataset, tmp_path)
    process = start_training(stopped)
    wait_for_checkpoint(stopped, process, 2)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "was told to stop and saved its state after step" in errors
    assert not stopped.weights.exists()
    train(stopped)
    assert stopped.weights.read_bytes() == (undisturbed / "weights.pth").read_bytes()


@pytest.mark.slow
def test_data_parallel_processes_train_and_agree_with_themselves(dataset, tmp_path):
    for name in ("first", "second"):
        train(job(dataset, tmp_path / name, cpu_processes=2, steps=3))
    first, second = ((tmp_path / name / "weights.pth").read_bytes() for name in ("first", "second"))
    assert first == second


def inference(dataset, trained, out, method="masktrack_rcnn"):
    # Hardly trained: many detections are reported, because some lie in the padding, and masks cover the frame.
    talkative = {"score_threshold": 0.0, "max_per_frame": 20, "mask_threshold": 0.0}
    return inference_job(method, dataset, trained, out, **talkative)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_result_file_keeps_the_contract(dataset, trained, tmp_path, method):
    undisturbed = inference(dataset, trained(method), tmp_path, method)
    infer(undisturbed)
    rows = json.loads(undisturbed.predictions.read_text())
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
    speed = json.loads(undisturbed.speed.read_text())
    assert speed["frames"] == 15
    assert speed["frames_per_second"] > 0
    assert speed["peak_memory_mib"] > 100
    assert not list(tmp_path.glob(".*parts"))

    # Stopped after some videos: what is finished is kept, what follows is the same file.
    resumed = replace(undisturbed, predictions=tmp_path / "1.json", speed=tmp_path / "1.speed.json")
    interrupt_after(resumed, videos=1)
    infer(resumed)
    assert resumed.predictions.read_bytes() == undisturbed.predictions.read_bytes()


def interrupt_after(job, videos):
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
            infer(job)
    finally:
        module._run_video = original
    parts = job.predictions.with_name(f".{job.predictions.stem}.parts")
    assert len(list(parts.glob("[0-9]*.json"))) == videos
    assert not job.predictions.exists()


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
        train(job(tmp_path, tmp_path, init=tmp_path / "coco.pth"))
    with pytest.raises(ConfigError, match="amp needs a GPU"):
        train(replace(job(tmp_path, tmp_path), amp=True))
