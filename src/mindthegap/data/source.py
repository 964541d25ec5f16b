"""Reads a YouTube-VIS JSON piece by piece: annotations are looked at one at a time and kept as the text they were.

The run lengths of a training set fill gigabytes as Python lists but a few hundred megabytes as text. So the text stays,
an annotation's place in it is remembered, and a split is written by copying those pieces: nothing can change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pycocotools import mask as mask_api

from mindthegap.data.archives import Archive, annotations_member, locate
from mindthegap.errors import InputError
from mindthegap.files import json_error, read_text
from mindthegap.formats import GroundTruth, Problems
from mindthegap.formats.ground_truth import parse_ground_truth
from mindthegap.formats.problems import shown
from mindthegap.progress import track

_SPACE = re.compile(r"[ \t\n\r]*")


class _NotJson(ValueError):
    """NaN or Infinity, which Python would let pass."""


def _refuse(word: str) -> None:
    raise _NotJson(word)


_DECODER = json.JSONDecoder(parse_constant=_refuse)
_ANNOTATIONS = "annotations"


@dataclass(frozen=True)
class Piece:
    """Where one annotation stands in the text, and the keys it lacked."""

    start: int
    end: int
    missing: tuple[str, ...]


@dataclass(eq=False)
class Source:
    """A checked file.

    Attributes:
        path: The file, for messages; of an archive's member the archive and the member.
        file: What lies on the disk: the file or the archive.
        text: All of it.
        header: Everything but the annotations.
        pieces: The annotations' places, in the file's order; same order as ``ground_truth.objects``.
        ground_truth: What the file says, checked.
    """

    path: Path
    file: Path
    text: str
    header: dict[str, Any]
    pieces: list[Piece]
    ground_truth: GroundTruth
    filled: dict[str, int] = field(default_factory=dict)

    def annotation_text(self, position: int) -> str:
        """An annotation as it stood in the file, with the keys it lacked appended."""
        piece = self.pieces[position]
        text = self.text[piece.start : piece.end]
        if not piece.missing:
            return text
        added = json.dumps(self._fill(position, piece.missing), allow_nan=False)
        return f"{text[:-1].rstrip()}, {added[1:]}"

    def _fill(self, position: int, missing: tuple[str, ...]) -> dict[str, Any]:
        """Values for the keys that can be told from the masks."""
        masks = self.ground_truth.objects[position].segmentations
        values: dict[str, Any] = {"iscrowd": 0}
        if "areas" in missing:
            values["areas"] = [None if mask is None else int(mask_api.area(mask)) for mask in masks]
        if "bboxes" in missing:
            values["bboxes"] = [None if mask is None else mask_api.toBbox(mask).tolist() for mask in masks]
        return {key: values[key] for key in missing}


_FILLABLE = ("iscrowd", "areas", "bboxes")


def read_source(path: str | Path, *, progress: bool = True) -> Source:
    """Reads and checks ground truth; ``iscrowd``, ``areas``, ``bboxes`` and a video's ``length`` may be missing.

    Args:
        path: YouTube-VIS or OVIS JSON (a byte order mark is accepted), an archive that holds it, or
            ``<archive>/<member>``.
        progress: Whether to show it on standard error.

    Raises:
        InputError: The first thing wrong with the file.
    """
    file = locate(path).path
    path, text = _read(path, progress)
    header, start = _scan(path, text)
    if start is None:
        raise _hidden(path, header)
    pieces: list[Piece] = []
    entries = track(_entries(path, text, start, pieces), "reading annotations", text.count('"segmentations"'),
                    enabled=progress)  # fmt: skip
    ground_truth = parse_ground_truth(header, entries, Problems(str(path)))
    filled = {key: sum(key in piece.missing for piece in pieces) for key in _FILLABLE}
    for video in header["videos"]:
        if "length" not in video:
            filled["length"] = filled.get("length", 0) + 1
            video["length"] = len(video["file_names"])
    return Source(path, file, text, header, pieces, ground_truth, {key: n for key, n in filled.items() if n})


def read_header(path: str | Path) -> dict[str, Any]:
    """Everything but the annotations of a YouTube-VIS JSON, unchecked.

    Raises:
        InputError: The file is missing, or no JSON object.
    """
    path, text = _read(path, progress=False)
    return _scan(path, text)[0]


def _read(path: str | Path, progress: bool) -> tuple[Path, str]:
    """The file's name for messages and its text."""
    place = locate(path)
    if not place.packed:
        return Path(path), read_text(path)
    archive = Archive(place.path, progress=progress)
    member = annotations_member(archive, place.inner)
    try:
        return archive.path / member, archive.read(member).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text at byte {error.start}"
        raise InputError(archive.path, member, problem, "give a YouTube-VIS JSON file") from None


def _hidden(path: str | Path, header: dict[str, Any]) -> InputError:
    """The error for a file without a list of annotations."""
    problem = "is missing"
    if _ANNOTATIONS in header:
        problem = f"is {shown(header[_ANNOTATIONS])}, not a list"
    problem += ", so this file hides its ground truth (as public validation and test files do)"
    remedy = "name a file with annotations, e.g. that of the training set, to train and to diagnose"
    return InputError(path, _ANNOTATIONS, problem, remedy)


def _scan(path: Path, text: str) -> tuple[dict[str, Any], int | None]:
    """Decodes the outermost object except the list of annotations, whose place is returned (None: there is no list)."""
    position = _skip(text, 0)
    if text[position : position + 1] != "{":
        value, _ = _decode(path, text, position)
        raise InputError(path, "", f"is {shown(value)}, not a JSON object with videos, categories and annotations",
                         "give a YouTube-VIS ground truth")  # fmt: skip
    header: dict[str, Any] = {}
    annotations = None
    position = _skip(text, position + 1)
    more = text[position : position + 1] != "}"
    while more:
        key, position = _decode(path, text, position)
        position = _skip(text, _expect(path, text, _skip(text, position), ":"))
        if key == _ANNOTATIONS and text[position : position + 1] == "[":
            annotations = position
            position = _end_of_list(path, text, position)
        else:
            header[key], position = _decode(path, text, position)
        more, position = _separator(path, text, position, "}")
    if _skip(text, position + 1) != len(text):
        raise json_error(path, text, json.JSONDecodeError("Extra data", text, _skip(text, position + 1)))
    return header, annotations


def _separator(path: Path, text: str, position: int, end: str) -> tuple[bool, int]:
    """Whether another entry follows, and the position of it or of the ``end`` sign."""
    position = _skip(text, position)
    if text[position : position + 1] == end:
        return False, position
    return True, _skip(text, _expect(path, text, position, ","))


def _end_of_list(path: Path, text: str, start: int) -> int:
    """Position after a list, decoding one entry at a time."""
    end = start + 1
    for element in _elements(path, text, start):
        end = element[2]
    return _expect(path, text, _skip(text, end), "]")


def _elements(path: Path, text: str, start: int) -> Iterator[tuple[Any, int, int]]:
    """Entries of the list at ``start`` with their first and last-plus-one positions."""
    position = _skip(text, start + 1)
    more = text[position : position + 1] != "]"
    while more:
        value, end = _decode(path, text, position)
        yield value, position, end
        more, position = _separator(path, text, end, "]")


def _entries(path: Path, text: str, start: int, pieces: list[Piece]) -> Iterator[Any]:
    """Annotations ready for checking; their places go to ``pieces``."""
    for value, begin, end in _elements(path, text, start):
        missing = tuple(key for key in _FILLABLE if isinstance(value, dict) and key not in value)
        pieces.append(Piece(begin, end, missing))
        if missing:
            masks = value.get("segmentations")
            empty = {"iscrowd": 0, "areas": [None] * len(masks) if isinstance(masks, list) else [], "bboxes": None}
            value |= {key: empty[key] for key in missing}
        yield value


def _skip(text: str, position: int) -> int:
    """Position of the next character that is no space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _expect(path: Path, text: str, position: int, character: str) -> int:
    """Position after ``character``, which must stand at ``position``."""
    if text[position : position + 1] == character:
        return position + 1
    raise json_error(path, text, json.JSONDecodeError(f"Expecting '{character}'", text, position))


def _decode(path: Path, text: str, position: int) -> tuple[Any, int]:
    """Decodes the value at ``position``; returns it and the position after it."""
    try:
        return _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        raise json_error(path, text, error) from None
    except _NotJson as word:
        place = f"after character {position}"
        raise InputError(path, place, f"holds {word}, which is not JSON", "write a number or null") from None
    except RecursionError:
        raise InputError(path, "", "is nested too deeply", "give a YouTube-VIS JSON file") from None
    except ValueError:
        raise InputError(path, "", "holds a number with thousands of digits", "give a YouTube-VIS JSON file") from None
