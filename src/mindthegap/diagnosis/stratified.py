"""Gaps of subsets of the ground truth: long videos, crowded videos, occluded objects and so on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mindthegap.diagnosis.intervals import interval
from mindthegap.diagnosis.sharing import StratumMatcher
from mindthegap.evaluation import Matches, OverlapTables, accumulate, bootstrap_profiles, resampling_weights
from mindthegap.evaluation.accumulation import mean_points
from mindthegap.oracle import Linking, Objective, SolverSettings
from mindthegap.progress import track
from mindthegap.strata import Stratum

if TYPE_CHECKING:
    import pandas as pd

_GAPS = {
    "tracking": ("default", "tracking"),
    "tracking_ranking": ("default", "ranking"),
    "classification": ("tracking", "both"),
    "segmentation": ("both", None),
}
_PERFECT = 100.0
_POINTS = ("AP", "AP_tracking", "AP_classification", *_GAPS)
_KINDS = {"attribute": "string", "stratum": "string", "low": "float64", "high": "float64", "unit": "string"}
_KINDS |= {"videos": "int64", "objects": "int64"}


def stratum_gaps(
    tables: OverlapTables,
    strata: Iterable[Stratum],
    *,
    objective: Objective = "tight",
    settings: SolverSettings | None = None,
    linkings: Mapping[str, Sequence[Linking]] | None = None,
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
        linkings: What the oracle chose for all tables, by level (``tracking``, ``both``) and video; saves work.
        bootstrap: Resamples of a stratum's videos for the intervals, 0 for none.
        seed: Seed of the resampling.
        progress: Shows a progress bar on standard error.

    Returns:
        One row per stratum: ``attribute, stratum, low, high, unit, videos, objects``, ``AP, AP_tracking,
        AP_classification``, ``tracking`` and its part ``tracking_ranking``, ``classification``, ``segmentation`` in
        points, null where no object counts; with ``bootstrap`` also ``<name>_low`` and ``<name>_high``. An open upper
        edge ``high`` is null.
    """
    import pandas as pd

    groups = list(strata)
    matcher = StratumMatcher(tables, objective, settings or SolverSettings(), linkings)
    rows = []
    for group in track(groups, "strata", len(groups), enabled=progress):
        levels = matcher.matches(group.restrict(tables))
        row: dict[str, Any] = {"attribute": group.attribute, "stratum": group.name, "low": group.low}
        row |= {"high": None if np.isinf(group.high) else group.high, "unit": group.unit}
        row |= {"videos": len(group.video_ids), "objects": len(group.object_ids)}
        rows.append(row | _points(levels) | (_intervals(levels, bootstrap, seed) if bootstrap else {}))
    ends = [f"{name}_{end}" for name in _POINTS for end in ("low", "high")] if bootstrap else []
    kinds = _KINDS | dict.fromkeys((*_POINTS, *ends), "float64")
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def _points(levels: Mapping[str, Matches]) -> dict[str, float | None]:
    """AP and gaps from the levels."""
    aps = {name: mean_points(accumulate(matches)[0][..., 0, -1]) for name, matches in levels.items()}
    result = {"AP": aps["default"], "AP_tracking": aps["tracking"], "AP_classification": aps["both"]}
    for name, (lower, upper) in _GAPS.items():
        low, high = aps[lower], _PERFECT if upper is None else aps[upper]
        result[name] = None if low is None or high is None else high - low
    return result


def _intervals(levels: Mapping[str, Matches], samples: int, seed: int) -> dict[str, float | None]:
    """``<name>_low`` and ``<name>_high`` of AP and every gap."""
    weights = resampling_weights(len(levels["default"].videos), samples, seed)
    aps = {name: bootstrap_profiles(matches, weights).mean(axis=1) for name, matches in levels.items()}
    values = {"AP": aps["default"], "AP_tracking": aps["tracking"], "AP_classification": aps["both"]}
    for name, (lower, upper) in _GAPS.items():
        values[name] = (_PERFECT if upper is None else aps[upper]) - aps[lower]
    result: dict[str, float | None] = {}
    for name, sample in values.items():
        result[f"{name}_low"], result[f"{name}_high"] = interval(sample) or (None, None)
    return result
