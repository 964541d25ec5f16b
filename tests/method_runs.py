"""Real trainings and inferences of any method on a handful of rendered clips."""

from methods.runtime.jobs import InferenceJob, TrainingJob
from mindthegap.config.datasets import SyntheticDataset
from mindthegap.synth import render_dataset

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
