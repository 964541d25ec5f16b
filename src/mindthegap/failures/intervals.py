"""Runs of frames."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Run(NamedTuple):
    """Frames ``start`` to ``end``, both included, over which ``label`` does not change."""

    start: int
    end: int
    label: int


def true_runs(flags: np.ndarray, min_length: int = 1) -> list[Run]:
    """Maximal runs of consecutive true entries of ``flags [T]`` that last at least ``min_length`` frames."""
    if not flags.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], np.asarray(flags, dtype=np.int8), [0]))))
    pairs = zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)
    return [Run(start, end, 1) for start, end in pairs if end - start + 1 >= min_length]


def label_runs(labels: np.ndarray) -> list[Run]:
    """Runs of equal non-negative labels in ``labels [T]``; negative entries are skipped and do not end a run.

    Two hits by the same query with a miss between them are therefore one run, and neighbouring runs always
    differ in label.
    """
    frames = np.flatnonzero(labels >= 0)
    if not frames.size:
        return []
    values = labels[frames]
    firsts = np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1))
    lasts = np.concatenate((firsts[1:] - 1, [len(values) - 1]))
    return [Run(int(frames[a]), int(frames[b]), int(values[a])) for a, b in zip(firsts, lasts, strict=True)]
