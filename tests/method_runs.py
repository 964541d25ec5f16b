"""Real trainings and inferences of any method on a handful of rendered clips, and a kill in the middle."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from methods.runtime.jobs import InferenceJob, TrainingJob
from mindthegap.config.datasets import SyntheticDataset
from mindthegap.synth import render_dataset

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = "import sys; from pathlib import Path; from methods.runtime.jobs import TrainingJob; "
PROGRAM += "from methods.runtime.training import train; train(TrainingJob.load(Path(sys.argv[1])))"
SETTINGS = {"checkpoint_seconds": 0.0, "cpu_threads": 1, "cpu_processes": 1}


def render_clips(folder, train, diagnostic, size=(64, 96)):
    """A dataset folder of two classes; ``train`` and ``diagnostic`` are (videos, frames)."""
    spec = {"kind": "synthetic", "preset": "synth_ytvis19", "height": size[0], "width": size[1]}
    spec |= {"classes": ["disc", "square"]}
    for split, (videos, frames) in (("train", train), ("diagnostic", diagnostic)):
        spec[split] = {"videos": videos, "frames": frames}
    render_dataset(SyntheticDataset(**spec), folder, "clips", progress=False)
    return folder


def training_job(method, dataset, out, scale="smoke", **settings):
    outputs = out / "work", out / "weights.pth", out / "history.jsonl"
    return TrainingJob(method, "r18_tiny", scale, dataset, 0, *outputs, SETTINGS | settings)


def inference_job(method, dataset, trained, out, split="diagnostic", scale="smoke", **settings):
    outputs = trained / "weights.pth", out / "0.json", out / "0.speed.json"
    return InferenceJob(method, "r18_tiny", scale, dataset, split, *outputs, {"cpu_threads": 1, **settings})


def kill_after(job, description, step):
    """Starts a training and kills it, without warning, once it has saved a checkpoint of that step or a later one."""
    job.save(description)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(description)], env=environment)
    checkpoints, deadline = job.work_dir / "checkpoints", time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if any(int(path.name[5:14]) >= step for path in checkpoints.glob("step_*.pth")):
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training ended before it was killed"
