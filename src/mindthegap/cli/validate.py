"""``mindthegap validate``: every problem of ground truth and result files, one line each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mindthegap.errors import EXIT_USER_ERROR, InputError

if TYPE_CHECKING:
    from mindthegap.formats import GroundTruth, Problems


def validate(
    ground_truth: Annotated[Path, typer.Argument(help="Ground truth: YouTube-VIS or OVIS JSON.")],
    results: Annotated[list[Path] | None, typer.Argument(help="Result files for it.")] = None,
    show: Annotated[int, typer.Option(min=1, help="Lines to print per kind of problem and file.")] = 10,
) -> None:
    """Reads files as a stranger's and lists all problems: file, place in it, what is wrong, what to do.

    Exit code 0 without problems, 2 with any.
    """
    from mindthegap.formats import Problems, check_ground_truth

    problems = Problems(str(ground_truth), collect=True)
    try:
        truth = check_ground_truth(ground_truth, problems)
    except InputError as error:
        typer.echo(str(error))
        raise typer.Exit(EXIT_USER_ERROR) from None
    count = _report(problems, show)
    if not count:
        size = f"{len(truth.videos)} videos, {len(truth.objects)} objects, {len(truth.categories)} categories"
        typer.echo(f"{ground_truth}: no problems ({size}{', synthetic' if truth.synthetic else ''})")
    count += sum(_validate_results(path, truth, problems, show) for path in results or [])
    if count:
        typer.echo(f"{count} problems")
        raise typer.Exit(EXIT_USER_ERROR)


def _validate_results(path: Path, truth: GroundTruth, truth_problems: Problems, show: int) -> int:
    """Checks one result file and returns the number of its problems."""
    from mindthegap.formats import Problems, check_results

    problems = Problems(str(path), collect=True)
    try:
        found = check_results(path, truth, problems, refused=truth_problems.refused)
    except InputError as error:
        typer.echo(str(error))
        return 1
    count = _report(problems, show)
    if not count:
        typer.echo(f"{path}: no problems ({len(found.rows)} tracks)")
    ties = sum(n for n in Counter((row.category_id, row.score) for row in found.rows).values() if n > 1)
    if ties:
        typer.echo(f"{path}: note: {ties} tracks share their score with another of their category; order decides there")
    return count


def _report(problems: Problems, show: int) -> int:
    """Prints the problems of one file, at most ``show`` lines per kind, and returns their number."""
    printed: Counter[str] = Counter()
    for entry in problems.found:
        printed[entry.kind] += 1
        if printed[entry.kind] <= show:
            typer.echo(str(entry.error(problems.path)))
    for kind, number in printed.items():
        if number > show:
            typer.echo(f"{problems.path}: and {number - show} more of the kind '{kind}'")
    return len(problems.found)
