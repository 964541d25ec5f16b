"""The doors: from files, from tables, or from constructed tracks to an ``Evaluation``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mindthegap.evaluation.cache import cached_overlaps
from mindthegap.evaluation.candidates import Candidates, row_candidates
from mindthegap.evaluation.matching import match
from mindthegap.evaluation.overlap import compute_overlaps
from mindthegap.evaluation.quirks import quirk_notes
from mindthegap.evaluation.summary import Evaluation, summarize
from mindthegap.evaluation.tables import Bools, OverlapTables
from mindthegap.formats import read_ground_truth, read_results


def evaluate(
    gt_path: str | Path,
    results_path: str | Path,
    *,
    official_quirks: bool = False,
    workers: int = 1,
    progress: bool = False,
    cache: str | Path | None = None,
) -> Evaluation:
    """Evaluates a result file.

    Args:
        gt_path: Ground-truth JSON.
        results_path: Result JSON.
        official_quirks: Accepts what the strict reader refuses but the official evaluator takes, reproduces its number,
            and notes which quirk changed it and by how much.
        workers: Processes for the overlap tables; the numbers do not depend on it.
        progress: Shows a progress bar on standard error.
        cache: Folder in which overlap tables are kept and found again (not used with ``official_quirks``).

    Raises:
        InputError: A file cannot be used as it is.
    """
    if not official_quirks:
        return evaluate_tables(cached_overlaps(gt_path, results_path, cache, workers=workers, progress=progress))
    ground_truth = read_ground_truth(gt_path, official_quirks=True)
    results = read_results(results_path, ground_truth, official_quirks=True)
    tables = compute_overlaps(ground_truth, results, official_quirks=True, workers=workers, progress=progress)
    return replace(evaluate_tables(tables), notes=quirk_notes(ground_truth, results, tables))


def evaluate_tables(tables: OverlapTables) -> Evaluation:
    """Evaluates the rows of a result file from its overlap tables."""
    return evaluate_candidates(tables, [row_candidates(video) for video in tables.videos])


def evaluate_candidates(
    tables: OverlapTables, candidates: Sequence[Candidates], *, counted: Sequence[Bools] | None = None
) -> Evaluation:
    """Evaluates constructed tracks.

    Args:
        tables: Overlap tables; only their objects matter here.
        candidates: Tracks per video in the order of ``tables.videos``.
        counted: Per video, ``[G]`` whether each object counts (see ``match``).
    """
    tracks = Counter(category for entry in candidates for category in entry.category.tolist())
    return summarize(match(tables, candidates, counted=counted), tracks=tracks, synthetic=tables.synthetic)
