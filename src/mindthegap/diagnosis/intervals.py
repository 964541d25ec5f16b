"""Paired percentile bootstrap over videos (Efron and Tibshirani 1993, chapter 13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mindthegap.diagnosis.chain import Chain
from mindthegap.diagnosis.gaps import sampled_differences
from mindthegap.evaluation import bootstrap_profiles
from mindthegap.oracle.sums import Floats, Ints

CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Resampled AP and gaps of one method.

    Attributes:
        samples: Number of resamples.
        seed: Seed of their generator; the same seed draws the same videos for every method and level (paired).
        values: ``[samples]`` points by name: ``AP``, ``AP_tracking``, ``AP_classification`` and every gap. NaN where a
            resample holds no object.
    """

    samples: int
    seed: int
    values: Mapping[str, Floats]

    def intervals(self) -> dict[str, list[float] | None]:
        """``[low, high]`` per name."""
        return {name: interval(values) for name, values in self.values.items()}

    def to_dict(self) -> dict[str, Any]:
        """The object ``intervals`` of ``gaps.json``."""
        return {"samples": self.samples, "seed": self.seed, "confidence": CONFIDENCE, **self.intervals()}


def resample(chain: Chain, weights: Ints, seed: int) -> Bootstrap:
    """Recomputes every level's AP, and from it every gap, on each resample of the videos.

    The linkings stay as they are: an object's best linking does not depend on which other videos are drawn, but for the
    rare component in which classes compete for a mask.

    Args:
        chain: The levels.
        weights: ``[B, V]`` how often each video is drawn.
        seed: Only noted.
    """
    points = {name: _mean_ap(level.evaluation.matches, weights) for name, level in chain.levels.items()}
    values = {"AP": points["default"], "AP_tracking": points["tracking"], "AP_classification": points["both"]}
    return Bootstrap(len(weights), seed, values | sampled_differences(points))


def _mean_ap(matches: Any, weights: Ints) -> Floats:
    """AP over all thresholds per resample."""
    profile: Floats = bootstrap_profiles(matches, weights).mean(axis=1)
    return profile


def interval(values: Floats) -> list[float] | None:
    """Percentile interval over the defined samples; ``None`` without any."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return [float(low), float(high)]
