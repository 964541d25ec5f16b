"""The compiled part, where it has been built: run lengths decoded and compared by ``_runs.c`` through ctypes.

``pip install`` builds it where there is a C compiler. Without it the same is done in numpy, with equal numbers, only
more slowly; a library that does not belong to this source is not used.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_VERSION = 1  # VERSION in _runs.c
_NO_MEMORY = -1
_SOURCE = Path(__file__).with_name("_runs.c")
_DECODE = ("text", "ends", "pixels", "masks", "counts", "first", "total", "state")

FINE, NOT_CANONICAL, BAD_CHARACTER, TRUNCATED, TOO_LONG, WRONG_SUM, NEGATIVE = range(7)
"""What is wrong with a decoded mask, as in ``_runs.c``."""

Counts = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Presence = npt.NDArray[np.bool_]
Tracks = tuple[Presence, Sequence[tuple[Counts, Int64s]]]


class _CTracks(ctypes.Structure):
    """``Tracks`` of ``_runs.c``."""

    _fields_ = (
        ("number", ctypes.c_int64),
        ("counts", ctypes.c_void_p),
        ("first", ctypes.c_void_p),
        ("which", ctypes.c_void_p),
    )


def load(folder: Path = _SOURCE.parent, source: Path = _SOURCE) -> ctypes.CDLL | None:
    """The library in a folder; ``None`` if there is none, or one of another version or older than its source."""
    for path in (folder / f"_runs{suffix}" for suffix in EXTENSION_SUFFIXES):
        if not path.is_file() or (source.is_file() and source.stat().st_mtime > path.stat().st_mtime):
            continue
        try:
            library = ctypes.CDLL(str(path))
            version = library.mindthegap_runs_version
            decode, overlaps = library.mindthegap_decode, library.mindthegap_overlaps
        except (OSError, AttributeError):  # built for another machine, or no such library at all
            continue
        version.restype = overlaps.restype = ctypes.c_int64
        if version() != _VERSION:
            continue
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        decode.restype = None
        decode.argtypes = [number if name == "masks" else pointer for name in _DECODE]
        overlaps.argtypes = [pointer, pointer, number, number, pointer, pointer, pointer]
        return library
    return None


library: ctypes.CDLL | None = load()
"""The loaded library; ``None`` sends all work to numpy."""


def description() -> str:
    """What carries the speed here, for people."""
    if library is not None:
        return "compiled kernel in use"
    return "compiled kernel not built or out of date, numpy in use (to build it: pip install again, with a C compiler)"


def decode(library: ctypes.CDLL, strings: Sequence[bytes], pixels: Int64s) -> tuple[Counts, Int64s, Int64s, Any]:
    """Decodes and checks compressed strings.

    Args:
        library: What ``load`` gave.
        strings: One per mask.
        pixels: ``[n]`` pixels of each mask's frame.

    Returns:
        Run lengths of all masks, ``[n + 1]`` where each one's begin, ``[n]`` their sums, ``[n]`` states (``FINE`` ...).
    """
    text = b"".join(strings)
    masks = len(strings)
    ends = np.cumsum(np.fromiter(map(len, strings), np.int64, masks))
    pixels = np.ascontiguousarray(pixels, np.int64)
    assert pixels.shape == (masks,), "one frame size per mask"
    counts, first = np.empty(len(text), np.int32), np.empty(masks + 1, np.int64)
    total, state = np.empty(masks, np.int64), np.empty(masks, np.uint8)
    given, found = ([_address(array) for array in arrays] for arrays in ((ends, pixels), (counts, first, total, state)))
    library.mindthegap_decode(text, *given, masks, *found)
    used = counts[: first[-1]]
    # Most numbers take one character; where many take more, what is left over is not kept with the runs.
    return used if 4 * len(used) > 3 * len(counts) else used.copy(), first, total, state


def overlaps(
    library: ctypes.CDLL,
    queries: Tracks,
    objects: Tracks,
    pixels: int,
    tables: tuple[Counts, Counts, Counts],
) -> None:
    """Fills in areas ``[T, Q]``, ``[T, G]`` and intersections ``[T, Q, G]`` of a video.

    Args:
        library: What ``load`` gave.
        queries: ``[Q, T]`` frames in which each has a mask, and per query the runs of its masks (``counts, first``).
        objects: The same for the objects.
        pixels: Pixels of a frame.
        tables: The tables, each contiguous.

    Raises:
        MemoryError: There is no room for the edges of one frame's masks.
        ValueError: The runs of a mask do not fill its frame.
    """
    assert all(table.flags.c_contiguous and table.dtype == np.int32 for table in tables)
    (one, kept), (other, kept_too) = _tracks(*queries), _tracks(*objects)
    length = queries[0].shape[1]
    failed = library.mindthegap_overlaps(
        ctypes.byref(one), ctypes.byref(other), length, pixels, *(_address(table) for table in tables)
    )
    del kept, kept_too  # the library has read them
    if failed:
        raise MemoryError("no room to compare masks") if failed == _NO_MEMORY else ValueError("runs leave their frame")


def _tracks(present: Presence, runs: Sequence[tuple[Counts, Int64s]]) -> tuple[_CTracks, list[npt.NDArray[Any]]]:
    """The C structure, and the arrays that it points to and that must outlive it."""
    which = np.where(present, np.cumsum(present, axis=1, dtype=np.int64) - 1, np.int64(-1))
    kept: list[npt.NDArray[Any]] = [which]
    for number, (counts, first) in zip(present.sum(axis=1).tolist(), runs, strict=True):
        assert len(first) == number + 1, "a mask for every frame in which the track is there"
        assert first[0] == 0, "the track's own runs only"
        assert first[-1] == len(counts), "all its runs"
        kept += [np.ascontiguousarray(counts, np.int32), np.ascontiguousarray(first, np.int64)]
    pointers = np.array([_address(array) for array in kept[1:]], np.uintp)
    tables = [np.ascontiguousarray(pointers[part::2]) for part in (0, 1)]
    tracks = _CTracks(len(runs), *(_address(table) for table in tables), _address(which))
    return tracks, [*kept, *tables]


def _address(array: npt.NDArray[Any]) -> int:
    """Where an array lies in memory."""
    address: int = array.__array_interface__["data"][0]
    return address
