"""How time and memory grow with videos, frames, queries and instances, up to ten times the size of OVIS.

    python benchmarks/scaling.py [--official FOLDER] [--axis videos ...] [--ten-times]

Each point is an evaluation of two files in a process of its own: processor (wall) seconds and peak memory. The official
evaluator runs beside ours at every point that is expected to take it less than ``--patience`` seconds.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from crowded_sets import Size, write
from measuring import alone

BASE = Size("base", 10, 30, 4, 20, 360, 640, 25)
AXES = {
    "videos": ("videos", (10, 20, 40, 80)),
    "frames": ("frames", (30, 60, 120, 300)),
    "queries": ("rows", (20, 50, 100, 200)),
    "instances": ("objects", (2, 4, 8, 16)),
}
OVIS_SIZE = Size("OVIS validation set", 140, 70, 6, 50, 720, 1280, 25, longest=320)
TEN_TIMES = replace(OVIS_SIZE, name="ten times OVIS", copies=10)
_OFFICIAL_SECONDS = 30e-6  # per predicted mask at 720p


def measure(size: Size, label: str, official: Path | None, patience: float) -> None:
    """Prints one point."""
    with tempfile.TemporaryDirectory() as folder:
        gt, results = Path(folder) / "gt.json", Path(folder) / "results.json"
        write(size, gt, results)
        megabytes = (gt.stat().st_size + results.stat().st_size) / 1e6
        ours = alone("evaluation", "evaluate_alone", str(gt), str(results))
        line = (
            f"{label}: {megabytes:.0f} MB | ours {ours['processor']:.2f} ({ours['wall']:.2f}) s, {ours['peak']:.0f} MiB"
        )
        expected = size.videos * size.copies * size.frames * size.rows * _OFFICIAL_SECONDS
        if official and expected < patience:
            theirs = alone("evaluation", "official_alone", str(official.resolve()), str(gt), str(results))
            assert ours["AP"] == theirs["AP"], "the two evaluators disagree"
            line += f" | official {theirs['processor']:.2f} ({theirs['wall']:.2f}) s, {theirs['peak']:.0f} MiB"
            line += f" | ratio {theirs['processor'] / ours['processor']:.1f}"
        elif official:
            line += f" | official left out: about {expected:.0f} s"
    print(line, flush=True)


def main() -> None:
    """Runs the curves, or the largest set alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, help="folder of the official ytvos.py and ytvoseval.py")
    parser.add_argument("--axis", nargs="*", default=[*AXES, "ovis"], choices=[*AXES, "ovis"])
    parser.add_argument("--ten-times", action="store_true", help="only ten times OVIS: 2.3 GB of JSON")
    parser.add_argument("--patience", type=float, default=120, help="seconds that the official evaluator may take")
    options = parser.parse_args()
    if options.ten_times:
        measure(TEN_TIMES, TEN_TIMES.name, options.official, options.patience)
        return
    for axis in options.axis:
        if axis == "ovis":
            measure(OVIS_SIZE, OVIS_SIZE.name, options.official, options.patience)
            continue
        field, values = AXES[axis]
        for value in values:
            size = replace(BASE, **{field: value})
            measure(size, f"{value} {axis}", options.official, options.patience)


if __name__ == "__main__":
    main()
