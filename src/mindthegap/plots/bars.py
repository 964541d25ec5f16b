"""Where the points go: AP and the three gaps of every method, stacked to 100."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mindthegap.errors import MindTheGapError
from mindthegap.plots.style import (
    COLOURS,
    FULL_WIDTH_INCHES,
    GAPS,
    TEXT_COLOURS,
    dataset_label,
    mark_contaminated,
    mark_synthetic,
    method_label,
    paper_order,
    paper_style,
    plain_text,
    text_colour,
)

PARTS = ("AP", *GAPS)
_COLUMN = {"AP": "AP_default", **{gap: f"{gap}_gap" for gap in GAPS}}
_BAR_HEIGHT = 0.44
_ROW_INCHES = 0.34
_WHISKER_ROW_INCHES = 0.47  # whiskers have their own strip under the bar, one level per part, so that none is covered
_WHISKER_STEP = 0.085
_MOST_INCHES = 8.4  # all bars together: with title and legend they fill a page
_GLYPH_INCHES = 0.062  # width of a digit at 6.5 pt, enough to decide whether a number fits its segment


def bar_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per dataset, method and backbone: mean over seeds of AP and gaps, with their whiskers.

    Whiskers are the columns ``<column>_low`` and ``<column>_high`` where a row brings them and there is one seed
    (bootstrap intervals); with several seeds they are the lowest and the highest seed.

    Args:
        frame: Columns of :func:`mindthegap.plots.gap_table`, in points.

    Returns:
        Columns ``dataset, method, backbone, seeds, synthetic, contaminated`` and for each of AP, tracking,
        classification, segmentation the value in points, ``<part>_low`` and ``<part>_high`` (NaN without whiskers);
        sorted by the paper's order of datasets, methods and backbones.
    """
    needed = ["dataset", "method", "backbone", "synthetic", *_COLUMN.values()]
    missing = [name for name in needed if name not in frame.columns]
    if missing or frame.empty:
        raise MindTheGapError(f"gap_bars: the table has no {'rows' if frame.empty else ', '.join(missing)}.")
    rows = []
    for (dataset, method, backbone), group in frame.groupby(["dataset", "method", "backbone"], sort=False):
        row: dict[str, Any] = {"dataset": dataset, "method": method, "backbone": backbone, "seeds": len(group)}
        row["synthetic"] = bool(group["synthetic"].any())
        row["contaminated"] = bool(group["contaminated"].any()) if "contaminated" in group else False
        for part, column in _COLUMN.items():
            row[part] = float(group[column].mean())
            row[f"{part}_low"], row[f"{part}_high"] = _whisker(group, column)
        rows.append(row)
    rows.sort(key=lambda row: paper_order(row["dataset"], row["method"], row["backbone"]))
    return pd.DataFrame(rows)


def _whisker(group: pd.DataFrame, column: str) -> tuple[float, float]:
    """Lowest and highest seed, or the given interval of a lone seed, or NaN."""
    if len(group) > 1:
        return float(group[column].min()), float(group[column].max())
    low, high = f"{column}_low", f"{column}_high"
    if low in group.columns and high in group.columns:
        return float(group[low].iloc[0]), float(group[high].iloc[0])
    return float("nan"), float("nan")


def gap_bars(frame: pd.DataFrame, note: str = "") -> Figure:
    """Draws one bar per method and backbone: AP, tracking, classification and segmentation gap, adding up to 100.

    Positive parts are stacked to the right of zero. A negative gap (possible under the sum-of-IoU oracle) is drawn to
    the left of zero, hatched and with its number, and its bar therefore ends beyond 100: nothing is clipped. Each
    whisker belongs to the part on whose far edge it sits.

    Args:
        frame: Columns of :func:`mindthegap.plots.gap_table`; optional ``<column>_low`` / ``<column>_high``.
        note: Printed below the bars.

    Returns:
        A figure of full text width with one facet per dataset; "synthetic data" is printed in it when any row is.

    Raises:
        MindTheGapError: The table is empty or lacks a column.
    """
    bars = bar_frame(frame)
    datasets = list(dict.fromkeys(bars["dataset"]))
    labels = _row_labels(bars)
    low, high = _limits(bars, facets=bars["dataset"].nunique())
    with paper_style():
        row_inches = _WHISKER_ROW_INCHES if bars["AP_low"].notna().any() else _ROW_INCHES
        height = 0.95 + min(row_inches * len(labels), _MOST_INCHES)
        figure = Figure(figsize=(FULL_WIDTH_INCHES, height), layout="constrained")
        figure.get_layout_engine().set(rect=(0, 0.16 / height, 1, 1 - 0.16 / height))  # type: ignore[call-arg, union-attr]
        facets = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
        inches_per_point = _inches_per_point(low, high, len(datasets))
        for axes, dataset in zip(facets, datasets, strict=True):
            _draw_facet(axes, bars[bars["dataset"] == dataset], labels, inches_per_point)
            axes.set(xlim=(low, high), ylim=(len(labels) - 0.42, -0.6), xlabel="points", xticks=range(0, 101, 25))
            axes.set_title(plain_text(dataset_label(dataset)), loc="left", fontweight="bold")
        facets[0].set_yticks(range(len(labels)), _row_names(bars, labels))
        _legend(figure, bars, note)
        mark_synthetic(figure, bool(bars["synthetic"].any()))
        mark_contaminated(figure, bool(bars["contaminated"].any()))
    return figure


def _row_labels(bars: pd.DataFrame) -> list[tuple[str, str]]:
    """Method and backbone of every line, shared by all facets so that a line means the same in each."""
    pairs = dict.fromkeys(zip(bars["method"], bars["backbone"], strict=True))
    return sorted(pairs, key=lambda pair: paper_order("", *pair))


def _row_names(bars: pd.DataFrame, labels: list[tuple[str, str]]) -> list[str]:
    """What stands beside the lines; a star for weights that may have seen the videos."""
    marked = bars[bars["contaminated"]]
    starred = set(zip(marked["method"], marked["backbone"], strict=True))
    return [plain_text(method_label(*label)) + " *" * (label in starred) for label in labels]


def _inches_per_point(low: float, high: float, facets: int) -> float:
    """Width of a point of AP on paper, after the labels at the left and the gaps between facets."""
    return (FULL_WIDTH_INCHES - 1.45 - 0.2 * facets) / facets / (high - low)


def _limits(bars: pd.DataFrame, facets: int) -> tuple[float, float]:
    """Range of the axis in points: 0 to 100, wider where negative gaps (and their numbers) ask for it."""
    values = bars[list(PARTS)].to_numpy(dtype=float)
    left = np.nansum(np.where(values < 0, values, 0), axis=1).min()
    right = max(100.0, np.nansum(np.where(values > 0, values, 0), axis=1).max())
    if left == 0:
        return 0.0, right
    number_inches = 6 * _GLYPH_INCHES  # "−12.3" and some air
    return left - number_inches / _inches_per_point(left, right, facets), right


def _draw_facet(axes: Axes, bars: pd.DataFrame, labels: Sequence[tuple[str, str]], inches_per_point: float) -> None:
    """Draws the bars of one dataset; methods without a result keep an empty line that says so."""
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.axvline(0, color="#666666", linewidth=0.6)
    found = {(row["method"], row["backbone"]): row for row in bars.to_dict("records")}
    for line, label in enumerate(labels):
        row = found.get(label)
        if row is None or not np.isfinite([row[part] for part in PARTS]).all():
            text = "no result" if row is None else "AP undefined"
            axes.text(1.5, line, text, va="center", fontsize=6.5, style="italic", color="#777777")
            continue
        _draw_bar(axes, line, row, inches_per_point)


def _draw_bar(axes: Axes, line: int, row: dict[str, Any], inches_per_point: float) -> None:
    """Draws the four parts of one bar with numbers and whiskers."""
    ends = {1: 0.0, -1: 0.0}  # where the stack to the right and the one to the left have got to
    occupied = 0.0  # right end of the last number printed above the bar
    for part in PARTS:
        value = row[part]
        sign = -1 if value < 0 else 1
        start, colour = ends[sign], COLOURS[part]
        ends[sign] = start + value
        style: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.5}
        if value < 0:
            style = {"edgecolor": COLOURS["negative"], "linewidth": 0.9, "hatch": "////"}
        axes.barh(line, value, left=start, height=_BAR_HEIGHT, color=colour, **style)
        occupied = _print_number(axes, line, part, start, value, occupied, inches_per_point)
        _draw_whisker(axes, line, row, part, ends[sign])


def _print_number(
    axes: Axes, line: int, part: str, start: float, value: float, occupied: float, inches_per_point: float
) -> float:
    """Prints a part's number inside its segment, or above it where it is too narrow; returns the new right end."""
    text = f"{value:.1f}".replace("-", "−")
    if text in ("0.0", "−0.0"):
        return occupied
    width = len(text) * _GLYPH_INCHES / inches_per_point
    middle = start + value / 2
    if value > 0 and width <= value:
        axes.text(middle, line, text, ha="center", va="center_baseline", fontsize=6.5, color=text_colour(COLOURS[part]))
        return occupied
    if value < 0:
        axes.text(start + value, line, f"{text} ", ha="right", va="center", fontsize=6.5, color=COLOURS["negative"])
        return occupied
    left = max(middle - width / 2, occupied)
    shown: dict[str, Any] = {"fontsize": 6, "color": TEXT_COLOURS[part], "fontweight": "bold"}
    axes.text(left, line - _BAR_HEIGHT / 2 - 0.02, text, ha="left", va="bottom", **shown)
    return left + width * 1.08


def _draw_whisker(axes: Axes, line: int, row: dict[str, Any], part: str, end: float) -> None:
    """Draws the interval of a part under the bar, around the edge where the part ends."""
    low, high = row[f"{part}_low"], row[f"{part}_high"]
    if not (np.isfinite(low) and np.isfinite(high)) or part == "segmentation":
        return  # the last edge is 100 by definition; the segmentation gap's interval is in the CSV
    spread = [[max(0.0, row[part] - low)], [max(0.0, high - row[part])]]
    height = line + _BAR_HEIGHT / 2 + _WHISKER_STEP * (PARTS.index(part) + 0.6)
    style: dict[str, Any] = {"ecolor": TEXT_COLOURS[part], "elinewidth": 1.1, "capsize": 1.4, "capthick": 1.1}
    axes.errorbar(end, height, xerr=spread, fmt="none", **style)


def _legend(figure: Figure, bars: pd.DataFrame, note: str) -> None:
    """One legend for all facets, with the note and what the whiskers are."""
    names = {"AP": "AP", **{gap: f"{gap} gap" for gap in GAPS}}
    handles = [Patch(facecolor=COLOURS[part], label=names[part]) for part in PARTS]
    if (bars[list(PARTS)] < 0).any(axis=None):
        handles.append(
            Patch(facecolor="white", edgecolor=COLOURS["negative"], hatch="////", label="negative (left of 0)")
        )
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), columnspacing=1.4, handlelength=1.2)
    note = "; ".join(filter(None, (note, _whisker_note(bars))))
    if note:
        figure.text(0.005, 0.005, note, ha="left", va="bottom", fontsize=7, color="#555555")


def _whisker_note(bars: pd.DataFrame) -> str:
    """Says what the whiskers show; empty without whiskers."""
    seeds = sorted({int(count) for count in bars["seeds"]})
    if seeds[-1] > 1:
        counts = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]}–{seeds[-1]}"
        return f"bars: mean of {counts} seeds; whiskers: lowest and highest seed"
    if bars["AP_low"].notna().any():
        return "whiskers: 95 % bootstrap interval over videos"
    return ""
