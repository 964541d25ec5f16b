"""What the figures over a quantity (length, density, occlusion) share: line styles, and intervals of shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mindthegap.plots.style import method_label, plain_text

# Okabe & Ito without yellow, which is lost on white; a marker each, so that the lines survive grey print.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SAMPLES = 1000
_STEP = 0.05  # whiskers of neighbouring methods stand this far apart, in ticks


def method_name(method: str, rows: pd.DataFrame) -> str:
    """Name in the legend, with the backbone when the method was run with one only; a star warns of its weights."""
    own = rows[rows["method"] == method]
    backbones = set(own["backbone"])
    name = plain_text(method_label(method, backbones.pop() if len(backbones) == 1 else ""))
    return name + " *" * bool(own["contaminated"].any())


def mean_interval(video: pd.Series, values: pd.Series, *, samples: int = SAMPLES, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a mean over objects; whole videos are drawn (Efron and Tibshirani 1993).

    Args:
        video: Video of each value.
        values: What is averaged.
        samples: Number of resamples.
        seed: Seed of the draws; the same for all methods, so that their intervals are paired.

    Returns:
        Low and high end; NaN with fewer than two videos, which no draw can vary.
    """
    sums = values.groupby(video).agg(["sum", "count"])
    count = len(sums)
    if count < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=samples)
    low, high = np.quantile((drawn @ sums["sum"].to_numpy()) / (drawn @ sums["count"].to_numpy()), [0.025, 0.975])
    return float(low), float(high)


def draw_line(axes: Axes, place: int, methods: int, values: np.ndarray, name: str) -> None:
    """Draws one method's points at ticks 0, 1, ... with their intervals.

    Args:
        axes: Panel.
        place: Position of the method; decides its look, and shifts it a little so that whiskers stay apart.
        methods: How many methods there are.
        values: float64 [3, ticks]: value, low and high end; NaN interrupts the line, or leaves out the whisker.
        name: In the legend.
    """
    centre, low, high = values
    ticks = np.arange(len(centre)) + _STEP * (place - (methods - 1) / 2)
    look: dict[str, Any] = {"color": LINES[place % len(LINES)]}
    axes.plot(
        ticks, centre, marker=MARKERS[place % len(MARKERS)], markersize=3.6, label=name, clip_on=False, zorder=3, **look
    )
    known = np.isfinite(values).all(axis=0)
    axes.vlines(ticks[known], low[known], high[known], linewidth=0.9, alpha=0.7, **look)


def count_range(values: pd.Series) -> str:
    """``"16"``, or ``"16–20"`` where counts differ."""
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low}–{high}"
