"""IFC trained and run for real on a handful of rendered clips: killed, resumed, with its query embeddings."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods.runtime.inference import InferenceJob, infer
from methods.runtime.training import TrainingJob, train
from mindthegap import evaluate
from mindthegap.config.datasets import SyntheticDataset
from mindthegap.synth import render_dataset

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from pathlib import Path; from methods.runtime.jobs import TrainingJob; "
PROGRAM += "from methods.runtime.training import train; train(TrainingJob.load(Path(sys.argv[1])))"
# Without a price on seeing objects everywhere, twelve steps are enough to have tracks.
SETTINGS = {"checkpoint_seconds": 0.0, "cpu_threads": 1, "cpu_processes": 1, "no_object": 0.0}


def render(folder, train_videos, frames, size=(64, 96)):
    spec = {"kind": "synthetic", "preset": "synth_ytvis19", "height": size[0], "width": size[1]}
    spec |= {"classes": ["disc", "square"], "train": {"videos": train_videos, "frames": frames}}
    render_dataset(SyntheticDataset(**spec, diagnostic={"videos": 2, "frames": 5}), folder, "clips", progress=False)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return render(tmp_path_factory.mktemp("data") / "clips", 3, 4)


def job(dataset, out, scale="smoke", **settings):
    outputs = out / "work", out / "weights.pth", out / "history.jsonl"
    return TrainingJob("ifc", "r18_tiny", scale, dataset, 0, *outputs, SETTINGS | settings)


def inference(dataset, out, split="diagnostic", scale="smoke", **settings):
    outputs = out / "weights.pth", out / "0.json", out / "0.speed.json"
    return InferenceJob(
        "ifc", "r18_tiny", scale, dataset, split, *outputs, {"cpu_threads": 1, **settings}, save_queries=True
    )


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    train(job(dataset, out))
    return out


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
def test_killed_training_ends_in_the_same_bytes(dataset, undisturbed, tmp_path):
    training_job = job(dataset, tmp_path)
    kill_after(training_job, tmp_path / "job.json", 4)  # within the steps on single frames
    assert not training_job.weights.exists()
    train(training_job)
    for name in ("weights.pth", "history.jsonl"):
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes(), name
    records = [json.loads(line) for line in training_job.history.read_text().splitlines()]
    assert [record["step"] for record in records] == [4, 8, 12]
    assert {"loss_cls", "loss_focal", "loss_dice", "d0.loss_dice", "kept_queries"} <= records[-1].keys()


@pytest.mark.slow
@pytest.mark.parametrize("window", [2, 36])
def test_tracks_and_query_embeddings(dataset, undisturbed, tmp_path, window):
    (tmp_path / "weights.pth").symlink_to(undisturbed / "weights.pth")
    inference_job = inference(dataset, tmp_path, window=window)
    infer(inference_job)
    rows = json.loads(inference_job.predictions.read_text())
    assert {row["video_id"] for row in rows} == {1, 2}
    assert all(len(row["segmentations"]) == len(row["frame_scores"]) == 5 for row in rows)
    assert all(0 <= row["score"] <= 1 and row["category_id"] in (1, 2) for row in rows)
    keys = [(row["video_id"], row["query_id"], row["category_id"]) for row in rows]
    assert keys == sorted(set(keys))
    with np.load(inference_job.queries, allow_pickle=False) as content:
        queries = {name: content[name] for name in content.files}
    assert queries["embedding"].shape == (len(queries["frame"]), 32)
    seen = set(zip(queries["video_id"].tolist(), queries["query_id"].tolist(), strict=True))
    assert {key[:2] for key in keys} <= seen
    assert set(queries["frame"].tolist()) <= set(range(5))
    speed = json.loads(inference_job.speed.read_text())
    assert speed["frames"] == 10


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("MINDTHEGAP_SLOW") != "1", reason="takes minutes; set MINDTHEGAP_SLOW=1")
def test_two_clips_are_learnt_by_heart(tmp_path):
    dataset = render(tmp_path / "data", 2, 5, (96, 160))
    settings = {"steps": 400, "batch_size": 2, "photometric": False, "checkpoint_seconds": 600.0, "no_object": 0.1}
    train(job(dataset, tmp_path, "demo", **settings))
    infer(inference(dataset, tmp_path, "train", "demo"))
    assert evaluate(dataset / "train.json", tmp_path / "0.json").to_dict()["AP50"] >= 90


LONG_VIDEO = """
import resource, sys, torch
from pathlib import Path
from mmcv.transforms import Compose
from methods.runtime.trainer import build_method_config, read_facts  # brings the operators
from methods.runtime.frames import VideoFrames
from methods.runtime.jobs import TrainingJob
from mmdet.registry import MODELS
job = TrainingJob.load(Path(sys.argv[1]))
config = build_method_config(job, read_facts(job.dataset_dir, "train"))
torch.manual_seed(0)
torch.set_num_threads(1)
model = MODELS.build(config.model).eval()
names = [f"{int(sys.argv[2])}.png"] * int(sys.argv[3])
video = {"id": 1, "height": 360, "width": 640, "file_names": names}
tracks = model.predict_video(VideoFrames(video, Path(sys.argv[1]).parent, Compose(config.test_pipeline)))
assert all(len(track.segmentations) == len(names) for track in tracks)
print(len(tracks), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("MINDTHEGAP_SLOW") != "1", reason="takes minutes; set MINDTHEGAP_SLOW=1")
def test_a_500_frame_video_stays_under_4_gib(dataset, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (360, 640, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "0.png")
    description = tmp_path / "job.json"
    job(dataset, tmp_path, "demo", test_scale=(640, 360)).save(description)
    command = [sys.executable, "-c", LONG_VIDEO, str(description), "0", "500"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert float(output.split()[-1]) < 4.0
