"""The doors: from files or tables to a ``Diagnosis``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mindthegap.data.lineage import Seen, read_names, seen
from mindthegap.diagnosis.chain import Chain
from mindthegap.diagnosis.intervals import resample
from mindthegap.diagnosis.levels import oracle_levels
from mindthegap.diagnosis.report import Diagnosis, check_folder
from mindthegap.diagnosis.solver import solver_report
from mindthegap.diagnosis.tables import Keys
from mindthegap.errors import MindTheGapError
from mindthegap.evaluation import OverlapTables, compute_overlaps, evaluate_tables, resampling_weights
from mindthegap.formats import GroundTruth, Results, read_ground_truth, read_results
from mindthegap.oracle import OBJECTIVES, Objective, SolverName, SolverSettings

_MAX_SAMPLES = 1_000_000


def diagnose(
    gt_path: str | Path,
    results_path: str | Path,
    *,
    keys: Mapping[str, Any] | None = None,
    objective: Objective = "tight",
    out_dir: str | Path | None = None,
    solver: SolverName = "HiGHS",
    time_limit: float = 60.0,
    workers: int = 1,
    bootstrap: int = 0,
    seed: int = 0,
    progress: bool = False,
    trained_on: str | Path | Seen | None = None,
) -> Diagnosis:
    """Measures why a result file loses AP: tracking, classification and segmentation gap.

    Args:
        gt_path: Ground-truth JSON.
        results_path: Result JSON.
        keys: ``dataset, method, backbone, seed`` of the experiment, for the tables.
        objective: ``"tight"`` (the largest AP any re-linking reaches) or ``"iou"`` (the largest sum of frame IoUs).
            Both are always computed; this one is the headline and fills the tables and result files.
        out_dir: Also writes the oracle folder there.
        solver: ``"HiGHS"`` or ``"CBC"``.
        time_limit: Seconds per component of clashing objects; beyond it bounds are reported.
        workers: Processes for the overlap tables; nothing else depends on it.
        bootstrap: Resamples of the videos for the intervals, 0 for none.
        seed: Seed of the resampling.
        progress: Shows progress bars on standard error.
        trained_on: What the weights behind the results were trained on: a text file with names of videos, a
            YouTube-VIS JSON or a dataset's ``manifest.json``; or what they saw of these videos, if that is known.

    Raises:
        InputError: A file cannot be used as it is.
        MindTheGapError: An option makes no sense, or the solver is not available here.
    """
    settings = _checked(objective, solver, time_limit, bootstrap)
    names = Keys.from_mapping(keys)
    if out_dir is not None:
        check_folder(Path(out_dir), results_path)
    ground_truth = read_ground_truth(gt_path)
    results = read_results(results_path, ground_truth)
    known = _seen(ground_truth, trained_on)
    tables = compute_overlaps(ground_truth, results, workers=workers, progress=progress)
    source = (ground_truth, results)
    diagnosis = _diagnose(tables, names, objective, settings, bootstrap, seed, source=source, progress=progress)
    diagnosis = replace(diagnosis, seen=known)
    if out_dir is not None:
        diagnosis.write(out_dir, progress=progress)
    return diagnosis


def _seen(ground_truth: GroundTruth, trained_on: str | Path | Seen | None) -> Seen | None:
    """What the weights have seen of the diagnosed videos, as far as the caller knows."""
    if trained_on is None:
        return None
    if isinstance(trained_on, Seen):
        return replace(trained_on, of=len(ground_truth.videos))
    return seen((video.name for video in ground_truth.videos), read_names(trained_on), Path(trained_on).name)


def diagnose_tables(
    tables: OverlapTables,
    *,
    keys: Mapping[str, Any] | None = None,
    objective: Objective = "tight",
    solver: SolverName = "HiGHS",
    time_limit: float = 60.0,
    bootstrap: int = 0,
    seed: int = 0,
) -> Diagnosis:
    """Like ``diagnose`` from overlap tables; the result cannot be written, as it has no masks."""
    settings = _checked(objective, solver, time_limit, bootstrap)
    return _diagnose(tables, Keys.from_mapping(keys), objective, settings, bootstrap, seed, source=None, progress=False)


def _checked(objective: Objective, solver: SolverName, time_limit: float, bootstrap: int) -> SolverSettings:
    """Refuses options that make no sense before any work is done."""
    if objective not in OBJECTIVES:
        raise MindTheGapError(f"There is no objective {objective!r}: write tight or iou.")
    if not 0 <= bootstrap <= _MAX_SAMPLES:
        raise MindTheGapError(f"{bootstrap} bootstrap samples were asked for: write 0 to {_MAX_SAMPLES}.")
    return SolverSettings(solver, time_limit)


def _diagnose(
    tables: OverlapTables,
    keys: Keys,
    objective: Objective,
    settings: SolverSettings,
    bootstrap: int,
    seed: int,
    *,
    source: tuple[GroundTruth, Results] | None,
    progress: bool,
) -> Diagnosis:
    """Levels and gaps of both objectives, solver report and intervals."""
    default = evaluate_tables(tables)
    tight = oracle_levels(tables, "tight", default, settings, progress=progress)
    by_iou = oracle_levels(tables, "iou", default, settings, progress=progress)
    chains: dict[Objective, Chain] = {
        "tight": Chain.from_levels("tight", tight),
        "iou": Chain.from_levels("iou", by_iou),
    }
    samples = None
    if bootstrap and tables.videos:
        weights = resampling_weights(len(tables.videos), bootstrap, seed)
        levels = {name: level.evaluation.matches for name, level in chains[objective].levels.items()}
        samples = resample(levels, weights, seed)
    return Diagnosis(
        keys=keys,
        objective=objective,
        chains=chains,
        solver=solver_report(tables, tight, settings),
        bootstrap=samples,
        tables=tables,
        source=source,
        synthetic=tables.synthetic,
    )
