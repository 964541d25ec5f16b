"""``mindthegap tracklens build|serve``: the page that shows the failures behind the gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Build or serve the page that shows the failures behind the gaps.", no_args_is_help=True)


@app.command()
def build(
    ground_truth: Annotated[Path, typer.Argument(help="Ground truth, YouTube-VIS JSON.", show_default=False)],
    predictions: Annotated[list[Path], typer.Argument(help="Result files, one per method.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the page.")] = Path("tracklens"),
    oracle: Annotated[
        list[Path] | None,
        typer.Option(help="Folder written by `mindthegap diagnose`, once per result file, in the same order."),
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="Name on the page, once per result file.")] = None,
    frames: Annotated[Path | None, typer.Option(help="Folder that the ground truth's file names start from.")] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Mind the Gap",
) -> None:
    """Builds a static page; open its index.html by double click."""
    from mindthegap.errors import MindTheGapError
    from mindthegap.tracklens import ExperimentFiles
    from mindthegap.tracklens import build as build_page

    folders, labels = oracle or [], label or [path.stem for path in predictions]
    if len(folders) != len(predictions):
        raise MindTheGapError(
            f"{len(predictions)} result files but {len(folders)} --oracle folders: run `mindthegap diagnose` on each "
            "result file and name its output folder with --oracle, in the same order."
        )
    if len(labels) != len(predictions):
        raise MindTheGapError(f"{len(predictions)} result files but {len(labels)} --label names: give one for each.")
    experiments = [
        ExperimentFiles(name, ground_truth, path, folder)
        for name, path, folder in zip(labels, predictions, folders, strict=True)
    ]
    typer.echo(build_page(out, experiments, title=title, frames=frames, progress=True))


@app.command()
def serve(
    page: Annotated[Path, typer.Argument(help="Folder of the page.")] = Path("tracklens"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 0,
) -> None:
    """Serves a page on 127.0.0.1 for browsers that refuse local files."""
    from mindthegap.tracklens import serve as serve_page

    serve_page(page, port, announce=typer.echo)
