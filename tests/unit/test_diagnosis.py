"""From files to the oracle folder: contents, byte identity, and that anyone can check the numbers."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from oracle_cases import Clip, noisy_tracks, random_clip, rle, to_tables

import mindthegap
from mindthegap.diagnosis import compare, diagnose_tables
from mindthegap.diagnosis.gaps import DIFFERENCES, differences
from mindthegap.diagnosis.report import FILES
from mindthegap.errors import InputError, MindTheGapError
from mindthegap.evaluation import bootstrap_profiles, resampling_weights
from mindthegap.failures import FailureThresholds, object_shares

KEYS = {"dataset": "ovis", "method": "vistr", "backbone": "r50", "seed": "3"}
KEY_COLUMNS = ["dataset", "method", "backbone", "seed"]


def plain(mask):
    return None if mask is None else {"size": mask["size"], "counts": mask["counts"].decode()}


def write_files(folder, clips, tracks, *, synthetic=True, crowd=()):
    """Ground truth and results as files."""
    annotations = []
    for clip in clips:
        for n, category in enumerate(clip.classes):
            masks = clip.mask(n + 1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": clip.id,
                    "category_id": category,
                    "iscrowd": int(len(annotations) in crowd),
                    "segmentations": [plain(rle(m)) for m in masks],
                    "areas": [int(m.sum()) or None for m in masks],
                    "bboxes": [None if not m.any() else [0, 0, 1, 1] for m in masks],
                }
            )
    videos = [
        {
            "id": c.id,
            "width": c.labels.shape[2],
            "height": c.labels.shape[1],
            "length": len(c.labels),
            "file_names": [f"{c.id}/{t}.jpg" for t in range(len(c.labels))],
        }
        for c in clips
    ]
    truth = {
        "info": {"synthetic": synthetic},
        "videos": videos,
        "categories": [{"id": i, "name": f"c{i}"} for i in (1, 2, 3)],
        "annotations": annotations,
    }
    rows = [
        {
            "video_id": t.video,
            "category_id": t.category,
            "score": t.score,
            "segmentations": [plain(rle(m)) for m in t.masks],
        }
        for t in tracks
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(rows))
    return folder / "truth.json", folder / "results.json"


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(11)
    clips = [random_clip(rng, v + 1, objects=3) for v in range(5)]
    return clips, [t for clip in clips for t in noisy_tracks(clip, rng)], rng


@pytest.fixture(scope="module")
def files(scene, tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("given"), *scene[:2])


@pytest.fixture(scope="module", params=["tight", "iou"])
def written(request, files, tmp_path_factory):
    out = tmp_path_factory.mktemp(f"out-{request.param}")
    diagnosis = mindthegap.diagnose(
        *files, keys=KEYS, objective=request.param, out_dir=out, bootstrap=100, seed=4, time_limit=30
    )
    return diagnosis, out


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
    assert first == second


def test_failures_table_costs_add_up_to_the_objects_share(written):
    _diagnosis, out = written
    events = pd.read_parquet(out / "failures.parquet")
    tracks = pd.read_parquet(out / "tracks.parquet")
    assert list(events.columns[:4]) == KEY_COLUMNS
    assert events.cost_points.sum() == pytest.approx(tracks.tracking_gap_points.sum(), abs=1e-9)


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


def test_repeated_whole_sample_reproduces_the_estimate(written):
    from mindthegap.diagnosis.intervals import resample

    diagnosis, _ = written
    sample = resample(diagnosis.chain, np.ones((1, 5), np.int64), 0)
    for name, value in diagnosis.gaps.items():
        assert sample.values[name][0] == pytest.approx(value, abs=1e-9), name


def test_printed_table_says_synthetic_and_shows_both_objectives(written):
    text = repr(written[0])
    assert "synthetic data" in text
    assert "tight oracle" in text
    assert "iou oracle" in text
    assert "95 % interval" in text
    assert "ptimal" in text


def test_frame_holds_every_gap_of_both_objectives(written):
    diagnosis, _ = written
    frame = diagnosis.to_frame().set_index(["objective", "gap"])
    for objective, chain in diagnosis.chains.items():
        for name, value in chain.gaps.items():
            assert frame.loc[(objective, name), "points"] == value
    assert frame.loc[diagnosis.objective, "low"].notna().all()


def test_negative_gaps_are_red_and_zero_has_no_sign():
    from mindthegap.diagnosis.display import shown

    assert shown(-3.2).style == "red"
    assert shown(-0.001).plain == "0.00"
    assert shown(-0.001).style == ""
    assert shown(None).plain == "-"


def test_undefined_ap_makes_undefined_gaps():
    assert set(
        differences(dict.fromkeys(("default", "ranking", "continued", "tracking", "classes", "both", "found"))).values()
    ) == {None}


@pytest.mark.parametrize("objective", ["tight", "iou"])
@pytest.mark.parametrize("case", ["no results", "no objects", "only crowds", "no videos"])
def test_empty_inputs_give_a_complete_folder(case, objective, tmp_path, scene):
    clips, tracks, _ = scene
    if case == "no videos":
        clips, tracks = [], []
    if case == "no objects":
        clips = [Clip(c.id, np.zeros_like(c.labels), ()) for c in clips]
    crowd = range(1000) if case == "only crowds" else ()
    given = write_files(tmp_path / "in", clips, [] if case == "no results" else tracks, crowd=crowd)
    diagnosis = mindthegap.diagnose(*given, objective=objective, out_dir=tmp_path / "out", bootstrap=10)
    content = json.loads((tmp_path / "out" / "gaps.json").read_text())
    if case == "no results":
        assert content["gaps"] == {"tracking": 0, "classification": 0, "segmentation": 100}
        assert content["splits"]["segmentation"]["missed"] == pytest.approx(100)
    else:
        assert set(content["gaps"].values()) == {None}
        assert content.get("intervals", {}).get("tracking") is None
        assert " - " in repr(diagnosis)
    for name in ("tracks", "association", "failures", "strata"):
        frame = pd.read_parquet(tmp_path / "out" / f"{name}.parquet")
        assert list(frame.columns[:4]) == KEY_COLUMNS, name
    assert len(diagnosis.to_frame())


def test_crowds_stay_in_the_evaluation_but_get_no_tracks(tmp_path, scene):
    clips, tracks, _ = scene
    given = write_files(tmp_path / "in", clips, tracks, crowd=(0, 4))
    mindthegap.diagnose(*given, out_dir=tmp_path / "out")
    frame = pd.read_parquet(tmp_path / "out" / "tracks.parquet")
    assert len(frame) == 13
    assert not set(frame.object_id) & {1, 5}
    association = pd.read_parquet(tmp_path / "out" / "association.parquet")
    assert not set(association.object_id) & {1, 5}


def test_options_are_checked_before_any_work(files):
    for wrong, sentence in (
        ({"objective": "best"}, "tight or iou"),
        ({"solver": "GLPK"}, "HiGHS or CBC"),
        ({"bootstrap": -1}, "bootstrap samples"),
        ({"time_limit": 0}, "seconds above 0"),
        ({"keys": {"seed": "x"}}, "whole number"),
    ):
        with pytest.raises(MindTheGapError, match=sentence):
            mindthegap.diagnose(*files, **wrong)


def test_a_diagnosis_of_tables_alone_cannot_be_written(scene, tmp_path):
    diagnosis = diagnose_tables(to_tables(*scene[:2]))
    with pytest.raises(MindTheGapError, match="tables alone"):
        diagnosis.write(tmp_path)
    assert diagnosis.gaps["tracking"] is not None


def test_a_broken_write_leaves_no_gaps_file(files, tmp_path, monkeypatch):
    """gaps.json of an earlier run must not stand beside tables of a later one."""
    diagnosis = mindthegap.diagnose(*files, out_dir=tmp_path)
    monkeypatch.setattr("mindthegap.diagnosis.report.tracks_table", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        diagnosis.write(tmp_path)
    assert not (tmp_path / "gaps.json").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.fixture(scope="module")
def comparison(files, scene, tmp_path_factory):
    clips, _tracks, _ = scene
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(1)
    better = [replace(t, masks=t.masks) for clip in clips for t in clip.perfect(rng)]
    _, second = write_files(folder / "better", clips, better)
    result = compare(files[0], [files[1], second], names=["noisy", "perfect"], out_dir=folder / "out", bootstrap=50)
    return result, folder / "out", second


def test_comparison_resamples_the_same_videos_for_all_methods(comparison, files):
    result, out, _ = comparison
    frame = pd.read_csv(out / "differences.csv").set_index("quantity")
    one, two = (result.diagnoses[name] for name in ("noisy", "perfect"))
    change = two.bootstrap.values["AP"] - one.bootstrap.values["AP"]
    low, high = np.quantile(change, [0.025, 0.975])
    assert (frame.low["AP"], frame.high["AP"]) == (pytest.approx(low), pytest.approx(high))
    assert frame.points["AP"] == pytest.approx(100 - mindthegap.evaluate(*files).AP)
    assert bool(frame.excludes_zero["AP"])
    assert frame.points["segmentation"] < 0


def test_comparison_files_are_complete(comparison):
    result, out, _ = comparison
    table = pd.read_csv(out / "comparison.csv")
    assert table.method.tolist() == ["noisy", "perfect"]
    assert table.AP[1] == pytest.approx(100)
    assert {"tracking_low", "tracking_high", "solver_status"} <= set(table.columns)
    content = json.loads((out / "comparison.json").read_text())
    assert content["methods"]["noisy"]["gaps"] == result.diagnoses["noisy"].to_dict()["gaps"]
    assert "seconds" not in content["methods"]["noisy"]["solver"]
    for name in ("noisy", "perfect"):
        assert (out / name / "gaps.json").exists()
        assert pd.read_parquet(out / name / "tracks.parquet").method.unique().tolist() == [name]
    assert "synthetic" in repr(result)
    assert "perfect - noisy" in repr(result)


def test_names_of_methods_are_made_different(comparison, files):
    result = compare(files[0], [files[1], comparison[2]], bootstrap=0)
    assert result.names == ("results", "results-2")
    assert result.differences().low.isna().all()
    for names, sentence in ((["a"], "different names"), (["a", "a"], "different names"), (["a", "../b"], "slashes")):
        with pytest.raises(MindTheGapError, match=sentence):
            compare(files[0], [files[1], comparison[2]], names=names)
    with pytest.raises(MindTheGapError, match="nothing to compare"):
        compare(files[0], [])


def run_cli(*arguments):
    """Runs the command line in this process; (exit code or None, standard output)."""
    from typer.testing import CliRunner

    from mindthegap.cli import app

    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exception, result.stdout


def test_command_line(files, tmp_path):
    error, text = run_cli("diagnose", *files, "-o", tmp_path / "a", "--bootstrap", 20, "--workers", 1)
    assert error is None
    assert "synthetic data" in text
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(FILES)
    _, text = run_cli("diagnose", *files, "-o", tmp_path / "b", "--json", "--bootstrap", 20)
    assert json.loads(text)["gaps"] == json.loads((tmp_path / "a" / "gaps.json").read_text())["gaps"]
    error, text = run_cli("compare", files[0], files[1], files[1], "-o", tmp_path / "d", "--bootstrap", 20)
    assert error is None
    assert "results-2" in text
    assert (tmp_path / "d" / "differences.csv").exists()


def test_a_missing_file_is_one_sentence_and_exit_code_2(files, tmp_path):
    command = ["diagnose", str(files[0]), str(tmp_path / "none.json"), "-o", str(tmp_path / "c")]
    code = f"import sys; sys.argv = ['mindthegap', *{command!r}]; from mindthegap.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "none.json" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "c").exists()


def test_places_that_cannot_be_written_are_told_before_the_work(files, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(InputError, match="no folder can be written"):
            mindthegap.diagnose(*files, out_dir=place)
        with pytest.raises(InputError, match="no folder can be written"):
            compare(files[0], [files[1]], out_dir=place)
    diagnosed = tmp_path / "oracle_tracking.json"
    diagnosed.write_bytes(files[1].read_bytes())
    with pytest.raises(InputError, match="would be replaced"):
        mindthegap.diagnose(files[0], diagnosed, out_dir=tmp_path)
    assert diagnosed.read_bytes() == files[1].read_bytes()


def test_gaps_of_strata_are_those_of_the_restricted_ground_truth(written):
    from mindthegap.strata import strata

    diagnosis, out = written
    frame = diagnosis.strata(bootstrap=20, seed=1)
    stored = pd.read_parquet(out / "strata.parquet")
    pd.testing.assert_frame_equal(stored, frame[stored.columns])
    assert stored.synthetic.all()
    assert list(frame.columns[:5]) == [*KEY_COLUMNS, "synthetic"]
    groups = strata(diagnosis.tables)
    assert len(frame) >= len(groups) > 3
    by_name = frame.set_index(["attribute", "stratum"])
    for group in groups:
        row = by_name.loc[(group.attribute, group.name)]
        alone = diagnose_tables(group.restrict(diagnosis.tables), objective=diagnosis.objective)
        assert row.AP == alone.chain.levels["default"].evaluation.AP
        for gap in ("tracking", "classification", "segmentation"):
            assert row[gap] == pytest.approx(alone.gaps[gap], abs=1e-9)
            assert row[f"{gap}_low"] <= row[f"{gap}_high"]
        assert row.AP + row.tracking + row.classification + row.segmentation == pytest.approx(100, abs=1e-9)


def test_command_line_writes_strata(files, tmp_path):
    error, _ = run_cli("diagnose", *files, "-o", tmp_path, "--bootstrap", 10, "--strata")
    assert error is None
    assert {"attribute", "stratum", "tracking"} <= set(pd.read_csv(tmp_path / "strata.csv").columns)


def test_wrong_frames_folder_is_told_before_the_work(files, tmp_path):
    from mindthegap.cli.diagnose import diagnose as command

    with pytest.raises(InputError, match="folder of frames"):
        command(*files, out=tmp_path / "out", frames=tmp_path / "nowhere")
    assert not (tmp_path / "out").exists()
