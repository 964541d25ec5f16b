"""Our evaluation against the official evaluator and mmdet's copy: same data, same run, one core.

    python benchmarks/evaluation.py --official FOLDER [--only TEXT] [--numpy]

FOLDER holds the official ``ytvos.py`` and ``ytvoseval.py`` (they are read, never copied). Two figures per set: *core*,
with both files parsed (ours: overlap tables and AP; theirs: ``evaluate`` and ``accumulate``), and *files*, from two
paths to the numbers. A line is printed only after precision and recall have been found equal bit for bit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from crowded_sets import Size, write
from measuring import Times, alone, alternate, evaluators, official

from mindthegap.evaluation import compute_overlaps, evaluate, evaluate_tables
from mindthegap.formats import kernel, read_ground_truth, read_results

SIZES = (
    Size("360p, a class per object", 20, 60, 6, 30, 360, 640, 25, own_classes=True),
    Size("360p, shared classes", 20, 60, 6, 30, 360, 640, 25),
    Size("360p, one class", 20, 60, 6, 30, 360, 640, 1),
    Size("100 rows, a class per object", 8, 60, 6, 100, 360, 640, 25, own_classes=True),
    Size("100 rows, shared classes", 8, 60, 6, 100, 360, 640, 25),
    Size("100 rows, one class", 8, 60, 6, 100, 360, 640, 1),
    Size("720p, a class per object", 6, 60, 8, 50, 720, 1280, 25, own_classes=True),
    Size("720p, shared classes", 6, 60, 8, 50, 720, 1280, 25),
    Size("720p, one class", 6, 60, 8, 50, 720, 1280, 1),
    Size("polygons, shared classes", 20, 60, 6, 30, 360, 640, 25, polygons=True),
    Size("a mask in every frame, shared", 20, 60, 6, 30, 360, 640, 25, dense=True),
)


def theirs(dataset: type, evaluator: type, gt: Path, results: Path) -> tuple[Any, float]:
    """An evaluator's state after ``accumulate``, and the processor time without loading.

    Each run loads afresh, because it changes its inputs.
    """
    truth = dataset(str(gt))
    state = evaluator(truth, truth.loadRes(str(results)), "segm")
    begin = time.process_time()
    state.evaluate()
    state.accumulate()
    return state, time.process_time() - begin


def compare(size: Size, others: dict[str, tuple[type, type]], repeats: int, folder: Path) -> None:
    """Prints one line per set, after checking that the arrays are equal."""
    gt, results = folder / "gt.json", folder / "results.json"
    write(size, gt, results)
    megabytes = (gt.stat().st_size + results.stat().st_size) / 1e6
    truth = read_ground_truth(gt)
    rows = read_results(results, truth)
    core: dict[str, list[float]] = {name: [] for name in others}

    def noted(name: str) -> Any:
        state, processor = theirs(*others[name], gt, results)
        core[name].append(processor)
        return state

    runs: dict[str, Callable[[], Any]] = {
        "core": lambda: evaluate_tables(compute_overlaps(truth, rows)),
        "files": lambda: evaluate(gt, results),
        **{name: partial(noted, name) for name in others},
    }
    found = alternate(runs, repeats)
    evaluation = found["files"].value
    line = f"{size.name} | {megabytes:.0f} MB | ours {_shown(found['core'])} core, {_shown(found['files'])} files"
    for name in others:
        state, fastest = found[name].value, min(core[name])
        assert np.array_equal(evaluation.precision[:, :, :, :4], state.eval["precision"]), name
        assert np.array_equal(evaluation.recall[:, :, :4], state.eval["recall"]), name
        ratios = fastest / found["core"].processor, found[name].processor / found["files"].processor
        line += f" | {name} {fastest:.2f} core, {_shown(found[name])} files, ratio {ratios[0]:.1f}, {ratios[1]:.1f}"
    print(line, flush=True)


def _shown(times: Times) -> str:
    """Processor seconds, and wall seconds in brackets."""
    return f"{times.processor:.2f} ({times.wall:.2f}) s"


def evaluate_alone(gt: str, results: str) -> dict[str, Any]:
    """For ``alone``: our evaluation of two files."""
    return {"AP": evaluate(gt, results).AP}


def official_alone(folder: str, gt: str, results: str) -> dict[str, Any]:
    """For ``alone``: the official evaluation of two files; importing it is not timed."""
    classes = official(Path(folder))
    begin = time.process_time(), time.perf_counter()
    precision = theirs(*classes, Path(gt), Path(results))[0].eval["precision"][:, :, :, 0, -1]
    times = {"processor": time.process_time() - begin[0], "wall": time.perf_counter() - begin[1]}
    return {"AP": 100 * float(precision[precision > -1].mean()), **times}


def memory(size: Size, folder: Path, official_folder: Path | None) -> None:
    """Prints the peak memory of an evaluation in a process of its own."""
    gt, results = folder / "gt.json", folder / "results.json"
    write(size, gt, results)
    peaks = {"ours": alone("evaluation", "evaluate_alone", str(gt), str(results))["peak"]}
    if official_folder:
        folder_name = str(official_folder.resolve())
        peaks["official"] = alone("evaluation", "official_alone", folder_name, str(gt), str(results))["peak"]
    print(f"peak memory, {size.name}: " + ", ".join(f"{name} {peak:.0f} MiB" for name, peak in peaks.items()))


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, help="folder of the official ytvos.py and ytvoseval.py")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--numpy", action="store_true", help="without the compiled kernel")
    parser.add_argument("--only", default="", help="only sets with this text in their name")
    options = parser.parse_args()
    if options.numpy:
        kernel.library = None
    print(kernel.description())
    with tempfile.TemporaryDirectory() as folder:
        others = evaluators(options.official)
        chosen = [size for size in SIZES if options.only in size.name]
        for size in chosen:
            compare(size, others, options.repeats, Path(folder))
        for size in chosen[:1]:
            memory(size, Path(folder), options.official)


if __name__ == "__main__":
    main()
