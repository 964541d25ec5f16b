"""What a ground truth and a result file say, once they have been checked.

Terms: a *row* is an entry of a result file (a track), an *object* is a ground-truth track, a *frame* is counted from 0
within its *video*. A mask is a compressed run-length encoding (RLE) as pycocotools writes it, ``None`` where absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mindthegap.formats.rle import Runs

RLE = dict[str, Any]
"""``{"size": [height, width], "counts": bytes}``; equal masks have equal bytes (the encoding is canonical)."""


class DecodedTrack(tuple[RLE | None, ...]):
    """The masks of a track as any tuple holds them, and their run lengths, which need not be decoded again.

    Attributes:
        runs: Runs of the masks that are there, in order.
    """

    runs: Runs


@dataclass(frozen=True)
class Video:
    """A video of the ground truth; ``length`` is its number of annotated frames, sizes are in pixels."""

    id: int
    name: str
    height: int
    width: int
    length: int
    file_names: tuple[str, ...]


@dataclass(frozen=True)
class Category:
    """A category of the ground truth."""

    id: int
    name: str


@dataclass(frozen=True)
class ObjectTrack:
    """An annotated object.

    Attributes:
        segmentations: One mask per frame, ``None`` where the object is absent.
        areas: The file's own ``areas``, which decide the official size groups (OVIS stores *box* areas there).
        occlusion: OVIS occlusion levels per frame (``no_occlusion``, ``slight_occlusion``, ``severe_occlusion`` or
            ``None``); ``None`` altogether for other data sets.
    """

    id: int
    video_id: int
    category_id: int
    iscrowd: bool
    segmentations: tuple[RLE | None, ...]
    areas: tuple[float | None, ...]
    occlusion: tuple[str | None, ...] | None


@dataclass(frozen=True)
class GroundTruth:
    """A checked ground-truth file; ``synthetic`` repeats ``info.synthetic`` of the file."""

    path: str
    videos: tuple[Video, ...]
    categories: tuple[Category, ...]
    objects: tuple[ObjectTrack, ...]
    synthetic: bool


@dataclass(frozen=True)
class ResultRow:
    """A predicted track; ``index`` is its position in the result file, which also breaks ties of score."""

    index: int
    video_id: int
    category_id: int
    score: float
    segmentations: tuple[RLE | None, ...]
    query_id: int | str | None
    frame_scores: tuple[float, ...] | None


@dataclass(frozen=True)
class Results:
    """A checked result file; ``rows`` keep the file's order."""

    path: str
    rows: tuple[ResultRow, ...]


def video_name(file_names: Sequence[str]) -> str:
    """A video's name: the folder of its first frame, or the frame's own name where there is no folder."""
    folder, _, name = file_names[0].rpartition("/") if file_names else ("", "", "")
    return folder or name
