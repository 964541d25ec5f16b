"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Objective = Annotated[
    Literal["tight", "iou"],
    typer.Option(help="tight: the largest AP any re-linking reaches; iou: the largest sum of frame IoUs."),
]
Solver = Annotated[Literal["HiGHS", "CBC"], typer.Option(help="Solver of the integer programs.")]
TimeLimit = Annotated[
    float, typer.Option(help="Seconds per group of objects that want the same masks; then bounds are reported.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the resampling.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes, 0 = one per processor; numbers do not vary.")]
