"""Randomness as a pure function of (seed, position), so that a resumed run draws what an undisturbed run draws.

Saving and restoring generator states would have to cover Python, NumPy, PyTorch, every GPU and every data worker with
its prefetched items. Instead every training step and every training item seeds all generators from its own number.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch

# Distinct streams must not share numbers: a step and an item of the same index would otherwise draw alike.
STREAM_INIT, STREAM_STEP, STREAM_ITEM, STREAM_ORDER = range(4)


def derived_seed(*parts: int) -> int:
    """A 32-bit seed from non-negative integers, well mixed (NumPy's SeedSequence)."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def seed_all(*parts: int) -> None:
    """Seeds Python, NumPy and PyTorch (CPU and GPUs)."""
    value = derived_seed(*parts)
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


@contextmanager
def seeded_item(*parts: int) -> Iterator[None]:
    """Seeds Python and NumPy for the body and restores them, so that loading in the main process disturbs nothing."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    value = derived_seed(*parts)
    random.seed(value)
    np.random.seed(value)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def configure_torch(threads: int, *, deterministic: bool) -> None:
    """Sets the number of CPU threads and asks for deterministic kernels.

    Args:
        threads: Intra-op threads. Part of the result: sums are split differently for another number.
        deterministic: On a CPU every operator used here has a deterministic kernel; on a GPU some (RoIAlign's
            gradient) do not, and PyTorch then warns instead of failing.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(0)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling every fresh buffer with NaN only helps to find reads of uninitialised memory; it costs 8 % here.
        setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 - unknown to the stubs
