"""Brings real data into the dataset contract: checked, divided into train and diagnostic, otherwise unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mindthegap.data.frames import check_frames, link_frames
from mindthegap.data.manifest import describe_split, manifest
from mindthegap.data.registry import require_registered
from mindthegap.data.source import Source, read_source
from mindthegap.data.splitting import demanding, draw_split, listed_split
from mindthegap.data.staging import FRAMES, MANIFEST, staged_dataset
from mindthegap.errors import InputError
from mindthegap.files import atomic_path, sha256_file, write_json
from mindthegap.formats import ObjectTrack, Video

if TYPE_CHECKING:
    from mindthegap.config.datasets import FolderDataset


@dataclass(frozen=True)
class Part:
    """Videos of one split, and where they come from."""

    name: str
    source: Source
    root: Path
    video_ids: frozenset[int]

    @property
    def videos(self) -> list[Video]:
        """In the file's order."""
        return [video for video in self.source.ground_truth.videos if video.id in self.video_ids]

    @property
    def positions(self) -> list[int]:
        """Positions of the annotations."""
        objects = self.source.ground_truth.objects
        return [k for k, item in enumerate(objects) if item.video_id in self.video_ids]

    @property
    def objects(self) -> list[ObjectTrack]:
        """In the file's order."""
        return [self.source.ground_truth.objects[k] for k in self.positions]


def prepare_folder(
    spec: FolderDataset, out_dir: str | Path, name: str, *, workers: int = 1, progress: bool = True
) -> dict[str, Any]:
    """Checks real data and writes ``train.json``, ``diagnostic.json``, ``frames`` (a link) and ``manifest.json``.

    Videos, categories and annotations keep their content, ids, order and every extra key; ``iscrowd``, ``areas``,
    ``bboxes`` and a video's ``length`` are filled in where they are missing, and the manifest counts how often.

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
    parts, recipe = _check(spec, workers, progress)
    first = parts[0].source
    with staged_dataset(out_dir) as stage:
        splits = {part.name: _write_part(part, stage) for part in parts}
        link_frames(stage / FRAMES, [(part.root, part.videos) for part in parts])
        result = manifest(
            name,
            _provenance(spec, parts),
            first.header["categories"],
            splits,
            recipe,
            synthetic=first.ground_truth.synthetic,
        )
        write_json(stage / MANIFEST, result, indent=1)
    return result


def check_folder(spec: FolderDataset, *, workers: int = 1, progress: bool = True) -> list[Part]:
    """The splits that ``prepare_folder`` would write, after all of its checks.

    Raises:
        InputError: The first thing wrong with the data.
    """
    return _check(spec, workers, progress)[0]


def _check(spec: FolderDataset, workers: int, progress: bool) -> tuple[list[Part], dict[str, Any]]:
    """Reads, divides and checks the data, files and frames."""
    source = read_source(spec.annotations, progress=progress)
    parts, recipe = _divide(spec, source, progress)
    if spec.expect is not None:
        files = {part.source.path: part.source for part in parts} | {source.path: source}
        require_registered(spec.expect, [file.ground_truth for file in files.values()])
    for part in parts:
        _require_objects(part)
    for part_source, root in dict.fromkeys((part.source, part.root) for part in parts):
        used = {number for part in parts if part.source is part_source for number in part.video_ids}
        check_frames(
            root, part_source.ground_truth.videos, part_source.path, only=used, workers=workers, progress=progress
        )
    return parts, recipe


def _divide(spec: FolderDataset, source: Source, progress: bool) -> tuple[list[Part], dict[str, Any]]:
    """The splits to write, and how they came about."""
    split, root = spec.effective_split(), Path(spec.frames)
    everything = frozenset(video.id for video in source.ground_truth.videos)
    recipe: dict[str, Any]
    if split is None:
        recipe, chosen = {"how": "every video is diagnosed"}, everything
    elif split.diagnostic_annotations is not None:
        return _two_files(spec, source, split.diagnostic_annotations, split.diagnostic_frames, progress)
    elif split.diagnostic_list is not None:
        recipe = {"how": "list", "file": split.diagnostic_list, "sha256": sha256_file_checked(split.diagnostic_list)}
        chosen = listed_split(source.ground_truth, split.diagnostic_list)
    else:
        assert split.diagnostic_fraction is not None, "FolderSplit asks for exactly one way"
        recipe = {"how": "drawn and stratified", "fraction": split.diagnostic_fraction, "seed": split.seed}
        among = None
        if split.at_least is not None:
            recipe["at_least"] = split.at_least.model_dump()
            among = demanding(source.ground_truth, **recipe["at_least"])
        chosen = draw_split(source.ground_truth, split.diagnostic_fraction, split.seed, among=among)
    parts = [Part("diagnostic", source, root, chosen)]
    if spec.weights_from is None:
        parts.insert(0, Part("train", source, root, everything - chosen))
    return parts, recipe | _lists(parts)


def sha256_file_checked(path: str) -> str:
    """Checksum of a user's file; a missing one is an error in words."""
    try:
        return sha256_file(path)
    except OSError as error:
        raise InputError(path, "", f"cannot be read ({error.strerror})", "check the path") from None


def _two_files(
    spec: FolderDataset, source: Source, annotations: str, frames: str | None, progress: bool
) -> tuple[list[Part], dict[str, Any]]:
    """Train and diagnostic videos from a file each."""
    other = read_source(annotations, progress=progress)
    _require_equal_categories(source, other)
    known = {video.name: k for k, video in enumerate(source.ground_truth.videos)}
    for k, video in enumerate(other.ground_truth.videos):
        if video.name in known and spec.weights_from is None:
            problem = f"video {video.name!r} is also videos[{known[video.name]}] of {source.path}"
            raise InputError(other.path, f"videos[{k}]", problem, "no video may be trained on and diagnosed")
    root = Path(spec.frames)
    everything = frozenset(video.id for video in source.ground_truth.videos)
    diagnosed = frozenset(video.id for video in other.ground_truth.videos)
    parts = [Part("diagnostic", other, Path(frames) if frames else root, diagnosed)]
    if spec.weights_from is None:
        parts.insert(0, Part("train", source, root, everything))
    return parts, {"how": "two files"} | _lists(parts)


def _require_equal_categories(source: Source, other: Source) -> None:
    """Both files must mean the same by a category id."""
    tables = [{item.id: item.name for item in file.ground_truth.categories} for file in (source, other)]
    for number in sorted(tables[0].keys() | tables[1].keys()):
        if tables[0].get(number) != tables[1].get(number):
            problem = f"category {number} is {tables[1].get(number)!r}, but {tables[0].get(number)!r} in {source.path}"
            raise InputError(other.path, "categories", problem, "give two files with the same categories")


def _require_objects(part: Part) -> None:
    """A split without videos or objects can neither be learnt from nor diagnosed."""
    if not part.video_ids:
        problem = f"no video is left for the {part.name} split"
        raise InputError(part.source.path, "videos", problem, "divide the videos differently, or use weights_from")
    if not part.positions:
        problem = f"has no annotation for the {part.name} split (public validation and test files hide them)"
        raise InputError(part.source.path, "annotations", problem, "name a file with annotations")


def _lists(parts: Sequence[Part]) -> dict[str, Any]:
    """Names of the videos of each split, sorted."""
    return {"videos": {part.name: sorted(video.name for video in part.videos) for part in parts}}


def _provenance(spec: FolderDataset, parts: Sequence[Part]) -> dict[str, Any]:
    """Where the data came from, and what was filled in."""
    files = {part.source.path: part.source for part in parts}
    return {
        "annotations": [
            {"file": str(path), "sha256": sha256_file(path), "filled": source.filled} for path, source in files.items()
        ],
        "frames": sorted({str(part.root) for part in parts}),
        "weights_from": spec.weights_from,
        "title": spec.title,
    }


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
