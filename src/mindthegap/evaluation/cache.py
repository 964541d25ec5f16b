"""Overlap tables on disk, found again by the content of the two files they were made from."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mindthegap.evaluation.overlap import compute_overlaps
from mindthegap.evaluation.tables import OverlapTables, VideoOverlaps
from mindthegap.files import atomic_path, sha256_file
from mindthegap.formats import read_ground_truth, read_results
from mindthegap.formats.reading import without_collection

_VERSION = 1  # raise it whenever tables of the same files would come out differently
_SCALARS = ("video_id", "length", "height", "width")
_ARRAYS = tuple(
    field.name for field in fields(VideoOverlaps) if field.name not in (*_SCALARS, "object_occlusion", "official")
)


def cached_overlaps(
    gt_path: str | Path,
    results_path: str | Path,
    folder: str | Path | None,
    *,
    workers: int = 1,
    progress: bool = False,
) -> OverlapTables:
    """Tables of two files, from ``folder`` if they are there, else computed and kept there.

    Args:
        gt_path: Ground-truth JSON.
        results_path: Result JSON.
        folder: Where tables are kept, named by the SHA-256 of both files; ``None`` keeps nothing.
        workers: As for ``compute_overlaps``.
        progress: As for ``compute_overlaps``.

    Raises:
        InputError: A file cannot be used as it is.
    """
    path = None if folder is None else Path(folder) / f"overlaps-{cache_key(gt_path, results_path)}.npz"
    if path is not None and path.is_file():
        found = load_tables(path)
        if found is not None:
            return found
    with without_collection():  # until the masks are let go again
        ground_truth = read_ground_truth(gt_path)
        results = read_results(results_path, ground_truth)
        tables = compute_overlaps(ground_truth, results, workers=workers, progress=progress)
        del ground_truth, results
    if path is not None:
        save_tables(path, tables)
    return tables


def cache_key(gt_path: str | Path, results_path: str | Path) -> str:
    """32 hexadecimal digits that change with any byte of either file."""
    parts = []
    for path in (gt_path, results_path):
        with suppress(OSError):  # what cannot be read is left to the reader, whose sentence says what to do
            parts.append(sha256_file(path))
    return hashlib.sha256(f"{_VERSION} {' '.join(parts)}".encode()).hexdigest()[:32]


def save_tables(path: str | Path, tables: OverlapTables) -> None:
    """Writes tables (without official quirks) as an uncompressed ``.npz`` without pickles."""
    if any(video.official is not None for video in tables.videos):
        raise ValueError("tables made with official quirks are not kept")
    head = {
        "version": _VERSION,
        "category_ids": tables.category_ids,
        "category_names": tables.category_names,
        "synthetic": tables.synthetic,
        "videos": [[getattr(video, name) for name in _SCALARS] for video in tables.videos],
        "occlusion": [video.object_occlusion for video in tables.videos],
        "shapes": {name: [getattr(video, name).shape for video in tables.videos] for name in _ARRAYS},
    }
    arrays: dict[str, Any] = {"head": np.frombuffer(json.dumps(head).encode(), np.uint8)}
    for name in _ARRAYS:
        flat = [getattr(video, name).ravel() for video in tables.videos]
        arrays[name] = np.concatenate(flat) if flat else np.zeros(0)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def load_tables(path: str | Path) -> OverlapTables | None:
    """Reads what ``save_tables`` wrote; ``None`` if the file is damaged or of another version, so it is made anew."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            head = json.loads(archive["head"].tobytes())
            if head["version"] != _VERSION:
                return None
            columns = {name: _split(archive[name], head["shapes"][name]) for name in _ARRAYS}
            videos = tuple(_videos(head, columns))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError):
        return None
    return OverlapTables(videos, tuple(head["category_ids"]), tuple(head["category_names"]), head["synthetic"])


def _split(flat: npt.NDArray[Any], shapes: list[list[int]]) -> list[npt.NDArray[Any]]:
    """Cuts a flat array into arrays of the given shapes."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes], dtype=np.int64)
    if len(flat) != (ends[-1] if len(ends) else 0):
        raise ValueError("the arrays do not fit their shapes")
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=False)]


def _videos(head: dict[str, Any], columns: dict[str, list[npt.NDArray[Any]]]) -> Iterator[VideoOverlaps]:
    """Puts the videos together again."""
    for i, scalars in enumerate(head["videos"]):
        occlusion = tuple(None if levels is None else tuple(levels) for levels in head["occlusion"][i])
        values: dict[str, Any] = dict(zip(_SCALARS, scalars, strict=True))
        values |= {name: columns[name][i] for name in _ARRAYS}
        yield VideoOverlaps(object_occlusion=occlusion, **values)
