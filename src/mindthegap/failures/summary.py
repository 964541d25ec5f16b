"""What the failure modes are, and how much of each gap they explain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mindthegap.failures.modes import MODES, OTHER

if TYPE_CHECKING:
    from pandas import DataFrame

_POINTS = {
    "cost_points": "tracking_points",
    "classification_cost_points": "classification_points",
    "segmentation_cost_points": "segmentation_points",
}
_KEYS = ["dataset", "method", "backbone", "seed"]


def describe_modes() -> list[dict[str, Any]]:
    """Name, sentence, subtypes with their meaning, and gaps of every mode, for pages and JSON."""
    return [
        {"mode": mode.name, "sentence": mode.sentence, "subtypes": dict(mode.subtypes), "gaps": sorted(mode.gaps)}
        for mode in MODES
    ]


def share_by_mode(failures: DataFrame) -> DataFrame:
    """How much of each gap each mode explains.

    Args:
        failures: Table of `to_frame`, of one or several experiments.

    Returns:
        One row per experiment and mode, in the order of `MODES` with ``other`` last: the experiment's keys, ``mode``,
        ``events``, ``headlines`` (objects it heads), and AP points of the tracking gap (without its ranking part), the
        classification and the segmentation gap. Modes without an event are listed with zeros; a mode that costs
        no IoU has 0 points.
    """
    import pandas as pd

    names = [*(mode.name for mode in MODES), OTHER]
    frame = failures.assign(mode=pd.Categorical(failures["mode"], categories=names, ordered=True))
    groups = []
    for keys, part in frame.groupby(_KEYS, dropna=False, sort=True):
        by_mode = part.groupby("mode", observed=False)
        table = pd.DataFrame({"events": by_mode.size(), "headlines": by_mode["headline"].sum().astype("int64")})
        for column, name in _POINTS.items():
            table[name] = by_mode[column].sum().astype("float64")
        table = table.reset_index().astype({"mode": "string"})
        for place, (key, value) in enumerate(zip(_KEYS, keys, strict=True)):
            table.insert(place, key, pd.Series([value] * len(table), dtype=failures[key].dtype))
        groups.append(table)
    if not groups:
        columns = [*_KEYS, "mode", "events", "headlines", *_POINTS.values()]
        return pd.DataFrame(columns=columns)
    return pd.concat(groups, ignore_index=True)
