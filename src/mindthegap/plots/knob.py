"""Does a gap grow with length, density or occlusion? Sweeps vary one of them over the same videos and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mindthegap.errors import MindTheGapError
from mindthegap.plots.bars import PARTS, bar_frame
from mindthegap.plots.lines import LINES, count_range, draw_line, method_name
from mindthegap.plots.style import (
    FULL_WIDTH_INCHES,
    mark_contaminated,
    mark_synthetic,
    paper_order,
    paper_style,
    plain_text,
)

_AXES = {
    "length": "frames of a video",
    "density": "objects of a video",
    "occlusion": "covered object-frames, %",
}
Points = Mapping[str, Mapping[str, Any]]


def knob_frame(
    gaps: pd.DataFrame, tracks: pd.DataFrame, points: Points, measured: pd.DataFrame | None = None
) -> pd.DataFrame:
    """AP and gaps at every value of every sweep.

    Args:
        gaps: Columns of :func:`mindthegap.plots.gap_table`.
        tracks: Columns of :func:`mindthegap.plots.track_table`; they tell how much is behind a point (null if unknown).
        points: By dataset, the ``name`` and ``knob`` of its sweep and the wanted ``value``; others are left out.
        measured: Columns ``dataset`` and ``achieved`` of :func:`mindthegap.synth.sweeps.sweep_table`, if known.

    Returns:
        One row per sweep, value, method and backbone: ``sweep, knob, wanted, achieved, dataset, method, backbone,
        seeds, videos, objects, synthetic, contaminated``, and AP, tracking, classification and segmentation in points
        with ``_low`` and ``_high``: 95 % bootstrap intervals over videos, or the extreme seeds where there are several.

    Raises:
        MindTheGapError: There is no experiment on a sweep.
    """
    if not set(gaps["dataset"]) & set(points):
        raise MindTheGapError(
            "gap_vs_knob: no experiment on a sweep; add one to the scale's datasets: [..., sweep_length]"
        )
    frame = bar_frame(gaps[gaps["dataset"].isin(list(points))])
    achieved = {} if measured is None else dict(zip(measured["dataset"], measured["achieved"], strict=True))
    counts = tracks.drop_duplicates(["dataset", "video_id", "object_id"]).groupby("dataset")["video_id"]
    at = frame["dataset"]
    frame.insert(0, "sweep", at.map(lambda name: points[name]["name"]))
    frame.insert(1, "knob", at.map(lambda name: points[name]["knob"]))
    frame.insert(2, "wanted", at.map(lambda name: float(points[name]["value"])))
    frame.insert(3, "achieved", at.map(achieved).astype("float64"))
    frame["videos"], frame["objects"] = (at.map(number).astype("Int64") for number in (counts.nunique(), counts.size()))
    order = frame["method"].map(lambda method: paper_order("", method))
    return frame.assign(order=order).sort_values(["sweep", "order", "wanted"], ignore_index=True).drop(columns="order")


def gap_vs_knob(table: pd.DataFrame) -> Figure:
    """Draws :func:`knob_frame`: a row of panels per sweep, one panel for AP and one per gap, one line per method.

    A method run with several backbones is drawn as their mean over thin lines of each, without intervals.
    """
    sweeps = sorted(set(table["sweep"]), key=lambda name: list(_AXES).index(_knob(table, name)))
    methods = sorted(set(table["method"]), key=lambda method: paper_order("", method))
    with paper_style():
        height = 0.8 + 1.7 * len(sweeps)
        figure = Figure(figsize=(FULL_WIDTH_INCHES, height), layout="constrained")
        figure.get_layout_engine().set(rect=(0, 0.16 / height, 1, 1 - 0.16 / height))  # type: ignore[call-arg, union-attr]
        panels = figure.subplots(len(sweeps), len(PARTS), squeeze=False)
        for line, sweep in zip(panels, sweeps, strict=True):
            rows = table[table["sweep"] == sweep]
            for axes, part in zip(line, PARTS, strict=True):
                _draw_panel(axes, rows, part, methods)
                axes.set_xlabel(_AXES[_knob(table, sweep)])
            _common_scale(line[1:])
            number = f"\n({count_range(rows['videos'])} videos each)" if rows["videos"].notna().all() else ""
            line[0].set_ylabel(f"points{number}")
        for axes, part in zip(panels[0], PARTS, strict=True):
            axes.set_title(part if part == "AP" else f"{part} gap", loc="left", fontweight="bold")
        handles = {line.get_label(): line for axes in panels.flat for line in axes.lines if line.get_marker() != "None"}
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4)
        note = "bars: 95 % bootstrap intervals over videos; all else equal along a line; small: annotated objects"
        if table["seeds"].max() > 1:
            note = note.replace("95 % bootstrap intervals over videos", "lowest and highest seed")
        figure.text(0.005, 0.005, plain_text(note), ha="left", va="bottom", fontsize=7, color="#555555")
        mark_synthetic(figure, bool(table["synthetic"].any()))
        mark_contaminated(figure, bool(table["contaminated"].any()))
    return figure


def _knob(table: pd.DataFrame, sweep: str) -> str:
    """What a sweep varies."""
    return str(table.loc[table["sweep"] == sweep, "knob"].iloc[0])


def _common_scale(panels: Sequence[Axes]) -> None:
    """Gives panels one range, so that gaps of a row can be compared."""
    ends = [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))


def _draw_panel(axes: Axes, rows: pd.DataFrame, part: str, methods: list[str]) -> None:
    """Draws AP or one gap over the values of a sweep."""
    wanted = sorted(set(rows["wanted"]))
    for place, method in enumerate(methods):
        own = rows[rows["method"] == method]
        if own.empty:
            continue
        centre, low, high = (
            np.asarray(own.pivot(index="backbone", columns="wanted", values=f"{part}{end}").reindex(columns=wanted))
            for end in ("", "_low", "_high")
        )
        if len(centre) > 1:
            axes.plot(range(len(wanted)), centre.T, linewidth=0.6, alpha=0.45, color=LINES[place % len(LINES)])
            low = high = centre * np.nan
        values = np.stack([pd.DataFrame(ends).mean().to_numpy() for ends in (centre, low, high)])
        draw_line(axes, place, len(methods), values, method_name(method, rows))
    unit = 100 if rows["knob"].iloc[0] == "occlusion" else 1
    objects = rows.groupby("wanted")["objects"].max()
    labels = [f"{unit * value:g}" for value in wanted]
    axes.set_xticks(range(len(wanted)), labels)
    axes.set_xlim(-0.4, len(wanted) - 0.6)
    if part == PARTS[0] and objects.notna().all():
        for place, value in enumerate(wanted):
            style: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 5, "color": "#777777"}
            axes.annotate(f"{int(objects[value])}", (place, 0.0), xycoords=("data", "axes fraction"), **style)
    axes.grid(axis="y")
    axes.yaxis.set_major_locator(MaxNLocator(5))
    low, high = (rows[f"{part}{end}"].fillna(rows[part]) for end in ("_low", "_high"))
    axes.set_ylim(min(0.0, float(low.min())), max(1.0, float(high.max())) * 1.08)
