"""Progress for anything that takes more than two seconds: a bar on a terminal, log lines with an estimate elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_QUIET_SECONDS = 2.0
_LINE_SECONDS = 10.0


def track(items: Iterable[Item], description: str, total: int, *, enabled: bool = True) -> Iterator[Item]:
    """Yields ``items`` unchanged while showing how far along they are, on standard error.

    Args:
        items: What to iterate over; it may be produced lazily, e.g. by a process pool.
        description: What is being done, e.g. ``"overlap tables"``.
        total: Number of items.
        enabled: False yields silently.
    """
    if not enabled or total == 0:
        yield from items
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as rich_track

        yield from rich_track(items, description, total=total, console=Console(stderr=True), transient=True)
    else:
        yield from _track_in_lines(items, description, total)


def _track_in_lines(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Prints a line every ten seconds, none for work that ends within two."""
    start = time.monotonic()
    next_line = start + _QUIET_SECONDS
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now >= next_line and done < total:
            left = (now - start) / done * (total - done)
            print(f"{description}: {done} of {total}, about {left:.0f} s left", file=sys.stderr, flush=True)
            next_line = now + _LINE_SECONDS
