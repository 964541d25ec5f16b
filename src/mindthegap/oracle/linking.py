"""Re-linking of one video's masks by the oracle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mindthegap.evaluation import VideoOverlaps
from mindthegap.oracle.assignment import (
    assign_tracks,
    assign_tracks_by_iou,
    conflicting,
    frame_iou,
    link_by_frame,
)
from mindthegap.oracle.clashes import (
    ComponentSolve,
    Problem,
    components,
    per_threshold_bound,
    settle_without_contest,
    solve_component,
)
from mindthegap.oracle.dinkelbach import best_linking
from mindthegap.oracle.gates import Stage, allowed, continued, gated_intersection, inherited_scores
from mindthegap.oracle.solving import Deadline, SolverSettings
from mindthegap.oracle.sums import NONE, Bools, Floats, Ints, hits, iou, linked_sums

Objective = Literal["tight", "iou"]
OBJECTIVES: tuple[Objective, ...] = ("tight", "iou")


@dataclass(frozen=True, eq=False)
class Linking:
    """What an oracle gives to the objects of one video.

    Attributes:
        video_id: The video.
        stage: What was repaired.
        objective: By which objective.
        chosen: ``[T, G]`` query whose mask each object gets in each frame, -1 for none.
        query: ``[G]`` the whole query each object gets where identities are untouched, else -1.
        score: ``[G]`` score of each object's track; meaningless where it has none.
        clashes: Number of (object, frame) choices in which objects alone would want the same mask.
        solves: One entry per component that needed an integer program.
    """

    video_id: int
    stage: Stage
    objective: Objective
    chosen: Ints
    query: Ints
    score: Floats
    clashes: int
    solves: tuple[ComponentSolve, ...]

    @property
    def tracks(self) -> Ints:
        """Positions of the objects that have a track."""
        return np.flatnonzero((self.chosen >= 0).any(axis=0))

    @property
    def optimal(self) -> bool:
        """Whether nothing better exists, by the rules of the stage and objective."""
        return all(solve.optimal for solve in self.solves)


def link(
    video: VideoOverlaps,
    stage: Stage,
    objective: Objective = "tight",
    *,
    weights: Floats | None = None,
    settings: SolverSettings | None = None,
    compare_thresholds: bool = True,
) -> Linking:
    """Links the masks of one video as well as anything could that may repair only what the stage says.

    ``tight``: one linking for all ten IoU thresholds that reaches the most (object, threshold) pairs; tracks are ranked
    by their IoU, so that at every threshold all true positives come first. ``iou``: the largest sum of frame IoUs, each
    track inherits the maximum score of its parts. Rows of one mask count once; left-over masks are dropped; crowds get
    nothing.

    Args:
        video: Overlap tables.
        stage: What to repair.
        objective: ``"tight"`` or ``"iou"``.
        weights: ``[G]`` worth of one threshold of each object (1 / objects of its class); 1 for all if left out.
        settings: Solver and time limit per component.
        compare_thresholds: Also computes what separate linkings per threshold would reach, where objects clash.
    """
    worth = np.ones(len(video.object_id)) if weights is None else np.asarray(weights, np.float64)
    settings = settings or SolverSettings()
    query = np.full(len(video.object_id), NONE, np.int64)
    clashes, solves = 0, tuple[ComponentSolve, ...]()
    if stage.keeps_identities:
        query = _own_queries(video, allowed(video, stage), objective, worth)
        chosen = _whole_tracks(video, query)
    else:
        shared = usable_masks(video, stage, objective, worth)
        if objective == "iou":
            chosen = link_by_frame(frame_iou(video, shared))
        else:
            chosen, clashes, solves = _link_tight(video, shared, worth, settings, compare_thresholds)
    score = iou(*linked_sums(video, chosen)) if objective == "tight" else _best_part(video, stage, chosen)
    return Linking(video.video_id, stage, objective, chosen, query, score, clashes, solves)


def _own_queries(video: VideoOverlaps, gate: Bools, objective: Objective, worth: Floats) -> Ints:
    """``[G]`` the whole query that each object gets one-to-one, -1 for none."""
    return assign_tracks(video, gate, worth) if objective == "tight" else assign_tracks_by_iou(video, gate)


def usable_masks(video: VideoOverlaps, stage: Stage, objective: Objective, worth: Floats) -> Ints:
    """``[T, Q, G]`` pixels that each mask shares with each object it may serve at a stage that repairs identities.

    ``CONTINUED`` lies between ``RANKING`` and ``TRACKING``: under the ``tight`` objective mean recall over classes and
    thresholds cannot fall in this order (where optimality is proven). From below: the ranking assigns queries
    one-to-one, so no two objects have the same own track, and each may keep its own wherever it has pixels on the
    object; the masks of an own track that are not on the object are dropped, which only raises its IoU. From above:
    only masks are open here that are open at ``TRACKING`` too. Under the ``iou`` objective the same argument holds for
    the sum of frame IoUs; AP and recall may fall, as anywhere under that objective.

    Args:
        video: Overlap tables.
        stage: ``CONTINUED``, ``TRACKING`` or ``BOTH``.
        objective: Decides which query is an object's own.
        worth: ``[G]`` worth of one threshold of each object.
    """
    gate = allowed(video, stage)
    if stage is Stage.CONTINUED:
        own = _own_queries(video, allowed(video, Stage.RANKING), objective, worth)
        gate = continued(video, gate, own)
    return gated_intersection(video, gate)


def _whole_tracks(video: VideoOverlaps, query: Ints) -> Ints:
    """``[T, G]`` each object's query in the frames where it has pixels."""
    if not video.query_area.shape[1]:
        return np.full((video.length, len(query)), NONE, np.int64)
    present = video.query_area[:, np.maximum(query, 0)] > 0
    return np.where(present & (query >= 0), query, NONE)


def _best_part(video: VideoOverlaps, stage: Stage, chosen: Ints) -> Floats:
    """``[G]`` maximum score among the queries a track is made of (rows of the object's class where classes are kept).

    The maximum is the only inherited rule that never lowers a true positive whose mask is kept.
    """
    scores = inherited_scores(video, keep_classes=stage.keeps_classes)
    result = np.zeros(chosen.shape[1])
    for g in range(chosen.shape[1]):
        parts = np.unique(chosen[:, g][chosen[:, g] >= 0])
        if len(parts):
            result[g] = scores[parts, g].max()
    return result


def _link_tight(
    video: VideoOverlaps, shared: Ints, worth: Floats, settings: SolverSettings, compare: bool
) -> tuple[Ints, int, tuple[ComponentSolve, ...]]:
    """The tight oracle: each object alone; where that clashes, components and integer programs."""
    area, object_area = video.query_area.astype(np.int64), video.object_area.astype(np.int64)
    alone = best_linking(shared, area, object_area)
    clash = conflicting(alone)
    if not clash.any():
        return alone, 0, ()
    reachable = hits(*linked_sums(video, alone))
    high = reachable > 0
    useful = (3 * shared > area[:, :, None]) & high
    problem = Problem(shared, area, object_area, worth, useful, set(np.flatnonzero(high).tolist()))
    solves = _solve_clashes(problem, alone, reachable, settings, compare)
    chosen = _give_out_the_rest(shared, area, object_area, problem.reserved)
    return chosen, int(clash.sum()), tuple(solves)


def _solve_clashes(
    problem: Problem, alone: Ints, reachable: Ints, settings: SolverSettings, compare: bool
) -> list[ComponentSolve]:
    """Decides the masks of all objects that can reach a threshold."""
    for group in components(problem, sorted(problem.open)):
        if not conflicting(alone[:, group]).any():
            problem.reserved[:, group] = alone[:, group]
            problem.open -= set(group)
    settle_without_contest(problem, reachable)
    solves = []
    for group in components(problem, sorted(problem.open)):
        deadline = Deadline.after(settings.time_limit)
        solve = solve_component(problem, group, reachable, settings, deadline)
        if compare:
            bound = per_threshold_bound(problem, group, reachable, settings, deadline)
            solve = replace(solve, per_threshold_bound=bound)
        solves.append(solve)
    return solves


def _give_out_the_rest(shared: Ints, area: Ints, object_area: Ints, reserved: Ints) -> Ints:
    """Lets the objects improve with masks that nobody holds, best first; no object loses IoU.

    This changes no proven optimum. It completes the tracks of objects that reach no threshold, and those that were
    settled with less than they could have.
    """
    chosen = reserved.copy()
    free = np.ones(area.shape, bool)
    held_frames, holders = np.nonzero(chosen >= 0)
    free[held_frames, chosen[held_frames, holders]] = False
    for g in _by_iou(shared, area, object_area, chosen):
        frames = np.flatnonzero(chosen[:, g] >= 0)
        free[frames, chosen[frames, g]] = True
        usable: Bools = free[:, :, None]
        chosen[:, [g]] = best_linking(np.where(usable, shared[:, :, [g]], 0), area, object_area[:, [g]])
        frames = np.flatnonzero(chosen[:, g] >= 0)
        free[frames, chosen[frames, g]] = False
    return chosen


def _by_iou(shared: Ints, area: Ints, object_area: Ints, chosen: Ints) -> list[int]:
    """Objects by falling IoU of what they hold; those that hold nothing by what they could reach alone, at the end."""
    problem = Problem(shared, area, object_area, np.ones(chosen.shape[1]), shared > 0, set())
    every = list(range(chosen.shape[1]))
    held = iou(*problem.totals(chosen, every))
    possible = iou(*problem.totals(best_linking(shared, area, object_area), every))
    return sorted(every, key=lambda g: (-held[g], -possible[g], g))
