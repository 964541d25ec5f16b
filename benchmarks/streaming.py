"""Memory and time per frame of the online methods on one long, full video.

    python benchmarks/streaming.py                                  # every online method, untrained
    python benchmarks/streaming.py --weights crossvis=WEIGHTS.pth   # with weights of scale demo, backbone r18_tiny

An untrained detector finds nothing, so it is made to report as many detections per frame as the video has objects:
what the tracker then does is arbitrary, what it costs is not. Every method runs in a process of its own, on one thread.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from methods.runtime.heap import resident

FRAMES, OBJECTS = 500, 20
STOPS = (50, 250, 500)
WINDOW = 50  # frames that a time per frame is the mean of
ONLINE = ("masktrack_rcnn", "crossvis", "iai")
# Settings that make an untrained detector speak, where a method has them.
TALKATIVE = {
    "score_threshold": 0.0,
    "id_threshold": 0.0,
    "min_row_score": 0.0,
    "mask_threshold": 0.4,
    "max_per_frame": OBJECTS,
}


def render(folder: Path) -> None:
    """The video, 96 x 160 pixels, as a dataset folder."""
    from mindthegap.config.datasets import SyntheticDataset
    from mindthegap.synth import render_dataset

    spec: dict[str, Any] = {"kind": "synthetic", "preset": "synth_ytvis19", "train": {"videos": 2, "frames": 4}}
    spec["diagnostic"] = {"videos": 1, "frames": FRAMES, "objects": OBJECTS}
    render_dataset(SyntheticDataset(**spec), folder, "streaming", progress=False)


def watched(video: dict[str, Any], frames_dir: Path, pipeline: Any) -> Any:
    """The video's frames, noting time and memory whenever one is asked for."""
    from methods.runtime.frames import VideoFrames

    class Watched(VideoFrames):
        def batch(self, indices: Sequence[int]) -> dict[str, list[Any]]:
            self.marks.append((indices[0], time.perf_counter(), resident() / 2**20))
            return super().batch(indices)

    frames = Watched(video, frames_dir, pipeline)
    frames.marks = []
    return frames


def build(method: str, folder: Path, weights: Path | None) -> tuple[Any, Any]:
    """The method's model and test pipeline at scale demo."""
    from methods.runtime.mmcv_ops import ensure_ops

    ensure_ops()
    import torch
    from mmcv.transforms import Compose
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    from methods.runtime import data, registry  # noqa: F401 - registers LoadFrame
    from methods.runtime.configs import build_config
    from methods.runtime.facts import read_facts
    from methods.runtime.weights import load_weights

    torch.manual_seed(0)
    torch.set_num_threads(1)
    register_all_modules(init_default_scope=True)
    registry.load(method, "model")
    known = registry.load(method, "config").INFERENCE["demo"]
    settings = {} if weights else {key: value for key, value in TALKATIVE.items() if key in known}
    config = build_config(method, "demo", read_facts(folder, "train"), "r18_tiny", {}, settings)
    model = MODELS.build(config.model)
    model.init_weights()
    if weights:
        state, _ = load_weights(weights)
        # What depends on the training split's identities plays no part in inference.
        own = model.state_dict()
        model.load_state_dict(
            {key: value for key, value in state.items() if own[key].shape == value.shape}, strict=False
        )
    return model.eval(), Compose(config.test_pipeline)


def measure(method: str, folder: Path, weights: Path | None) -> dict[str, Any]:
    """Runs one method over the video."""
    warnings.filterwarnings("ignore")
    model, pipeline = build(method, folder, weights)
    content = json.loads((folder / "diagnostic.json").read_text())
    frames = watched(content["videos"][0], folder / "frames", pipeline)
    tracks = model.predict_video(frames)
    marks = [*frames.marks, (FRAMES, time.perf_counter(), resident() / 2**20)]
    at = {frame: (clock, memory) for frame, clock, memory in marks}
    return {
        "method": method,
        "tracks": len(tracks),
        "masks": sum(mask is not None for track in tracks for mask in track.segmentations),
        "stops": [
            {
                "frame": stop,
                "ms": 1000 * (at[stop][0] - at[stop - WINDOW][0]) / WINDOW,
                "mib": at[stop][1],
            }
            for stop in STOPS
        ],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The measurements as Markdown."""
    head = "| method | tracks | masks | " + " | ".join(f"ms, MiB at frame {stop}" for stop in STOPS) + " |"
    lines = [head, "|---" * (3 + len(STOPS)) + "|"]
    for row in rows:
        cells = [f"{stop['ms']:.0f}, {stop['mib']:.0f}" for stop in row["stops"]]
        lines.append(f"| {row['method']} | {row['tracks']} | {row['masks']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """The command line; ``--only`` is how it calls itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="*", default=[], metavar="METHOD=PATH", help="weights of scale demo")
    parser.add_argument("--only", nargs=2, metavar=("METHOD", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    weights = {name: Path(path) for name, _, path in (item.partition("=") for item in arguments.weights)}
    if arguments.only:
        logging.disable(logging.WARNING)
        method, folder = arguments.only
        print(json.dumps(measure(method, Path(folder), weights.get(method))))
        return
    from methods.runtime import registry

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "video"
        print(f"rendering {FRAMES} frames with {OBJECTS} objects ...", file=sys.stderr)
        render(folder)
        rows = []
        for method in (name for name in ONLINE if name in registry.available()):
            print(f"{method} ...", file=sys.stderr)
            command = [sys.executable, __file__, "--only", method, str(folder), "--weights", *arguments.weights]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            rows.append(json.loads(output.splitlines()[-1]))
    print(table(rows))


if __name__ == "__main__":
    main()
