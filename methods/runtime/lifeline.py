"""No training outlives the job that started it, and no two trainings share a work folder."""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mindthegap.errors import MindTheGapError
from mindthegap.files import disk_errors

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """Asks the kernel to send SIGTERM to this process when its parent dies, however it dies.

    torchrun starts its ranks in sessions of their own, so a signal to the job's process group does not reach them; an
    orphan would go on writing checkpoints beside the next attempt. Linux only; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def sole_owner(work_dir: Path, logger: logging.Logger, patience: float = 120.0) -> Iterator[None]:
    """Holds the work folder for this process; the kernel lets go of it when the process ends, however it ends.

    Args:
        work_dir: Folder of the training run; the lock lies beside it, because the folder may be set aside.
        logger: Told once when there is somebody to wait for.
        patience: Seconds to wait for an earlier attempt that is still saving its state.

    Raises:
        MindTheGapError: Another process still trains there after ``patience``.
    """
    path = work_dir.with_name(work_dir.name + ".lock")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + patience
    waiting = False
    try:
        while not _taken(handle):
            if time.monotonic() > deadline:
                raise MindTheGapError(f"{work_dir}: another process is training there; end it, or wait for it.")
            if not waiting:
                logger.info("another process is still training in %s; waiting for it to end", work_dir)
                waiting = True
            time.sleep(0.2)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    """Whether the lock could be had."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
