"""The integer program of a whole video without any reduction: what the fast path and the components are checked by."""

from __future__ import annotations

import numpy as np

from mindthegap.evaluation import VideoOverlaps
from mindthegap.oracle.gates import Stage
from mindthegap.oracle.linking import usable_masks
from mindthegap.oracle.models import Edge, Hypothesis, LabelModel, label_model, tight_model
from mindthegap.oracle.solving import Solution, SolverSettings, is_one, maximise
from mindthegap.oracle.sums import NONE, TWENTIETHS, Floats, Ints


def whole_video_optimum(
    video: VideoOverlaps, stage: Stage, *, weights: Floats | None = None, settings: SolverSettings | None = None
) -> tuple[Solution, Ints]:
    """Solves the tight program of a video in one piece, every shared mask a variable.

    Args:
        video: Overlap tables.
        stage: ``CONTINUED``, ``TRACKING`` or ``BOTH``.
        weights: ``[G]`` worth of one threshold of each object; 1 if left out.
        settings: Solver and time limit.

    Returns:
        The solution and the linking ``[T, G]`` it holds.
    """
    worth = np.ones(len(video.object_id)) if weights is None else weights
    shared = usable_masks(video, stage, "tight", worth)
    area = {g: int(a) for g, a in enumerate(video.object_area.sum(axis=0, dtype=np.int64)) if a > 0}
    edges = [
        Edge(t, q, g, int(shared[t, q, g]), int(video.query_area[t, q]))
        for t, q, g in np.argwhere(shared > 0).tolist()
        if g in area
    ]
    thresholds = {g: TWENTIETHS.tolist() for g in area}
    model = tight_model(edges, area, thresholds, dict(enumerate(worth.tolist())))
    solution = maximise(model.problem, settings or SolverSettings(), float(worth.sum()) * len(TWENTIETHS))
    chosen = np.full((video.length, len(video.object_id)), NONE, np.int64)
    for edge, variable in model.x.items():
        if is_one(variable):
            chosen[edge.frame, edge.object] = edge.query
    return solution, chosen


def label_program(video: VideoOverlaps, worth: Floats, *, gated: bool = False, free: bool = False) -> LabelModel:
    """The general identity-and-class program of a video.

    Args:
        video: Overlap tables; each distinct (query, row category) is a hypothesis.
        worth: ``[T, Q, G]`` worth of a mask for an object, e.g. the frame IoU; pairs of worth 0 or less are left out.
        gated: Fixes every object's class to its own (stage T).
        free: Overwrites labels (stage TC).
    """
    labels = sorted(set(zip(video.row_query.tolist(), video.row_category.tolist(), strict=True)))
    pairs = np.argwhere((worth > 0) & ~video.object_crowd).tolist()
    by_query: dict[int, list[int]] = {}
    for query, label in labels:
        by_query.setdefault(query, []).append(label)
    hypotheses = [
        Hypothesis(t, q, label, g, float(worth[t, q, g])) for t, q, g in pairs for label in by_query.get(q, [])
    ]
    own = {g: int(c) for g, c in enumerate(video.object_category) if not video.object_crowd[g]}
    return label_model(hypotheses, labels=own if gated else None, free=free)
