"""What the solvers proved, for ``gaps.json`` and the printed table: nothing unproven is hidden."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindthegap.diagnosis.levels import Level, object_worth
from mindthegap.evaluation import OverlapTables
from mindthegap.oracle import ComponentSolve, SolverSettings

LEVELS = {"continued": "continued", "tracking": "tracking", "classification": "both"}


def solver_report(tables: OverlapTables, levels: Mapping[str, Level], settings: SolverSettings) -> dict[str, Any]:
    """The object ``solver`` of ``gaps.json``.

    ``videos`` and ``components`` count what needed an integer program at any level; all other objects were decided by
    fast paths that are exact. ``programs`` holds each with status, value, bound and gap, ``unproven`` those that lack a
    proof, ``seconds_by_program`` their times in the same order. ``bounds`` says by how many points of mean recall an AP
    could be higher than reported because a component is not proven optimal (0 everywhere if all are).
    ``per_threshold`` says how many points of mean recall a separate linking for each IoU threshold would add at most
    (AP^tight - AP^single).

    Args:
        tables: Overlap tables.
        levels: Levels of the ``tight`` objective.
        settings: Solver and time limit.
    """
    solves = [
        (name, entry.video_id, solve)
        for name, level in LEVELS.items()
        for entry in levels[level].linkings
        for solve in entry.solves
    ]
    unproven = [entry for entry in solves if not entry[2].optimal]
    objects = {video.video_id: video.object_id for video in tables.videos}
    programs = [
        {"level": name, "video_id": video, "objects": objects[video][list(solve.objects)].tolist(), **_proof(solve)}
        for name, video, solve in solves
    ]
    return {
        "name": settings.name,
        "status": _status(unproven, len(solves)),
        "videos": len({video for _, video, _ in solves}),
        "components": len(solves),
        "optimal": len(solves) - len(unproven),
        "max_relative_gap": max((solve.relative_gap for _, _, solve in solves), default=0.0),
        "time_limit_s": settings.time_limit,
        "clashes": sum(entry.clashes for level in LEVELS.values() for entry in levels[level].linkings),
        "bounds": {name: _points(tables, name, solves, _missing_proof) for name in LEVELS},
        "per_threshold": {name: _points(tables, name, solves, _bonus) for name in LEVELS if name != "continued"},
        "programs": programs,
        "unproven": [entry for entry in programs if not entry["optimal"]],
        "seconds": float(sum(solve.seconds for _, _, solve in solves)),
        "seconds_by_program": [solve.seconds for _, _, solve in solves],
    }


def _status(unproven: list[tuple[str, int, ComponentSolve]], total: int) -> str:
    """``"optimal"``, or how many components lack a proof and why."""
    if not unproven:
        return "optimal"
    reasons = ", ".join(sorted({solve.status for _, _, solve in unproven}))
    return f"{len(unproven)} of {total} components not proven optimal ({reasons})"


def _proof(solve: ComponentSolve) -> dict[str, Any]:
    """What is known of a component; its numbers are worths (1 / objects of the class, per threshold reached)."""
    numbers = {"value": solve.value, "bound": solve.bound, "relative_gap": solve.relative_gap}
    return {"status": solve.status, "optimal": solve.optimal, **numbers}


def _missing_proof(solve: ComponentSolve) -> float:
    return solve.bound - solve.value


def _bonus(solve: ComponentSolve) -> float:
    return 0.0 if solve.per_threshold_bound is None else max(0.0, solve.per_threshold_bound - solve.value)


def _points(tables: OverlapTables, name: str, solves: list[tuple[str, int, ComponentSolve]], worth: Any) -> float:
    """A sum of component worths as points of mean recall over classes and the ten thresholds."""
    classes = max(len(object_worth(tables)), 1)
    total: float = sum((worth(solve) for level, _, solve in solves if level == name), 0.0)
    return 100.0 * total / (10 * classes)
