"""Writes rendered video as a dataset folder."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from mindthegap.data.manifest import describe_split, manifest
from mindthegap.data.staging import FRAMES, MANIFEST, staged_dataset
from mindthegap.files import write_json
from mindthegap.formats import read_ground_truth
from mindthegap.progress import track
from mindthegap.synth.annotate import FULLY_VISIBLE, HALF_VISIBLE, MIN_VISIBLE_PX, TrackWriter, add_frame
from mindthegap.synth.plan import plan_video
from mindthegap.synth.presets import Knobs
from mindthegap.synth.render import render
from mindthegap.synth.sweeps import sweep_record

if TYPE_CHECKING:
    from mindthegap.config.datasets import SyntheticDataset

GENERATOR_VERSION = "2.0"
JPEG_QUALITY = 92
_SPLIT_KEYS = {"train": 0, "diagnostic": 1}
SplitName = Literal["train", "diagnostic"]


@dataclass(frozen=True)
class VideoTask:
    """All that a process needs to render one video; ``index`` counts from 0 within the split."""

    split: SplitName
    index: int
    knobs: Knobs
    classes: tuple[str, ...]
    size: tuple[int, int]
    seed: int
    amodal: bool

    @property
    def name(self) -> str:
        """Folder of the frames."""
        return f"{self.split}_{self.index:05d}"


def render_video(task: VideoTask, frames_dir: Path | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Renders one video.

    Args:
        task: What to render.
        frames_dir: Folder for ``<video>/<00000>.jpg``; None draws the frames but writes none.

    Returns:
        The video's record and its annotations in YouTube-VIS form, both without ids.
    """
    plan = plan_video(task.knobs, len(task.classes), task.size, (task.seed, _SPLIT_KEYS[task.split], task.index))
    tracks = [TrackWriter(task.size, amodal=task.amodal) for _ in plan.objects]
    names = [f"{task.name}/{time:05d}.jpg" for time in range(plan.frames)]
    if frames_dir is not None:
        (frames_dir / task.name).mkdir(parents=True)
    for name, frame in zip(names, render(plan, task.classes, amodal=task.amodal), strict=True):
        add_frame(tracks, frame)
        if frames_dir is not None:
            picture = Image.frombuffer("RGBX", (plan.width, plan.height), frame.pixels, "raw", "RGBX", 0, 1)
            picture.save(frames_dir / name, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    video = {"height": plan.height, "width": plan.width, "length": plan.frames, "file_names": names}
    pairs = zip(plan.objects, tracks, strict=True)
    return video, [trk.record(1 + (actor.shape or 0)) for actor, trk in pairs if trk.seen]


def video_tasks(spec: SyntheticDataset, split: SplitName) -> list[VideoTask]:
    """One task per video of a split; empty if the dataset has no such split."""
    section = spec.train if split == "train" else spec.diagnostic
    if section is None:
        return []
    size, knobs = (spec.height, spec.width), spec.knobs(split)
    return [VideoTask(split, k, knobs, spec.classes, size, spec.seed, spec.amodal) for k in range(section.videos)]


def render_dataset(
    spec: SyntheticDataset, out_dir: str | Path, name: str, *, workers: int = 1, progress: bool = True
) -> dict[str, Any]:
    """Writes ``train.json``, ``diagnostic.json``, ``frames/`` and ``manifest.json``.

    Masks and JSON depend on ``spec`` alone: not on the machine, the number of workers, or how many videos are asked
    for (video ``i`` of a split is always the same). JPEG bytes may differ between builds of Pillow.

    Args:
        spec: What to render.
        out_dir: Folder; former output in it is replaced once everything is ready.
        name: Dataset's name in the manifest.
        workers: Processes.
        progress: Whether to show it on standard error.

    Returns:
        The manifest.

    Raises:
        MindTheGapError: The folder cannot be written, or holds frames that did not come from here.
    """
    with staged_dataset(out_dir) as stage, mapper(workers) as run:
        (stage / FRAMES).mkdir()
        splits, knobs = {}, {}
        for split in _SPLIT_KEYS:
            tasks = video_tasks(spec, split)  # type: ignore[arg-type]
            if not tasks:
                continue
            rendered = run(partial(render_video, frames_dir=stage / FRAMES), tasks)
            done = list(track(rendered, f"rendering {name}/{split}", len(tasks), enabled=progress))
            content = split_document(spec, name, split, tasks, done)
            write_json(stage / f"{split}.json", content)
            splits[split] = describe_split(stage / f"{split}.json", read_ground_truth(stage / f"{split}.json"))
            knobs[split] = tasks[0].knobs.to_dict()
        source = {"generator": "mindthegap.synth", "version": GENERATOR_VERSION, "seed": spec.seed,
                  "preset": spec.preset, "size": [spec.height, spec.width], "knobs": knobs}  # fmt: skip
        if spec.sweep is not None:
            source["sweep"] = sweep_record(spec.sweep, splits["diagnostic"]["statistics"])
        result = manifest(name, source, _categories(spec), splits, {"how": "rendered apart, by seed"}, synthetic=True)
        write_json(stage / MANIFEST, result, indent=1)
    return result


@contextmanager
def mapper(workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """A ``map`` that keeps the order, in this process or in several.

    Processes are forked, because the door of a workflow step cannot be imported a second time.
    """
    if workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        try:
            yield partial(pool.map, chunksize=1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _categories(spec: SyntheticDataset) -> list[dict[str, Any]]:
    return [{"id": k, "name": name, "supercategory": "shape"} for k, name in enumerate(spec.classes, start=1)]


def split_document(
    spec: SyntheticDataset,
    name: str,
    split: str,
    tasks: list[VideoTask],
    done: list[tuple[dict[str, Any], list[dict[str, Any]]]],
) -> dict[str, Any]:
    """The split's YouTube-VIS JSON; ids count from 1."""
    info = {
        "description": f"{name}: synthetic video, {split} split",
        "synthetic": True,
        "generator": "mindthegap.synth",
        "version": GENERATOR_VERSION,
        "seed": spec.seed,
        "preset": spec.preset,
        "split": split,
        "occlusion_levels": {"no": f"visible >= {FULLY_VISIBLE}", "slight": f">= {HALF_VISIBLE}", "severe": "less"},
        "least_visible_px": MIN_VISIBLE_PX,
    }  # fmt: skip
    videos = [{"id": k, **video} for k, (video, _) in enumerate(done, start=1)]
    loose = [(k, record) for k, (_, records) in enumerate(done, start=1) for record in records]
    annotations = [{"id": n, "video_id": k, **record} for n, (k, record) in enumerate(loose, start=1)]
    return {"info": info, "videos": videos, "categories": _categories(spec), "annotations": annotations}
