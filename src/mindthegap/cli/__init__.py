"""The command line: ``mindthegap <command>``.

The modules of the commands are imported at start, so they keep heavy imports (numpy, pandas, matplotlib) inside
their functions.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mindthegap import __version__
from mindthegap.cli.compare import compare
from mindthegap.cli.datasets import datasets
from mindthegap.cli.diagnose import diagnose
from mindthegap.cli.evaluate import evaluate
from mindthegap.cli.strata import strata
from mindthegap.cli.synth import synth
from mindthegap.cli.tracklens import app as tracklens
from mindthegap.cli.validate import validate
from mindthegap.errors import EXIT_USER_ERROR, MindTheGapError
from mindthegap.files import disk_errors

app = typer.Typer(
    help="Why a Video Instance Segmentation method loses AP: tracking, classification and segmentation gaps.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (validate, evaluate, diagnose, compare, strata, synth, datasets):
    app.command()(command)
app.add_typer(tracklens, name="tracklens")


def _print_version(wanted: bool) -> None:
    """Prints the version, what carries the speed, and ends."""
    if wanted:
        from mindthegap.formats import kernel

        typer.echo(f"mindthegap {__version__} ({kernel.description()})")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print version and kernel, and exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: a user's mistake ends in one sentence on standard error and exit code 2."""
    try:
        with disk_errors("the output"):
            app()
    except MindTheGapError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_USER_ERROR)
