"""The oracle folder: contents, byte identity, and that anyone can check the numbers."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from diagnosis_case import KEY_COLUMNS, KEYS, write_files

import mindthegap
from mindthegap.diagnosis.gaps import DIFFERENCES
from mindthegap.diagnosis.report import FILES
from mindthegap.evaluation import bootstrap_profiles, resampling_weights
from mindthegap.failures import FailureThresholds, object_shares


def test_oracle_result_files_evaluate_to_the_reported_ap(written, files):
    """Read again from disk and evaluated like anyone's results, for all headline numbers."""
    diagnosis, out = written
    reported = diagnosis.to_dict()["levels"]
    for level in ("oracle_tracking", "oracle_classification"):
        again = mindthegap.evaluate(files[0], out / f"{level}.json")
        for name, value in reported[level].items():
            assert getattr(again, name) == (None if value is None else pytest.approx(value, abs=1e-9)), (level, name)
    assert reported["default"]["AP"] == mindthegap.evaluate(*files).AP


def test_gaps_file_holds_the_agreed_content(written):
    diagnosis, out = written
    content = json.loads((out / "gaps.json").read_text())
    assert content == json.loads(json.dumps(diagnosis.to_dict()))
    assert content["schema_version"] == 1
    assert content["synthetic"] is True
    assert [content[key] for key in KEY_COLUMNS] == ["ovis", "vistr", "r50", 3]
    assert set(content["levels"]) == {"default", "oracle_tracking", "oracle_classification"}
    assert set(content["gaps"]) == {"tracking", "classification", "segmentation"}
    assert set(content["splits"]["tracking"]) == {"ranking", "selection", "association"}
    assert set(content["splits"]["segmentation"]) == {"missed", "mask_quality"}
    assert {"name", "status", "videos", "components", "optimal", "max_relative_gap", "seconds"} <= set(
        content["solver"]
    )
    assert content["intervals"]["samples"] == 100
    assert content["failure_thresholds"] == FailureThresholds().to_dict()
    assert content["failure_thresholds"]["carrier_iou"] == 0.5
    for block in (content, content["iou_objective"], content["tight_objective"]):
        aps = {name: level["AP"] for name, level in block["levels"].items()}
        assert aps["default"] + sum(block["gaps"].values()) == pytest.approx(100, abs=1e-9)
        for gap, parts in block["splits"].items():
            assert sum(parts.values()) == pytest.approx(block["gaps"][gap], abs=1e-9)
        orders = block["orders"]
        assert orders["interaction"] == pytest.approx(
            orders["tracking_first"]["classification"] - orders["classification_first"]["classification"]
        )
    assert content["gaps"] == content[f"{content['objective']}_objective"]["gaps"]


def test_gaps_per_category_and_threshold_average_to_the_whole(written):
    content = written[0].to_dict()
    for gap, value in content["gaps"].items():
        for part, number in content["splits"].get(gap, {}).items():
            parts = [t["splits"][gap][part] for t in content["per_threshold"]]
            assert np.mean(parts) == pytest.approx(number, abs=1e-9)
        assert np.mean([c["gaps"][gap] for c in content["per_category"]]) == pytest.approx(value, abs=1e-9)
        assert np.mean([t["gaps"][gap] for t in content["per_threshold"]]) == pytest.approx(value, abs=1e-9)
    assert [t["iou"] for t in content["per_threshold"]] == pytest.approx(np.linspace(0.5, 0.95, 10))


def test_tracks_table_adds_up_and_agrees_with_the_failure_costs(written):
    diagnosis, out = written
    frame = pd.read_parquet(out / "tracks.parquet")
    assert list(frame.columns[:4]) == KEY_COLUMNS
    assert len(frame) == 15
    shares = object_shares(diagnosis.tables, diagnosis.linking())
    for column in shares.columns:
        np.testing.assert_allclose(frame[column].to_numpy(), shares[column].to_numpy(), atol=1e-12, err_msg=column)
    if diagnosis.objective == "tight":
        levels = diagnosis.chain.levels
        for gap, lower, upper in (("tracking", "ranking", "tracking"), ("classification", "tracking", "both")):
            recall = levels[upper].evaluation.AR100 - levels[lower].evaluation.AR100
            assert frame[f"{gap}_gap_points"].sum() == pytest.approx(recall, abs=1e-9)
    assert (frame.frames_hull >= frame.frames_present).all()
    assert frame.occlusion_score.isna().all()


def test_association_table_names_the_masks_of_the_oracle_tracks(written, files):
    _diagnosis, out = written
    frame = pd.read_parquet(out / "association.parquet")
    rows = json.loads(files[1].read_text())
    truth = {a["id"]: a for a in json.loads(files[0].read_text())["annotations"]}
    for level in ("tracking", "classification"):
        part = frame[frame.level == level]
        entries = json.loads((out / f"oracle_{level}.json").read_text())
        assert len(part) == sum(m is not None for e in entries for m in e["segmentations"])
        assert (part.intersection_px > 0).all()
        for (video, target), group in part.groupby(["video_id", "object_id"], sort=False):
            expected = [None] * len(truth[target]["segmentations"])
            for frame_number, row in zip(group.frame, group.row_index, strict=True):
                assert rows[row]["video_id"] == video
                expected[frame_number] = rows[row]["segmentations"][frame_number]
            found = [e for e in entries if e["video_id"] == video and e["segmentations"] == expected]
            assert [e["category_id"] for e in found] == [truth[target]["category_id"]]
            if level == "tracking":
                assert any(r["category_id"] == truth[target]["category_id"] for r in rows if r["video_id"] == video)
    assert not frame.duplicated(["level", "video_id", "frame", "query"]).any()


def test_same_input_gives_the_same_bytes(written, files, tmp_path):
    diagnosis, out = written
    mindthegap.diagnose(
        *files,
        keys=KEYS,
        objective=diagnosis.objective,
        out_dir=tmp_path,
        bootstrap=100,
        seed=4,
        time_limit=30,
        workers=2,
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(FILES)
    for name in FILES:
        if name != "gaps.json":
            assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name
    first, second = (json.loads((folder / "gaps.json").read_text()) for folder in (out, tmp_path))
    assert isinstance(first["solver"].pop("seconds"), float)
    second["solver"].pop("seconds")
    assert len(first["solver"].pop("seconds_by_program")) == len(second["solver"].pop("seconds_by_program"))
    assert first == second


def test_failures_table_costs_add_up_to_the_objects_share(written):
    _diagnosis, out = written
    events = pd.read_parquet(out / "failures.parquet")
    tracks = pd.read_parquet(out / "tracks.parquet")
    assert list(events.columns[:4]) == KEY_COLUMNS
    assert events.cost_points.sum() == pytest.approx(tracks.tracking_gap_points.sum(), abs=1e-9)


def test_shares_of_the_failure_modes_add_up_to_the_gaps(written):
    content = written[0].to_dict()
    modes, rest = content["failures"]["modes"], content["failures"]["unassigned"]
    assert sum(entry["events"] for entry in modes) > 3
    for gap, value in content["gaps"].items():
        total = sum(entry[f"{gap}_points"] for entry in modes) + sum(rest[gap].values())
        assert total == pytest.approx(value, abs=1e-9)
        if value:
            shares = sum(entry[f"{gap}_share"] for entry in modes)
            assert shares * value == pytest.approx(value - sum(rest[gap].values()), abs=1e-9)


def test_false_rows_of_duplicates_and_background_are_priced_by_leaving_them_out(scene, tmp_path):
    """A perfect set with one copy and one track on nothing, both ahead of the truth."""
    clips = scene[0]
    rng = np.random.default_rng(2)
    perfect = [replace(t, score=0.5 + t.score / 10) for clip in clips for t in clip.perfect(rng)]
    nothing = clips[1].labels == 0
    extra = [replace(perfect[0], score=0.4), replace(perfect[3], score=0.9, masks=nothing & (rng.random() < 2))]
    marks = mindthegap.diagnose(*write_files(tmp_path, clips, [*perfect, *extra])).to_dict()
    won = {entry["mode"]: entry["ranking_points"] for entry in marks["failures"]["modes"]}
    assert won["background"] == pytest.approx(marks["splits"]["tracking"]["ranking"], abs=1e-9)
    assert won["background"] > 1
    assert won["duplicate"] == pytest.approx(0, abs=1e-9)  # behind all true positives it costs nothing
    assert won["identity_switch"] is None


def test_identity_metrics_stand_beside_the_gaps(written):
    metrics = written[0].to_dict()["identity_metrics"]
    assert set(metrics["class_average"]) >= {"HOTA", "DetA", "AssA", "IDF1"}
    assert 0 < metrics["class_average"]["HOTA"] < 100


def test_intervals_are_percentiles_of_paired_resamples(written):
    diagnosis, _ = written
    weights = resampling_weights(5, 100, 4)
    levels = diagnosis.chain.levels
    tracking, default = (
        bootstrap_profiles(levels[name].evaluation.matches, weights).mean(axis=1) for name in ("tracking", "default")
    )
    expected = np.nanquantile(tracking - default, [0.025, 0.975])
    assert diagnosis.to_dict()["intervals"]["tracking"] == pytest.approx(list(expected))
    values = diagnosis.bootstrap.values
    total = values["AP"] + values["tracking"] + values["classification"] + values["segmentation"]
    np.testing.assert_allclose(total, 100, atol=1e-9)
    assert set(DIFFERENCES) <= set(values)
    for place, entry in enumerate(diagnosis.to_dict()["per_threshold"]):
        profiles = [
            bootstrap_profiles(levels[n].evaluation.matches, weights)[:, place] for n in ("tracking", "default")
        ]
        expected = np.nanquantile(profiles[0] - profiles[1], [0.025, 0.975])
        assert entry["intervals"]["tracking"] == pytest.approx(list(expected))


def test_repeated_whole_sample_reproduces_the_estimate(written):
    from mindthegap.diagnosis.intervals import resample

    diagnosis, _ = written
    levels = {name: level.evaluation.matches for name, level in diagnosis.chain.levels.items()}
    sample = resample(levels, np.ones((1, 5), np.int64), 0)
    for name, value in diagnosis.gaps.items():
        assert sample.values[name][0] == pytest.approx(value, abs=1e-9), name


def test_frame_holds_every_gap_of_both_objectives(written):
    diagnosis, _ = written
    frame = diagnosis.to_frame().set_index(["objective", "gap"])
    for objective, chain in diagnosis.chains.items():
        for name, value in chain.gaps.items():
            assert frame.loc[(objective, name), "points"] == value
    assert frame.loc[diagnosis.objective, "low"].notna().all()
