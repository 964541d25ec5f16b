"""``mindthegap diagnose``: the gaps of one result file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mindthegap.cli import options

if TYPE_CHECKING:
    import pandas as pd

    from mindthegap.diagnosis import Diagnosis


def diagnose(
    ground_truth: Annotated[Path, typer.Argument(help="Ground truth: YouTube-VIS or OVIS JSON.")],
    results: Annotated[Path, typer.Argument(help="Results: JSON list of tracks, as the servers take it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for gaps.json, the tables and the oracle tracks.")],
    objective: options.Objective = "tight",
    as_json: Annotated[bool, typer.Option("--json", help="Print gaps.json instead of tables.")] = False,
    solver: options.Solver = "HiGHS",
    time_limit: options.TimeLimit = 60.0,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples of the videos for 95 % intervals.")] = 1000,
    seed: options.Seed = 0,
    frames: Annotated[
        Path | None, typer.Option(help="Folder of the frames; then DIR/tracklens/ is built, a page that shows them.")
    ] = None,
    strata: Annotated[
        bool, typer.Option("--strata", help="Also print the gaps by stratum, and write them as strata.csv.")
    ] = False,
    trained_on: Annotated[
        Path | None,
        typer.Option(help="Videos the weights were trained on (names, one per line; YouTube-VIS JSON; manifest.json)."),
    ] = None,
    workers: options.Workers = 0,
) -> None:
    """Says why a result file loses AP: tracking, classification and segmentation gap.

    Writes the oracle folder (gaps.json; association, tracks, failures and strata as Parquet; the oracle's tracks as
    ordinary result files) and prints the gaps.
    """
    import os
    import sys

    from mindthegap.diagnosis import diagnose as run
    from mindthegap.errors import InputError

    if frames is not None and not frames.is_dir():
        raise InputError(frames, "", "there is no such folder of frames", "check the path, or leave --frames out")
    diagnosis = run(
        ground_truth,
        results,
        objective=objective,
        out_dir=out,
        solver=solver,
        time_limit=time_limit,
        workers=workers or os.cpu_count() or 1,
        bootstrap=bootstrap,
        seed=seed,
        progress=True,
        trained_on=trained_on,
    )
    if strata:
        _write_csv(diagnosis.strata(), out / "strata.csv")
    if frames is not None:
        page = _build_page(ground_truth, results, out, frames)
        print(f"page: {page}", file=sys.stderr)
    _show(diagnosis, as_json=as_json, strata=strata)


def _show(diagnosis: Diagnosis, *, as_json: bool, strata: bool) -> None:
    """Prints gaps.json, or the tables."""
    import json

    from rich.console import Console

    from mindthegap.diagnosis.display import strata_table

    if as_json:
        typer.echo(json.dumps(diagnosis.to_dict(), indent=2, allow_nan=False))
        return
    Console().print(diagnosis)
    if strata:
        Console().print(strata_table(diagnosis.strata(), diagnosis.synthetic))


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    """A table as CSV, atomically."""
    from mindthegap.files import atomic_path

    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def _build_page(ground_truth: Path, results: Path, out: Path, frames: Path) -> Path:
    """The page of this one experiment."""
    from mindthegap.tracklens import ExperimentFiles, build

    experiment = ExperimentFiles(results.stem, ground_truth, results, out)
    return build(out / "tracklens", [experiment], title=results.stem, frames=frames, progress=True)
