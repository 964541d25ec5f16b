"""Time per frame and peak memory of the offline methods on one long 640x360 video, networks of the paper scale.

    python benchmarks/long_videos.py                                     # all four, ResNet-50, 500 frames, on the CPU
    python benchmarks/long_videos.py ifc --frames 100 --set window=5     # one method, another inference setting
    python benchmarks/long_videos.py --device cuda --amp                 # on a GPU

The weights are random, which is the hardest case for memory: nearly every query is taken for an object. Every method
runs in a process of its own, on one thread of the CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import alone, peak_memory

OFFLINE = ("vistr", "ifc", "seqformer", "ms_sts_vis")
HEIGHT, WIDTH, OBJECTS, CLASSES = 360, 640, 5, 40


def render(folder: Path, frames: int) -> None:
    """The video as a dataset folder."""
    from mindthegap.config.datasets import SyntheticDataset
    from mindthegap.synth import render_dataset

    spec: dict[str, Any] = {"kind": "synthetic", "preset": "synth_ytvis19", "height": HEIGHT, "width": WIDTH}
    spec |= {"train": {"videos": 1, "frames": 2}, "diagnostic": {"videos": 1, "frames": frames, "objects": OBJECTS}}
    render_dataset(SyntheticDataset(**spec), folder, "long_videos", progress=False)


def build(method: str, backbone: str, folder: Path, settings: dict[str, Any]) -> tuple[Any, Any]:
    """Model with random weights and as many classes as YouTube-VIS, and its test pipeline."""
    from dataclasses import replace

    from methods.runtime.mmcv_ops import ensure_ops

    ensure_ops()
    import torch
    from mmcv.transforms import Compose
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    from methods.runtime import data, registry  # noqa: F401 - registers LoadFrame
    from methods.runtime.configs import build_config
    from methods.runtime.facts import read_facts

    torch.manual_seed(0)
    torch.set_num_threads(1)
    register_all_modules(init_default_scope=True)
    registry.load(method, "model")
    names, ids = tuple(f"class {index}" for index in range(CLASSES)), tuple(range(1, CLASSES + 1))
    facts = replace(read_facts(folder, "train"), classes=names, category_ids=ids)
    config = build_config(method, "paper", facts, backbone, {}, settings)
    model = MODELS.build(config.model)
    model.init_weights()
    return model.eval(), Compose(config.test_pipeline)


def watched(content: dict[str, Any], frames_dir: Path, pipeline: Any) -> Any:
    """The video's frames, with a line on how far it is every 20 seconds, and the peak of memory in its first half."""
    from methods.runtime.frames import VideoFrames

    started = last = time.perf_counter()

    class Watched(VideoFrames):
        half = 0.0

        def batch(self, indices: Sequence[int]) -> dict[str, list[Any]]:
            nonlocal last
            now = time.perf_counter()
            if indices[0] <= self.length // 2:
                self.half = peak_memory()
            if now - last > 20 and indices[0]:
                left = (now - started) * (self.length - indices[0]) / indices[0]
                print(
                    f"  {indices[0]} of {self.length} frames, {peak_memory():.0f} MiB, {left:.0f} s left",
                    file=sys.stderr,
                )
                last = now
            return super().batch(indices)

    return Watched(content["videos"][0], frames_dir, pipeline)


def measure(method: str, folder: str, options: str) -> dict[str, Any]:
    """Runs one method over the video; called in a process of its own."""
    import torch

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    chosen = json.loads(options)
    place, device = Path(folder), chosen["device"]
    model, pipeline = build(method, chosen["backbone"], place, chosen["settings"])
    model.to(device)
    content = json.loads((place / "diagnostic.json").read_text())
    frames = watched(content, place / "frames", pipeline)
    mixed = torch.autocast(device) if chosen["amp"] else contextlib.nullcontext()
    started = time.perf_counter()
    with mixed:
        tracks = model.predict_video(frames)
    seconds = time.perf_counter() - started - frames.load_seconds
    gpu = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
    return {"method": method, "rows": len(tracks), "seconds": seconds / frames.length, "gpu": gpu, "half": frames.half}


def table(rows: list[dict[str, Any]]) -> str:
    """The measurements as Markdown."""
    heads = ("method", "rows", "frames per second", "peak in the first half, GiB", "peak, GiB", "GPU, GiB")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        gpu = "" if row["gpu"] is None else f"{row['gpu']:.2f}"
        speed, half, peak = 1 / row["seconds"], row["half"] / 1024, row["peak"] / 1024
        lines.append(f"| {row['method']} | {row['rows']} | {speed:.2f} | {half:.2f} | {peak:.2f} | {gpu} |")
    return "\n".join(lines)


def setting(text: str) -> tuple[str, Any]:
    """``key=value`` with a JSON value."""
    key, _, value = text.partition("=")
    return key, json.loads(value)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=f"of {', '.join(OFFLINE)} (default: all)")
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--backbone", default="r50")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--amp", action="store_true", help="automatic mixed precision")
    parser.add_argument("--set", nargs="*", default=[], type=setting, metavar="KEY=VALUE", help="inference settings")
    arguments = parser.parse_args()
    options = {"backbone": arguments.backbone, "device": arguments.device, "amp": arguments.amp}
    options["settings"] = dict(arguments.set)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "video"
        print(f"rendering {arguments.frames} frames of {WIDTH}x{HEIGHT} ...", file=sys.stderr)
        render(folder, arguments.frames)
        for method in arguments.methods or OFFLINE:
            print(f"{method} ...", file=sys.stderr)
            rows.append(alone("long_videos", "measure", method, str(folder), json.dumps(options)))
    print(table(rows))


if __name__ == "__main__":
    main()
