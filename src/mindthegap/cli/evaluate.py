"""``mindthegap evaluate``: the official numbers of one result file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mindthegap.cli import options


def evaluate(
    ground_truth: Annotated[Path, typer.Argument(help="Ground truth: YouTube-VIS or OVIS JSON.")],
    results: Annotated[Path, typer.Argument(help="Results: JSON list of tracks, as the servers take it.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the numbers to this file.")] = None,
    per_category: Annotated[bool, typer.Option("--per-category", help="Also print a table per category.")] = False,
    per_threshold: Annotated[bool, typer.Option("--per-threshold", help="Also print AP per IoU threshold.")] = False,
    per_video: Annotated[bool, typer.Option("--per-video", help="Also print a table per video.")] = False,
    official_quirks: Annotated[
        bool,
        typer.Option(
            "--official-quirks",
            help="Take files that the official evaluator takes though they are wrong, reproduce its number, and say "
            "what each oddity changes.",
        ),
    ] = False,
    workers: options.Workers = 0,
) -> None:
    """Prints AP, AP50, AP75, APs/m/l, AR1, AR10 and AR100: the official YouTube-VIS numbers, exactly.

    OVIS ground truth also gives the AP of lightly, moderately and heavily occluded objects.
    """
    import os

    from rich.console import Console

    from mindthegap.evaluation import evaluate as run
    from mindthegap.evaluation.display import threshold_table, video_table
    from mindthegap.files import write_json

    evaluation = run(
        ground_truth, results, official_quirks=official_quirks, workers=workers or os.cpu_count() or 1, progress=True
    )
    if json_file is not None:
        write_json(json_file, evaluation.to_dict(), indent=2)
    console = Console()
    console.print(evaluation.table())
    if per_threshold:
        console.print(threshold_table(evaluation))
    if per_category:
        console.print(evaluation.category_table())
    if per_video:
        console.print(video_table(evaluation))
