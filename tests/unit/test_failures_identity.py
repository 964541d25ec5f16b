"""HOTA and IDF1 against numbers of the reference implementation (TrackEval 12c8791, its YouTube-VIS masks path)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from failure_clips import clip, tables_of

from mindthegap.failures import identity_metrics

SCORES = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "IDF1", "IDR", "IDP")

SWAP = [clip(["A20", "B20"], ["A8B12", "B8A12", "S20"])]
MERGE = [
    clip(
        ["A6.3A11", "B20", ("C14.6", 2)],
        ["A6M4A10", "B5.5B10", ("C7.3C4Z6", [(2, 0.9)]), "Z20", "D20"],
    )
]
ASTRAY = [
    clip(
        ["A12", ("B12", 2), ("C12", 3)],
        [("A12", [(2, 0.9)]), ("B6A6", [(2, 0.8), (3, 0.3)]), ("C4.8", [(3, 0.7)]), ("X12", [(1, 0.6)])],
    ),
    replace(clip(["A15", "B9.6", ("C3.2C10", 3)], ["O9A6", "D15", ("C15", [(3, 0.5)])]), video_id=2),
]
PIECES = [clip(["A18"], ["A5l4A9", ".5r4.9", "D6S6O6"])]

# Videos, category, and its scores in the order of SCORES, in points, rounded to 9 decimals.
REFERENCE = [
    (SWAP, 1, (46.808863764, 60.474716202, 36.560150376, 93.684210526, 62.456140351, 52.947368421, 52.947368421,
               95.438596491, 64.0, 80.0, 53.333333333)),
    (MERGE, 1, (54.776779396, 42.259840635, 71.389967788, 89.758179232, 44.280701754, 80.494102458, 84.983641058,
                96.820175439, 57.142857143, 86.486486486, 42.666666667)),
    (MERGE, 2, (55.0, 55.0, 55.0, 78.571428571, 64.705882353, 78.571428571, 64.705882353, 100.0, 70.967741935,
                78.571428571, 64.705882353)),
    (ASTRAY, 1, (31.427791889, 25.869821613, 38.909774436, 42.105263158, 36.090225564, 53.333333333, 53.333333333,
                 81.487050961, 38.461538462, 41.666666667, 35.714285714)),
    (ASTRAY, 2, (25.819888975, 20.0, 33.333333333, 50.0, 25.0, 50.0, 50.0, 100.0, 33.333333333, 50.0, 25.0)),
    (ASTRAY, 3, (56.839856006, 43.58974359, 74.117647059, 68.0, 54.838709677, 84.31372549, 89.803921569, 100.0,
                 60.714285714, 68.0, 54.838709677)),
    (PIECES, 1, (47.42539068, 40.998664738, 55.647983595, 93.274853801, 41.973684211, 69.077322937, 69.077322937,
                 95.012531328, 62.068965517, 100.0, 45.0)),
]  # fmt: skip


@pytest.mark.parametrize(("videos", "category", "expected"), REFERENCE)
def test_scores_equal_the_reference(videos, category, expected):
    scores = identity_metrics(tables_of(*[entry.video() for entry in videos])).per_category[category]
    assert [getattr(scores, name) for name in SCORES] == pytest.approx(expected, abs=1e-8)


def test_averages_over_classes_and_detections():
    metrics = identity_metrics(tables_of(*[entry.video() for entry in ASTRAY]))
    expected = [reference[2] for reference in REFERENCE if reference[0] is ASTRAY]
    assert pytest.approx(sum(row[0] for row in expected) / 3, abs=1e-8) == metrics.class_average.HOTA
    assert pytest.approx(sum(row[8] for row in expected) / 3, abs=1e-8) == metrics.class_average.IDF1
    # 36 + 12 + 25 object frames, of which identity finds 15, 6 and 17.
    assert pytest.approx(100 * (15 + 6 + 17) / (36 + 12 + 25)) == metrics.detection_average.IDR
    assert metrics.to_frame().category_id.tolist() == [1, 2, 3]
    assert metrics.to_dict()["per_category"][0]["HOTA"] == metrics.per_category[1].HOTA


def test_perfect_tracks_score_100():
    scores = identity_metrics(tables_of(clip(["A9.3A3", "B15"], ["A9.3A3", "B15"]).video())).class_average
    assert [getattr(scores, name) for name in SCORES] == pytest.approx([100.0] * len(SCORES))


def test_masks_on_crowds_count_for_nothing():
    plain = identity_metrics(tables_of(clip(["A9"], ["A9"]).video()))
    crowded = clip(["A9", "B9"], ["A9", "B9"], crowd=(1,))
    assert identity_metrics(tables_of(crowded.video())) == plain
    uncovered = clip(["A9", "C9"], ["A9", "B9"], crowd=(1,))
    assert identity_metrics(tables_of(uncovered.video())).class_average.DetPr == pytest.approx(50)


def test_score_floor_drops_rows():
    tables = tables_of(clip(["A9"], ["A9", ("B9", [(1, 0.1)])]).video())
    assert pytest.approx(50) == identity_metrics(tables).class_average.IDP
    assert pytest.approx(100) == identity_metrics(tables, min_score=0.5).class_average.IDP


def test_nothing_to_find_is_undefined():
    metrics = identity_metrics(tables_of(clip(["A9"], ["B9"], crowd=(0,)).video()))
    assert metrics.class_average is None
    assert metrics.detection_average is None
    assert metrics.to_frame().empty


def test_no_predictions_score_0():
    video = clip(["A9", "B9"], [("Z9", [(2, 0.9)])]).video()
    scores = identity_metrics(tables_of(video)).per_category[1]
    assert (scores.HOTA, scores.IDF1, scores.DetRe) == (0, 0, 0)
