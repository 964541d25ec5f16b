"""Reading large JSON files: a list entry by entry, and no garbage collection while their objects arise."""

from __future__ import annotations

import codecs
import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mindthegap.files import read_json

_BYTES_AT_ONCE = 1_000_000  # what is read, decoded and parsed stays in the processor's cache
_SPACE = re.compile(r"[ \t\n\r]*")


class NotAListError(Exception):
    """The file holds valid JSON that is not a list: ``value``."""

    def __init__(self, value: Any) -> None:
        self.value = value
        super().__init__("not a JSON list")


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


def list_entries(path: str | Path) -> Iterator[Any]:
    """Yields the entries of the list that a JSON file holds, which need not all be in memory.

    Raises:
        InputError: The file is missing, unreadable, truncated, or not JSON; entries before the mistake have come.
        NotAListError: It is JSON, but no list.
    """
    try:
        with Path(path).open("rb") as stream:
            yield from _Window(stream).entries()
    except (OSError, ValueError, RecursionError):
        value = read_json(path)  # says what is wrong, and in which line
        if isinstance(value, list):
            raise
        raise NotAListError(value) from None


class _Window:
    """The part of a JSON text that is being looked at."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._at = "", 0

    def entries(self) -> Iterator[Any]:
        """The entries; ``ValueError`` where the text is no list."""
        self._expect("[")
        separator = self._next() if self._next() == "]" else ","
        while separator == ",":
            yield self._value()
            separator = self._next()
            if separator == ",":
                self._expect(",")
        self._expect("]")
        if self._next():
            raise ValueError("there is something after the list")

    def _more(self) -> bool:
        """Reads on, at least as much as is left to look at; false at the end of the file."""
        self._text, self._at = self._text[self._at :], 0
        data = self._stream.read(max(_BYTES_AT_ONCE, len(self._text)))
        self._text += self._decoder.decode(data, final=not data)
        return bool(data)

    def _next(self) -> str:
        """The next character that is no space, not consumed; empty at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _expect(self, characters: str) -> None:
        """Consumes one of these characters."""
        found = self._next()
        if not found or found not in characters:
            raise ValueError(f"{found!r} is not one of {characters!r}")
        self._at += 1

    def _value(self) -> Any:
        """Consumes one value, reading on while it is not complete."""
        self._next()
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            if end < len(self._text) or not self._more():  # a number could go on
                self._at = end
                return value
