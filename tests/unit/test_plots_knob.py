"""Gaps over the values of a sweep, and intervals of means over objects."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from lens_case import gaps
from scipy import stats

from mindthegap import plots
from mindthegap.errors import MindTheGapError
from mindthegap.plots.lines import mean_interval

POINTS = {f"s_{value:02d}": {"name": "s", "knob": "density", "value": float(value)} for value in (1, 2, 16)}


def place(root, dataset, tracking, method="ifc", backbone="r50"):
    """gaps.json with AP 20, the given tracking gap, and an interval around it."""
    path = root / dataset / f"{method}-{backbone}" / "0" / "gaps.json"
    path.parent.mkdir(parents=True)
    content = gaps(synthetic=True, intervals={"tracking": [tracking - 5, tracking + 5], "AP": [15, 25]})
    content["gaps"] |= {"tracking": tracking, "segmentation": 75 - tracking}
    path.write_text(json.dumps(content))
    return path


def tracks_of(counts):
    """Tracks of two videos per dataset with so many objects each."""
    rows = [(name, video, 10 * video + k) for name, count in counts.items() for video in (1, 2) for k in range(count)]
    return pd.DataFrame(rows, columns=["dataset", "video_id", "object_id"])


@pytest.fixture
def table(tmp_path):
    paths = [place(tmp_path, f"s_{value:02d}", 4.0 * value) for value in (16, 1, 2)]
    paths.append(place(tmp_path, "elsewhere", 3.0))
    measured = pd.DataFrame({"dataset": ["s_16", "s_01"], "achieved": [14.5, 1.0]})
    return plots.knob_frame(plots.gap_table(paths), tracks_of({"s_01": 1, "s_02": 2, "s_16": 16}), POINTS, measured)


def test_the_table_holds_wanted_and_measured_values_in_order(table):
    assert table["dataset"].tolist() == ["s_01", "s_02", "s_16"]
    assert table["wanted"].tolist() == [1, 2, 16]
    assert table["achieved"].fillna(-1).tolist() == [1, -1, 14.5]
    assert table["tracking"].tolist() == [4, 8, 64]
    assert table[["videos", "objects"]].to_numpy().tolist() == [[2, 2], [2, 4], [2, 32]]
    assert (table["tracking_high"] - table["tracking_low"]).tolist() == [10, 10, 10]


def test_the_figure_draws_every_value_with_its_interval_and_count(table):
    figure = plots.gap_vs_knob(table)
    tracking = figure.axes[1]
    assert tracking.get_title(loc="left") == "tracking gap"
    assert tracking.lines[0].get_ydata().tolist() == [4, 8, 64]
    whiskers = [path.vertices[:, 1].tolist() for path in tracking.collections[0].get_paths()]
    assert whiskers == [[-1, 9], [3, 13], [59, 69]]
    assert [label.get_text() for label in tracking.get_xticklabels()] == ["1", "2", "16"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["2", "4", "32"]
    assert any(text.get_text() == "synthetic data" for text in figure.texts)


def test_several_backbones_are_averaged_without_a_common_interval(tmp_path):
    cells = [("s_01", 10, "r50"), ("s_02", 20, "r50"), ("s_01", 14, "r101"), ("s_02", 24, "r101")]
    paths = [place(tmp_path, name, gap, backbone=backbone) for name, gap, backbone in cells]
    table = plots.knob_frame(plots.gap_table(paths), tracks_of({"s_01": 1, "s_02": 2}), POINTS)
    axes = plots.gap_vs_knob(table).axes[1]
    bold = [line for line in axes.lines if line.get_marker() != "None"]
    assert [line.get_ydata().tolist() for line in bold] == [[12, 22]]
    assert not any(len(collection.get_paths()) for collection in axes.collections)


def test_without_a_sweep_the_sentence_says_what_to_add(tmp_path):
    with pytest.raises(MindTheGapError, match=r"datasets: \[\.\.\., sweep_length\]"):
        plots.knob_frame(plots.gap_table([place(tmp_path, "elsewhere", 3.0)]), tracks_of({}), POINTS)


def test_intervals_agree_with_another_bootstrap():
    values = pd.Series(np.random.default_rng(1).normal(40, 12, 60))
    ours = mean_interval(pd.Series(range(60)), values, samples=4000)
    theirs = stats.bootstrap((values.to_numpy(),), np.mean, n_resamples=4000, method="percentile", rng=2)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.35)


def test_videos_are_drawn_whole():
    lone = mean_interval(pd.Series([1, 1, 1]), pd.Series([1.0, 2.0, 3.0]))
    assert np.isnan(lone).all()
    low, high = mean_interval(pd.Series([1] * 50 + [2] * 50), pd.Series([0.0] * 50 + [100.0] * 50))
    assert (low, high) == (0, 100)  # two videos are all there is, however many objects they hold
