"""Joint optimum of objects that want the same masks: components, exact reductions, and one integer program each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mindthegap.oracle.dinkelbach import best_linking
from mindthegap.oracle.models import Edge, TightModel, threshold_model, tight_model
from mindthegap.oracle.solving import Deadline, NotBuiltError, Solution, SolverSettings, is_one, maximise
from mindthegap.oracle.sums import NONE, TWENTIETHS, Bools, Floats, Ints, hits

_BUILDING_SHARE = 0.4  # of the time; handing a model to the solver takes about as long as building it
_MOST_TERMS = 4_000_000  # coefficients of one program: a gigabyte and a minute before the solver starts


@dataclass(frozen=True)
class ComponentSolve:
    """What was proved about one component of clashing objects.

    Attributes:
        objects: Positions of its objects in the video.
        masks: Number of contested (frame, query) pairs.
        status: ``"optimal"`` or why optimality is not proven.
        optimal: Whether it is.
        value: Worth of all (object, threshold) pairs reached, counted in integers.
        bound: No linking reaches more worth.
        seconds: Solver time.
        solver: Solver that was used.
        per_threshold_bound: Worth reached if every threshold had its own linking (AP^tight); ``None`` if unasked.
    """

    objects: tuple[int, ...]
    masks: int
    status: str
    optimal: bool
    value: float
    bound: float
    seconds: float
    solver: str
    per_threshold_bound: float | None = None

    @property
    def relative_gap(self) -> float:
        """(bound - value) / bound; 0 if proven optimal."""
        return 0.0 if self.optimal or self.bound <= 0 else max(0.0, (self.bound - self.value) / self.bound)


@dataclass(eq=False)
class Problem:
    """The objects of one video that can become true positives, and the masks they have use for.

    Attributes:
        shared: ``[T, Q, G]`` shared pixels, 0 where the stage forbids the pair.
        area: ``[T, Q]`` pixels of the masks.
        object_area: ``[T, G]`` pixels of the objects.
        weights: ``[G]`` worth of one threshold.
        useful: ``[T, Q, G]`` masks that raise an object's chance at the lowest threshold (I / a > 1/3); frame IoU is
            irrelevant, so that small correct fragments stay in.
        open: Objects whose masks are not decided yet.
        reserved: ``[T, G]`` masks decided so far.
    """

    shared: Ints
    area: Ints
    object_area: Ints
    weights: Floats
    useful: Bools
    open: set[int]
    reserved: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.reserved = np.full(self.object_area.shape, NONE, np.int64)

    def takers(self) -> Ints:
        """``[T, Q]`` how many open objects have use for each mask."""
        takers: Ints = self.useful[:, :, sorted(self.open)].sum(axis=2)
        return takers

    def totals(self, chosen: Ints, objects: Sequence[int]) -> tuple[Ints, Ints]:
        """Intersection and union of objects under ``chosen [T, len(objects)]``."""
        index, taken = np.maximum(chosen, 0), chosen >= 0
        shared = np.where(taken, np.take_along_axis(self.shared[:, :, objects], index[:, None], axis=1)[:, 0], 0)
        area = np.where(taken, np.take_along_axis(self.area, index, axis=1), 0)
        total = shared.sum(axis=0)
        return total, self.object_area[:, objects].sum(axis=0) + area.sum(axis=0) - total

    def alone(self, objects: Sequence[int], usable: Bools) -> Ints:
        """Best linking ``[T, len(objects)]`` of each object from ``usable [T, Q, len(objects)]`` masks."""
        part = list(objects)
        return best_linking(np.where(usable, self.shared[:, :, part], 0), self.area, self.object_area[:, part])

    def reached(self, chosen: Ints, objects: Sequence[int]) -> Ints:
        """Thresholds reached by each object."""
        return hits(*self.totals(chosen, objects))


def components(problem: Problem, objects: Sequence[int]) -> list[list[int]]:
    """Groups of objects connected by masks that several have use for, each ascending."""
    part = sorted(objects)
    if not part:
        return []
    use = problem.useful[:, :, part].reshape(-1, len(part)).astype(np.int64)
    together = coo_matrix((use.T @ use > 0).astype(np.int8))
    count, label = connected_components(together, directed=False)
    return [[part[i] for i in np.flatnonzero(label == c)] for c in range(count)]


def settle_without_contest(problem: Problem, reachable: Ints) -> None:
    """Decides every object that reaches all it can with masks nobody else has use for; repeats while that frees masks.

    Exact: in any joint optimum such an object can be switched to those masks, loses nothing, and frees the others.

    Args:
        problem: Updated in place.
        reachable: ``[G]`` thresholds each object reaches when alone.
    """
    settled = True
    while settled and problem.open:
        part = sorted(problem.open)
        own = problem.useful[:, :, part] & (problem.takers() == 1)[:, :, None]
        chosen = problem.alone(part, own)
        done = problem.reached(chosen, part) == reachable[part]
        settled = bool(done.any())
        for i in np.flatnonzero(done).tolist():
            problem.reserved[:, part[i]] = chosen[:, i]
            problem.open.discard(part[i])


def solve_component(
    problem: Problem, objects: Sequence[int], reachable: Ints, settings: SolverSettings, deadline: Deadline
) -> ComponentSolve:
    """Solves one component and reserves its masks.

    Without a proof (time limit, or too large a model) the better of the solver's incumbent and a greedy linking is
    kept, with the bound.

    Args:
        problem: Its ``reserved`` and ``open`` are updated.
        objects: One component of the open objects.
        reachable: ``[G]`` thresholds each object reaches when alone.
        settings: Which solver.
        deadline: When to end.
    """
    part = list(objects)
    others = problem.useful[:, :, part].sum(axis=2)
    own = problem.useful[:, :, part] & (others == 1)[:, :, None]
    sure = problem.reached(problem.alone(part, own), part)
    weights = problem.weights[part] / problem.weights[part].max()
    base, ceiling = float(weights @ sure), float(weights @ reachable[part])
    chosen, value = _greedy(problem, part, weights)
    try:
        model = _component_model(problem, part, own, sure, reachable, weights, deadline.part(_BUILDING_SHARE))
        solution = maximise(model.problem, settings, ceiling - base, deadline)
    except NotBuiltError as error:
        solution = Solution(False, str(error), False, -np.inf, ceiling - base, 0.0)
    if solution.found:
        owned = _owned(model, part, problem.useful.shape)
        solved = problem.alone(part, own | owned)
        solved_value = float(weights @ problem.reached(solved, part))
        if solved_value >= value:
            chosen, value = solved, solved_value
    problem.reserved[:, part] = chosen
    problem.open -= set(part)
    result = _account(part, int((others > 1).sum()), solution, base, ceiling, value, settings)
    unit = float(problem.weights[part].max())
    return replace(result, value=result.value * unit, bound=result.bound * unit)


def _component_model(
    problem: Problem,
    part: list[int],
    own: Bools,
    sure: Ints,
    reachable: Ints,
    weights: Floats,
    deadline: Deadline,
) -> TightModel:
    """The integer program of a component; objects are numbered by their position in ``part``."""
    open_thresholds = {
        i: [int(k) for k in TWENTIETHS[sure[i] : reachable[g]]] for i, g in enumerate(part) if sure[i] < reachable[g]
    }
    kept = _kept_masks(problem, part, own)
    rows = np.array([len(open_thresholds.get(i, ())) for i in range(len(part))])
    _check_size(int(kept.sum(axis=(0, 1)) @ rows))
    edges = [edge for edge in _edges(problem, part, kept) if edge.object in open_thresholds]
    area = {i: int(problem.object_area[:, part[i]].sum()) for i in open_thresholds}
    return tight_model(edges, area, open_thresholds, dict(enumerate(weights.tolist())), deadline)


def _check_size(terms: int) -> None:
    """Refuses a program that would take gigabytes, whatever time there is."""
    if terms > _MOST_TERMS:
        raise NotBuiltError(f"too large for an integer program ({terms} terms)")


def _kept_masks(problem: Problem, part: list[int], own: Bools) -> Bools:
    """Masks worth modelling: all contested ones, and of the others those best in their frame at some threshold."""
    useful = problem.useful[:, :, part]
    keep = useful & ~own
    shared, area = problem.shared[:, :, part], problem.area[:, :, None]
    for k in TWENTIETHS.tolist():
        gain = np.where(own, (20 + k) * shared - k * area, 0)
        best = gain.argmax(axis=1)[:, None]
        worth = np.take_along_axis(gain, best, axis=1) > 0
        np.put_along_axis(keep, best, np.take_along_axis(keep, best, axis=1) | worth, axis=1)
    kept: Bools = keep & useful
    return kept


def _edges(problem: Problem, part: list[int], masks: Bools) -> list[Edge]:
    """Some masks ``[T, Q, len(part)]`` as edges of the model."""
    shared = problem.shared[:, :, part]
    return [Edge(t, q, i, int(shared[t, q, i]), int(problem.area[t, q])) for t, q, i in np.argwhere(masks).tolist()]


def _owned(model: TightModel, part: list[int], shape: tuple[int, ...]) -> Bools:
    """``[T, Q, len(part)]`` masks the solution gives to each object."""
    owned = np.zeros((*shape[:2], len(part)), bool)
    for edge, variable in model.x.items():
        if is_one(variable):
            owned[edge.frame, edge.query, edge.object] = True
    return owned


def _greedy(problem: Problem, part: list[int], weights: Floats) -> tuple[Ints, float]:
    """Objects by falling worth, then order, each take the best of what is left; a valid linking without a proof."""
    free = np.ones(problem.area.shape, bool)
    chosen = np.full((len(free), len(part)), NONE, np.int64)
    for i in np.argsort(-weights, kind="stable").tolist():
        chosen[:, [i]] = problem.alone([part[i]], problem.useful[:, :, [part[i]]] & free[:, :, None])
        frames = np.flatnonzero(chosen[:, i] >= 0)
        free[frames, chosen[frames, i]] = False
    return chosen, float(weights @ problem.reached(chosen, part))


def _account(
    part: list[int], masks: int, solution: Solution, base: float, ceiling: float, value: float, settings: SolverSettings
) -> ComponentSolve:
    """Compares what the solver claims with what its linking reaches, counted in integers."""
    claimed = base + solution.value
    status, optimal, bound = solution.status, solution.optimal, min(ceiling, base + solution.bound)
    if optimal and value < claimed - 1e-4 * max(1.0, claimed):
        status, optimal = "rounding: the solver's optimum does not survive integer arithmetic", False
    if not optimal and value >= bound - 1e-9 * max(1.0, bound):
        status, optimal = "optimal", True
    bound = value if optimal else max(bound, value)
    return ComponentSolve(tuple(part), masks, status, optimal, value, bound, solution.seconds, settings.name)


def per_threshold_bound(
    problem: Problem, objects: Sequence[int], reachable: Ints, settings: SolverSettings, deadline: Deadline
) -> float:
    """Sum over thresholds of the most that a linking made for that threshold alone reaches (AP^tight).

    Args:
        problem: Only its pixel counts are read.
        objects: One component.
        reachable: ``[G]`` thresholds each object reaches when alone.
        settings: Which solver.
        deadline: When to end; without a proof the bound of a threshold is taken.
    """
    part = list(objects)
    weights = problem.weights[part] / problem.weights[part].max()
    places = [place for place in range(len(TWENTIETHS)) if (reachable[part] > place).any()]
    total = 0.0
    for place in places:
        able = [i for i, g in enumerate(part) if reachable[g] > place]
        share = deadline.part(1 / (len(places) - place))
        total += _most_at_threshold(problem, part, able, weights, int(TWENTIETHS[place]), settings, share)
    return total * float(problem.weights[part].max())


def _most_at_threshold(
    problem: Problem,
    part: list[int],
    able: list[int],
    weights: Floats,
    twentieth: int,
    settings: SolverSettings,
    deadline: Deadline,
) -> float:
    """Upper bound on the worth of the objects ``able`` (positions in ``part``) that reach one threshold together."""
    ceiling = float(weights[able].sum())
    masks = problem.useful[:, :, part]
    area = {i: int(problem.object_area[:, g].sum()) for i, g in enumerate(part)}
    try:
        deadline.check()
        _check_size(len(TWENTIETHS) * int(masks.sum()))
        edges = _edges(problem, part, masks)
        worth = dict(enumerate(weights.tolist()))
        model = threshold_model(edges, area, able, worth, twentieth, deadline.part(_BUILDING_SHARE))
        solution = maximise(model.problem, settings, ceiling, deadline)
    except NotBuiltError:
        return ceiling
    if not solution.optimal:
        return solution.bound
    return float(sum(weights[i] for i in able if is_one(model.z[i, twentieth])))
