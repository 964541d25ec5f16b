"""Typed access to the fields of an untrusted JSON object; every wrong field becomes a problem with its place."""

from __future__ import annotations

import math
from typing import Any

from mindthegap.formats.problems import Problems, shown

INT64_LIMIT = 2**63


class Fields:
    """The fields of the JSON object at ``place``; each getter returns ``None`` after noting a problem.

    Args:
        problems: Receives what is wrong.
        place: Where the object stands in the file, e.g. ``annotations[3]``.
        value: The object, of any type.
    """

    def __init__(self, problems: Problems, place: str, value: Any) -> None:
        self.problems, self.place = problems, place
        self.valid = isinstance(value, dict)
        self.value: dict[str, Any] = value if isinstance(value, dict) else {}
        if not self.valid:
            problems.add("structure", place, f"is {shown(value)}, not a JSON object", "write one object per entry")

    def bad(self, key: str, wanted: str, remedy: str) -> None:
        """Notes that ``key`` is missing or not what is wanted."""
        if not self.valid:
            return
        found = f"is {shown(self.value[key])}, not {wanted}" if key in self.value else "is missing"
        self.problems.add(f"field {key}", f"{self.place}.{key}", found, remedy)

    def integer(self, key: str, minimum: int | None = None, maximum: int = INT64_LIMIT - 1) -> int | None:
        """A whole number within bounds (a JSON number without a fraction; ``true`` is none)."""
        value = self.value.get(key)
        low = -INT64_LIMIT if minimum is None else minimum
        if type(value) is int and low <= value <= maximum:
            return value
        wanted = "a whole number" if minimum is None else f"a whole number from {minimum} up"
        if type(value) is int and abs(value) >= INT64_LIMIT:
            wanted += " that fits 64 bits"
        self.bad(key, wanted, f"write {wanted}")
        return None

    def text(self, key: str) -> str | None:
        """A text that can be written as UTF-8."""
        value = self.value.get(key)
        if isinstance(value, str) and printable(value):
            return value
        self.bad(key, "a text", "write a text in quotes")
        return None

    def number(self, key: str) -> float | None:
        """A finite number as a float."""
        value = finite(self.value.get(key))
        if value is None:
            self.bad(key, "a finite number", "write a finite number")
        return value

    def array(self, key: str, remedy: str) -> list[Any] | None:
        """A JSON list."""
        value = self.value.get(key)
        if isinstance(value, list):
            return value
        self.bad(key, "a list", remedy)
        return None


def finite(value: Any) -> float | None:
    """``value`` as a float if it is a finite JSON number, else ``None``."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is int and abs(value) < INT64_LIMIT:
        return float(value)
    return None


def printable(text: str) -> bool:
    """False for a text with half a surrogate pair, which no terminal or file can take."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
