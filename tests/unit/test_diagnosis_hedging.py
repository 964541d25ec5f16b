"""Queries that are reported under several classes, and what the gaps are without that."""

import json
from dataclasses import replace

import numpy as np
import pytest
from diagnosis_case import run_cli, write_files
from oracle_cases import contested_video, table, tables_of

from mindthegap.diagnosis import diagnose, diagnose_tables
from mindthegap.diagnosis.hedging import best_rows

_GAPS = ("tracking", "classification", "segmentation")


def one_object(*rows):
    """A frame with one object of class 1 and a perfect mask for every query of the rows (query, class, score)."""
    queries = max(row[0] for row in rows) + 1
    return tables_of(table([[[9]] * queries], [[9] * queries], [[9]], rows=list(rows)))


def test_a_hedged_class_error_becomes_a_classification_gap():
    found = diagnose_tables(one_object((0, 2, 0.9), (0, 1, 0.3), (0, 3, 0.6))).to_dict()
    hedged, best = found["hedging"], found["hedging"]["best_row_alone"]
    assert (hedged["queries"], hedged["rows"], hedged["rows_per_query"]) == (1, 3, 3.0)
    assert hedged["wrong_score"] == pytest.approx(1.5 / 1.8)
    assert found["gaps"] == pytest.approx({"tracking": 0.0, "classification": 0.0, "segmentation": 0.0})
    assert best["AP"] == 0.0
    assert best["gaps"] == pytest.approx({"tracking": 0.0, "classification": 100.0, "segmentation": 0.0})
    assert best["optimal"]


def test_a_hedged_class_error_counts_as_ranking_as_long_as_the_rows_are_all_there():
    """A second object's query takes the first place of class 1 with its wrong class."""
    shared = [[[9, 0], [0, 9]]]
    rows = [(0, 1, 0.5), (1, 1, 0.9), (1, 2, 0.2)]
    found = diagnose_tables(tables_of(table(shared, [[9, 9]], [[9, 9]], classes=[1, 2], rows=rows))).to_dict()
    assert found["splits"]["tracking"]["ranking"] == pytest.approx(25.0)
    assert found["gaps"]["classification"] == 0.0
    best = found["hedging"]["best_row_alone"]
    assert best["splits"]["tracking"]["ranking"] == pytest.approx(25.0)
    assert best["gaps"]["classification"] == pytest.approx(50.0)


def test_of_equal_scores_the_first_row_stays():
    tables = one_object((0, 3, 0.5), (0, 1, 0.5), (1, 1, 0.1), (1, 2, 0.7))
    (video,) = best_rows(tables).videos
    assert list(zip(video.row_query, video.row_category, video.row_index, strict=True)) == [(0, 3, 0), (1, 2, 3)]


def test_without_hedging_nothing_changes():
    diagnosis = diagnose_tables(one_object((0, 2, 0.9), (1, 1, 0.3)))
    assert diagnosis.hedging().best is diagnosis.chain
    assert diagnosis.hedging().rows_per_query == 1.0
    assert "rows per query" not in repr(diagnosis)


def test_the_share_of_wrong_scores_counts_queries_on_objects_only():
    shared = [[[9], [4], [0]]]
    rows = [(0, 1, 0.6), (0, 2, 0.2), (1, 2, 0.9), (2, 3, 0.9)]
    tables = tables_of(table(shared, [[9, 9, 9]], [[9]], rows=rows))
    assert diagnose_tables(tables).hedging().wrong_score == pytest.approx(0.2 / 0.8)
    huge = [(0, 1, 1.6e308), (0, 2, 0.8e308), (1, 2, 0.9), (2, 3, -1e308)]
    tables = tables_of(table(shared, [[9, 9, 9]], [[9]], rows=huge))
    assert diagnose_tables(tables).hedging().wrong_score == pytest.approx(1 / 3)
    negative = tables_of(table([[[9]]], [[9]], [[9]], rows=[(0, 1, -0.5), (0, 2, -0.2)]))
    assert diagnose_tables(negative).hedging().wrong_score is None
    nowhere = tables_of(table([[[0]]], [[9]], [[9]], rows=[(0, 1, 0.5), (0, 2, 0.5)]))
    assert diagnose_tables(nowhere).hedging().wrong_score is None


def test_no_rows_have_no_mean():
    tables = tables_of(table(np.zeros((1, 0, 1)), np.zeros((1, 0)), [[9]], rows=[]))
    found = diagnose_tables(tables).hedging().to_dict()
    assert (found["queries"], found["rows"], found["rows_per_query"], found["wrong_score"]) == (0, 0, None, None)


@pytest.mark.parametrize("seed", range(12))
def test_both_oracles_together_reach_the_same(seed):
    """With identities and classes repaired, it does not matter under which classes a query was reported."""
    rng = np.random.default_rng(seed)
    videos = [replace(contested_video(rng, classes=3), video_id=number) for number in range(1, 5)]
    diagnosis = diagnose_tables(tables_of(*videos))
    best = diagnosis.hedging().best
    assert diagnosis.hedging().rows > diagnosis.hedging().queries
    assert best.gaps["segmentation"] == pytest.approx(diagnosis.gaps["segmentation"])
    total = best.levels["default"].evaluation.AP + sum(best.gaps[name] for name in _GAPS)
    assert total == pytest.approx(100.0)
    assert best.levels["tracking"].evaluation.AP <= diagnosis.chain.levels["tracking"].evaluation.AP + 1e-9


def test_a_file_with_the_best_rows_alone_is_diagnosed_alike(scene, tmp_path):
    """Read from disk: the rows with other classes taken out by hand."""
    clips, tracks, _ = scene
    hedged = [
        replace(t, category=c, score=t.score * s) for t in tracks for c, s in ((t.category, 0.9), (1, 0.4), (3, 0.7))
    ]
    truth, results = write_files(tmp_path / "hedged", clips, hedged)
    rows = json.loads(results.read_text())
    best: dict[str, dict] = {}
    for row in rows:
        key = json.dumps([row["video_id"], row["segmentations"]])
        if key not in best or row["score"] > best[key]["score"]:
            best[key] = row
    alone = tmp_path / "alone.json"
    alone.write_text(json.dumps(list(best.values())))
    found, expected = (diagnose(truth, path) for path in (results, alone))
    assert found.hedging().queries == len(best) < len(rows) == found.hedging().rows
    assert found.hedging().best.gaps == pytest.approx(expected.gaps)
    assert expected.hedging().rows_per_query == 1.0
    error, printed = run_cli("diagnose", truth, results, "-o", tmp_path / "out", "--bootstrap", 0)
    assert error is None
    assert f"{found.hedging().rows_per_query:.1f} rows per query" in printed
