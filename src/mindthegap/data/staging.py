"""Dataset folders that appear complete or not at all."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mindthegap.errors import InputError, MindTheGapError
from mindthegap.files import disk_errors

MANIFEST = "manifest.json"
FRAMES = "frames"
DIAGNOSED = "diagnostic.txt"
_OURS = f".building-{socket.gethostname()}-"
_PARTS = (FRAMES, "train.json", "diagnostic.json", DIAGNOSED, MANIFEST)


@contextmanager
def staged_dataset(out_dir: str | Path) -> Iterator[Path]:
    """Yields a temporary folder beside the final files; on success its files take the place of the former ones.

    A failure leaves ``out_dir`` as it was (and removes it if it did not exist). The manifest goes first and comes last,
    so that a folder with a manifest is complete.

    Raises:
        InputError: ``out_dir`` is a file, or holds a folder ``frames`` that is not ours to replace.
        MindTheGapError: The disk is full, read-only, or the folder not writable.
    """
    out = Path(out_dir)
    _check_ours(out)
    with disk_errors(out):
        made = [folder for folder in (out, *out.parents) if not os.path.exists(folder)]
        stage = _make_stage(out, made)
        try:
            yield stage
            _publish(stage, out)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            _remove_empty(made)
            raise
        shutil.rmtree(stage, ignore_errors=True)


def _make_stage(out: Path, made: list[Path]) -> Path:
    """Makes ``out`` and the temporary folder in it; ``made`` are the folders that did not exist before."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_orphans(out)
        return Path(tempfile.mkdtemp(dir=out, prefix=own_prefix()))
    except (FileExistsError, NotADirectoryError):
        raise InputError(out, "", "a part of this path is a file", "choose another folder") from None
    except OSError as error:
        _remove_empty(made)
        raise InputError(out, "", f"the folder cannot be made ({error.strerror})", "choose another folder") from None


def _check_ours(out: Path) -> None:
    """Refuses to replace somebody's own frames."""
    if not os.path.exists(out):
        return  # also for a name that the file system cannot hold: making the folder will say so
    if not out.is_dir():
        raise InputError(out, "", "is a file, not a folder", "choose another folder")
    frames = out / FRAMES
    if frames.is_dir() and not frames.is_symlink() and any(frames.iterdir()) and not (out / MANIFEST).is_file():
        raise InputError(frames, "", "holds files that did not come from here", "choose an empty folder")


def _publish(stage: Path, out: Path) -> None:
    """Moves the new parts in and the old ones away."""
    if not (stage / MANIFEST).is_file():
        raise MindTheGapError(f"{out}: the new dataset has no manifest; this is a mistake in the program.")
    (out / MANIFEST).unlink(missing_ok=True)
    for part in _PARTS:
        new, old = stage / part, out / part
        if old.is_symlink() or old.exists():
            old.rename(stage / f"old-{part}")
        if new.is_symlink() or new.exists():
            new.rename(old)


def own_prefix() -> str:
    """How temporary files and folders of this process are called; ``remove_orphans`` knows them by it."""
    return f"{_OURS}{os.getpid()}-"


def remove_orphans(folder: Path) -> None:
    """Removes what killed processes of this machine left behind in ``folder``."""
    for orphan in folder.glob(f"{_OURS}*"):
        number = orphan.name.removeprefix(_OURS).split("-")[0]
        if number.isdecimal() and not Path(f"/proc/{number}").exists() and Path("/proc/self").exists():
            if orphan.is_dir():
                shutil.rmtree(orphan, ignore_errors=True)
            else:
                orphan.unlink(missing_ok=True)


def _remove_empty(folders: list[Path]) -> None:
    """Removes the folders that were made for nothing, innermost first."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
