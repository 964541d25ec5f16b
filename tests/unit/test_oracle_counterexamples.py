"""Where a plausible oracle goes wrong, in numbers: why the tight oracle is the headline and which choices it rests on.

Each case gives the AP of the tight oracle and of the alternative. They are the documentation of the design's decisions:
where the sum-of-IoU oracle loses AP, its negative gaps are printed as they are.
"""

from dataclasses import replace

import numpy as np
import pytest
from oracle_cases import table, tables_of

from mindthegap.diagnosis import diagnose_tables
from mindthegap.evaluation import (
    Candidates,
    association_candidates,
    evaluate_candidates,
    evaluate_tables,
    row_candidates,
)
from mindthegap.oracle import Stage, hits, iou, link, linked_sums
from mindthegap.oracle.assignment import frame_iou, link_by_frame
from mindthegap.oracle.gates import allowed, gated_intersection


def ap_of(video, chosen, score, category=None):
    """AP of tracks linked as chosen [T, G]."""
    category = video.object_category if category is None else category
    return evaluate_candidates(tables_of(video), [association_candidates(video, chosen.T, category, score)]).AP


def gaps(*videos):
    return diagnose_tables(tables_of(*videos))


def test_the_sum_of_frame_ious_ignores_that_track_iou_weighs_frames_by_union():
    """One object, two queries: the mask of larger frame IoU gives the smaller track IoU, AP 10 falls to 0."""
    video = table([[[120], [177]], [[88], [88]]], [[120, 177 + 100], [88, 88]], [[200], [224]])
    small, large = 120 / 200, 177 / 300
    assert small > large
    assert iou(120 + 88, 200 + 224) == pytest.approx(0.4906, abs=1e-4)
    assert iou(177 + 88, 300 + 224) == pytest.approx(0.5057, abs=1e-4)
    diagnosis = gaps(video)
    assert pytest.approx(10) == diagnosis.chains["tight"].levels["tracking"].evaluation.AP
    assert diagnosis.chains["iou"].levels["tracking"].evaluation.AP == 0


def test_a_negative_gap_of_the_iou_oracle_is_reported_as_it_is():
    """The second query alone is a true positive; re-linking by the sum of IoUs destroys it: tracking gap -10."""
    video = table([[[120], [177]], [[88], [88]]], [[120, 277], [88, 88]], [[200], [224]])
    diagnosis = gaps(
        replace(
            video,
            row_index=np.arange(1),
            row_query=np.array([1]),
            row_category=np.array([1]),
            row_score=np.array([0.9]),
        )
    )
    assert diagnosis.chains["iou"].gaps["tracking"] == 0  # only one query left: nothing to re-link
    diagnosis = gaps(replace(video, row_score=np.array([0.1, 0.9])))
    assert diagnosis.chains["iou"].gaps["tracking"] == pytest.approx(-10)
    assert diagnosis.chains["tight"].gaps["tracking"] == pytest.approx(0, abs=1e-9)
    assert "-10.00" in repr(diagnosis)
    assert diagnosis.to_dict()["iou_objective"]["gaps"]["tracking"] == pytest.approx(-10)


def test_a_gate_on_frame_iou_loses_true_positives():
    """Frames of IoU .60 and .45: the track has .525. Without the second frame it falls to .30, AP 10 to 0."""
    video = table([[[60]], [[45]]], [[60], [45]], [[100], [100]])
    assert pytest.approx(10) == gaps(video).chain.levels["tracking"].evaluation.AP
    shared = gated_intersection(video, allowed(video, Stage.TRACKING))
    gated = np.where(frame_iou(video, shared) >= 0.5, frame_iou(video, shared), 0)
    assert ap_of(video, link_by_frame(gated), [1.0]) == 0


def test_linking_without_regard_to_class_takes_a_wrong_label():
    """A right-class track of .8 beside a wrong-class one of .95: blind linking and voting gives AP 0 instead of 70."""
    video = table([[[80], [95]]], [[80, 95]], [[100]], rows=[(0, 1, 0.9), (1, 2, 0.8)])
    diagnosis = gaps(video)
    assert pytest.approx(70) == diagnosis.chain.levels["tracking"].evaluation.AP
    assert diagnosis.gaps["tracking"] == pytest.approx(0, abs=1e-9)
    blind = link(video, Stage.BOTH)
    assert blind.chosen.tolist() == [[1]]
    assert ap_of(video, blind.chosen, [1.0], category=[2]) == 0


def test_kept_left_overs_become_false_positives():
    """A query that drifts in 2 of 12 frames: keeping the drifting rest with its score costs 50 points."""
    shared = np.zeros((12, 2, 1), int)
    shared[:10, 0], shared[10:, 1] = 100, 100
    video = table(shared, np.array([[100, 100]] * 12), [[100]] * 12, rows=[(0, 1, 0.99), (1, 1, 0.5)])
    assert pytest.approx(100) == gaps(video).chain.levels["tracking"].evaluation.AP
    linking = link(video, Stage.TRACKING)
    left_over = np.where(np.arange(12) < 10, -1, 0)
    chosen = np.stack([linking.chosen[:, 0], left_over], axis=1)
    kept = association_candidates(video, chosen.T, [1, 1], [0.98, 0.99])
    assert pytest.approx(50) == evaluate_candidates(tables_of(video), [kept]).AP


def test_a_merged_track_that_stays_poor_must_not_outrank_true_positives():
    """Two objects, .45 and .75: at its inherited top score the poor track halves the precision of the good one."""
    video = table([[[45, 0], [0, 75]]], [[45, 75]], [[100, 100]], rows=[(0, 1, 0.9), (1, 1, 0.5)])
    diagnosis = gaps(video)
    tight = diagnosis.chain.levels["tracking"].evaluation.AP
    inherited = diagnosis.chains["iou"].levels["tracking"].evaluation.AP
    assert tight == pytest.approx(6 * 100 * 51 / 101 / 10)
    assert inherited == pytest.approx(tight / 2, abs=0.1)


def test_relabelling_can_add_a_false_positive_so_ap_falls_under_the_iou_oracle():
    """A poor track in a class without objects is free; given the true class it is a false positive."""
    video = table([[[100, 0], [0, 45]]], [[100, 45]], [[100, 100]], rows=[(0, 1, 0.5), (1, 2, 0.9)], classes=[1, 1])
    iou_chain = gaps(video).chains["iou"]
    assert pytest.approx(100 * 51 / 101) == iou_chain.levels["tracking"].evaluation.AP
    assert pytest.approx(100 * 51 / 101 / 2, abs=0.1) == iou_chain.levels["both"].evaluation.AP
    assert iou_chain.gaps["classification"] < -20
    assert gaps(video).gaps["classification"] == pytest.approx(0, abs=1e-9)


def test_rows_of_one_mask_are_used_once_at_both_stages():
    """One mask on two objects of two classes, labelled with both: as rows apart it would serve both at T, not at TC."""
    video = table([[[60, 55]]], [[115]], [[60, 55]], rows=[(0, 1, 0.9), (0, 2, 0.8)], classes=[1, 2])
    for stage in (Stage.TRACKING, Stage.BOTH):
        chosen = link(video, stage).chosen
        assert np.count_nonzero(chosen >= 0) == 1
    levels = gaps(video).chain.levels
    assert levels["tracking"].evaluation.AP <= levels["both"].evaluation.AP + 1e-9


def test_one_linking_for_all_thresholds_may_reach_less_than_one_per_threshold():
    """Two frames and a contested merged mask: 25.25 with one linking, 35.15 with one per threshold."""
    video = case_of_two_crossings()
    linking = link(video, Stage.TRACKING)
    diagnosis = gaps(video)
    assert pytest.approx(25.25, abs=0.01) == diagnosis.chain.levels["tracking"].evaluation.AP
    (solve,) = linking.solves
    assert solve.optimal
    assert (solve.value, solve.per_threshold_bound) == (pytest.approx(5), pytest.approx(7))
    report = diagnosis.solver
    assert report["components"] >= 1
    assert report["optimal"] == report["components"]
    assert report["per_threshold"]["tracking"] == pytest.approx(100 * 2 / 2 / 10)
    assert per_threshold_ap(video) == pytest.approx(35.15, abs=0.01)


def case_of_two_crossings():
    """g1 goes from .375 to .583 and g2 from .633 to .725 with the merged mask of frame 2, which only one can have."""
    shared = [[[180, 0], [0, 760], [0, 0]], [[0, 0], [0, 0], [284, 316]]]
    video = table(shared, [[180, 760, 0], [0, 0, 600]], [[180, 760], [300, 440]])
    assert crossings(video) == ([0.375, 0.583], [0.633, 0.725])
    return video


def crossings(video):
    """Track IoU of each object without and with the contested mask, rounded."""
    result = []
    for g in range(2):
        alone = np.full((2, 2), -1)
        alone[0, g] = g
        shared = alone.copy()
        shared[1, g] = 2
        result.append([round(float(iou(*linked_sums(video, chosen))[g]), 3) for chosen in (alone, shared)])
    return tuple(result)


def per_threshold_ap(video):
    """AP if each threshold may have its own linking, from the two ways to give the contested mask."""
    counts = []
    for owner in range(2):
        chosen = np.array([[0, 1], [-1, -1]])
        chosen[1, owner] = 2
        counts.append(np.array([np.arange(10) < h for h in hits(*linked_sums(video, chosen))]).sum(axis=0))
    best = np.maximum(*counts)
    return float(np.mean([0 if k == 0 else (100 * k // 2 + 1) / 1.01 for k in best]))


def test_left_overs_can_push_true_tracks_beyond_the_limit_per_class():
    """150 one-frame scraps of high score fill the 100 places of their class, unless they are dropped."""
    shared, area = np.zeros((1, 151, 1), int), np.full((1, 151), 5)
    shared[0, 150, 0] = area[0, 150] = 100
    rows = [(q, 1, 0.9) for q in range(150)] + [(150, 1, 0.1)]
    area[0, :150] = np.arange(1, 151)
    video = table(shared, area, [[100]], rows=rows)
    assert evaluate_tables(tables_of(video)).AP == 0
    assert pytest.approx(100) == gaps(video).chain.levels["ranking"].evaluation.AP


def test_mean_of_scores_can_push_a_true_positive_below_a_false_one_and_the_maximum_cannot():
    """Parts scored .9 and .1, a false track of .6 between: the mean ranks the true positive second."""
    video = table(
        [[[100, 0], [0, 0], [0, 0]], [[0, 0], [100, 0], [0, 0]]],
        [[100, 0, 50], [0, 100, 50]],
        [[100, 100], [100, 100]],
        rows=[(0, 1, 0.9), (1, 1, 0.1), (2, 1, 0.6)],
    )
    linking = link(video, Stage.TRACKING, "iou")
    assert linking.score[0] == 0.9
    true = association_candidates(video, linking.chosen.T[:1], [1], [0.5])
    false = row_candidates(video)
    both = Candidates(
        1,
        np.array([1, 1]),
        np.array([0.5, 0.6]),
        np.concatenate([true.intersection, false.intersection[2:]]),
        np.concatenate([true.union, false.union[2:]]),
        np.concatenate([true.mean_area, false.mean_area[2:]]),
    )
    mean = evaluate_candidates(tables_of(video), [both]).AP
    best = evaluate_candidates(tables_of(video), [replace(both, score=np.array([0.9, 0.6]))]).AP
    assert mean == pytest.approx(best / 2, abs=0.1)


def test_order_of_repairs_matters_and_both_orders_are_reported():
    """Masks that are in wrong tracks *and* wrong classes are worth nothing until both are repaired."""
    rows = [(0, 1, 0.9), (1, 2, 0.8)]
    cut = [[[100, 0], [0, 100]], [[0, 100], [100, 0]]]
    video = table(cut, [[100, 100], [100, 100]], [[100, 100], [100, 100]], rows=rows, classes=[2, 1])
    orders = gaps(video).to_dict()["orders"]
    assert orders["tracking_first"]["tracking"] + orders["tracking_first"]["classification"] == pytest.approx(100)
    assert orders["classification_first"]["classification"] + orders["classification_first"][
        "tracking"
    ] == pytest.approx(100)
    first, second = orders["tracking_first"], orders["classification_first"]
    assert orders["interaction"] == pytest.approx(first["classification"] - second["classification"])
