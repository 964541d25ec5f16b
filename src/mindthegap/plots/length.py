"""Do longer videos lose more to tracking? Shares of the gaps per object, by the length of the video."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mindthegap.errors import MindTheGapError
from mindthegap.plots.lines import LINES, count_range, draw_line, mean_interval, method_name
from mindthegap.plots.style import (
    FULL_WIDTH_INCHES,
    GAPS,
    dataset_label,
    mark_contaminated,
    mark_synthetic,
    paper_order,
    paper_style,
    plain_text,
)
from mindthegap.plots.tables import KEYS, read_parquet

THRESHOLDS = 10  # IoU .50, .55, ... .95
_COLUMNS = (
    *KEYS,
    "synthetic",
    "video_id",
    "video_length",
    "object_id",
    "hits_ranking",
    "hits_tracking",
    "hits_classification",
)


def track_table(tracks: Iterable[str | Path]) -> pd.DataFrame:
    """Reads tracks.parquet of any number of experiments.

    Args:
        tracks: tracks.parquet files of :func:`mindthegap.diagnose`.

    Returns:
        One row per experiment and non-crowd object: ``dataset, method, backbone, seed, synthetic, contaminated,
        video_id, video_length`` (annotated frames), ``object_id, hits_ranking, hits_tracking, hits_classification``
        (0-10 thresholds).

    Raises:
        InputError: A file cannot be used.
        MindTheGapError: There are no files.
    """
    tables = [read_parquet(path, _COLUMNS) for path in tracks]
    frames = [t.assign(contaminated=t.get("contaminated", False))[[*_COLUMNS, "contaminated"]] for t in tables]
    if not frames:
        raise MindTheGapError("No tracks.parquet with objects was given: run `mindthegap diagnose` first.")
    return pd.concat(frames, ignore_index=True)


def length_edges(lengths: Iterable[int], bins: int = 4) -> list[int]:
    """Upper ends of the length bins: quantiles of the videos' lengths, distinct integers, the last is the maximum."""
    values = np.asarray(sorted(lengths))
    quantiles = np.quantile(values, np.arange(1, bins + 1) / bins, method="inverted_cdf")
    return sorted({int(value) for value in quantiles})


def length_frame(tracks: pd.DataFrame, bins: int = 4) -> pd.DataFrame:
    """Mean share of each gap per object, by video length.

    An object's shares are counted in the ten IoU thresholds of VIS: tracking = thresholds that its track reaches only
    once identities are repaired, classification = only once classes are repaired too, segmentation = never. They are
    per-object recall, free of AP's ranking and of its average over classes, so they resemble the gaps in AP points
    but do not add up to them.

    Args:
        tracks: Columns of :func:`track_table`.
        bins: Number of bins; fewer when lengths repeat. The same bins serve all datasets.

    Returns:
        One row per dataset, method, backbone and bin: ``length_from, length_to`` (annotated frames), ``videos,
        objects, seeds, synthetic, contaminated``, and ``tracking, classification, segmentation`` in points (0-100),
        mean over seeds, each with ``_low`` and ``_high`` (95 % bootstrap over videos; NaN for a lone video).
    """
    videos = tracks.drop_duplicates(["dataset", "video_id"])
    edges = length_edges(videos["video_length"], bins)
    starts = [int(videos["video_length"].min()), *(edge + 1 for edge in edges[:-1])]
    place = np.searchsorted(edges, tracks["video_length"].to_numpy())
    scale = 100 / THRESHOLDS
    shares = tracks.assign(
        bin=place,
        tracking=(tracks["hits_tracking"] - tracks["hits_ranking"]) * scale,
        classification=(tracks["hits_classification"] - tracks["hits_tracking"]) * scale,
        segmentation=(THRESHOLDS - tracks["hits_classification"]) * scale,
    )
    rows: list[dict[str, Any]] = []
    for (dataset, method, backbone, at), group in shares.groupby(["dataset", "method", "backbone", "bin"]):
        row = {"dataset": dataset, "method": method, "backbone": backbone}
        row |= {"length_from": starts[at], "length_to": edges[at], "videos": group["video_id"].nunique()}
        row |= {"objects": group[["video_id", "object_id"]].drop_duplicates().shape[0]}
        row |= {"seeds": group["seed"].nunique(dropna=False), "synthetic": bool(group["synthetic"].any())}
        row |= {"contaminated": bool(group["contaminated"].any()) if "contaminated" in group else False}
        for gap in GAPS:
            low, high = mean_interval(group["video_id"], group[gap])
            row |= {gap: float(group[gap].mean()), f"{gap}_low": low, f"{gap}_high": high}
        rows.append(row)
    rows.sort(key=lambda row: (paper_order(row["dataset"], row["method"], row["backbone"]), row["length_from"]))
    return pd.DataFrame(rows)


def gap_vs_length(tracks: pd.DataFrame, bins: int = 4) -> Figure:
    """Draws :func:`length_frame`: a row of panels per dataset, one panel per gap, one line per method.

    A method run with several backbones is drawn as their mean over thin lines of each; the table keeps them apart.

    Raises:
        MindTheGapError: The table is empty.
    """
    if tracks.empty:
        raise MindTheGapError("gap_vs_length: the table has no objects.")
    shares = length_frame(tracks, bins)
    datasets = list(dict.fromkeys(shares["dataset"]))
    spans = sorted(set(zip(shares["length_from"], shares["length_to"], strict=True)))
    methods = sorted(set(shares["method"]), key=lambda method: paper_order("", method))
    names = [method_name(method, shares) for method in methods]
    several = shares["backbone"].nunique() > 1
    with paper_style():
        height = 0.75 + 1.55 * len(datasets)
        figure = Figure(figsize=(FULL_WIDTH_INCHES, height), layout="constrained")
        figure.get_layout_engine().set(rect=(0, 0.16 / height, 1, 1 - 0.16 / height))  # type: ignore[call-arg, union-attr]
        panels = figure.subplots(len(datasets), len(GAPS), sharex=True, sharey="col", squeeze=False)
        for line, dataset in enumerate(datasets):
            for axes, gap in zip(panels[line], GAPS, strict=True):
                _draw_lines(axes, shares[shares["dataset"] == dataset], gap, methods, names, spans)
            _write_counts(panels[line][-1], shares[shares["dataset"] == dataset], spans)
            name = plain_text(dataset_label(dataset)).replace(", ", ",\n")
            panels[line][0].set_ylabel(f"{name}\npoints per object".lstrip())
        for axes, gap in zip(panels[0], GAPS, strict=True):
            axes.set_title(f"{gap} share", loc="left", fontweight="bold", pad=10)  # counts stand below
        for axes, gap in zip(panels[-1], GAPS, strict=True):
            axes.set_xlabel("video length (annotated frames)")
            axes.set_ylim(bottom=min(0.0, float(shares[gap].min())))
        handles = {line.get_label(): line for axes in panels.flat for line in axes.lines if line.get_marker() != "None"}
        shown = [name for name in names if name in handles]
        figure.legend([handles[name] for name in shown], shown, loc="outside upper center", ncols=4)
        note = (
            "share of the ten IoU thresholds per object (recall, not AP); bars: 95 % over videos; above: videos/objects"
        )
        if several:
            note += "; thin: single backbones"
        figure.text(0.005, 0.005, note, ha="left", va="bottom", fontsize=7, color="#555555")
        mark_synthetic(figure, bool(shares["synthetic"].any()))
        mark_contaminated(figure, bool(shares["contaminated"].any()))
    return figure


def _draw_lines(
    axes: Axes, shares: pd.DataFrame, gap: str, methods: list[str], names: list[str], spans: list[tuple[int, int]]
) -> None:
    """Draws one panel; a bin without videos of this dataset interrupts the line."""
    for place, (method, name) in enumerate(zip(methods, names, strict=True)):
        part = shares[shares["method"] == method]
        if part.empty:
            continue
        centre, low, high = (_at(part, f"{gap}{end}", spans) for end in ("", "_low", "_high"))
        if len(centre) > 1:  # several backbones have no common interval
            axes.plot(range(len(spans)), centre.T, linewidth=0.6, alpha=0.45, color=LINES[place % len(LINES)])
            low = high = centre * np.nan
        values = np.stack([pd.DataFrame(rows).mean().to_numpy() for rows in (centre, low, high)])
        draw_line(axes, place, len(methods), values, name)
    axes.grid(axis="y")
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xticks(range(len(spans)), [f"{a}–{b}" if a < b else f"{a}" for a, b in spans])
    axes.set_xlim(-0.35, len(spans) - 0.65)


def _at(part: pd.DataFrame, column: str, spans: list[tuple[int, int]]) -> np.ndarray:
    """One row per backbone, one column per bin; NaN where a bin is empty. float64 [backbones, bins]."""
    table = part.pivot(index="backbone", columns=["length_from", "length_to"], values=column)
    return np.asarray(table.reindex(columns=pd.MultiIndex.from_tuples(spans)), dtype=np.float64)


def _write_counts(axes: Axes, shares: pd.DataFrame, spans: list[tuple[int, int]]) -> None:
    """Numbers of videos and objects of each bin, above the panel."""
    for place, (first, last) in enumerate(spans):
        part = shares[(shares["length_from"] == first) & (shares["length_to"] == last)]
        text = f"{count_range(part['videos'])}/{count_range(part['objects'])}" if len(part) else "none"
        style: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 5.5, "color": "#555555"}
        axes.annotate(text, (place, 1.0), xycoords=("data", "axes fraction"), annotation_clip=False, **style)
