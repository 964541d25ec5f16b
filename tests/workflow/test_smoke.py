"""The smoke scale from end to end: every rule runs, nothing runs twice, and only what must."""

from __future__ import annotations

import json
import zipfile

import pandas as pd
import pytest

FIGURE = ["draw_paper_item"]
AFTER_GAPS = ["build_tracklens", "diagnose_predictions", *FIGURE]
AFTER_PREDICTIONS = ["predict_tracks", *AFTER_GAPS]
AFTER_TRAINING = ["train_method", *AFTER_PREDICTIONS]
AFTER_RENDERING = ["draw_contact_sheet", "measure_strata", "render_dataset", "tabulate_datasets"]


def test_every_stage_leaves_its_files(finished):
    cell = "smoke_clips/masktrack_rcnn-r18_tiny/0"
    for name in (
        "datasets/smoke_clips/train.json",
        "datasets/smoke_clips/diagnostic.json",
        "datasets/smoke_clips/manifest.json",
        f"runs/{cell}/weights.pth",
        f"runs/{cell}/history.jsonl",
        f"predictions/{cell}.json",
        f"predictions/{cell}.speed.json",
        f"oracle/{cell}/gaps.json",
        f"oracle/{cell}/tracks.parquet",
        f"oracle/{cell}/association.parquet",
        f"oracle/{cell}/failures.parquet",
        f"oracle/{cell}/strata.parquet",
        f"oracle/{cell}/oracle_tracking.json",
        f"oracle/{cell}/oracle_classification.json",
        "paper/gap_bars/gap_bars.pdf",
        "paper/gap_bars/gap_bars.svg",
        "paper/gap_bars/gap_bars.png",
        "paper/gap_bars/gap_bars.ipynb",
        "tracklens/index.html",
        "config.json",
        "software.json",
    ):
        assert (finished.out / name).stat().st_size > 0, name


def test_figure_data_are_the_measured_gaps(finished):
    table = pd.read_csv(finished.out / "paper/gap_bars/gap_bars.csv")
    gaps = json.loads((finished.out / "oracle/smoke_clips/masktrack_rcnn-r18_tiny/0/gaps.json").read_text())
    row = table.iloc[0]
    assert row["tracking_gap"] == pytest.approx(gaps["gaps"]["tracking"])
    assert bool(row["synthetic"]) is True
    parts = gaps["levels"]["default"]["AP"] + sum(gaps["gaps"][name] for name in gaps["gaps"])
    assert parts == pytest.approx(100)


def test_every_working_rule_leaves_log_and_benchmark(finished):
    for kind in ("logs", "benchmarks"):
        stages = {
            path.relative_to(finished.out / kind).parts[0].split(".")[0] for path in (finished.out / kind).iterdir()
        }
        assert {"datasets", "runs", "predictions", "oracle", "paper", "tracklens", "report"} <= stages


def test_report_holds_the_figure_and_the_contact_sheet(finished):
    with zipfile.ZipFile(finished.out / "report.zip") as archive:
        assert archive.testzip() is None
        text = "".join(archive.read(name).decode("utf-8", "replace") for name in archive.namelist() if "html" in name)
        names = " ".join(archive.namelist()) + text
    assert "gap_bars.png" in names
    assert "smoke_clips.png" in names


def test_second_run_does_nothing(finished):
    assert finished.due() == []


def test_one_figure_alone(finished_copy):
    for path in (finished_copy.out / "paper").rglob("*.*"):
        path.unlink()
    target = "results/smoke/paper/gap_bars/gap_bars.pdf"
    assert finished_copy.due(target) == FIGURE
    finished_copy.run("--cores", "1", target)
    assert (finished_copy.folder / target).read_bytes().startswith(b"%PDF")


def set_bootstrap(config):
    config["oracle"]["bootstrap"] = 17


def set_threshold(config):
    config["scales"]["smoke"]["inference"] = {"masktrack_rcnn": {"score_threshold": 0.5}}


def set_training(config):
    config["scales"]["smoke"]["training"] = {"masktrack_rcnn": {"epochs": 2}}


def set_title(config):
    config["scales"]["smoke"]["title"] = "Another title"


def set_data(config):
    config["datasets"]["smoke_clips"]["seed"] = 99


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (set_title, ["build_tracklens", *FIGURE]),
        (set_bootstrap, AFTER_GAPS),
        (set_threshold, AFTER_PREDICTIONS),
        (set_training, AFTER_TRAINING),
        (set_data, [*AFTER_RENDERING, *AFTER_TRAINING]),
    ],
)
def test_a_changed_parameter_reruns_what_depends_on_it(finished_copy, change, expected):
    finished_copy.edit(change)
    assert finished_copy.due() == sorted([*expected, "record_run"])
