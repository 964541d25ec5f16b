"""Real trainings and inferences of any method on a handful of rendered clips, and how to kill one."""

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
SETTINGS = {"checkpoint_seconds": 0.0, "cpu_threads": 1, "cpu_processes": 1}
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


def render_clips(folder, train, diagnostic, size=(64, 96)):
    """A dataset folder of two classes; ``train`` and ``diagnostic`` are (videos, frames)."""
    spec = {"kind": "synthetic", "preset": "synth_ytvis19", "height": size[0], "width": size[1]}
    spec |= {"classes": ["disc", "square"]}
    for split, (videos, frames) in (("train", train), ("diagnostic", diagnostic)):
        spec[split] = {"videos": videos, "frames": frames}
    render_dataset(SyntheticDataset(**spec), folder, "clips", progress=False)
    return folder


def training_job(method, dataset, out, scale="smoke", init=None, **settings):
    outputs = out / "work", out / "weights.pth", out / "history.jsonl"
    return TrainingJob(method, "r18_tiny", scale, dataset, 0, *outputs, SETTINGS | settings, init_weights=init)


def inference_job(method, dataset, trained, out, split="diagnostic", scale="smoke", **settings):
    outputs = trained / "weights.pth", out / "0.json", out / "0.speed.json"
    return InferenceJob(method, "r18_tiny", scale, dataset, split, *outputs, {"cpu_threads": 1, **settings})


def start_training(job):
    """The training in a process of its own."""
    description = job.work_dir.with_name("job.json")
    job.save(description)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "-c", PROGRAM, str(description)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_checkpoint(job, process, step):
    """Returns when a checkpoint of this step or a later one is there."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if any(int(path.name[5:14]) >= step for path in (job.work_dir / "checkpoints").glob("step_*.pth")):
            return
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint of step {step}: {process.communicate()[1][-3000:]}")


def kill_after(job, step):
    """Starts the training and kills it once it has passed a step."""
    process = start_training(job)
    wait_for_checkpoint(job, process, step)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the training ended before it was killed"
    assert not job.weights.exists()
