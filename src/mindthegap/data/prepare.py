"""Brings real data into the dataset contract: checked, divided into train and diagnostic, otherwise unchanged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mindthegap.data.archives import Archive, Place
from mindthegap.data.dividing import Part, divide
from mindthegap.data.frames import check_frames, link_frames, require_own_frames
from mindthegap.data.manifest import describe_split, manifest
from mindthegap.data.registry import require_registered
from mindthegap.data.source import read_source
from mindthegap.data.staging import DIAGNOSED, FRAMES, MANIFEST, staged_dataset
from mindthegap.data.unpacking import unpack_frames
from mindthegap.errors import InputError
from mindthegap.files import atomic_path, write_json, write_text
from mindthegap.progress import track

if TYPE_CHECKING:
    from mindthegap.config.datasets import FolderDataset

UNPACKED = "unpacked"
_MIB = 2**20


def prepare_folder(
    spec: FolderDataset, out_dir: str | Path, name: str, *, workers: int = 1, progress: bool = True
) -> dict[str, Any]:
    """Checks real data and writes ``train.json``, ``diagnostic.json``, ``frames`` (a link) and ``manifest.json``.

    Videos, categories and annotations keep their content, ids, order and every extra key; ``iscrowd``, ``areas``,
    ``bboxes`` and a video's ``length`` are filled in where they are missing, and the manifest counts how often.
    ``diagnostic.txt`` lists the diagnosed videos, to be committed or given to others as ``diagnostic_list``.

    Frames that come in an archive are unpacked into ``unpacked/``, which stays when a start breaks off: the next one
    compares what is there with the archive and goes on. Everything else is checked again, which takes minutes, and is
    written at the end, so the files never depend on how often it broke off.

    Args:
        spec: Where the data is and how it is divided.
        out_dir: Folder; former output in it is replaced once everything is ready.
        name: Dataset's name in the manifest.
        workers: Eight times as many threads read frame headers.
        progress: Whether to show it on standard error.

    Returns:
        The manifest.

    Raises:
        InputError: The first thing wrong with the data.
        MindTheGapError: The folder cannot be written.
    """
    parts, recipe = _read(spec, progress)
    places = dict.fromkeys(part.frames for part in parts)
    folders = {place: Path(out_dir) / UNPACKED / f"{k}" for k, place in enumerate(places) if place.packed}
    _check_frames(parts, folders, workers, progress)
    provenance = _provenance(spec, parts, progress)
    first = parts[0].source
    with staged_dataset(out_dir) as stage:
        splits = {part.name: _write_part(part, stage) for part in parts}
        roots = [(folders.get(part.frames, part.frames.path), part.videos) for part in parts]
        link_frames(stage / FRAMES, roots, inside=Path(out_dir))
        recipe["list"] = _write_list(stage / DIAGNOSED, name, recipe)
        result = manifest(
            name, provenance, first.header["categories"], splits, recipe, synthetic=first.ground_truth.synthetic
        )
        write_json(stage / MANIFEST, result, indent=1)
    return result


def check_folder(spec: FolderDataset, *, workers: int = 1, progress: bool = True) -> list[Part]:
    """The splits that ``prepare_folder`` would write, after all of its checks; archives are read and not unpacked.

    Raises:
        InputError: The first thing wrong with the data.
    """
    parts, _ = _read(spec, progress)
    _check_frames(parts, {}, workers, progress)
    return parts


def _read(spec: FolderDataset, progress: bool) -> tuple[list[Part], dict[str, Any]]:
    """Reads, checks and divides the annotations."""
    source = read_source(spec.annotations, progress=progress)
    parts, recipe = divide(spec, source, progress)
    if spec.expect is not None:
        files = {part.source.path: part.source for part in parts} | {source.path: source}
        require_registered(spec.expect, [file.ground_truth for file in files.values()])
    for part in parts:
        _require_objects(part)
    for path, own in {part.source.path: part.source for part in parts}.items():
        require_own_frames(own.ground_truth.videos, path)
    return parts, recipe


def _check_frames(parts: Sequence[Part], folders: Mapping[Place, Path], workers: int, progress: bool) -> None:
    """Checks all frames; those in archives are unpacked to ``folders``, or only read if there is none."""
    for source, place in dict.fromkeys((part.source, part.frames) for part in parts):
        used = {number for part in parts if (part.source, part.frames) == (source, place) for number in part.video_ids}
        videos = source.ground_truth.videos
        if place.packed:
            archive = Archive(place.path, progress=progress)
            wanted = [video for video in videos if video.id in used]
            unpack_frames(archive, place.inner, wanted, folders.get(place), progress=progress)
        else:
            check_frames(place.path, videos, source.path, only=used, workers=workers, progress=progress)


def _require_objects(part: Part) -> None:
    """A split without videos or objects can neither be learnt from nor diagnosed."""
    if not part.video_ids:
        problem = f"no video is left for the {part.name} split"
        raise InputError(part.source.path, "videos", problem, "divide the videos differently, or use weights_from")
    if not part.positions:
        problem = f"has no annotation for the {part.name} split (public validation and test files hide them)"
        raise InputError(part.source.path, "annotations", problem, "name a file with annotations")


def _provenance(spec: FolderDataset, parts: Sequence[Part], progress: bool) -> dict[str, Any]:
    """Where the data came from, and what was filled in."""
    sources = {part.source.path: part.source for part in parts}
    packed = {part.frames.path for part in parts if part.frames.packed}
    files = sorted({source.file for source in sources.values()} | packed)
    sums = {file: _sha256(file, progress) for file in files}
    return {
        "annotations": [
            {"file": str(path), "sha256": sums[source.file], "filled": source.filled}
            for path, source in sources.items()
        ],
        "frames": sorted({str(part.frames.path / part.frames.inner) for part in parts}),
        "archives": [{"file": str(path), "sha256": sums[path]} for path in sorted(packed)],
        "weights_from": spec.weights_from,
        "title": spec.title,
    }


def _sha256(path: Path, progress: bool) -> str:
    """Checksum of a file that may have many gigabytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        blocks = iter(lambda: stream.read(_MIB), b"")
        for block in track(blocks, f"checksum of {path.name}", 1 + path.stat().st_size // _MIB, enabled=progress):
            digest.update(block)
    return digest.hexdigest()


def _write_part(part: Part, stage: Path) -> dict[str, Any]:
    """Writes one split; annotations are copied as text."""
    path = stage / f"{part.name}.json"
    header = {key: value for key, value in part.source.header.items() if key != "annotations"}
    header["videos"] = [video for video in header["videos"] if video["id"] in part.video_ids]
    opening = json.dumps(header, allow_nan=False)[:-1]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.writelines(chain([opening, ', "annotations": ['], _joined(part), ["]}\n"]))
    content = replace(part.source.ground_truth, videos=tuple(part.videos), objects=tuple(part.objects))
    return describe_split(path, content)


def _joined(part: Part) -> Iterator[str]:
    """The annotations' texts with commas between them."""
    for k, position in enumerate(part.positions):
        yield ",\n" if k else "\n"
        yield part.source.annotation_text(position)


def _write_list(path: Path, name: str, recipe: Mapping[str, Any]) -> dict[str, str]:
    """Writes the names of the diagnosed videos, one per line, and returns the file's name and checksum."""
    how = json.dumps({key: value for key, value in recipe.items() if key != "videos"}, sort_keys=True)
    names = recipe["videos"]["diagnostic"]
    lines = [f"# {name}: {len(names)} diagnosed videos", f"# {how}", *names]
    write_text(path, "\n".join(lines) + "\n")
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
