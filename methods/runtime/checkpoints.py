"""Checkpoints of work in progress: written so that a half-written or damaged one is never resumed from."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from mindthegap.files import disk_errors, read_json, sha256_file, write_json

FOLDER = "checkpoints"
FINGERPRINT = "fingerprint.json"
_NAME = re.compile(r"step_(\d{9})-([0-9a-f]{16})\.pth")
_KEPT = 2


def write_checkpoint(work_dir: Path, step: int, save: Callable[[Path], None]) -> Path:
    """Writes one checkpoint and drops all but the latest two.

    The file appears under its final name only when it is complete and flushed; the name carries the first 16 digits
    of its SHA-256, so that later damage is noticed.

    Args:
        work_dir: Folder of the training run.
        step: Number of finished training steps, >= 0.
        save: Writes the checkpoint to the path it is given.
    """
    folder = work_dir / FOLDER
    partial = folder / "partial.tmp"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        save(partial)
        with partial.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
            os.fsync(written.fileno())
        final = folder / f"step_{step:09d}-{digest[:16]}.pth"
        partial.replace(final)
    for _, path in _listed(work_dir)[_KEPT:]:
        path.unlink(missing_ok=True)
    return final


def _listed(work_dir: Path) -> list[tuple[int, Path]]:
    """Checkpoints as (step, path), latest first."""
    folder = work_dir / FOLDER
    found = [(match, path) for path in folder.glob("step_*.pth") if (match := _NAME.fullmatch(path.name))]
    return sorted(((int(match[1]), path) for match, path in found), key=lambda item: (-item[0], item[1].name))


def step_of(checkpoint: Path) -> int:
    """Number of finished steps of a checkpoint, from its name."""
    match = _NAME.fullmatch(checkpoint.name)
    if match is None:
        raise ValueError(f"{checkpoint.name} is not the name of a checkpoint")
    return int(match[1])


def latest_good_checkpoint(work_dir: Path, logger: logging.Logger) -> Path | None:
    """The latest checkpoint whose bytes are what was written; damaged ones are logged and skipped."""
    for _, path in _listed(work_dir):
        if sha256_file(path)[:16] == path.stem.rpartition("-")[2]:
            return path
        logger.warning("%s is damaged (its SHA-256 differs from its name); trying the one before.", path)
    return None


def prepare_work_dir(work_dir: Path, fingerprint: dict[str, str], logger: logging.Logger) -> None:
    """Makes the work folder belong to the experiment with this fingerprint.

    A folder that belongs to another experiment is set aside as ``<work_dir>.superseded`` (replacing an older one), so
    that changed code, data or settings never continue from old weights and nothing costly is lost by mistake.
    """
    path = work_dir / FINGERPRINT
    with disk_errors(work_dir):
        if path.is_file():
            found = read_json(path)
            keys = sorted(key for key in {*found, *fingerprint} if found.get(key) != fingerprint.get(key))
            if not keys:
                return
            aside = work_dir.with_name(work_dir.name + ".superseded")
            shutil.rmtree(aside, ignore_errors=True)
            work_dir.replace(aside)
            differing = ", ".join(f"{key} ({found.get(key)} -> {fingerprint.get(key)})" for key in keys)
            logger.warning("Started afresh: the work in progress was of another experiment, by %s.", differing)
            logger.warning("It is kept in %s until the next such change.", aside)
        elif (work_dir / FOLDER).is_dir():
            shutil.rmtree(work_dir / FOLDER)
            logger.warning("Started afresh: %s holds checkpoints without a %s.", work_dir, FINGERPRINT)
        write_json(path, fingerprint, indent=1)


def discard_checkpoints(work_dir: Path) -> None:
    """Removes the checkpoints of a finished run; its logs stay."""
    shutil.rmtree(work_dir / FOLDER, ignore_errors=True)
    (work_dir / FINGERPRINT).unlink(missing_ok=True)
