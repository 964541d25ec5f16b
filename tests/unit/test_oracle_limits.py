"""What is reported where there was no time for a proof, or no room for a program: bounds, and never "optimal"."""

import json
import time

import numpy as np
import pytest
from oracle_cases import brute_force, clashing_video, reached, table, tables_of

from mindthegap.diagnosis import diagnose_tables
from mindthegap.diagnosis.comparison import Comparison
from mindthegap.oracle import SolverSettings, Stage, available_solvers, clashes, link
from mindthegap.oracle.gates import allowed

SOLVERS = available_solvers()


@pytest.mark.parametrize("solver", SOLVERS)
def test_time_limit_gives_bounds_and_says_so(solver):
    rng = np.random.default_rng(10)
    unproven = 0
    for _ in range(3):
        video = hard_video(rng)
        start = time.perf_counter()
        quick = SolverSettings(solver, 0.001)
        linking = link(video, Stage.BOTH, settings=quick, compare_thresholds=False)
        assert time.perf_counter() - start < 20
        value = reached(video, linking, np.ones(len(video.object_id)))
        for solve in linking.solves:
            assert solve.bound >= solve.value
            assert value >= solve.value - 1e-9
            if not solve.optimal:
                unproven += 1
                assert solve.status != "optimal"
                assert solve.relative_gap > 0
    assert unproven


def hard_video(rng, objects=4, frames=60):
    """A third of the frames has clean masks, the others only masks that merge two objects."""
    object_area = rng.integers(200, 400, (frames, objects))
    shared = np.zeros((frames, objects, objects), int)
    for t in range(frames):
        if t < frames // 3:
            shared[t, range(objects), range(objects)] = object_area[t] * 9 // 10
            continue
        for q in range(2):
            for g in rng.permutation(objects)[:2]:
                shared[t, q, g] = round(object_area[t, g] * rng.uniform(0.9, 1.0))
    return table(shared, shared.sum(2) + rng.integers(0, 20, (frames, objects)), object_area)


@pytest.mark.parametrize("solver", SOLVERS)
def test_unproven_value_is_below_the_true_optimum_and_its_bound_is_not(solver):
    rng = np.random.default_rng(11)
    for _ in range(6):
        video = clashing_video(rng)
        weights = np.ones(len(video.object_id))
        best = brute_force(video, allowed(video, Stage.BOTH), weights)
        linking = link(video, Stage.BOTH, settings=SolverSettings(solver, 1e-6), compare_thresholds=False)
        assert reached(video, linking, weights) <= best + 1e-9
        assert sum(s.bound for s in linking.solves) <= 10 * len(weights) + 1e-9
        if len(linking.solves) == 1 and len(linking.solves[0].objects) == len(weights):
            assert linking.solves[0].bound >= best - 1e-6


def test_building_the_model_counts_as_well():
    """The limit is over before the first row of the program stands."""
    video = hard_video(np.random.default_rng(1))
    linking = link(video, Stage.BOTH, settings=SolverSettings(time_limit=1e-9))
    (solve,) = linking.solves
    assert solve.status == "time limit while the model was built"
    assert not solve.optimal
    assert solve.per_threshold_bound >= solve.bound > solve.value > 0
    assert reached(video, linking, np.ones(4)) >= solve.value


def test_a_program_that_would_not_fit_in_memory_is_not_built(monkeypatch):
    monkeypatch.setattr(clashes, "_MOST_TERMS", 100)
    linking = link(hard_video(np.random.default_rng(1)), Stage.BOTH)
    (solve,) = linking.solves
    assert solve.status.startswith("too large for an integer program (")
    assert solve.per_threshold_bound >= solve.bound > solve.value > 0


def test_what_is_not_proven_is_said_in_every_output():
    rng = np.random.default_rng(1)
    easy = clashing_video(rng)
    tables = tables_of(hard_video(rng), table(easy.intersection, easy.query_area, easy.object_area, video_id=2))
    diagnosis = diagnose_tables(tables, time_limit=1e-9)
    solver = json.loads(json.dumps(diagnosis.to_dict()))["solver"]
    assert "not proven optimal (time limit while the model was built)" in solver["status"]
    assert solver["optimal"] < solver["components"]
    assert solver["max_relative_gap"] > 0
    assert solver["bounds"]["tracking"] > 0
    assert len(solver["programs"]) == len(solver["seconds_by_program"]) == solver["components"]
    assert [entry for entry in solver["programs"] if entry["status"] != "optimal"] == solver["unproven"]
    for entry in solver["unproven"]:
        assert entry["bound"] > entry["value"]
        assert entry["relative_gap"] == pytest.approx((entry["bound"] - entry["value"]) / entry["bound"])
    text = " ".join(repr(diagnosis).split())
    assert "not proven optimal" in text
    assert "could be higher" in text
    strata = diagnosis.strata()
    assert not strata.optimal.all()
    assert not strata.set_index("attribute").loc["all"].optimal
    compared = " ".join(repr(Comparison(("one",), {"one": diagnosis})).split())
    assert "one: HiGHS: " in compared
    assert "not proven optimal" in compared
    proven = diagnose_tables(tables)
    assert "proven" not in repr(Comparison(("one",), {"one": proven}))
    assert proven.solver["status"] == "optimal"
    assert proven.strata().optimal.all()
    worth = diagnosis.chain.levels["tracking"].evaluation.AR100 + solver["bounds"]["tracking"]
    assert worth >= proven.chain.levels["tracking"].evaluation.AR100 - 1e-9


def test_strata_take_over_what_could_not_be_proven_of_the_whole(monkeypatch):
    """Else a hard component would cost its time again in every stratum."""
    diagnosis = diagnose_tables(tables_of(hard_video(np.random.default_rng(1))), time_limit=1e-9)
    monkeypatch.setattr("mindthegap.oracle.linking.solve_component", lambda *_: 1 / 0)
    frame = diagnosis.strata().set_index(["attribute", "stratum"])
    assert frame.loc[("video_length", "long")].AP_tracking == frame.loc[("all", "all")].AP_tracking
