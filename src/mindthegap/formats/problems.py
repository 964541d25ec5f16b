"""Problems of an input file: raised at the first one, or collected so that all can be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mindthegap.errors import InputError

_SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file: its kind (for counting), place, what it is, and what to do."""

    kind: str
    place: str
    problem: str
    remedy: str

    def error(self, path: str | Path) -> InputError:
        """The same as an exception."""
        return InputError(path, self.place, self.problem, self.remedy)


@dataclass
class Problems:
    """Receives the problems of one file.

    Attributes:
        path: The file.
        collect: True keeps every problem in ``found``; False raises the first as ``InputError``.
        found: The problems so far.
        refused: By section (``videos``, ``categories``), ids whose entries exist but could not be used.
    """

    path: str
    collect: bool = False
    found: list[Problem] = field(default_factory=list)
    refused: dict[str, set[int]] = field(default_factory=dict)

    def add(self, kind: str, place: str, problem: str, remedy: str) -> None:
        """Notes a problem.

        Raises:
            InputError: Unless ``collect``.
        """
        entry = Problem(kind, place, problem, remedy)
        if not self.collect:
            raise entry.error(self.path)
        self.found.append(entry)


def shown(value: Any) -> str:
    """A value as it appears in a message: short, one line, printable everywhere."""
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'JSON object'} of {len(value)} entries"
    if isinstance(value, int) and abs(value) >= 10**18:
        return "an integer of more than 18 digits"
    text = "null" if value is None else ascii(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
