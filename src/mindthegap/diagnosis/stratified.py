"""Gaps of subsets of the ground truth: long videos, crowded videos, occluded objects and so on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from mindthegap.diagnosis.intervals import interval
from mindthegap.diagnosis.levels import Level, oracle_levels
from mindthegap.evaluation import OverlapTables, bootstrap_profiles, evaluate_tables, resampling_weights
from mindthegap.oracle import Objective, SolverSettings
from mindthegap.progress import track
from mindthegap.strata import Stratum

if TYPE_CHECKING:
    import pandas as pd

_STAGES = ("ranking", "tracking", "both")
_GAPS = {
    "tracking": ("default", "tracking"),
    "tracking_ranking": ("default", "ranking"),
    "classification": ("tracking", "both"),
    "segmentation": ("both", None),
}
_PERFECT = 100.0


def stratum_gaps(
    tables: OverlapTables,
    strata: Iterable[Stratum],
    *,
    objective: Objective = "tight",
    settings: SolverSettings | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """AP and gaps of every stratum, each against its own AP as given.

    A stratum is a ground truth of its own: other objects are ignored like crowds, other videos are left out, and the
    oracle links anew. False tracks in the kept videos count in every object stratum, so strata do not average to the
    whole.

    Args:
        tables: All overlap tables.
        strata: The subsets.
        objective: See ``diagnose``.
        settings: Solver and time limit.
        bootstrap: Resamples of a stratum's videos for the intervals, 0 for none.
        seed: Seed of the resampling.
        progress: Shows a progress bar on standard error.

    Returns:
        One row per stratum: ``attribute, stratum, low, high, unit, videos, objects``, ``AP, AP_tracking,
        AP_classification``, ``tracking`` and its part ``tracking_ranking``, ``classification``, ``segmentation`` in
        points; with ``bootstrap`` also ``<name>_low`` and ``<name>_high``.
    """
    import pandas as pd

    groups = list(strata)
    rows = []
    for group in track(groups, "strata", len(groups), enabled=progress):
        part = group.restrict(tables)
        levels = oracle_levels(part, objective, evaluate_tables(part), settings or SolverSettings(), stages=_STAGES)
        row: dict[str, Any] = {"attribute": group.attribute, "stratum": group.name, "low": group.low}
        row |= {"high": None if np.isinf(group.high) else group.high, "unit": group.unit}
        row |= {"videos": len(group.video_ids), "objects": len(group.object_ids)}
        rows.append(row | _points(levels) | (_intervals(levels, bootstrap, seed) if bootstrap else {}))
    return pd.DataFrame(rows)


def _points(levels: dict[str, Level]) -> dict[str, float | None]:
    """AP and gaps from the levels."""
    aps = {name: level.evaluation.AP for name, level in levels.items()}
    result = {"AP": aps["default"], "AP_tracking": aps["tracking"], "AP_classification": aps["both"]}
    for name, (lower, upper) in _GAPS.items():
        low, high = aps[lower], _PERFECT if upper is None else aps[upper]
        result[name] = None if low is None or high is None else high - low
    return result


def _intervals(levels: dict[str, Level], samples: int, seed: int) -> dict[str, float | None]:
    """``<name>_low`` and ``<name>_high`` of AP and every gap."""
    weights = resampling_weights(len(levels["default"].evaluation.matches.videos), samples, seed)
    aps = {n: bootstrap_profiles(level.evaluation.matches, weights).mean(axis=1) for n, level in levels.items()}
    values = {"AP": aps["default"], "AP_tracking": aps["tracking"], "AP_classification": aps["both"]}
    for name, (lower, upper) in _GAPS.items():
        values[name] = (_PERFECT if upper is None else aps[upper]) - aps[lower]
    result: dict[str, float | None] = {}
    for name, sample in values.items():
        result[f"{name}_low"], result[f"{name}_high"] = interval(sample) or (None, None)
    return result
