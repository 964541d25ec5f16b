"""``mindthegap strata``: what videos and objects are like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mindthegap.cli.options import Workers


def strata(
    ground_truth: Annotated[Path, typer.Argument(metavar="GT.json", help="YouTube-VIS or OVIS ground truth.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the two tables; made if it does not exist.")],
    name: Annotated[str, typer.Option(help="Name in the column 'dataset'; the file's own if left out.")] = "",
    workers: Workers = 0,
) -> None:
    """Writes length, density, occlusion, size, motion and more of every video and object as Parquet.

    The columns are described in the docstrings of mindthegap.strata.
    """
    import os

    from mindthegap.strata import write_strata
    from mindthegap.strata.files import OBJECTS, VIDEOS

    write_strata(
        ground_truth, out / VIDEOS, out / OBJECTS, name or ground_truth.stem, workers=workers or os.cpu_count() or 1
    )
    for table in (VIDEOS, OBJECTS):
        typer.echo(out / table)
