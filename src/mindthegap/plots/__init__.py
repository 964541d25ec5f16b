"""Figures and tables of the paper: pure functions from a data frame to a matplotlib figure."""

from mindthegap.plots.bars import bar_frame, gap_bars
from mindthegap.plots.knob import gap_vs_knob, knob_frame
from mindthegap.plots.length import gap_vs_length, length_frame, track_table
from mindthegap.plots.style import COLOURS, paper_style, save_all, save_figure, save_table
from mindthegap.plots.tables import best_row_table, find_results, gap_table

__all__ = [
    "COLOURS",
    "bar_frame",
    "best_row_table",
    "find_results",
    "gap_bars",
    "gap_table",
    "gap_vs_knob",
    "gap_vs_length",
    "knob_frame",
    "length_frame",
    "paper_style",
    "save_all",
    "save_figure",
    "save_table",
    "track_table",
]
