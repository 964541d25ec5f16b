"""What of the configured datasets is on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mindthegap.config.datasets import CocoDataset, Dataset, FolderDataset, SyntheticDataset
from mindthegap.data.archives import locate
from mindthegap.data.registry import REGISTRY, Registered
from mindthegap.errors import InputError

PRESENT, MISSING, WRONG, RENDERED = "present", "missing", "wrong", "rendered when needed"


@dataclass(frozen=True)
class Status:
    """State of one dataset.

    Attributes:
        name: Key in the configuration.
        title: Name in tables.
        state: One of the four words above.
        details: What was found, or what is missing or wrong and what to do about it; sentences or clauses.
        facts: What the registry says of it; empty for data that is not in it.
    """

    name: str
    title: str
    state: str
    details: tuple[str, ...]
    facts: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def inventory(datasets: Mapping[str, Dataset], *, check: bool = False) -> list[Status]:
    """Looks for the files of every dataset; the datasets of a sweep are one entry.

    Args:
        datasets: The section ``datasets`` of the configuration.
        check: Whether to read all annotations and the headers of all frames, too; takes minutes for real data.
    """
    found: dict[str, Status] = {}
    for name, spec in datasets.items():
        if isinstance(spec, FolderDataset):
            found[name] = _folder_status(name, spec, check)
        elif isinstance(spec, CocoDataset):
            found[name] = _stills_status(name, spec)
        elif isinstance(spec, SyntheticDataset) and spec.sweep is not None:
            point = spec.sweep
            said = f"{point.knob} {point.value:g}"
            if point.name in found:
                said = f"{found[point.name].details[0]}, {point.value:g}"
            found[point.name] = Status(point.name, point.name, RENDERED, (said,))
        elif isinstance(spec, SyntheticDataset):
            found[name] = Status(name, spec.title or name, RENDERED, (f"preset {spec.preset}, seed {spec.seed}",))
    return list(found.values())


def _stills_status(name: str, spec: CocoDataset) -> Status:
    """State of still pictures."""
    wanted = [("annotations", spec.annotations, False), ("frames", spec.frames, True)]
    lost = [f"{key}: {path} is not there" for key, path, is_folder in wanted if not _is_there(path, is_folder)]
    if lost:
        return Status(name, spec.title or name, MISSING, (*lost, "get COCO from https://cocodataset.org/#download"))
    return Status(name, spec.title or name, PRESENT, tuple(f"{key}: {path}" for key, path, _ in wanted))


def _folder_status(name: str, spec: FolderDataset, check: bool) -> Status:
    """State of a real dataset."""
    entry = REGISTRY.get(spec.expect or "")
    title = spec.title or (entry.title if entry else name)
    facts = _facts(entry) if entry else ()
    wanted = _wanted(spec)
    lost = [_remedy(key, path, entry) for key, path, is_folder in wanted if not _is_there(path, is_folder)]
    if lost:
        where = (f"from {entry.page} (sign in there; nothing is fetched for you)",) if entry else ()
        return Status(name, title, MISSING, (*lost, *where), facts)
    if check:
        try:
            return Status(name, title, PRESENT, (_checked(spec),), facts)
        except InputError as error:
            return Status(name, title, WRONG, (str(error),), facts)
    return Status(name, title, PRESENT, tuple(f"{key}: {path}" for key, path, _ in wanted), facts)


def _facts(entry: Registered) -> tuple[str, ...]:
    """The registry's entry in four lines."""
    train, valid, test = entry.videos
    return (
        f"{train} train videos ({valid} validation and {test} test videos have no public ground truth), "
        f"{len(entry.categories)} categories, {entry.objects} objects, {entry.masks // 1000}k masks",
        f"terms: {entry.fact('terms')}",
        f"cite: {entry.citation}",
        f"note: {entry.note}",
    )


def _wanted(spec: FolderDataset) -> list[tuple[str, str, bool]]:
    """Keys, paths, and whether a folder is meant."""
    wanted = [("annotations", spec.annotations, False), ("frames", spec.frames, True)]
    split = spec.split
    if split is not None:
        others = [("list", split.diagnostic_list), ("annotations", split.diagnostic_annotations)]
        wanted += [(f"split.diagnostic_{key}", path, False) for key, path in others if path]
        wanted += [("split.diagnostic_frames", split.diagnostic_frames, True)] if split.diagnostic_frames else []
    return wanted


def _is_there(path: str, is_folder: bool) -> bool:
    """Whether a file, a folder, or the archive that stands for either is on the disk."""
    place = locate(path)
    return place.path.is_file() if place.packed or not is_folder else place.path.is_dir()


def _remedy(key: str, path: str, entry: Registered | None) -> str:
    """What is missing, and what to put there."""
    lost = f"{key}: {locate(path).path} is not there"
    if entry is None or key not in ("annotations", "frames"):
        return lost
    if key == "annotations" or locate(path).packed:
        return f"{lost}; put {entry.fact(key)} there"
    return (
        f"{lost}; unpack {entry.fact('frames')} so that {Path(path) / entry.example} exists, or write the archive's "
        "path in the configuration (it is unpacked when needed)"
    )


def _checked(spec: FolderDataset) -> str:
    """Counts of a dataset that passed all checks of its preparation."""
    from mindthegap.data.prepare import check_folder

    parts = check_folder(spec)
    counts = [f"{len(part.videos)} videos and {len(part.positions)} objects ({part.name})" for part in parts]
    return f"checked: {', '.join(counts)}"
