"""The oracle's optimum is the optimum: fast paths, component programs and whole-video programs against brute force."""

import itertools
from dataclasses import replace

import numpy as np
import pulp
import pytest
from oracle_cases import (
    all_linkings,
    assert_valid,
    brute_force,
    check_instance,
    clashing_video,
    contested_video,
    reached,
    table,
)
from scipy.optimize import linear_sum_assignment

from mindthegap.errors import MindTheGapError
from mindthegap.evaluation import IOU_THRESHOLDS
from mindthegap.oracle import SolverSettings, Stage, available_solvers, hits, iou, link, linked_sums
from mindthegap.oracle.assignment import frame_iou, link_by_frame
from mindthegap.oracle.dinkelbach import best_linking
from mindthegap.oracle.gates import allowed, gated_intersection
from mindthegap.oracle.solving import maximise
from mindthegap.oracle.sums import TWENTIETHS
from mindthegap.oracle.whole import label_program

SOLVERS = available_solvers()
ALMOST_ONE = 1 - 1e-10


@pytest.mark.parametrize(("make", "videos", "programs"), [(contested_video, 350, 1), (clashing_video, 150, 60)])
def test_linking_equals_brute_force(make, videos, programs):
    """500 videos; every fifth is also solved as one program."""
    rng = np.random.default_rng(1)
    solved = 0
    for i in range(videos):
        stage = Stage.TRACKING if i % 2 else Stage.BOTH
        solved += check_instance(make(rng, classes=1 + i % 3 // 2), rng, "HiGHS", whole=i % 5 == 0, stage=stage)
    assert solved >= programs


def own_choices(video, own, gate):
    """Written out again from the definition: which masks may continue an own track, [T, Q, G]."""
    free = np.zeros(video.intersection.shape, bool)
    for t, q, g in np.ndindex(free.shape):
        on = [3 * video.intersection[t, k, g] > video.query_area[t, k] for k in range(gate.shape[0])]
        has_own = own[g] >= 0 and gate[own[g], g] and on[own[g]]
        free[t, q, g] = gate[q, g] and (q == own[g] or (on[q] and not has_own))
    return free


def test_continued_tracks_equal_brute_force_and_lie_between_ranking_and_tracking():
    """Every linking of 120 videos, with masks gated frame by frame; clashes included."""
    rng = np.random.default_rng(12)
    programs = strict_below = strict_above = 0
    for i in range(120):
        video = (clashing_video if i % 3 == 0 else contested_video)(rng, classes=1 + i % 2)
        weights = 1 / rng.integers(1, 4, len(video.object_id))
        own = link(video, Stage.RANKING, weights=weights)
        gate = allowed(video, Stage.TRACKING)
        free = own_choices(video, own.query, gate)
        linking = link(video, Stage.CONTINUED, weights=weights, compare_thresholds=False)
        # A mask that shares nothing is no better than none, so brute force needs no gate by frame.
        held = replace(video, intersection=np.where(free, video.intersection, 0).astype(np.int32))
        value = reached(video, linking, weights)
        assert value == pytest.approx(brute_force(held, gate, weights), abs=1e-9)
        assert_valid(video, linking.chosen)
        frames, objects = np.nonzero(linking.chosen >= 0)
        assert free[frames, linking.chosen[frames, objects], objects].all()
        lower, upper = reached(video, own, weights), brute_force(video, gate, weights)
        assert lower - 1e-9 <= value <= upper + 1e-9
        strict_below += lower < value - 1e-9
        strict_above += value < upper - 1e-9
        programs += len(linking.solves)
    assert min(strict_below, strict_above, programs) > 3


def test_continued_tracks_lie_between_ranking_and_tracking_in_the_sum_of_frame_ious():
    """What can be promised under the ``iou`` objective."""
    rng = np.random.default_rng(13)
    between = 0
    for i in range(60):
        video = contested_video(rng, classes=1 + i % 2)
        worth = frame_iou(video, gated_intersection(video, allowed(video, Stage.TRACKING)))
        stages = (Stage.RANKING, Stage.CONTINUED, Stage.TRACKING)
        low, middle, high = (chosen_worth(worth, link(video, stage, "iou").chosen) for stage in stages)
        assert low - 1e-9 <= middle <= high + 1e-9
        between += low < middle - 1e-9 and middle < high - 1e-9
    assert between > 3


def test_best_linking_reaches_the_largest_track_iou():
    """Dinkelbach per object alone, against every linking of 150 videos (two stages each: 300 checks)."""
    rng = np.random.default_rng(4)
    for _ in range(150):
        video = contested_video(rng, classes=2)
        for stage in (Stage.TRACKING, Stage.BOTH):
            gate = allowed(video, stage)
            chosen = best_linking(gated_intersection(video, gate), video.query_area, video.object_area)
            largest = iou(*all_linkings(video, gate)).max(axis=0)
            np.testing.assert_allclose(iou(*linked_sums(video, chosen)), largest, rtol=0, atol=1e-15)


def test_best_linking_on_huge_masks_does_not_overflow():
    big = 2**30
    shared, area = np.full((60, 2, 1), big, np.int64), np.full((60, 2), big + 7, np.int64)
    chosen = best_linking(shared * 16, area * 16, np.full((60, 1), big * 16, np.int64))
    assert (chosen == 0).all()


def test_threshold_test_is_the_evaluators():
    """20 I >= k U decides as the float comparison, also where the IoU is exactly a threshold."""
    rng = np.random.default_rng(5)
    union = rng.integers(1, 10**9, 20_000)
    shared = np.minimum(union, union * rng.choice(TWENTIETHS, 20_000) // 20 + rng.integers(-1, 2, 20_000))
    exact = np.arange(20, 2000, 20)
    for k in TWENTIETHS:
        union, shared = np.append(union, exact), np.append(shared, exact // 20 * k)
    expected = (iou(shared, union)[:, None] >= np.minimum(IOU_THRESHOLDS, ALMOST_ONE)).sum(axis=1)
    np.testing.assert_array_equal(hits(shared, union), expected)
    assert hits(0, 0) == 0


def test_single_linking_never_beats_one_linking_per_threshold():
    rng = np.random.default_rng(6)
    more = 0
    for _ in range(15):
        for solve in link(clashing_video(rng), Stage.BOTH).solves:
            assert solve.per_threshold_bound >= solve.value - 1e-9
            more += solve.per_threshold_bound > solve.value + 1e-6
    assert more  # they do differ on some


def test_iou_objective_is_the_assignment_of_each_frame():
    """Fast path, assignment, LP relaxation, integer program (labels free) and brute force give one value."""
    rng = np.random.default_rng(7)
    for i in range(40):
        video = contested_video(rng)
        worth = frame_iou(video, gated_intersection(video, allowed(video, Stage.BOTH)))
        linking = link(video, Stage.BOTH, "iou")
        value = chosen_worth(worth, linking.chosen)
        assignment = sum(w[linear_sum_assignment(w, maximize=True)].sum() for w in worth)
        assert value == pytest.approx(assignment, abs=1e-12)
        assert_valid(video, linking.chosen)
        model = label_program(video, worth, free=True)
        assert maximise(model.problem, SolverSettings(), 1e9).value == pytest.approx(value, abs=1e-6)
        if i < 10:
            model.problem.solve(pulp.HiGHS(msg=False, mip=False))
            assert pulp.value(model.problem.objective) == pytest.approx(value, abs=1e-6)


def chosen_worth(worth, chosen):
    return float(sum(worth[t, q, g] for t in range(len(worth)) for g, q in enumerate(chosen[t]) if q >= 0))


def test_label_program_with_fixed_labels_is_the_class_gated_stage():
    rng = np.random.default_rng(8)
    for _ in range(30):
        video = contested_video(rng, classes=2)
        every = frame_iou(video, gated_intersection(video, allowed(video, Stage.BOTH)))
        gated = frame_iou(video, gated_intersection(video, allowed(video, Stage.TRACKING)))
        fixed = maximise(label_program(video, every, gated=True).problem, SolverSettings(), 1e9)
        assert fixed.value == pytest.approx(chosen_worth(gated, link_by_frame(gated)), abs=1e-6)
        voted = maximise(label_program(video, every).problem, SolverSettings(), 1e9)
        free = maximise(label_program(video, every, free=True).problem, SolverSettings(), 1e9)
        assert fixed.value - 1e-6 <= voted.value <= free.value + 1e-6


def test_label_program_decides_one_class_per_track():
    """y free equals the best choice of one class per object, found by trying all of them."""
    rng = np.random.default_rng(9)
    coupled = 0
    for _ in range(25):
        video = contested_video(rng, classes=3)
        worth = frame_iou(video, gated_intersection(video, allowed(video, Stage.BOTH)))
        best = 0.0
        for labels in itertools.product((1, 2, 3), repeat=len(video.object_id)):
            relabelled = replace(video, object_category=np.array(labels))
            part = frame_iou(video, gated_intersection(video, allowed(relabelled, Stage.TRACKING)))
            best = max(best, chosen_worth(part, link_by_frame(part)))
        model = label_program(video, worth)
        solution = maximise(model.problem, SolverSettings(), 1e9)
        assert solution.value == pytest.approx(best, abs=1e-6)
        for g in range(len(video.object_id)):
            assert sum(v.varValue for (o, _), v in model.y.items() if o == g) in (0, pytest.approx(1))
        coupled += best < maximise(label_program(video, worth, free=True).problem, SolverSettings(), 1e9).value - 1e-6
    assert coupled


def test_settings_are_checked():
    with pytest.raises(MindTheGapError, match="HiGHS or CBC"):
        SolverSettings("Gurobi")  # type: ignore[arg-type]
    for limit in (0, -1, float("nan"), float("inf")):
        with pytest.raises(MindTheGapError, match="seconds above 0"):
            SolverSettings("HiGHS", limit)


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("objective", ["tight", "iou"])
def test_nothing_to_link(stage, objective):
    for frames, queries, objects in ((3, 0, 2), (3, 2, 0), (0, 0, 0)):
        rows = [(q, 1, 0.5) for q in range(queries)]
        empty = table(
            np.zeros((frames, queries, objects)), np.ones((frames, queries)), np.ones((frames, objects)), rows=rows
        )
        linking = link(empty, stage, objective)
        assert linking.chosen.shape == (frames, objects)
        assert (linking.chosen == -1).all()


def test_crowds_get_nothing_and_absent_frames_no_mask():
    video = table([[[10, 0]], [[0, 10]]], [[10], [10]], [[10, 0], [0, 10]], crowd=[False, True])
    for stage in Stage:
        chosen = link(video, stage).chosen
        assert (chosen[:, 1] == -1).all()
    assert link(video, Stage.BOTH).chosen[:, 0].tolist() == [0, -1]
