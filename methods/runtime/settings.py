"""Settings of a method: defaults per scale, overridden from ``config.yaml``, checked by name and type."""

from __future__ import annotations

import math
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

# Smallest values of settings that every method has; a whole bound asks for a whole number.
_LEAST: dict[str, float] = {
    "steps": 1,
    "batch_size": 1,
    "workers": 0,
    "cpu_threads": 1,
    "cpu_processes": 1,
    "log_every": 1,
    "checkpoint_seconds": 0.0,
    "pseudo_clips": 0,
    "clip_frames": 1,
}
_POSITIVE = ("epochs", "lr", "clip_norm")

# They decide how a run is carried out, not what comes out of it: a change must not discard work in progress.
NOT_IN_FINGERPRINT = ("workers", "checkpoint_seconds", "cpu_threads")


def merge(owner: str, defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults with overrides.

    Args:
        owner: Named in errors, e.g. ``masktrack_rcnn (demo)``.
        defaults: All settings that exist. A default of None accepts any type.
        overrides: Settings to change.

    Raises:
        ConfigError: An override does not exist, has the wrong type, or has a value that no method can use.
    """
    merged = dict(defaults)
    for key, value in overrides.items():
        if key not in defaults:
            raise ConfigError(f"{owner}: there is no setting '{key}'; the settings are {', '.join(sorted(defaults))}.")
        merged[key] = _checked(owner, key, defaults[key], value)
    require_least(owner, merged, _LEAST)
    for key in _POSITIVE:
        if merged.get(key) is not None and not merged[key] > 0:
            raise ConfigError(f"{owner}: setting '{key}' must be above 0, not {merged[key]}.")
    return merged


def require_least(owner: str, settings: Mapping[str, Any], least: Mapping[str, float]) -> None:
    """Refuses numbers below a bound; settings that are absent or None pass.

    Args:
        owner: Named in errors.
        settings: Settings to look at.
        least: Smallest value by name; a whole bound asks for a whole number.

    Raises:
        ConfigError: A value is no such number, or too small.
    """
    for key, bound in least.items():
        value = settings.get(key)
        if value is None:
            continue
        kinds = (int,) if isinstance(bound, int) else (int, float)
        if type(value) not in kinds or value < bound:
            kind = "a whole number" if kinds == (int,) else "a number"
            raise ConfigError(f"{owner}: setting '{key}' must be {kind} and at least {bound}, not {value!r}.")


def require_choice(owner: str, settings: Mapping[str, Any], choices: Mapping[str, tuple[Any, ...]]) -> None:
    """Refuses values outside a list; settings that are absent pass.

    Args:
        owner: Named in errors.
        settings: Settings to look at.
        choices: Values that a setting can have, by name.

    Raises:
        ConfigError: A value is none of them.
    """
    for key, values in choices.items():
        if key in settings and settings[key] not in values:
            allowed = ", ".join(map(repr, values))
            raise ConfigError(f"{owner}: setting '{key}' must be one of {allowed}, not {settings[key]!r}.")


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
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{owner}: setting '{key}' must be a finite number, not {value}.")
    return value


def pick_scale(method: str, table: Mapping[str, Mapping[str, Any]], scale: str) -> Mapping[str, Any]:
    """The defaults of a scale.

    Raises:
        ConfigError: The scale does not exist.
    """
    if scale not in table:
        raise ConfigError(f"{method}: there is no scale '{scale}'; choose from {', '.join(table)}.")
    return table[scale]
