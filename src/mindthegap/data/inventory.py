"""What of the configured datasets is on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mindthegap.config.datasets import FolderDataset, SyntheticDataset
from mindthegap.data.registry import REGISTRY
from mindthegap.errors import InputError

PRESENT, MISSING, WRONG, RENDERED = "present", "missing", "wrong", "rendered when needed"


@dataclass(frozen=True)
class Status:
    """State of one dataset: one of the four words above, and what to know or to do about it."""

    name: str
    title: str
    state: str
    details: tuple[str, ...]


def inventory(datasets: Mapping[str, SyntheticDataset | FolderDataset], *, check: bool = False) -> list[Status]:
    """Looks for the files of every dataset.

    Args:
        datasets: The section ``datasets`` of the configuration.
        check: Whether to read all annotations and the headers of all frames, too; takes minutes for real data.
    """
    return [
        _folder_status(name, spec, check)
        if isinstance(spec, FolderDataset)
        else Status(name, spec.title or name, RENDERED, (f"preset {spec.preset}, seed {spec.seed}",))
        for name, spec in datasets.items()
    ]


def _folder_status(name: str, spec: FolderDataset, check: bool) -> Status:
    """State of a real dataset."""
    entry = REGISTRY.get(spec.expect or "")
    title = spec.title or (entry.title if entry else name)
    wanted = _wanted(spec)
    lost = [f"{key}: {path} is not there" for key, path, is_there in wanted if not is_there(path)]
    if lost:
        how = [f"get {' and '.join(entry.files)} from {entry.page} (needs an account; {entry.terms})"] if entry else []
        return Status(name, title, MISSING, (*lost, *how))
    if check:
        try:
            return Status(name, title, PRESENT, (_checked(spec),))
        except InputError as error:
            return Status(name, title, WRONG, (str(error),))
    return Status(name, title, PRESENT, tuple(f"{key}: {path}" for key, path, _ in wanted))


def _wanted(spec: FolderDataset) -> list[tuple[str, Path, Callable[[Path], bool]]]:
    """Keys, places, and how to see whether something is there."""
    wanted: list[tuple[str, Path, Callable[[Path], bool]]]
    wanted = [("annotations", Path(spec.annotations), Path.is_file), ("frames", Path(spec.frames), Path.is_dir)]
    split = spec.split
    if split is not None and split.diagnostic_list:
        wanted.append(("split.diagnostic_list", Path(split.diagnostic_list), Path.is_file))
    if split is not None and split.diagnostic_annotations:
        wanted.append(("split.diagnostic_annotations", Path(split.diagnostic_annotations), Path.is_file))
    if split is not None and split.diagnostic_frames:
        wanted.append(("split.diagnostic_frames", Path(split.diagnostic_frames), Path.is_dir))
    return wanted


def _checked(spec: FolderDataset) -> str:
    """Counts of a dataset that passed all checks of its preparation."""
    from mindthegap.data.prepare import check_folder

    parts = check_folder(spec)
    counts = [f"{len(part.videos)} videos and {len(part.positions)} objects ({part.name})" for part in parts]
    return f"checked: {', '.join(counts)}"
