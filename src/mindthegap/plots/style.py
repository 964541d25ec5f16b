"""One look for every figure, and files whose bytes depend on nothing but the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from mindthegap.errors import MindTheGapError
from mindthegap.files import atomic_path
from mindthegap.names import METHOD_NAMES

# Okabe & Ito's palette: told apart by all common kinds of colour blindness, and (by lightness) in grey print.
COLOURS = {
    "AP": "#4d4d4d",
    "tracking": "#0072b2",
    "classification": "#e69f00",
    "segmentation": "#009e73",
    "missed": "#006b4e",
    "negative": "#c3423f",
}
# The same hues dark enough to be read as small print on white (contrast 4.5 : 1 or more).
TEXT_COLOURS = {"AP": "#4d4d4d", "tracking": "#005a8c", "classification": "#8a5c00", "segmentation": "#006b4e"}
GAPS = ("tracking", "classification", "segmentation")
FULL_WIDTH_INCHES = 7.0  # text width of a two-column paper
COLUMN_WIDTH_INCHES = 3.4

_RC: Any = {  # Any: matplotlib types the keys as a literal of all parameter names
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same glyphs
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#666666",
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # embedded as TrueType: publishers refuse Type 3 fonts
    "svg.fonttype": "path",
    "svg.hashsalt": "mind-the-gap",  # element ids of an SVG are random without it
    "path.simplify": False,
}

# Writers add the date and their version by default, which changes the bytes from one day to the next.
_METADATA: dict[str, dict[str, str | None]] = {
    ".pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
}

_DATASET_NAMES = {
    "youtube_vis_2019": "YouTube-VIS 2019",
    "youtube_vis_2021": "YouTube-VIS 2021",
    "ovis": "OVIS",
    "synth_ytvis19": "synthetic, like YouTube-VIS 2019",
    "synth_ytvis21": "synthetic, like YouTube-VIS 2021",
    "synth_ovis": "synthetic, like OVIS",
    "synth_crossings": "synthetic, look-alikes crossing",
}
_BACKBONE_NAMES = {"r50": "R50", "r101": "R101", "swin_l": "Swin-L", "swinl": "Swin-L", "swin-l": "Swin-L"}


@contextmanager
def paper_style() -> Iterator[None]:
    """Sets the rc parameters of the paper's figures for a ``with`` block, from matplotlib's own defaults."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def method_label(method: str, backbone: str = "") -> str:
    """The name a figure prints, e.g. ``MaskTrack R-CNN R50``; names that are not known are printed as they are."""
    name = METHOD_NAMES.get(method, method)
    return f"{name} {_BACKBONE_NAMES.get(backbone.lower(), backbone)}".strip()


def dataset_label(dataset: str) -> str:
    """The name a figure prints for a dataset of the configuration; others are printed as they are."""
    return _DATASET_NAMES.get(dataset, dataset)


def paper_order(dataset: str = "", method: str = "", backbone: str = "") -> tuple[tuple[int, str], ...]:
    """Sorting key: the paper's order of datasets, methods (online, then offline) and backbones; unknown names last."""
    lists = ((dataset, list(_DATASET_NAMES)), (method, list(METHOD_NAMES)), (backbone, list(_BACKBONE_NAMES)))
    return tuple((known.index(name) if name in known else len(known), name) for name, known in lists)


def plain_text(text: str) -> str:
    """A name from a file made safe for matplotlib, which reads ``$`` as the start of a formula."""
    return str(text).replace("$", r"\$")


def luminance(colour: str) -> float:
    """Perceived lightness of ``#rrggbb`` between 0 (black) and 1 (white), by the ITU-R BT.709 weights."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def text_colour(background: str) -> str:
    """Black or white, whichever is read more easily on ``background``."""
    return "#000000" if luminance(background) > 0.45 else "#ffffff"


def mark_synthetic(figure: Figure, shown: bool) -> None:
    """Prints "synthetic data" at the figure's lower right when any of its numbers comes from synthetic data."""
    if shown:
        figure.text(
            0.995, 0.005, "synthetic data", ha="right", va="bottom", fontsize=7, style="italic", color="#a03030"
        )


def mark_contaminated(figure: Figure, shown: bool) -> None:
    """Warns below the axes when weights behind any of its numbers have, or may have, seen the diagnosed videos."""
    engine = figure.get_layout_engine()
    if not shown or engine is None:
        return
    left, bottom, width, height = engine.get()["rect"]
    line = 0.14 / figure.get_figheight()
    engine.set(rect=(left, bottom + line, width, height - line))  # type: ignore[call-arg]
    text = "* the weights have, or may have, seen diagnosed videos in training: AP likely too high, gaps too small"
    figure.text(0.005, bottom, text, ha="left", va="bottom", fontsize=7, style="italic", color="#a03030")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes a figure as PDF, SVG or PNG, atomically; the same figure gives the same bytes every time.

    Raises:
        MindTheGapError: The suffix is none of ``.pdf``, ``.svg``, ``.png``.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _METADATA:
        raise MindTheGapError(f"{path}: figures are written as .pdf, .svg or .png, not as {suffix or 'no suffix'!r}.")
    with paper_style(), atomic_path(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], metadata=_METADATA[suffix])


def save_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Writes a table as CSV, atomically, with six decimals and LF line ends on every system."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n", encoding="utf-8")


def save_all(figure: Figure, frame: pd.DataFrame, output: str | Path) -> list[Path]:
    """Writes ``output`` + ``.pdf``, ``.svg``, ``.png`` (figure) and ``.csv`` (its data); returns the four paths."""
    suffixes: Sequence[str] = (".pdf", ".svg", ".png")
    paths = [Path(f"{output}{suffix}") for suffix in suffixes]
    for path in paths:
        save_figure(figure, path)
    table = Path(f"{output}.csv")
    save_table(frame, table)
    return [*paths, table]
