"""Our evaluation against the official evaluator and mmdet's copy: same data, same run, one core.

Run as ``python benchmarks/evaluation.py --official FOLDER`` where FOLDER holds the official ``ytvos.py`` and
``ytvoseval.py`` (they are read, never copied). Two figures per set: *core*, with both files parsed (ours: overlap
tables and AP; theirs: ``evaluate`` and ``accumulate``), and *files*, from two paths to the numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from crowded_sets import Size, make

from mindthegap.evaluation import compute_overlaps, evaluate, evaluate_tables
from mindthegap.formats import read_ground_truth, read_results

SIZES = (
    Size("360p, 25 classes", 20, 60, 6, 30, 360, 640, 25),
    Size("360p, one class", 20, 60, 6, 30, 360, 640, 1),
    Size("360p, 100 rows, 25 classes", 8, 60, 6, 100, 360, 640, 25),
    Size("360p, 100 rows, one class", 8, 60, 6, 100, 360, 640, 1),
    Size("720p, 25 classes", 6, 60, 8, 50, 720, 1280, 25),
    Size("720p, one class", 6, 60, 8, 50, 720, 1280, 1),
)
OVIS_SIZE = Size("OVIS validation set", 140, 60, 6, 50, 720, 1280, 25)


def best(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Shortest processor time in seconds of several runs, and the last result."""
    times = []
    value = None
    for _ in range(repeats):
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            value = function()
        times.append(time.process_time() - start)
    return min(times), value


def ours(gt: Path, results: Path, repeats: int) -> tuple[float, float, Any]:
    """Seconds for the core and from files, and the evaluation."""
    ground_truth = read_ground_truth(gt)
    rows = read_results(results, ground_truth)
    core, evaluation = best(lambda: evaluate_tables(compute_overlaps(ground_truth, rows)), repeats)
    files, _ = best(lambda: evaluate(gt, results), repeats)
    return core, files, evaluation


def theirs(dataset: type, evaluator: type, gt: Path, results: Path, repeats: int) -> tuple[float, float, Any]:
    """The same for an evaluator of the official interface; each run loads afresh, because it changes its inputs."""
    core, files, state = [], [], None
    for _ in range(repeats):
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.process_time()
            truth = dataset(str(gt))
            state = evaluator(truth, truth.loadRes(str(results)), "segm")
            loaded = time.process_time()
            state.evaluate()
            state.accumulate()
            end = time.process_time()
        core.append(end - loaded)
        files.append(end - start)
    return min(core), min(files), state


def official(folder: Path) -> tuple[type, type]:
    """The official classes, with what NumPy has dropped put back in memory."""
    package = types.ModuleType("official_evaluator")
    package.__path__ = []
    sys.modules["official_evaluator"] = package
    found = []
    for file, name in (("ytvos.py", "YTVOS"), ("ytvoseval.py", "YTVOSeval")):
        source = (
            (folder / file).read_text().replace("unicode", "str").replace("from . import", "from pycocotools import")
        )
        source = re.sub(r"\bnp\.float\b", "float", re.sub(r"(, )(np\.round\([^,]+\)) \+ 1,", r"\1int(\2) + 1,", source))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(f"official_evaluator.{name}", None))
        sys.modules[module.__name__] = module
        exec(compile(source, file, "exec"), module.__dict__)
        found.append(getattr(module, name))
    return found[0], found[1]


def evaluators(folder: Path | None) -> dict[str, tuple[type, type]]:
    """What there is to compare with."""
    found = {"official": official(folder)} if folder else {}
    try:
        from mmdet.evaluation.functional import YTVIS, YTVISeval

        found["mmdet"] = (YTVIS, YTVISeval)
    except ImportError:
        print("mmdet is not installed; left out", file=sys.stderr)
    return found


def compare(size: Size, others: dict[str, tuple[type, type]], repeats: int, folder: Path) -> None:
    """Prints one line per evaluator for one set, after checking that the arrays are equal."""
    gt, results = folder / "gt.json", folder / "results.json"
    truth, rows = make(size)
    gt.write_text(json.dumps(truth))
    results.write_text(json.dumps(rows))
    masks = sum(mask is not None for entry in rows for mask in entry["segmentations"])
    megabytes = (gt.stat().st_size + results.stat().st_size) / 1e6
    del truth, rows
    core, files, evaluation = ours(gt, results, repeats)
    print(f"{size.name}: {masks} predicted masks, {megabytes:.0f} MB | ours {core:.2f} / {files:.2f} s", end="")
    for name, (dataset, evaluator) in others.items():
        other_core, other_files, state = theirs(dataset, evaluator, gt, results, repeats)
        assert np.array_equal(evaluation.precision[:, :, :, :4], state.eval["precision"]), name
        assert np.array_equal(evaluation.recall[:, :, :4], state.eval["recall"]), name
        ratios = f"ratio {other_core / core:.1f} / {other_files / files:.1f}"
        print(f" | {name} {other_core:.2f} / {other_files:.2f} s, {ratios}", end="")
    print(f" | peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB", flush=True)


def alone(size: Size, folder: Path) -> None:
    """Evaluates one set in a fresh process, so that its peak memory is not that of making the set."""
    truth, rows = make(size)
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(rows))
    megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    print(f"{size.name}: {size.videos * size.frames * size.rows} row masks, {megabytes:.0f} MB", flush=True)
    del truth, rows
    code = (
        "import sys, time, resource; from mindthegap.evaluation import cached_overlaps, evaluate_tables;"
        "from mindthegap.evaluation import bootstrap_profiles, resampling_weights; clock = time.process_time;"
        "a = clock(); tables = cached_overlaps(sys.argv[1], sys.argv[2], None); b = clock();"
        "evaluation = evaluate_tables(tables); c = clock();"
        "matches = evaluation.matches; bootstrap_profiles(matches, resampling_weights(len(matches.videos), 1000, 0));"
        "d = clock(); peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024;"
        "print(f'reading and tables {b - a:.1f} s, AP {c - b:.2f} s', end=', ');"
        "print(f'1000 resamples {d - c:.2f} s, peak {peak:.0f} MiB')"
    )
    subprocess.run([sys.executable, "-c", code, str(folder / "gt.json"), str(folder / "results.json")], check=True)


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, help="folder of the official ytvos.py and ytvoseval.py")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="*", help="positions in SIZES; all by default")
    parser.add_argument(
        "--ovis-size", action="store_true", help="only 140 videos of 60 frames, and only ours, in a process of its own"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.ovis_size:
            alone(OVIS_SIZE, Path(folder))
            return
        others = evaluators(options.official)
        for i in options.sizes if options.sizes is not None else range(len(SIZES)):
            compare(SIZES[i], others, options.repeats, Path(folder))


if __name__ == "__main__":
    main()
