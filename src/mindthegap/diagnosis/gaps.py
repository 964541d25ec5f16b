"""Gaps from the AP of the levels: plain differences, never clipped.

The tracking gap has three parts, in the order in which the levels repair them:

- *ranking*: false tracks and the order of scores; no mask moves.
- *association*: what is won by masks of other queries in frames in which an object's own track (the query that the
  ranking oracle gives it) has no useful mask on it, and by leaving out the own track where it is elsewhere. Identity
  switches, swaps, fragmentation and tracks that outlive their object are here.
- *selection*: what is won beyond that by taking the better of two masks where the own track was on the object. A
  tracker cannot win it by keeping identities; it is the price of choosing one query per object for the whole video.

The line between the last two is drawn in time, not by owner. One could instead allow an object all masks of the queries
that cover it more than any other object, and call that selection; but then a track that is cut in two, both halves on
the same object, would count as selection although it is an identity switch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mindthegap.oracle.sums import Floats

PERFECT = 100.0

DIFFERENCES: Mapping[str, tuple[str, str]] = {
    "tracking": ("default", "tracking"),
    "classification": ("tracking", "both"),
    "segmentation": ("both", "perfect"),
    "tracking.ranking": ("default", "ranking"),
    "tracking.association": ("ranking", "continued"),
    "tracking.selection": ("continued", "tracking"),
    "segmentation.missed": ("both", "found"),
    "segmentation.mask_quality": ("found", "perfect"),
    "classification_first.classification": ("default", "classes"),
    "classification_first.tracking": ("classes", "both"),
}
"""Every gap as (from level, to level); the order follows the paper: tracking, then classification."""

GAPS = ("tracking", "classification", "segmentation")
SPLITS = {"tracking": ("ranking", "selection", "association"), "segmentation": ("missed", "mask_quality")}
INTERACTION = "interaction"
"""AP_TC - AP_T - AP_C + AP: what the order decides about; also holds the ranking, which either order repairs first."""
BEYOND_RANKING = "interaction_beyond_ranking"
"""The same with AP after ranking in place of AP: 0 if identities and classes are independent."""


def differences(points: Mapping[str, float | None]) -> dict[str, float | None]:
    """All gaps from the AP of each level; ``None`` where an AP is undefined.

    Args:
        points: AP per level (``default``, ``ranking``, ``continued``, ``tracking``, ``classes``, ``both``, ``found``).
    """
    known = {**points, "perfect": PERFECT}
    result = {name: _minus(known[upper], known[lower]) for name, (lower, upper) in DIFFERENCES.items()}
    result[INTERACTION] = _minus(result["classification"], result["classification_first.classification"])
    ranked = _minus(0.0, result["tracking.ranking"])
    result[BEYOND_RANKING] = _minus(result[INTERACTION], ranked)
    return result


def _defined(known: Mapping[str, Any]) -> list[tuple[str, tuple[str, str]]]:
    """The gaps between levels that are known."""
    return [(name, pair) for name, pair in DIFFERENCES.items() if set(pair) <= set(known)]


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def sampled_differences(points: Mapping[str, Floats]) -> dict[str, Floats]:
    """The same for bootstrap samples, arrays of one shape per level; gaps of levels that are not there are left out."""
    known = {**points, "perfect": np.full_like(points["default"], PERFECT)}
    result = {name: known[upper] - known[lower] for name, (lower, upper) in _defined(known)}
    if "classes" in points:
        result[INTERACTION] = result["classification"] - result["classification_first.classification"]
        result[BEYOND_RANKING] = result[INTERACTION] + result["tracking.ranking"]
    return result


def nested(gaps: Mapping[str, Any]) -> dict[str, Any]:
    """Flat gaps as the objects ``gaps``, ``splits`` and ``orders`` of ``gaps.json``."""
    first = {name: gaps[f"classification_first.{name}"] for name in ("classification", "tracking")}
    return {
        "gaps": {name: gaps[name] for name in GAPS},
        "splits": {name: {part: gaps[f"{name}.{part}"] for part in parts} for name, parts in SPLITS.items()},
        "orders": {
            "tracking_first": {name: gaps[name] for name in ("tracking", "classification")},
            "classification_first": first,
            INTERACTION: gaps[INTERACTION],
            BEYOND_RANKING: gaps[BEYOND_RANKING],
        },
    }
