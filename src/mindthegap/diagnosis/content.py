"""The content of ``gaps.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mindthegap.diagnosis.gaps import GAPS, SPLITS
from mindthegap.failures import FailureThresholds, ranking_points, share_by_mode, to_frame

if TYPE_CHECKING:
    from mindthegap.diagnosis.report import Diagnosis

SCHEMA_VERSION = 1
_LEVELS = ("AP", "AP_tracking", "AP_classification")
_BOUNDED = (*_LEVELS, *GAPS, *(f"{gap}.{part}" for gap, parts in SPLITS.items() for part in parts))


def gaps_content(diagnosis: Diagnosis) -> dict[str, Any]:
    """Everything ``gaps.json`` says, ready for JSON."""
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        **diagnosis.keys.columns(),
        "synthetic": diagnosis.synthetic,
        "contaminated": diagnosis.seen.to_dict() if diagnosis.seen else None,
        "objective": diagnosis.objective,
        **diagnosis.chain.summary(),
        "per_category": diagnosis.chain.per_category(),
        **{f"{name}_objective": chain.summary() for name, chain in diagnosis.chains.items()},
        "hedging": diagnosis.hedging().to_dict(),
        "failures": failure_shares(diagnosis),
        "identity_metrics": diagnosis.identity_metrics().to_dict(),
        "counts": dict(diagnosis.chain.levels["default"].evaluation.counts),
        "solver": dict(diagnosis.solver),
        "failure_thresholds": FailureThresholds().to_dict(),
    }
    if diagnosis.bootstrap is not None:
        content["intervals"] = diagnosis.bootstrap.to_dict()
        for place, entry in enumerate(content["per_threshold"]):
            entry["intervals"] = _bounded(diagnosis.bootstrap.at_threshold(place))
        for entry in content["per_category"]:
            entry["intervals"] = _bounded(diagnosis.bootstrap.of_category(entry["category_id"]))
    return content


def _bounded(intervals: dict[str, list[float] | None]) -> dict[str, list[float] | None]:
    """The intervals of what an entry holds."""
    return {name: intervals[name] for name in _BOUNDED}


def failure_shares(diagnosis: Diagnosis) -> dict[str, Any]:
    """How much of each gap the events of each failure mode explain.

    Returns:
        ``modes``: per mode ``events``, ``headlines`` (objects it is the most expensive event of), and for each gap
        ``<gap>_points`` and ``<gap>_share`` (of the gap, 0-1; ``None`` where the gap is 0 or undefined).
        ``ranking_points`` is what AP would win if just the false rows of these events were left out; such wins are part
        of the ranking, and those of different modes do not add up. ``unassigned``: what of each gap no object's event
        or remainder holds: the ranking part of the tracking gap, and what the grid of 101 recall points adds or takes.
    """
    events, gaps = diagnosis.failures(), diagnosis.gaps
    won = ranking_points(diagnosis.tables, events)
    modes, sums = [], dict.fromkeys(GAPS, 0.0)
    for row in share_by_mode(to_frame(events)).to_dict("records"):
        entry: dict[str, Any] = {key: row[key] for key in ("mode", "events", "headlines")}
        for gap in GAPS:
            value, whole = float(row[f"{gap}_points"]), gaps[gap]
            sums[gap] += value
            entry[f"{gap}_points"] = value
            entry[f"{gap}_share"] = value / whole if whole else None
        modes.append({**entry, "ranking_points": won.get(row["mode"])})
    priced = {**gaps, "tracking": _beyond_ranking(gaps)}
    unassigned: dict[str, Any] = {}
    for gap in GAPS:
        points = priced[gap]
        unassigned[gap] = {"grid": None if points is None else points - sums[gap]}
    unassigned["tracking"]["ranking"] = gaps["tracking.ranking"]
    return {"modes": modes, "unassigned": unassigned}


def _beyond_ranking(gaps: Mapping[str, float | None]) -> float | None:
    """The tracking gap without its ranking part."""
    tracking, ranking = gaps["tracking"], gaps["tracking.ranking"]
    return None if tracking is None or ranking is None else tracking - ranking
