import json
import os
import re
import sys
from pathlib import Path

import lens_case
import matplotlib
import nbformat
import pandas as pd
import pytest
from lens_case import gaps

import mindthegap
from mindthegap import plots
from mindthegap.errors import InputError, MindTheGapError
from mindthegap.plots import length, tables
from mindthegap.plots.notebook import run_notebook

ROOT = Path(__file__).parents[2]


def place(root, dataset="clips", method="seqformer", backbone="r50", seed=0, **values):
    folder = root / "results" / "demo" / "oracle" / dataset / f"{method}-{backbone}" / str(seed)
    folder.mkdir(parents=True)
    path = folder / "gaps.json"
    path.write_text(json.dumps(gaps(**values)))
    return path


def texts(figure):
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [text.get_text() for text in figure.texts]
    return found + [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]


def widths(axes):
    return [(bar.get_x(), bar.get_width()) for bar in axes.patches]


def test_the_table_names_experiments_by_their_place(tmp_path):
    paths = [place(tmp_path, seed=1), place(tmp_path, method="ms_sts_vis", backbone="swin_l", synthetic=True)]
    table = plots.gap_table(paths)
    assert table[["dataset", "method", "backbone", "seed"]].to_numpy().tolist() == [
        ["clips", "ms_sts_vis", "swin_l", "0"],
        ["clips", "seqformer", "r50", "1"],
    ]
    row = table.iloc[1]
    assert (row["AP_default"], row["AP_oracle_tracking"], row["AP_oracle_classification"]) == (20, 70, 75)
    assert (row["tracking_gap"], row["classification_gap"], row["segmentation_gap"]) == (50, 5, 25)
    assert (row["tracking_ranking"], row["tracking_association"], row["segmentation_missed"]) == (10, 25, 5)
    assert pd.isna(row["APs_default"])
    assert table["synthetic"].tolist() == [True, False]


def test_names_inside_the_file_win_and_a_lone_file_is_named_after_its_folder(tmp_path):
    told = place(tmp_path, method="ifc", dataset="ovis")
    content = json.loads(told.read_text())
    lone = tmp_path / "my_method" / "gaps.json"
    lone.parent.mkdir()
    lone.write_text(json.dumps(content))
    assert tables.gap_row(lone)["method"] == "my_method"
    told.write_text(json.dumps({**content, "method": "other", "seed": 7}))
    row = tables.gap_row(told)
    assert (row["method"], row["seed"], row["dataset"]) == ("other", "7", "ovis")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 2}, "schema_version: is 2, not 1"),
        ({"levels": None}, "levels: is missing"),
        ({"gaps": {"tracking": "much"}}, "gaps.tracking: 'much' is not a number"),
        ({"gaps": {"tracking": 1.0, "classification": 1.0, "segmentation": 1.0}}, "add up to 23.00, not 100"),
        ({"splits": []}, "splits: is not an object"),
    ],
)
def test_a_file_that_cannot_be_drawn_is_refused_with_its_place(tmp_path, change, said):
    path = place(tmp_path)
    path.write_text(json.dumps({**gaps(), **change}))
    with pytest.raises(InputError) as error:
        plots.gap_table([path])
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_truncated_repeated_and_absent_files_are_refused(tmp_path):
    path = place(tmp_path)
    with pytest.raises(InputError, match="same experiment"):
        plots.gap_table([path, path])
    path.write_text(path.read_text()[:50])
    with pytest.raises(InputError, match="not valid JSON"):
        plots.gap_table([path])
    with pytest.raises(MindTheGapError, match=r"No gaps\.json was given"):
        plots.gap_table([])


def test_bars_add_up_to_100_and_carry_their_numbers(tmp_path):
    table = plots.gap_table([place(tmp_path, ap=21.3, tracking=30.4, classification=12.2)])
    figure = plots.gap_bars(table)
    bars = widths(figure.axes[0])
    assert [width for _, width in bars] == pytest.approx([21.3, 30.4, 12.2, 36.1])
    assert bars[-1][0] + bars[-1][1] == pytest.approx(100)
    assert {"21.3", "30.4", "12.2", "36.1", "SeqFormer R50"} <= set(texts(figure))
    assert "synthetic data" not in texts(figure)


def test_synthetic_rows_are_marked_in_the_figure(tmp_path):
    table = plots.gap_table([place(tmp_path), place(tmp_path, method="ifc", synthetic=True)])
    assert "synthetic data" in texts(plots.gap_bars(table))


def test_a_negative_gap_goes_left_of_zero_and_nothing_is_clipped(tmp_path):
    figure = plots.gap_bars(plots.gap_table([place(tmp_path, ap=40.0, tracking=-3.5)]))
    (axes,) = figure.axes
    bars = widths(axes)
    assert bars[1] == (0, -3.5)
    assert sum(width for _, width in bars) == pytest.approx(100)
    low, high = axes.get_xlim()
    assert low < -3.5
    assert high >= 103.5 - 1e-9
    assert any("−3.5" in text for text in texts(figure))


def test_seeds_are_averaged_with_their_range_and_missing_methods_say_so(tmp_path):
    paths = [place(tmp_path, seed=0, ap=10.0), place(tmp_path, seed=1, ap=20.0)]
    paths.append(place(tmp_path, dataset="other", method="ifc"))
    bars = plots.bar_frame(plots.gap_table(paths))
    row = bars.iloc[0]
    assert (row["AP"], row["AP_low"], row["AP_high"], row["seeds"]) == (15, 10, 20, 2)
    figure = plots.gap_bars(plots.gap_table(paths))
    assert "no result" in texts(figure)
    assert any("lowest and highest seed" in text for text in texts(figure))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["clips", "other"]


def test_given_intervals_become_whiskers(tmp_path):
    table = plots.gap_table([place(tmp_path)]).assign(AP_default_low=15.0, AP_default_high=24.0)
    bars = plots.bar_frame(table)
    assert (bars["AP_low"][0], bars["AP_high"][0]) == (15, 24)
    assert any("bootstrap interval" in text for text in texts(plots.gap_bars(table)))


def test_intervals_of_a_file_are_read(tmp_path):
    intervals = {"samples": 100, "AP": [15.0, 24.0], "tracking": [40.0, 61.0], "classification": None}
    row = plots.gap_table([place(tmp_path, intervals=intervals)]).iloc[0]
    assert (row["AP_default_low"], row["AP_default_high"]) == (15, 24)
    assert (row["tracking_gap_low"], row["tracking_gap_high"]) == (40, 61)
    assert "classification_gap_low" not in row
    path = place(tmp_path, seed=1, intervals={"AP": [1.0]})
    with pytest.raises(InputError, match=r"intervals\.AP: \[1\.0\] is not \[low, high\]"):
        plots.gap_table([path])


def test_the_best_rows_can_be_drawn_in_place_of_all(tmp_path):
    best = {"AP": 15.0, "gaps": {"tracking": 20.0, "classification": 35.0, "segmentation": 30.0}}
    hedging = {"rows_per_query": 3.5, "best_row_alone": best}
    table = plots.best_row_table(plots.gap_table([place(tmp_path, hedging=hedging, intervals={"AP": [15.0, 24.0]})]))
    figure = plots.gap_bars(table, "best row of each query alone")
    assert [width for _, width in widths(figure.axes[0])] == pytest.approx([15, 20, 35, 30])
    assert "best row of each query alone" in texts(figure)
    assert table["rows_per_query"].tolist() == [3.5]


def test_a_file_that_does_not_tell_of_rows_per_query_is_refused_for_the_best_rows_alone(tmp_path):
    hedging = {"rows_per_query": 1.0, "best_row_alone": {"AP": 20.0, "gaps": gaps()["gaps"]}}
    silent, telling = place(tmp_path, seed=0), place(tmp_path, seed=1, hedging=hedging)
    for paths in ([silent], [silent, telling]):
        table = plots.gap_table(paths)
        with pytest.raises(MindTheGapError, match="says nothing of rows per query"):
            plots.best_row_table(table)
    broken = place(tmp_path, seed=2, hedging={"rows_per_query": 1.0, "best_row_alone": {"AP": 20.0}})
    with pytest.raises(InputError, match=r"hedging\.best_row_alone\.gaps: is missing"):
        plots.gap_table([broken])


def test_a_diagnosis_of_a_lone_file_can_be_drawn(tmp_path):
    truth, rows = lens_case.write_inputs(tmp_path, frames=False)
    mindthegap.diagnose(truth, rows, out_dir=tmp_path / "mine", bootstrap=20)
    table = plots.gap_table([tmp_path / "mine" / "gaps.json"])
    assert (table["method"][0], bool(table["synthetic"][0])) == ("mine", True)
    assert {"synthetic data", "whiskers: 95 % bootstrap interval over videos"} <= set(texts(plots.gap_bars(table)))
    tracks = plots.track_table([tmp_path / "mine" / "tracks.parquet"])
    frame = plots.length_frame(tracks, bins=2)
    assert frame[["length_from", "length_to", "objects", "seeds"]].to_numpy().tolist() == [[2, 2, 1, 1], [3, 12, 2, 1]]
    # Each query holds either square for half of its time; only new identities reach all thresholds.
    assert frame["tracking"].tolist() == [0, 100]
    assert frame["segmentation"].tolist() == [100, 0]


def test_a_dollar_in_a_name_is_text_not_a_formula(tmp_path):
    figure = plots.gap_bars(plots.gap_table([place(tmp_path, method="my$method", dataset="cost $5_{x")]))
    plots.save_figure(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_the_same_data_gives_the_same_bytes(tmp_path):
    table = plots.gap_table([place(tmp_path, synthetic=True)])
    for name in ("one", "two"):
        plots.save_all(plots.gap_bars(table), table, tmp_path / name / "gap_bars")
    for suffix in (".pdf", ".svg", ".png", ".csv"):
        first, second = ((tmp_path / name / f"gap_bars{suffix}").read_bytes() for name in ("one", "two"))
        assert first == second
        assert b"/CreationDate" not in first
        assert b"<dc:date>" not in first
    with pytest.raises(MindTheGapError, match=r"\.jpg"):
        plots.save_figure(plots.gap_bars(table), tmp_path / "figure.jpg")


def write_tracks(root, hits):
    """tracks.parquet at its place under results/; video 1 has 5 frames, video 2 has 20."""
    folder = root / "results" / "demo" / "oracle" / "clips" / "ifc-r50" / "0"
    folder.mkdir(parents=True)
    keys = {"dataset": "clips", "method": "ifc", "backbone": "r50", "seed": 0, "synthetic": True}
    names = ("video_id", "hits_ranking", "hits_tracking", "hits_classification")
    rows = [{**keys, "object_id": i, **dict(zip(names, row, strict=True))} for i, row in enumerate(hits)]
    pd.DataFrame(rows).assign(video_length=[5 if row[0] == 1 else 20 for row in hits]).to_parquet(
        folder / "tracks.parquet"
    )
    return folder / "tracks.parquet"


def test_shares_by_length_are_means_over_objects(tmp_path):
    path = write_tracks(tmp_path, [(1, 4, 6, 6), (1, 2, 2, 10), (2, 0, 8, 8)])
    tracks = plots.track_table([path])
    frame = plots.length_frame(tracks, bins=2)
    assert frame[["length_from", "length_to", "videos", "objects"]].to_numpy().tolist() == [[5, 5, 1, 2], [6, 20, 1, 1]]
    assert frame[["tracking", "classification", "segmentation"]].to_numpy().tolist() == [[10, 40, 20], [80, 0, 20]]
    figure = plots.gap_vs_length(tracks, bins=2)
    assert "synthetic data" in texts(figure)
    drawn = [line.get_ydata().tolist() for axes in figure.axes for line in axes.lines]
    assert drawn == [[10, 80], [40, 0], [20, 20]]


def test_unusable_tracks_are_refused(tmp_path):
    path = write_tracks(tmp_path, [(1, 1, 1, 1)])
    pd.DataFrame({"video_id": [1]}).to_parquet(path)
    with pytest.raises(InputError, match="has no column dataset"):
        plots.track_table([path])
    path.write_bytes(b"PAR1 cut short")
    with pytest.raises(InputError, match="is not a Parquet table"):
        plots.track_table([path])


def test_length_bins_are_distinct_and_end_at_the_longest():
    assert length.length_edges([4, 4, 4, 4, 9], bins=4) == [4, 9]
    assert length.length_edges(range(1, 101), bins=4) == [25, 50, 75, 100]


def test_results_are_found_from_the_root_and_from_the_notebooks_folder(tmp_path):
    path = place(tmp_path)
    (tmp_path / "notebooks").mkdir()
    assert plots.find_results("gaps.json", start=tmp_path / "notebooks") == [str(path)]
    with pytest.raises(MindTheGapError, match="results/paper"):
        plots.find_results("gaps.json", scale="paper", start=tmp_path)


@pytest.mark.parametrize("name", ["gap_bars", "gap_bars_best_row", "gap_vs_length", "gap_vs_knob"])
def test_notebooks_are_stripped_thin_and_share_their_parameters(name):
    notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    parameters = "".join(code[0]["source"])
    assert code[0]["metadata"]["tags"] == ["parameters"]
    assert all(f"{key} =" in parameters for key in ("gaps", "tracks", "output", "title", "scale"))


def test_a_notebook_runs_without_a_home_and_shows_its_figure(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    # A kernel of the same name that points nowhere must not be picked up.
    foreign = home / ".local" / "share" / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text(json.dumps({"argv": ["/nowhere/python"], "display_name": "x"}))
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())  # finding all fonts anew takes seconds
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), *filter(None, sys.path)]))
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "paper" / "gap_bars"
    parameters = {"gaps": [str(place(tmp_path))], "tracks": [], "output": str(output), "title": "A title"}
    run_notebook(
        ROOT / "notebooks" / "gap_bars.ipynb", f"{output}.ipynb", parameters, tmp_path / "log" / "gap_bars.ipynb"
    )
    text = Path(f"{output}.ipynb").read_text()
    assert "start_time" in (tmp_path / "log" / "gap_bars.ipynb").read_text()
    assert not re.search("start_time|duration|iopub", text)
    assert str(ROOT) not in text
    executed = json.loads(text)
    injected = next(c for c in executed["cells"] if "injected-parameters" in c["metadata"].get("tags", []))
    assert str(output) in "".join(injected["source"])
    shown = [out.get("data", {}) for cell in executed["cells"] for out in cell.get("outputs", [])]
    assert any("image/png" in data for data in shown)
    assert pd.read_csv(f"{output}.csv")["tracking_gap"].tolist() == [50]


def test_a_failing_cell_is_one_sentence_and_leaves_only_the_log(tmp_path):
    notebook, out, log = tmp_path / "fails.ipynb", tmp_path / "out.ipynb", tmp_path / "log" / "fails.ipynb"
    cells = [
        nbformat.v4.new_code_cell("value = 1"),
        nbformat.v4.new_code_cell("raise ValueError(f'bad\\nvalue {value}')"),
    ]
    cells[0]["metadata"]["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), notebook)
    with pytest.raises(MindTheGapError) as error:
        run_notebook(notebook, out, {"value": 7}, log)
    assert str(error.value) == f"{notebook}, In [3]: bad value 7 (ValueError); partial notebook: {log}."
    assert "value = 7" in log.read_text()
    assert not out.exists()


def test_unknown_parameters_and_broken_notebooks_are_refused(tmp_path):
    notebook = ROOT / "notebooks" / "gap_bars.ipynb"
    with pytest.raises(InputError, match="has no colour; it knows: gaps"):
        run_notebook(notebook, tmp_path / "out.ipynb", {"colour": 1}, tmp_path / "log.ipynb")
    with pytest.raises(InputError, match="no such notebook"):
        run_notebook(tmp_path / "absent.ipynb", tmp_path / "out.ipynb", {}, tmp_path / "log.ipynb")
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{")
    with pytest.raises(InputError, match="is not a notebook"):
        run_notebook(broken, tmp_path / "out.ipynb", {}, tmp_path / "log.ipynb")
