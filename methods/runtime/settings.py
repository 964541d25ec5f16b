"""Settings of a method: defaults per scale, overridden from ``config.yaml``, checked by name and type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindthegap.errors import ConfigError

# Settings every method has, read by the shared runtime.
SHARED_TRAINING: dict[str, Any] = {
    "steps": None,  # optimiser steps; None derives them from `epochs`
    "epochs": 12.0,  # passes over all annotated frames
    "batch_size": 8,  # items per step over all devices together, so that results do not depend on their number
    "workers": 2,  # data loading processes per device; 0 loads in the main process
    "cpu_threads": 2,  # CPU cores that the job may use beside its GPUs; a CPU run takes `cpu_processes` instead
    "cpu_processes": 1,  # data-parallel processes of a CPU run, one thread each; part of the result: sums are split
    "log_every": 50,  # steps per record of history.jsonl
    "checkpoint_seconds": 600.0,  # shortest time between two checkpoints; 0 saves after every step
    "pseudo_clips": 0,  # frames of the clips that are made of each still, to pretrain on pictures; 0: real clips
    "lr": 1e-3,
    "clip_norm": 35.0,  # L2 norm that gradients are clipped to; None does not clip
}

# Inference settings every method has.
SHARED_INFERENCE: dict[str, Any] = {
    "cpu_threads": 2,  # CPU cores that the job may use; a CPU run takes one process for each
}

# They decide how a run is carried out, not what comes out of it: a change must not discard work in progress.
NOT_IN_FINGERPRINT = ("workers", "checkpoint_seconds", "cpu_threads")


def merge(owner: str, defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults with overrides.

    Args:
        owner: Named in errors, e.g. ``masktrack_rcnn (demo)``.
        defaults: All settings that exist. A default of None accepts any type.
        overrides: Settings to change.

    Raises:
        ConfigError: An override does not exist or has the wrong type.
    """
    merged = dict(defaults)
    for key, value in overrides.items():
        if key not in defaults:
            raise ConfigError(f"{owner}: there is no setting '{key}'; the settings are {', '.join(sorted(defaults))}.")
        merged[key] = _checked(owner, key, defaults[key], value)
    return merged


def resolve(
    owner: str, scale: str, table: Mapping[str, Mapping[str, Any]], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings in force: the defaults of a scale with overrides.

    Args:
        owner: Named in errors, e.g. ``masktrack_rcnn`` or ``masktrack_rcnn inference``.
        scale: ``smoke``, ``demo`` or ``paper``.
        table: Defaults of every scale.
        overrides: Settings to change.

    Raises:
        ConfigError: The scale or an override does not exist, or an override has the wrong type.
    """
    return merge(f"{owner} ({scale})", pick_scale(owner, table, scale), overrides)


def _checked(owner: str, key: str, default: Any, value: Any) -> Any:
    """The value in the default's type; whole numbers serve as fractions, nothing else is converted."""
    if default is None or value is None:
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    if type(value) is not type(default):
        wanted = type(default).__name__
        raise ConfigError(f"{owner}: setting '{key}' must be of type {wanted}, not {value!r}.")
    return value


def pick_scale(method: str, table: Mapping[str, Mapping[str, Any]], scale: str) -> Mapping[str, Any]:
    """The defaults of a scale.

    Raises:
        ConfigError: The scale does not exist.
    """
    if scale not in table:
        raise ConfigError(f"{method}: there is no scale '{scale}'; choose from {', '.join(table)}.")
    return table[scale]
