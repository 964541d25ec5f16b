"""An evaluation on a terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from mindthegap.evaluation.summary import Evaluation

_TEXT_WIDTH = 100


def points(value: float | None) -> str:
    """Points with two decimals; a dash where undefined."""
    return "-" if value is None else f"{value:.2f}"


def headline_table(evaluation: Evaluation) -> Table:
    """The headline numbers in one row, occlusion groups and notes below."""
    from mindthegap.evaluation.summary import HEADLINES

    counts = evaluation.counts
    title = f"{counts['videos']} videos, {counts['objects']} objects, {counts['tracks']} tracks"
    table = Table(title=f"Track AP: {_marked(title, evaluation)}", caption=_caption(evaluation))
    columns = [(name, getattr(evaluation, name)) for name in HEADLINES]
    columns += [(f"AP {name}", value) for name, value in evaluation.occlusion.items()]
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(*(points(value) for _, value in columns))
    return table


def category_table(evaluation: Evaluation) -> Table:
    """One row per category that has an object or a track."""
    table = Table(title=_marked("Per category", evaluation))
    table.add_column("category")
    for name in ("objects", "tracks", "AP", "AP50", "AP75", "AR100"):
        table.add_column(name, justify="right")
    for entry in evaluation.per_category:
        if entry["objects"] or entry["tracks"]:
            numbers = [points(entry[name]) for name in ("AP", "AP50", "AP75", "AR100")]
            table.add_row(escape(entry["category"]), str(entry["objects"]), str(entry["tracks"]), *numbers)
    return table


def threshold_table(evaluation: Evaluation) -> Table:
    """AP at each IoU threshold."""
    table = Table(title=_marked("Per IoU threshold", evaluation))
    for name in ("IoU", "AP"):
        table.add_column(name, justify="right")
    for threshold, value in evaluation.profile.items():
        table.add_row(f"{threshold:.2f}", points(value))
    return table


def video_table(evaluation: Evaluation) -> Table:
    """One row per video (see ``Evaluation.per_video``)."""
    table = Table(title=_marked("Per video", evaluation))
    for name in ("video", "objects", "found at 0.5", "false at 0.5", "AP alone", "AP change"):
        table.add_column(name, justify="right")
    for entry in evaluation.per_video():
        counts = [str(entry[name]) for name in ("video_id", "objects", "found_at_50", "false_at_50")]
        table.add_row(*counts, points(entry["AP_alone"]), points(entry["AP_change"]))
    return table


def plain_text(table: RenderableType) -> str:
    """A table as text without colours."""
    stream = io.StringIO()
    Console(file=stream, width=_TEXT_WIDTH, no_color=True).print(table)
    return stream.getvalue().rstrip()


def _marked(title: str, evaluation: Evaluation) -> str:
    """Says "synthetic" where the ground truth is."""
    return f"{title} (synthetic data)" if evaluation.synthetic else title


def _caption(evaluation: Evaluation) -> str | None:
    """The notes, one per line."""
    lines = [_note_line(note) for note in evaluation.notes]
    return "\n".join(escape(line) for line in lines) or None


def _note_line(note: dict[str, Any]) -> str:
    """A note as a line."""
    return str(note["message"])
