"""Evaluation: hand-made cases, constructed tracks, resampling, quirks and the command line."""

import json
import re

import numpy as np
import pytest
import typer
from typer.testing import CliRunner
from vis_sets import encode, make_set

from mindthegap.cli import evaluate as evaluate_command
from mindthegap.cli import validate as validate_command
from mindthegap.evaluation import (
    IOU_THRESHOLDS,
    RECALL_POINTS,
    accumulate,
    association_candidates,
    bootstrap_profiles,
    compute_overlaps,
    evaluate,
    evaluate_candidates,
    evaluate_tables,
    match,
    occlusion_score,
    resampling_weights,
    row_candidates,
)
from mindthegap.formats import read_ground_truth, read_results

SHAPE = (10, 20)


def columns(first, last):
    """A mask of whole columns ``first`` to ``last - 1``."""
    mask = np.zeros(SHAPE, bool)
    mask[:, first:last] = True
    return encode(mask)


def write(folder, objects, rows, length=1, **extra):
    """Writes one video with tracks given as (category, masks, fields) and returns both paths."""
    names = [f"v/{t}.jpg" for t in range(length)]
    video = {"id": 1, "height": SHAPE[0], "width": SHAPE[1], "length": length, "file_names": names}
    truth = {"videos": [video], "categories": [{"id": k, "name": f"class {k}"} for k in (1, 2)], **extra}
    fields = {"video_id": 1, "iscrowd": 0, "areas": [1] * length}
    truth["annotations"] = [
        fields | {"id": i + 1, "category_id": k, "segmentations": masks} | more
        for i, (k, masks, more) in enumerate(objects)
    ]
    results = [{"video_id": 1, "category_id": k, "score": s, "segmentations": masks} for k, s, masks in rows]
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "r.json").write_text(json.dumps(results))
    return folder / "gt.json", folder / "r.json"


def tables_of(folder, seed, **options):
    """Tables of a random set."""
    truth, results = make_set(seed, **options)
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "r.json").write_text(json.dumps(results))
    ground_truth = read_ground_truth(folder / "gt.json")
    return compute_overlaps(ground_truth, read_results(folder / "r.json", ground_truth))


def test_constants_are_the_official_ones():
    assert IOU_THRESHOLDS[8] == 0.8999999999999999
    differing = [i for i in range(101) if RECALL_POINTS[i] != i / 100]
    assert differing == [35, 41, 47, 57, 69, 70, 82, 83, 94, 95]


def test_perfect_missing_and_exact_threshold(tmp_path):
    whole = [(1, [columns(0, 10)], {})]
    assert pytest.approx(100, abs=1e-9) == evaluate(*write(tmp_path, whole, [(1, 0.3, [columns(0, 10)])])).AP
    empty = evaluate(*write(tmp_path, whole, []))
    assert (empty.AP, empty.AR100, empty.per_category[1]["AP"]) == (0.0, 0.0, None)
    exact = evaluate(*write(tmp_path, whole, [(1, 0.3, [columns(0, 9)])]))  # IoU 0.9: nine of ten thresholds
    assert pytest.approx(90, abs=1e-9) == exact.AP
    assert exact.profile[0.95] == 0
    assert evaluate(*write(tmp_path, [], [(1, 0.3, [columns(0, 9)])])).AP is None


def test_order_decides_equal_scores(tmp_path):
    objects = [(1, [columns(0, 10)], {})]
    right, wrong = (1, 0.5, [columns(0, 10)]), (1, 0.5, [columns(12, 15)])
    assert pytest.approx(50, abs=1e-9) == evaluate(*write(tmp_path, objects, [wrong, right])).AP50
    assert pytest.approx(100, abs=1e-9) == evaluate(*write(tmp_path, objects, [right, wrong])).AP50


def test_false_positives_of_a_class_without_objects_are_free(tmp_path):
    objects = [(1, [columns(0, 10)], {})]
    rows = [(1, 0.5, [columns(0, 10)]), *[(2, 0.9, [columns(0, 10)])] * 5]
    assert pytest.approx(100, abs=1e-9) == evaluate(*write(tmp_path, objects, rows)).AP


def test_size_groups_share_their_borders(tmp_path):
    objects = [(1, [columns(0, 10)], {"areas": [128**2]})]
    evaluation = evaluate(*write(tmp_path, objects, [(1, 0.5, [columns(0, 10)])]))
    assert (evaluation.APs, evaluation.APm, evaluation.APl) == (pytest.approx(100), pytest.approx(100), None)


def test_occlusion_groups_are_no_partition(tmp_path):
    assert occlusion_score(["slight_occlusion", None, "no_occlusion", "severe_occlusion"]) == 0.5
    assert np.isnan(occlusion_score([None]))
    objects = [(1, [columns(0, 5)], {"occlusion": ["slight_occlusion"]}), (1, [columns(6, 9)], {"occlusion": [None]})]
    rows = [(1, 0.9, [columns(12, 14)]), (1, 0.8, [columns(0, 5)]), (1, 0.7, [columns(6, 9)])]
    evaluation = evaluate(*write(tmp_path, objects, rows))
    assert evaluation.occlusion == {"light": pytest.approx(50), "medium": pytest.approx(50), "heavy": None}
    assert pytest.approx(200 / 3) == evaluation.AP


def test_linked_tracks_are_scored_like_rows(tmp_path):
    tables = tables_of(tmp_path, 21)
    same, linked = [], []
    for video in tables.videos:
        rows = row_candidates(video)
        chosen = np.repeat(video.row_query[:, None], video.length, axis=1)
        again = association_candidates(video, chosen, rows.category, rows.score)
        for name in ("intersection", "union", "mean_area", "score", "category"):
            np.testing.assert_array_equal(getattr(again, name), getattr(rows, name))
        none = association_candidates(video, np.full((1, video.length), -1), [2], [0.5])
        assert none.intersection.sum() == 0
        assert none.union[0].tolist() == video.object_area.sum(axis=0).tolist()
        same.append(again)
        linked.append(none)
    assert evaluate_candidates(tables, same).AP == evaluate_tables(tables).AP
    assert evaluate_candidates(tables, linked).AP == 0


def test_objects_that_do_not_count_are_ignored(tmp_path):
    objects = [(1, [columns(0, 5)], {}), (1, [columns(6, 9)], {})]
    rows = [(1, 0.9, [columns(0, 5)]), (1, 0.8, [columns(6, 9)])]
    ground_truth = read_ground_truth(write(tmp_path, objects, rows)[0])
    tables = compute_overlaps(ground_truth, read_results(tmp_path / "r.json", ground_truth))
    candidates = [row_candidates(video) for video in tables.videos]
    only_second = evaluate_candidates(tables, candidates, counted=[np.array([False, True])])
    assert pytest.approx(100, abs=1e-9) == only_second.AP
    assert only_second.counts["objects"] == 1


def test_resampled_profiles_equal_accumulation(tmp_path):
    for seed in (2, 21, 33, 40):
        matches = match(tables_of(tmp_path, seed, many=seed == 40))
        weights = resampling_weights(len(matches.videos), 12, seed)
        assert weights.sum(axis=1).tolist() == [len(matches.videos)] * 12
        profiles = bootstrap_profiles(matches, weights)
        for profile, weight in zip(profiles, weights, strict=True):
            precision, _ = accumulate(matches, weight)
            cells = precision[..., 0, -1]
            counted = (cells[0, 0] > -1).nonzero()[0]
            expected = 100 * cells[:, :, counted].mean(axis=(1, 2)) if len(counted) else np.full(10, np.nan)
            np.testing.assert_allclose(profile, expected, atol=1e-9)


def test_weights_equal_copies_of_videos(tmp_path):
    """Drawing a video twice is evaluating a file that holds it twice, copies standing together in ties."""
    truth, results = make_set(33)
    for i, row in enumerate(results):
        row["score"] = float(np.random.default_rng(i).random())
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "r.json").write_text(json.dumps(results))
    evaluation = evaluate(tmp_path / "gt.json", tmp_path / "r.json")
    ids = [video.video_id for video in evaluation.matches.videos]
    weight = np.arange(len(ids)) + 1
    copies = {video: range(times) for video, times in zip(ids, weight.tolist(), strict=True)}
    for section in ("videos", "annotations"):
        key = "id" if section == "videos" else "video_id"
        truth[section] = [e | {key: e[key] * 10 + copy} for e in truth[section] for copy in copies[e[key]]]
    truth["annotations"] = [entry | {"id": i + 1} for i, entry in enumerate(truth["annotations"])]
    results = [row | {"video_id": row["video_id"] * 10 + copy} for row in results for copy in copies[row["video_id"]]]
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "r.json").write_text(json.dumps(results))
    expected = evaluate(tmp_path / "gt.json", tmp_path / "r.json")
    assert expected.AP is not None
    assert 0 < expected.AP < 100
    profile = bootstrap_profiles(evaluation.matches, weight[None])[0]
    np.testing.assert_allclose(profile, list(expected.profile.values()), atol=1e-9)


def test_the_numbers_per_video(tmp_path):
    evaluation = evaluate_tables(tables_of(tmp_path, 21))
    entries = evaluation.per_video()
    assert [entry["video_id"] for entry in entries] == [video.video_id for video in evaluation.matches.videos]
    assert sum(entry["objects"] for entry in entries) == evaluation.counts["objects"]
    assert any(entry["AP_alone"] is not None for entry in entries)


def test_quirks_are_named_with_their_effect(tmp_path):
    objects = [(1, [columns(0, 10)] * 4, {"id": 0})]
    paths = write(tmp_path, objects, [(1, 0.5, [columns(0, 10)]), (9, 0.9, [columns(0, 1)] * 4)], length=4)
    evaluation = evaluate(*paths, official_quirks=True)
    changes = {note["quirk"]: note["AP_change"] for note in evaluation.notes}
    assert evaluation.AP == 0
    assert changes == {"length": 0, "category": 0, "id": pytest.approx(-100)}
    paths = write(tmp_path, [(1, [columns(0, 10)] * 4, {})], [(1, 0.5, [columns(0, 10)])], length=4)
    evaluation = evaluate(*paths, official_quirks=True)
    assert pytest.approx(100, abs=1e-9) == evaluation.AP
    assert [(note["quirk"], note["AP_change"]) for note in evaluation.notes] == [("length", pytest.approx(100))]
    assert "changes AP by +100.00 points" in repr(evaluation).replace("\n", " ")


def command(name):
    """A command as an application of its own."""
    app = typer.Typer()
    app.command()({"evaluate": evaluate_command, "validate": validate_command}[name])
    return app


def test_evaluate_command(tmp_path):
    gt, results = write(tmp_path, [(1, [columns(0, 10)], {})], [(1, 0.3, [columns(0, 9)])], info={"synthetic": True})
    arguments = [str(gt), str(results), "--json", str(tmp_path / "o.json"), "--per-category", "--workers", "1"]
    outcome = CliRunner().invoke(command("evaluate"), [*arguments, "--per-threshold", "--per-video"])
    assert outcome.exit_code == 0, outcome.output
    assert re.search(r"0\.90 +│ +100\.00 +│\n│ +0\.95 +│ +0\.00", outcome.output)
    assert "found at 0.5" in outcome.output
    assert "synthetic" in outcome.output
    assert "class 1" in outcome.output
    written = json.loads((tmp_path / "o.json").read_text())
    assert written["AP"] == pytest.approx(90, abs=1e-9)
    assert {"AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "per_category", "synthetic"} <= set(written)
    frame = evaluate(gt, results).to_frame()
    assert frame.category.tolist() == ["class 1", "class 2", "all"]


def test_validate_command(tmp_path):
    gt, results = write(tmp_path, [(1, [columns(0, 10)], {})], [(1, 0.3, [columns(0, 9)])])
    outcome = CliRunner().invoke(command("validate"), [str(gt), str(results)])
    assert (outcome.exit_code, outcome.output.count("no problems")) == (0, 2)
    (row,) = json.loads(results.read_text())
    rows = [row | {"score": "high" if i % 2 else None} for i in range(30)]
    results.write_text(json.dumps([*rows, {}]))
    outcome = CliRunner().invoke(command("validate"), [str(gt), str(results), "--show", "3"])
    assert outcome.exit_code == 2
    lines = outcome.output.splitlines()
    assert lines[1].startswith(f"{results}: [0].score: is null, not a finite number; ")
    assert f"{results}: and 28 more of the kind 'field score'" in lines
    assert lines[-1] == "34 problems"
    outcome = CliRunner().invoke(command("validate"), [str(results), str(gt)])
    assert outcome.exit_code == 2
    assert "give the ground truth here" in outcome.output
