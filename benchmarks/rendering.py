"""Speed of the synthetic benchmark: frames per second with exact ground truth, on one core.

    python benchmarks/rendering.py                  # 128 x 224, all three presets
    python benchmarks/rendering.py --height 720 --width 1280 --videos 2

Each line is the best of several runs of the whole path to a dataset folder (planning, drawing, masks, JPEG files, JSON
and manifest), with wall time and processor time of this one process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from mindthegap.config.datasets import SyntheticDataset
from mindthegap.synth import render_dataset
from mindthegap.synth.presets import PRESETS


def measure(preset: str, videos: int, height: int, width: int) -> tuple[int, float, float]:
    """Frames, wall seconds and processor seconds of one rendering."""
    raw = {"kind": "synthetic", "preset": preset, "height": height, "width": width, "diagnostic": {"videos": videos}}
    spec = SyntheticDataset.model_validate({**raw, "weights_from": "another"})
    with tempfile.TemporaryDirectory() as folder:
        wall, processor = time.perf_counter(), time.process_time()
        manifest = render_dataset(spec, Path(folder) / "clips", "clips", progress=False)
        return manifest["frames"]["files"], time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    """Prints one line per preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=224)
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    for preset in PRESETS:
        runs = [measure(preset, given.videos, given.height, given.width) for _ in range(given.repeats)]
        frames = runs[0][0]
        wall, processor = (min(run[place] for run in runs) for place in (1, 2))
        print(f"{preset}: {frames} frames of {given.height} x {given.width}: {frames / wall:.0f} frames/s "
              f"(wall), {frames / processor:.0f} per processor second")  # fmt: skip


if __name__ == "__main__":
    main()
