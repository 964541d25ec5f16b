"""``mindthegap compare``: several methods side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mindthegap.cli import options


def compare(
    ground_truth: Annotated[Path, typer.Argument(help="Ground truth: YouTube-VIS or OVIS JSON.", show_default=False)],
    results: Annotated[list[Path], typer.Argument(help="Result files, one per method.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables and one oracle folder per method.")],
    label: Annotated[list[str] | None, typer.Option(help="Name of a method, once per result file.")] = None,
    objective: options.Objective = "tight",
    as_json: Annotated[bool, typer.Option("--json", help="Print comparison.json instead of a table.")] = False,
    solver: options.Solver = "HiGHS",
    time_limit: options.TimeLimit = 60.0,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples of the videos for paired 95 % intervals.")] = 1000,
    seed: options.Seed = 0,
    trained_on: Annotated[
        list[Path] | None,
        typer.Option(
            help="Videos the weights were trained on, as for diagnose: once for all, or once per result file."
        ),
    ] = None,
    workers: options.Workers = 0,
) -> None:
    """Diagnoses several result files and puts them side by side, with paired intervals of their differences.

    The same resamples of the videos are used for all methods. Differences are to the first method on the terminal, and
    between all pairs in differences.csv.
    """
    import json
    import os

    from rich.console import Console

    from mindthegap.diagnosis import compare as run

    comparison = run(
        ground_truth,
        results,
        names=label or None,
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
    if as_json:
        typer.echo(json.dumps(comparison.to_dict(), indent=2, allow_nan=False))
    else:
        Console().print(comparison)
