"""The presets beside the datasets that they imitate."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mindthegap.config.datasets import SyntheticDataset
from mindthegap.data.described import described_with_linking
from mindthegap.data.manifest import count_split
from mindthegap.formats import GroundTruth, Problems
from mindthegap.formats.ground_truth import parse_ground_truth
from mindthegap.progress import track
from mindthegap.synth.dataset import mapper, render_video, split_document, video_tasks
from mindthegap.synth.presets import PRESETS

if TYPE_CHECKING:
    from pandas import DataFrame


def describe_presets(videos: int = 40, seed: int = 0, *, workers: int = 1, progress: bool = True) -> DataFrame:
    """Renders some videos of every preset, writing none, and describes them as `described_with_linking` does.

    Args:
        videos: Videos per preset.
        seed: Seed of the videos.
        workers: Processes.
        progress: Whether to show it on standard error.
    """
    truths = {preset: _truth(preset, videos, seed, workers, progress) for preset in PRESETS}
    contents = [{"dataset": name, "splits": {"diagnostic": count_split(truth)}} for name, truth in truths.items()]
    return described_with_linking(contents, truths.values(), progress=progress)


def _truth(preset: str, videos: int, seed: int, workers: int, progress: bool) -> GroundTruth:
    """Ground truth of a preset's videos as a file would give it."""
    raw = {"kind": "synthetic", "preset": preset, "seed": seed, "weights_from": preset}
    spec = SyntheticDataset.model_validate({**raw, "diagnostic": {"videos": videos}})
    tasks = video_tasks(spec, "diagnostic")
    with mapper(workers) as run:
        done = list(track(run(partial(render_video, frames_dir=None), tasks), preset, len(tasks), enabled=progress))
    content = split_document(spec, preset, "diagnostic", tasks, done)
    return parse_ground_truth(content, content["annotations"], Problems(preset))
