"""Solving a PuLP model and saying exactly what the solver proved."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import pulp

from mindthegap.errors import MindTheGapError

SolverName = Literal["HiGHS", "CBC"]
SOLVERS: tuple[SolverName, ...] = ("HiGHS", "CBC")

_TOLERANCE = 1e-9  # of feasibility and integrality; models are scaled so that one pixel exceeds it (see models.py)
_CBC_SHARE = 0.8  # of the time for the program itself, the rest for the relaxation that bounds it
_LEAST_SECONDS = 1e-3
_NO_SOLUTION = {pulp.LpSolutionNoSolutionFound, pulp.LpSolutionInfeasible, pulp.LpSolutionUnbounded}


@dataclass(frozen=True)
class SolverSettings:
    """Which solver, and how long it may work on one model.

    Attributes:
        name: ``"HiGHS"`` or ``"CBC"``, both through PuLP.
        time_limit: Seconds for one connected component of clashing objects: building its models, handing them to the
            solver, and solving.
    """

    name: SolverName = "HiGHS"
    time_limit: float = 60.0

    def __post_init__(self) -> None:
        if self.name not in SOLVERS:
            raise MindTheGapError(f"There is no ILP solver {self.name!r} here: write HiGHS or CBC.")
        if not (isinstance(self.time_limit, int | float) and self.time_limit > 0 and math.isfinite(self.time_limit)):
            raise MindTheGapError(f"The solver's time limit is {self.time_limit!r}: write a number of seconds above 0.")


class NotBuiltError(Exception):
    """A model was not built; the message says why, for the status of its component."""


@dataclass(frozen=True)
class Deadline:
    """A point in time (``time.perf_counter``) at which work on one component ends."""

    end: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """So many seconds from now."""
        return cls(time.perf_counter() + seconds)

    @classmethod
    def never(cls) -> Deadline:
        """No limit."""
        return cls(math.inf)

    def left(self) -> float:
        """Seconds until then, at least 0."""
        return max(0.0, self.end - time.perf_counter())

    def part(self, share: float) -> Deadline:
        """A deadline after a share of the time that is left."""
        return Deadline.after(share * self.left())

    def check(self) -> None:
        """Raises ``NotBuiltError`` once the time has come."""
        if not self.left():
            raise NotBuiltError("time limit while the model was built")


@dataclass(frozen=True)
class Solution:
    """What a solver found and proved about one maximisation.

    Attributes:
        optimal: Whether the solver proved that nothing better exists.
        status: ``"optimal"``, ``"time limit"``, or what else the solver said.
        found: Whether the variables hold a feasible solution.
        value: Objective of that solution (minus infinity without one).
        bound: No solution is better than this.
        seconds: Wall time of the solver.
    """

    optimal: bool
    status: str
    found: bool
    value: float
    bound: float
    seconds: float


@cache
def available_solvers() -> tuple[SolverName, ...]:
    """The solvers PuLP can call here; CBC's binary is missing on some machines."""
    names = pulp.listSolvers(onlyAvailable=True)
    wanted: dict[SolverName, str] = {"HiGHS": "HiGHS", "CBC": "PULP_CBC_CMD"}
    return tuple(name for name, pulp_name in wanted.items() if pulp_name in names)


def maximise(
    problem: pulp.LpProblem, settings: SolverSettings, trivial_bound: float, deadline: Deadline | None = None
) -> Solution:
    """Solves a maximisation to proven optimality, or as far as the time limit allows.

    Args:
        problem: The model; its variables hold the solution afterwards.
        settings: Solver and time limit.
        trivial_bound: An upper bound known beforehand, for the case that the solver ends without one.
        deadline: When to end, if the time limit does not begin now.

    Raises:
        MindTheGapError: The solver is not available on this machine.
    """
    if settings.name not in available_solvers():
        raise MindTheGapError(f"The ILP solver {settings.name} is not available on this machine: choose another one.")
    deadline = deadline or Deadline.after(settings.time_limit)
    if settings.name == "HiGHS":
        return _maximise_with_highs(problem, deadline, trivial_bound)
    return _maximise_with_cbc(problem, deadline, trivial_bound)


class _HiGHS(pulp.HiGHS):
    """HiGHS through PuLP, whose time limit counts what handing over the model takes."""

    deadline: Deadline

    def callSolver(self, lp: pulp.LpProblem) -> None:
        """Runs the solver for the time that is left."""
        lp.solverModel.setOptionValue("time_limit", self.deadline.left())
        lp.solverModel.run()


def _maximise_with_highs(problem: pulp.LpProblem, deadline: Deadline, trivial_bound: float) -> Solution:
    """HiGHS through PuLP; its own dual bound is read from the model."""
    solver = _HiGHS(
        msg=False,
        gapRel=0.0,
        gapAbs=0.0,
        threads=1,
        random_seed=0,
        mip_feasibility_tolerance=_TOLERANCE,
        primal_feasibility_tolerance=_TOLERANCE,
    )
    solver.deadline = deadline
    start = time.perf_counter()
    found = True
    try:
        problem.solve(solver)
    except IndexError:  # PuLP reads a solution even where the time limit came before the first one
        found = False
    seconds = time.perf_counter() - start
    model: Any = problem.solverModel
    status = model.getModelStatus()
    optimal = bool(status.name == "kOptimal") and found
    info = model.getInfo()
    found = found and bool(info.primal_solution_status == 2)  # 2 = feasible (kSolutionStatusFeasible)
    value = float(pulp.value(problem.objective)) if found else -math.inf
    if optimal:
        return Solution(True, "optimal", True, value, value, seconds)
    dual = -float(info.mip_dual_bound)  # PuLP hands a maximisation to HiGHS as a minimisation of the negative
    bound = min(trivial_bound, dual) if math.isfinite(dual) else trivial_bound
    text = "time limit" if status.name == "kTimeLimit" else model.modelStatusToString(status).lower()
    return Solution(False, text, found, value, max(bound, value), seconds)


def _maximise_with_cbc(problem: pulp.LpProblem, deadline: Deadline, trivial_bound: float) -> Solution:
    """CBC's binary through PuLP; without proof the bound is that of the linear relaxation, if there is time for it."""
    options = [f"primalT {_TOLERANCE}", f"integerT {_TOLERANCE}"]
    common: dict[str, Any] = {"msg": False, "threads": 1, "options": options}
    start = time.perf_counter()
    limit = _cbc_seconds(deadline.part(_CBC_SHARE))
    problem.solve(pulp.PULP_CBC_CMD(gapRel=0.0, gapAbs=0.0, timeLimit=limit, **common))
    found = problem.sol_status not in _NO_SOLUTION
    value = float(pulp.value(problem.objective)) if found else -math.inf
    if problem.sol_status == pulp.LpSolutionOptimal:
        return Solution(True, "optimal", True, value, value, time.perf_counter() - start)
    if not found and problem.status == pulp.LpStatusInfeasible:
        return Solution(False, "infeasible", False, value, trivial_bound, time.perf_counter() - start)
    dual = math.inf
    if deadline.left():
        kept = {variable: variable.varValue for variable in problem.variables()}
        relaxed = problem.copy()
        relaxed.solve(pulp.PULP_CBC_CMD(mip=False, timeLimit=_cbc_seconds(deadline), **common))
        dual = float(pulp.value(relaxed.objective)) if relaxed.sol_status == pulp.LpSolutionOptimal else math.inf
        for variable, number in kept.items():
            variable.varValue = number
    seconds = time.perf_counter() - start
    return Solution(False, "time limit", found, value, max(min(trivial_bound, dual), value), seconds)


def _cbc_seconds(deadline: Deadline) -> float | None:
    """The time left in the form CBC takes it; it reads 0 as no limit at all."""
    return None if math.isinf(deadline.end) else max(deadline.left(), _LEAST_SECONDS)


def is_one(variable: pulp.LpVariable) -> bool:
    """Whether a binary variable is set in the solution."""
    return variable.varValue is not None and variable.varValue > 0.5
