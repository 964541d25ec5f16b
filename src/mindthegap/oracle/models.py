"""The integer programs, built with PuLP.

``tight_model``: maximise the weighted number of (object, threshold) pairs reached, one linking for all thresholds:

    max  sum_g u_g sum_k z_gk
    s.t. sum_g x_qgt <= 1                     a mask is used once per frame            (R1)
         sum_q x_qgt <= 1                     an object gets one mask per frame        (R2)
         sum w^k_qgt x_qgt >= k A_g - M_gk (1 - z_gk)     w^k = (20 + k) I - k a
         z_gk >= z_g,k+1,   x, z binary

The threshold row is 20 I >= k U of the merged track, in integers. Its two sides are whole numbers, so the right side is
lowered by 1/2 and nothing changes but the room for rounding. Rows are divided by 20 A_g; half a pixel-twentieth then
still exceeds the solvers' tolerance of 1e-9 for objects of up to ten million pixels. Whatever a solver returns is
counted again in integers by the caller.

``label_model``: the general program with a free class per track (y); fixing y gives the class-gated stage, and leaving
out y the class-free one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pulp

from mindthegap.oracle.solving import Deadline
from mindthegap.oracle.sums import TWENTIETHS

_HIGHER_FIRST = 1e-6
"""Relative extra worth of a higher threshold: it decides between solutions of equal worth. AP grows most with the first
object found at a threshold, and the high ones are where objects are still missing."""


@dataclass(frozen=True)
class Edge:
    """A mask that an object has use for: query ``query`` in frame ``frame``, with its pixel counts."""

    frame: int
    query: int
    object: int
    shared: int
    area: int

    def weight(self, twentieth: int) -> int:
        """Gain (20 + k) I - k a for threshold k/20."""
        return (20 + twentieth) * self.shared - twentieth * self.area


@dataclass(frozen=True, eq=False)
class TightModel:
    """A model and its variables: ``x`` by edge, ``z`` by (object, twentieth)."""

    problem: pulp.LpProblem
    x: Mapping[Edge, pulp.LpVariable]
    z: Mapping[tuple[int, int], pulp.LpVariable]


def tight_model(
    edges: Sequence[Edge],
    object_area: Mapping[int, int],
    thresholds: Mapping[int, Sequence[int]],
    weights: Mapping[int, float],
    deadline: Deadline | None = None,
) -> TightModel:
    """Builds the program for one component.

    Args:
        edges: The useful masks; at most one edge per (frame, query, object).
        object_area: Pixels of each object over all frames, above 0.
        thresholds: For each object the twentieths to decide (ascending); those it surely reaches or cannot reach are
            left out.
        weights: Worth of one threshold of each object, above 0.
        deadline: When to give up; ``None`` takes all the time it needs.

    Raises:
        NotBuiltError: The deadline passed first.
    """
    deadline = deadline or Deadline.never()
    problem = pulp.LpProblem("tight", pulp.LpMaximize)
    x = {}
    for edge in edges:
        deadline.check()
        x[edge] = pulp.LpVariable(f"x_{edge.frame}_{edge.query}_{edge.object}", cat=pulp.LpBinary)
    z = {(g, k): pulp.LpVariable(f"z_{g}_{k}", cat=pulp.LpBinary) for g, ks in thresholds.items() for k in ks}
    lowest = int(TWENTIETHS[0])
    problem += pulp.lpSum(weights[g] * (1 + _HIGHER_FIRST * (k - lowest)) * z[g, k] for g, k in z)
    _at_most_one(problem, x, lambda e: ("mask", e.frame, e.query))
    _at_most_one(problem, x, lambda e: ("object", e.frame, e.object))
    own: dict[int, list[Edge]] = defaultdict(list)
    for edge in edges:
        own[edge.object].append(edge)
    for g, ks in thresholds.items():
        for k in ks:
            deadline.check()
            _threshold_row(problem, x, z[g, k], own[g], object_area[g], k)
        for low, high in pairwise(ks):
            problem += z[g, low] >= z[g, high]
    return TightModel(problem, x, z)


def _at_most_one(problem: pulp.LpProblem, x: Mapping[Edge, pulp.LpVariable], key: object) -> None:
    """R1 or R2: among the edges with equal key at most one is taken."""
    groups: dict[object, list[pulp.LpVariable]] = defaultdict(list)
    for edge, variable in x.items():
        groups[key(edge)].append(variable)  # type: ignore[operator]
    for variables in groups.values():
        if len(variables) > 1:
            problem += pulp.LpConstraint(
                pulp.LpAffineExpression([(v, 1) for v in variables]), pulp.LpConstraintLE, rhs=1
            )


def _threshold_row(
    problem: pulp.LpProblem,
    x: Mapping[Edge, pulp.LpVariable],
    z: pulp.LpVariable,
    edges: Sequence[Edge],
    area: int,
    twentieth: int,
) -> None:
    """Demands 20 I >= k U of the object's track unless z is 0."""
    worst: dict[int, int] = {}
    for edge in edges:
        worst[edge.frame] = min(worst.get(edge.frame, 0), edge.weight(twentieth))
    needed, scale = twentieth * area - 0.5, 20.0 * area
    slack = needed - sum(worst.values())
    terms = [
        (x[edge], edge.weight(twentieth) / scale) for edge in edges
    ]  # sums of products would take ten times longer
    gain = pulp.LpAffineExpression([*terms, (z, -slack / scale)])
    problem += pulp.LpConstraint(gain, pulp.LpConstraintGE, rhs=(needed - slack) / scale)


def threshold_model(
    edges: Sequence[Edge],
    object_area: Mapping[int, int],
    reachable: Iterable[int],
    weights: Mapping[int, float],
    twentieth: int,
    deadline: Deadline | None = None,
) -> TightModel:
    """The program of one threshold alone: its optimum bounds what any linking reaches there.

    Args:
        edges: The useful masks.
        object_area: Pixels of each object.
        reachable: Objects that reach the threshold when alone.
        weights: Worth of each object.
        twentieth: The threshold k/20.
        deadline: As for ``tight_model``.
    """
    useful = [edge for edge in edges if edge.weight(twentieth) > 0]
    return tight_model(useful, object_area, {g: [twentieth] for g in reachable}, weights, deadline)


@dataclass(frozen=True)
class Hypothesis:
    """A labelled mask that may serve an object: (frame, query, label, object) with its worth, e.g. the frame IoU."""

    frame: int
    query: int
    label: int
    object: int
    worth: float


@dataclass(frozen=True, eq=False)
class LabelModel:
    """The general program: ``x`` by hypothesis, ``y`` by (object, class); ``y`` is empty where labels are ignored."""

    problem: pulp.LpProblem
    x: Mapping[Hypothesis, pulp.LpVariable]
    y: Mapping[tuple[int, int], pulp.LpVariable]


def label_model(
    hypotheses: Sequence[Hypothesis], *, labels: Mapping[int, int] | None = None, free: bool = False
) -> LabelModel:
    """The identity-and-class program with one class per track.

        max  sum worth x_qhgt
        s.t. sum_h,g x_qhgt <= 1 for every mask,  sum_q,h x_qhgt <= 1 for every object and frame,
             x_qhgt <= y_g,c(h),  sum_c y_gc = 1,  x, y binary

    Args:
        hypotheses: What may serve what; pairs of worth 0 are best left out.
        labels: Class of each object that is known: y is fixed there (all objects fixed = class-gated stage).
        free: Labels are overwritten anyway, so y is left out (class-free stage).
    """
    problem = pulp.LpProblem("labels", pulp.LpMaximize)
    x = {
        h: pulp.LpVariable(f"x_{h.frame}_{h.query}_{h.label}_{h.object}".replace("-", "m"), cat=pulp.LpBinary)
        for h in hypotheses
    }
    problem += pulp.lpSum(h.worth * variable for h, variable in x.items())
    by_mask: dict[tuple[int, int], list[pulp.LpVariable]] = defaultdict(list)
    by_object: dict[tuple[int, int], list[pulp.LpVariable]] = defaultdict(list)
    for h, variable in x.items():
        by_mask[h.frame, h.query].append(variable)
        by_object[h.frame, h.object].append(variable)
    for group in (*by_mask.values(), *by_object.values()):
        problem += pulp.lpSum(group) <= 1
    y = {} if free else _label_rows(problem, x, labels or {})
    return LabelModel(problem, x, y)


def _label_rows(
    problem: pulp.LpProblem, x: Mapping[Hypothesis, pulp.LpVariable], labels: Mapping[int, int]
) -> dict[tuple[int, int], pulp.LpVariable]:
    """Couples the frames of a track by its one class."""
    classes: dict[int, set[int]] = defaultdict(set)
    for h in x:
        classes[h.object].add(h.label)
    for g, label in labels.items():
        classes[g].add(label)
    y = {
        (g, c): pulp.LpVariable(f"y_{g}_{c}".replace("-", "m"), cat=pulp.LpBinary)
        for g in sorted(classes)
        for c in sorted(classes[g])
    }
    for g in sorted(classes):
        problem += pulp.lpSum(y[g, c] for c in sorted(classes[g])) == 1
        if g in labels:
            problem += y[g, labels[g]] == 1
    for h, variable in x.items():
        problem += variable <= y[h.object, h.label]
    return y
