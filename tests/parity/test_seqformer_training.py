"""SeqFormer and MS-STS VIS trained and run for real on a handful of rendered clips: pretrained, killed, resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from methods.runtime.inference import InferenceJob, infer
from methods.runtime.training import TrainingJob, train
from mindthegap import evaluate
from mindthegap.config.datasets import SyntheticDataset
from mindthegap.synth import render_dataset

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from pathlib import Path; from methods.runtime.jobs import TrainingJob; "
PROGRAM += "from methods.runtime.training import train; train(TrainingJob.load(Path(sys.argv[1])))"
SETTINGS = {"steps": 8, "checkpoint_seconds": 0.0, "cpu_threads": 1, "cpu_processes": 1}
METHODS = ("seqformer", "ms_sts_vis")

slow = pytest.mark.skipif(os.environ.get("MINDTHEGAP_SLOW") != "1", reason="takes minutes; set MINDTHEGAP_SLOW=1")


def render(folder, videos, size=(64, 96)):
    spec = {"kind": "synthetic", "preset": "synth_ytvis19", "height": size[0], "width": size[1]}
    spec |= {"classes": ["disc", "square"], "train": {"videos": videos, "frames": 4}}
    render_dataset(SyntheticDataset(**spec, diagnostic={"videos": 2, "frames": 5}), folder, "clips", progress=False)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return render(tmp_path_factory.mktemp("data") / "clips", 3)


def job(dataset, out, method, *, scale="smoke", init=None, **settings):
    outputs = out / "work", out / "weights.pth", out / "history.jsonl"
    return TrainingJob(method, "r18_tiny", scale, dataset, 0, *outputs, SETTINGS | settings, init_weights=init)


def inference(dataset, out, method, *, split="diagnostic", scale="smoke", **settings):
    outputs = out / "weights.pth", out / "0.json", out / "0.speed.json"
    return InferenceJob(
        method, "r18_tiny", scale, dataset, split, *outputs, {"cpu_threads": 1, **settings}, save_queries=True
    )


@pytest.fixture(scope="module")
def pretrained(dataset, tmp_path_factory):
    """Weights of a training on single frames."""
    out = tmp_path_factory.mktemp("pretrained")
    train(job(dataset, out, "seqformer", clip_frames=1))
    return out / "weights.pth"


@pytest.fixture(scope="module")
def undisturbed(dataset, pretrained, tmp_path_factory):
    folders = {}
    for method in METHODS:
        folders[method] = tmp_path_factory.mktemp(f"undisturbed_{method}")
        train(job(dataset, folders[method], method, init=pretrained))
    return folders


def kill_after(training_job, description, step):
    training_job.save(description)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(description)], env=environment)
    checkpoints, deadline = training_job.work_dir / "checkpoints", time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if any(int(path.name[5:14]) >= step for path in checkpoints.glob("step_*.pth")):
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training ended before it was killed"


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_killed_training_ends_in_the_same_bytes(dataset, pretrained, undisturbed, tmp_path, method):
    training_job = job(dataset, tmp_path, method, init=pretrained)
    kill_after(training_job, tmp_path / "job.json", 3)  # MS-STS VIS: before the network plays against the adversary
    assert not training_job.weights.exists()
    train(training_job)
    for name in ("weights.pth", "history.jsonl"):
        assert (tmp_path / name).read_bytes() == (undisturbed[method] / name).read_bytes(), name
    records = [json.loads(line) for line in training_job.history.read_text().splitlines()]
    assert [record["step"] for record in records] == [4, 8]
    assert {"loss_class", "aux_loss_dice"} <= records[-1].keys()
    if method == "ms_sts_vis":
        assert records[0]["loss_adversarial"] == 0 < records[1]["loss_adversarial"]
        assert all(record["loss_discriminator"] > 0 for record in records)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("whole_video_mib", [0.0, 512.0])
def test_tracks_and_query_embeddings(dataset, undisturbed, tmp_path, method, whole_video_mib):
    (tmp_path / "weights.pth").symlink_to(undisturbed[method] / "weights.pth")
    rules = {"whole_video_mib": whole_video_mib, "clip_frames": 3, "class_threshold": 0.0}
    inference_job = inference(dataset, tmp_path, method, **rules)
    infer(inference_job)
    rows = json.loads(inference_job.predictions.read_text())
    assert all(len(row["segmentations"]) == len(row["frame_scores"]) == 5 for row in rows)
    assert all(0 <= row["score"] <= 1 and row["category_id"] in (1, 2) for row in rows)
    assert len({(row["video_id"], row["query_id"], row["category_id"]) for row in rows}) == len(rows)
    with np.load(inference_job.queries, allow_pickle=False) as content:
        queries = {name: content[name] for name in content.files}
    seen = set(zip(queries["video_id"].tolist(), queries["query_id"].tolist(), strict=True))
    assert {(row["video_id"], row["query_id"]) for row in rows} <= seen
    assert queries["embedding"].shape == (len(queries["frame"]), 32)
    assert set(queries["frame"].tolist()) == set(range(5))


@slow
@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_two_clips_are_learnt_by_heart(tmp_path, method):
    dataset = render(tmp_path / "data", 2, (96, 160))
    settings = {"batch_size": 2, "photometric": "none", "checkpoint_seconds": 600.0}
    still = job(dataset, tmp_path / "still", "seqformer", scale="demo", steps=300, clip_frames=1, **settings)
    train(still)
    train(job(dataset, tmp_path, method, scale="demo", init=still.weights, steps=300, **settings))
    infer(inference(dataset, tmp_path, method, split="train", scale="demo"))
    assert evaluate(dataset / "train.json", tmp_path / "0.json").to_dict()["AP50"] >= 90
