"""Checks before any job starts, so that a mistake costs seconds and not hours."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from mindthegap.errors import MindTheGapError
from mindthegap.files import disk_errors


def check_writable(folder: str | Path) -> None:
    """Makes sure that results can be written.

    Raises:
        MindTheGapError: The folder cannot be made or written; the sentence names it and the remedy.
    """
    try:
        with disk_errors(folder):
            Path(folder).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"\0" * 4096)
                probe.flush()
    except (FileExistsError, NotADirectoryError):
        raise MindTheGapError(
            f"{folder}: cannot be used for results: a file stands where a folder is needed; move it away or set "
            "'results' to another folder."
        ) from None


def missing_methods(methods: Iterable[str], folder: str | Path) -> list[str]:
    """Methods of the matrix that have no implementation in ``folder`` yet (no ``<name>/config.py``)."""
    return [name for name in methods if not (Path(folder) / name / "config.py").is_file()]
