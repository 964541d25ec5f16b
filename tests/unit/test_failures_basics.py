"""Families, carriers, owners, hidden intervals and the official match."""

from __future__ import annotations

import numpy as np
import pytest
from failure_clips import NIBBLED, clip, draw, pair_iou_of
from pycocotools import mask as mask_api

from mindthegap.failures import FailureThresholds, build_scene, exact_pair_iou, query_families
from mindthegap.failures.intervals import label_runs, true_runs
from mindthegap.failures.matching import BEYOND_TOP_K, official_match
from mindthegap.failures.occlusion import occlusion_intervals
from mindthegap.failures.scene import ABSENT, BACKGROUND, MIXED
from mindthegap.formats import ResultRow, Results

DEFAULTS = FailureThresholds()


def copies(*letters: str):
    """A clip with object A and each query twice, the second copy a pixel smaller."""
    queries = [text for letter in letters for text in (letter * 6, (letter * 6).translate(NIBBLED))]
    return clip(["A6"], []), queries


def with_copies(*letters: str):
    base, queries = copies(*letters)
    rows = tuple((text, ((1, 0.9 - 0.1 * place),)) for place, text in enumerate(queries))
    return type(base)(base.objects, rows)


def test_copies_on_an_object_are_one_family_by_the_tables_alone():
    families = query_families(with_copies("A").video(), DEFAULTS)
    assert [family.members for family in families] == [(0, 1)]
    assert families[0].query == 0
    assert families[0].labels == ((1, 0.9),)


def test_halves_of_an_object_are_two_families_by_the_tables_alone():
    entry = clip(["A6"], ["l6", "r6"])
    assert [family.members for family in query_families(entry.video(), DEFAULTS)] == [(0,), (1,)]


def test_undecided_pairs_are_settled_by_the_masks():
    """Two copies on background: the tables allow the same and different masks alike."""
    entry = with_copies("Z")
    assert len(query_families(entry.video(), DEFAULTS)) == 2
    assert len(query_families(entry.video(), DEFAULTS, pair_iou_of(entry))) == 1


def test_exact_pair_iou_measures_the_masks():
    entry = clip(["A6"], ["A6", "D6", "A3.3"])
    rows = []
    for index, (text, ((category, score),)) in enumerate(entry.queries):
        coded = mask_api.encode(np.asfortranarray(draw(text).transpose(1, 2, 0).astype(np.uint8)))
        masks = tuple(mask if letter != "." else None for mask, letter in zip(coded, text, strict=True))
        rows.append(ResultRow(index, 1, category, score, masks, None, None))
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    measured = exact_pair_iou(Results("results.json", tuple(rows)))(entry.video(), pairs)
    assert measured == pytest.approx([30 / 42, 0.5, 90 / (6 * 36 + 3 * 36 - 90)])
    assert measured == pytest.approx(pair_iou_of(entry)(entry.video(), pairs))


def test_score_floor_drops_families_unless_matched():
    rows = [("A6", [(1, 0.9)]), ("B6", [(1, 0.04)]), ("C6", [(1, 0.5)])]
    video = clip(["A6"], rows).video()
    assert [family.kept for family in query_families(video, DEFAULTS)] == [True, False, True]
    matched = clip(["A6", "B6"], rows).video()
    assert [family.kept for family in query_families(matched, DEFAULTS)] == [True, True, True]


def test_carrier_keeps_its_object_while_it_covers_it():
    """The second query is better from frame 3 on, but the first still reaches .5."""
    scene = build_scene(clip(["A6"], ["S6", "S3A3"]).video(), DEFAULTS)
    assert scene.carrier[:, 0].tolist() == [0] * 6
    assert build_scene(clip(["A6"], ["A3.3", "S3A3"]).video(), DEFAULTS).carrier[:, 0].tolist() == [0] * 3 + [1] * 3


def test_carriers_are_one_to_one():
    """One mask covering two half-size objects evenly reaches .5 on both; only one of them gets it."""
    scene = build_scene(clip(["l4", "r4"], ["l4"]).video(), DEFAULTS)
    assert scene.carrier.tolist() == [[0, -1]] * 4


def test_owner_tells_objects_background_and_mixtures():
    scene = build_scene(clip(["A5"], ["AZX.O"]).video(), DEFAULTS)
    assert scene.owner[:, 0].tolist() == [0, BACKGROUND, MIXED, ABSENT, 0]


def test_crowd_never_carries_nor_owns():
    scene = build_scene(clip(["A4"], ["A4"], crowd=(0,)).video(), DEFAULTS)
    assert (scene.carrier == -1).all()
    assert (scene.owner == MIXED).all()
    assert scene.objects == ()


def test_occlusion_by_absence_and_label():
    entry = clip([".A4.2A6."], [], severe={0: "." * 7 + "xx" + "." * 5})
    video = clip([".A4.2A6."], ["A14"], severe=entry.severe).video()
    assert occlusion_intervals(video, 0, DEFAULTS) == ((5, 8, "absent+severe"),)


def test_occlusion_of_an_unlabelled_object_needs_another_in_its_place():
    hidden = clip(["A6t3A6", ".6N3.6"], ["A15"])
    alone = clip(["A6t3A6", ".6C3.6"], ["A15"])
    geometry = hidden.geometry().boxes
    assert occlusion_intervals(hidden.video(), 0, DEFAULTS, geometry) == ((6, 8, "shrunk"),)
    assert occlusion_intervals(alone.video(), 0, DEFAULTS, alone.geometry().boxes) == ()
    assert occlusion_intervals(hidden.video(), 0, DEFAULTS) == ()


def test_objects_that_are_far_away_together_do_not_hide_each_other():
    far = clip(["t3A12", "n3N12"], ["A15"])
    assert occlusion_intervals(far.video(), 0, DEFAULTS, far.geometry().boxes) == ()
    passing = clip(["t3A12", "N3n12"], ["A15"])
    assert occlusion_intervals(passing.video(), 0, DEFAULTS, passing.geometry().boxes) == ((0, 2, "shrunk"),)


def test_official_match_goes_by_score_and_lets_crowds_absorb():
    rows = [("S6", [(1, 0.9)]), ("A6", [(1, 0.8)]), ("B6", [(1, 0.7)]), ("B6", [(1, 0.6)]), ("C6", [(2, 0.5)])]
    match = official_match(clip(["A6", "B6", "C6"], rows, crowd=(1,)).video())
    assert match.row_of_object.tolist() == [0, -1, -1]
    assert match.object_of_row.tolist() == [0, -1, 1, 1, -1]


def test_official_match_sees_a_hundred_rows_per_class():
    rows = [("Z2", [(1, 0.9)])] * 100 + [("A2", [(1, 0.5)]), ("A2", [(2, 0.4)])]
    match = official_match(clip(["A2"], rows).video())
    assert match.object_of_row[-2:].tolist() == [BEYOND_TOP_K, -1]
    assert match.row_of_object.tolist() == [-1]


def test_runs():
    assert [tuple(run)[:2] for run in true_runs(np.array([1, 1, 0, 1, 0, 1, 1]), 2)] == [(0, 1), (5, 6)]
    assert [tuple(run) for run in label_runs(np.array([-1, 3, -1, 3, 5, -1]))] == [(1, 3, 3), (4, 4, 5)]
    assert label_runs(np.array([-1, -2])) == []
