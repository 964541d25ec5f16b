"""The levels of the diagnosis: what AP becomes as more is repaired, each scored by the ordinary evaluator."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mindthegap.evaluation import (
    Candidates,
    Evaluation,
    OverlapTables,
    VideoOverlaps,
    association_candidates,
    evaluate_candidates,
)
from mindthegap.oracle import Linking, Objective, SolverSettings, Stage, link
from mindthegap.oracle.gates import useful
from mindthegap.oracle.sums import Bools, Floats
from mindthegap.progress import track

STAGES: Mapping[str, Stage] = {
    "ranking": Stage.RANKING,
    "continued": Stage.CONTINUED,
    "tracking": Stage.TRACKING,
    "classes": Stage.CLASSES,
    "both": Stage.BOTH,
}
"""The oracle levels by name; ``default`` comes before and ``found`` after them."""


@dataclass(frozen=True, eq=False)
class Level:
    """One level: its AP, and the linkings it was made of (none for ``default``).

    Attributes:
        name: ``default``, a name from ``STAGES``, or ``found`` (``both`` with perfect tracks for missed objects).
        evaluation: Numbers by the ordinary evaluator.
        linkings: One per video, in the order of the tables.
    """

    name: str
    evaluation: Evaluation
    linkings: tuple[Linking, ...]


def object_worth(tables: OverlapTables) -> dict[int, float]:
    """1 / (number of objects of the class that are not crowd), by category id.

    The worth of one (object, threshold) pair: their sum is mean recall over classes and thresholds times 10 K, the
    linear surrogate of AP that separates by video and component (for one class it orders linkings as AP does).
    """
    counted = [video.object_category[~video.object_crowd] for video in tables.videos]
    categories, counts = np.unique(np.concatenate(counted or [np.zeros(0, np.int64)]), return_counts=True)
    return {int(c): 1.0 / int(n) for c, n in zip(categories, counts, strict=True)}


def oracle_levels(
    tables: OverlapTables,
    objective: Objective,
    default: Evaluation,
    settings: SolverSettings,
    *,
    stages: Collection[str] = tuple(STAGES),
    progress: bool = False,
) -> dict[str, Level]:
    """All levels of one objective, from ``default`` to ``found``.

    Args:
        tables: Overlap tables.
        objective: How to link.
        default: Evaluation of the rows themselves.
        settings: Solver and time limit per component.
        stages: Names from ``STAGES`` to compute; ``found`` comes along if all are.
        progress: Shows a progress bar on standard error.
    """
    levels = {"default": Level("default", default, ())}
    linked: dict[str, list[Linking]] = {name: [] for name in stages}
    videos = _link_videos(tables, objective, stages, settings)
    for links in track(videos, f"oracle ({objective})", len(tables.videos), enabled=progress):
        for name, linking in links.items():
            linked[name].append(linking)
    for name, linkings in linked.items():
        candidates = [candidates_of(v, entry) for v, entry in zip(tables.videos, linkings, strict=True)]
        levels[name] = Level(name, evaluate_candidates(tables, candidates), tuple(linkings))
    if set(stages) == set(STAGES):
        levels["found"] = _found(tables, levels["both"])
    return levels


def _link_videos(
    tables: OverlapTables, objective: Objective, stages: Collection[str], settings: SolverSettings
) -> Iterator[dict[str, Linking]]:
    """Links every video at every stage."""
    worth = object_worth(tables)
    for video in tables.videos:
        weights = np.array([worth.get(c, 0.0) for c in video.object_category.tolist()], np.float64)
        yield {
            name: link(
                video,
                STAGES[name],
                objective,
                weights=weights,
                settings=settings,
                compare_thresholds=name in ("tracking", "both"),
            )
            for name in stages
        }


def candidates_of(video: VideoOverlaps, linking: Linking) -> Candidates:
    """The tracks of a linking: one per object that got a mask, with the object's class and the linking's score."""
    tracks = linking.tracks
    return association_candidates(video, linking.chosen.T[tracks], video.object_category[tracks], linking.score[tracks])


def missed(video: VideoOverlaps) -> Bools:
    """``[G]`` objects that have no useful mask in at least half of the frames they are present in.

    A mask is useful if it can raise the track IoU at the lowest threshold: more than a third of it is on the object.
    """
    present = video.object_area > 0
    without = np.count_nonzero(present & ~useful(video).any(axis=1), axis=0)
    lost: Bools = (2 * without >= present.sum(axis=0)) & ~video.object_crowd
    return lost


def _found(tables: OverlapTables, both: Level) -> Level:
    """The level ``both`` after giving every missed object a perfect track, ranked first."""
    candidates = []
    best = max((float(entry.score.max()) for entry in both.linkings if len(entry.score)), default=0.0)
    for video, linking in zip(tables.videos, both.linkings, strict=True):
        tracks = candidates_of(video, linking)
        lost = np.flatnonzero(missed(video))
        kept = np.flatnonzero(~np.isin(linking.tracks, lost))
        candidates.append(_with_perfect_tracks(video, tracks, kept, lost, 1.0 + best))
    return Level("found", evaluate_candidates(tables, candidates), ())


def _with_perfect_tracks(
    video: VideoOverlaps, tracks: Candidates, kept: np.ndarray, lost: np.ndarray, score: float
) -> Candidates:
    """Some tracks, and the masks of the ``lost`` objects as tracks of their own."""
    area = video.object_area.sum(axis=0, dtype=np.int64)
    own = np.arange(len(area)) == lost[:, None]
    # An object without a single pixel is given one, as nothing could reach an IoU with it.
    pixels = np.maximum(area[lost], 1)[:, None]
    frames = np.maximum(np.count_nonzero(video.object_area[:, lost], axis=0), 1)
    mean: Floats = area[lost] / frames
    return Candidates(
        video_id=video.video_id,
        category=np.concatenate([tracks.category[kept], video.object_category[lost]]),
        score=np.concatenate([tracks.score[kept], np.full(len(lost), score)]),
        intersection=np.concatenate([tracks.intersection[kept], np.where(own, pixels, 0)]),
        union=np.concatenate([tracks.union[kept], np.where(own, pixels, pixels + area)]),
        mean_area=np.concatenate([tracks.mean_area[kept], mean]),
    )
