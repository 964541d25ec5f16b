"""Paired times in one process, peak memory in a process of its own, and the evaluators that we are compared with."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
import subprocess
import sys
import time
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Times:
    """Shortest processor and wall time of several runs in seconds, and the last run's value."""

    processor: float
    wall: float
    value: Any


def alternate(functions: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, Times]:
    """Runs the functions in turn, so that whatever else keeps the machine busy meets all of them alike."""
    found: dict[str, Times] = {}
    for _ in range(repeats):
        for name, function in functions.items():
            processor, wall = time.process_time(), time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                value = function()
            processor, wall = time.process_time() - processor, time.perf_counter() - wall
            before = found.get(name, Times(processor, wall, None))
            found[name] = Times(min(processor, before.processor), min(wall, before.wall), value)
    return found


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MiB; ``ru_maxrss`` begins at that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def alone(script: str, function: str, *arguments: str) -> dict[str, Any]:
    """Calls a function of a script here in a fresh process.

    Returns:
        What it returned (a JSON object), with ``processor`` and ``wall`` in seconds, unless it timed itself, and
        ``peak`` in MiB.
    """
    code = (
        "import sys, time, json, importlib, measuring; module = importlib.import_module(sys.argv[1]);"
        "a, b = time.process_time(), time.perf_counter(); found = getattr(module, sys.argv[2])(*sys.argv[3:]) or {};"
        "found = {'processor': time.process_time() - a, 'wall': time.perf_counter() - b} | found;"
        "found |= {'peak': measuring.peak_memory()};"
        "print('\\n' + json.dumps(found))"
    )
    command = [sys.executable, "-c", code, script, function, *arguments]
    output = subprocess.run(command, check=True, cwd=FOLDER, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(output.splitlines()[-1]))


def official(folder: Path) -> tuple[type, type]:
    """The official classes, with what NumPy has dropped put back in memory; the files are only read."""
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
    """What there is to compare with: the official evaluator, mmdet's copy."""
    found = {"official": official(folder)} if folder else {}
    try:
        from mmdet.evaluation.functional import YTVIS, YTVISeval

        found["mmdet"] = (YTVIS, YTVISeval)
    except ImportError:
        print("mmdet is not installed; left out", file=sys.stderr)
    return found
