"""Checks before any job starts, so that a mistake costs seconds and not hours."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mindthegap.errors import MindTheGapError


def check_writable(folder: str | Path) -> None:
    """Makes sure that results can be written, without writing anything (a dry run must leave no trace).

    Raises:
        MindTheGapError: The folder, or the nearest one above it that exists, cannot be used; the sentence says why.
    """
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise MindTheGapError(
            f"{folder}: cannot be used for results: {place} is a file where a folder is needed; move it away or set "
            "'results' to another folder."
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise MindTheGapError(
            f"{folder}: cannot be written: {place} is not writable; change its permissions or set 'results' to another "
            "folder."
        )


def missing_methods(methods: Iterable[str], folder: str | Path) -> list[str]:
    """Methods of the matrix that have no implementation in ``folder`` yet (no ``<name>/config.py``)."""
    return [name for name in methods if not (Path(folder) / name / "config.py").is_file()]
