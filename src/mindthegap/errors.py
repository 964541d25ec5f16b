"""Errors that a user can mend: each is one sentence that says what, where, and what to do."""

from __future__ import annotations

from pathlib import Path

EXIT_USER_ERROR = 2


class MindTheGapError(Exception):
    """A mistake outside the code (input, configuration, disk); printed as one sentence, exit code 2."""


class ConfigError(MindTheGapError):
    """``config.yaml`` or ``--config`` asks for something that does not exist or contradicts itself."""


class InputError(MindTheGapError):
    """A file cannot be used as it is.

    Args:
        path: The file (or folder) with the problem.
        place: Where in it, e.g. ``annotations[3].segmentations[7]``; empty for the file as a whole.
        problem: What is wrong, as a clause without a full stop.
        remedy: What the user can do, as a clause without a full stop.
    """

    def __init__(self, path: str | Path, place: str, problem: str, remedy: str) -> None:
        self.path, self.place, self.problem, self.remedy = str(path), place, problem, remedy
        where = f"{path}: {place}" if place else f"{path}"
        super().__init__(f"{where}: {problem}; {remedy}.")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str, str]]:
        """Keeps all four parts when the error crosses a process boundary."""
        return type(self), (self.path, self.place, self.problem, self.remedy)
