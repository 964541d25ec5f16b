"""Opening a JSON file for a reader: errors as sentences, no garbage collection while millions of objects arise."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mindthegap.errors import InputError
from mindthegap.files import read_json


@contextmanager
def without_collection() -> Iterator[None]:
    """Pauses the cyclic garbage collector: JSON has no cycles, and scanning its objects again and again costs time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def load(path: str | Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: It is missing, unreadable, truncated, not JSON, or holds a number of thousands of digits.
    """
    try:
        return read_json(path)
    except ValueError:
        problem = "holds a number with thousands of digits"
        raise InputError(path, "", problem, "give a YouTube-VIS JSON file") from None
