"""Scoring of many strata of the same tables, with everything that strata have in common computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mindthegap.diagnosis.levels import STAGES, candidates_of, object_worth
from mindthegap.evaluation import (
    Candidates,
    CategoryMatches,
    Matches,
    OverlapTables,
    VideoMatches,
    VideoOverlaps,
    match,
    row_candidates,
)
from mindthegap.oracle import Linking, Objective, SolverSettings, link
from mindthegap.oracle.sums import NONE, Floats

LEVELS = ("default", "ranking", "continued", "tracking", "both")
STRATUM_SECONDS = 2.0
"""Time limit per component in a stratum: a hard component is in many strata."""
_ALL = slice(0, 1)  # the first group of the evaluator: objects of every size

_Key = tuple[int, str, bytes, bytes]


@dataclass(frozen=True, eq=False)
class StratumMatches:
    """Matches of a stratum at every level.

    Attributes:
        levels: By name, for the group of all sizes alone.
        optimal: Whether every linking is proven optimal.
    """

    levels: Mapping[str, Matches]
    optimal: bool


class StratumMatcher:
    """Matches of a stratum's tracks at every level, video by video.

    A stratum changes only which objects of a video are crowd, and what a threshold of each class is worth. Hence:

    - Two strata with the same crowds in a video have the same tracks and matches there, unless objects of different
      classes compete for masks: then the ratio of their worths may decide.
    - Where no two objects of the whole video want the same mask, each keeps in every stratum the masks it has in the
      whole: best for itself, and nobody else's. (Where own tracks are only continued, if it has the same own track.)

    Both are exact; the ``tight`` objective is the one for which the second is used. Where the whole video's linking
    could not be proven optimal, strata take it over and are not proven optimal either.

    Args:
        tables: The tables that the strata restrict.
        objective: How to link.
        settings: Solver and time limit, of which strata use at most ``STRATUM_SECONDS``.
        linkings: Linkings of the whole by level, one per video, where they are known already.
    """

    def __init__(
        self,
        tables: OverlapTables,
        objective: Objective,
        settings: SolverSettings,
        linkings: Mapping[str, Sequence[Linking]] | None = None,
    ) -> None:
        self._tables = tables
        self._objective = objective
        self._settings = replace(settings, time_limit=min(settings.time_limit, STRATUM_SECONDS))
        known = linkings or {}
        self._whole = {(entry.video_id, name): entry for name, entries in known.items() for entry in entries}
        self._videos = {video.video_id: video for video in tables.videos}
        self._rows: dict[int, Candidates] = {}
        self._found: dict[_Key, tuple[VideoMatches, bool]] = {}

    def matches(self, part: OverlapTables) -> StratumMatches:
        """Matches of every level.

        Args:
            part: A restriction of the tables: fewer videos, more objects marked as crowd.
        """
        worth = object_worth(part)
        outcome: dict[str, list[VideoMatches]] = {level: [] for level in LEVELS}
        optimal = True
        for video in part.videos:
            weights = np.array([worth.get(c, 0.0) for c in video.object_category.tolist()], np.float64)
            for level in LEVELS:
                found, proven = self._video(video, level, weights)
                outcome[level].append(found)
                optimal &= proven
        names = part.category_ids, part.category_names
        levels = {level: Matches(tuple(videos), ("all",), *names) for level, videos in outcome.items()}
        return StratumMatches(levels, optimal)

    def _video(self, video: VideoOverlaps, level: str, weights: Floats) -> tuple[VideoMatches, bool]:
        """Matches of one video at one level, and whether its linking is proven optimal."""
        key = (video.video_id, level, video.object_crowd.tobytes(), self._deciding(video, level, weights))
        if key not in self._found:
            tracks, proven = self._row_candidates(video), True
            if level != "default":
                linking = self._linked(video, level, weights)
                tracks, proven = candidates_of(video, linking), linking.optimal
            (found,) = match(replace(self._tables, videos=(video,)), [tracks]).videos
            found = replace(found, categories=tuple(_all_sizes(entry) for entry in found.categories))
            self._found[key] = found, proven
        return self._found[key]

    def _deciding(self, video: VideoOverlaps, level: str, weights: Floats) -> bytes:
        """The ratios of worth, where they can decide."""
        if level == "default" or self._objective == "iou":
            return b""
        if level in ("tracking", "both") and self._of_whole(video.video_id, level).clashes == 0:
            return b""
        kept: Floats = np.where(video.object_crowd, 0.0, weights)
        return bytes((kept / kept.max(initial=1e-300)).tobytes())

    def _linked(self, video: VideoOverlaps, level: str, weights: Floats) -> Linking:
        """What the oracle links for the objects of a stratum in one video."""
        if self._objective == "iou" or level == "ranking":
            return self._link(video, level, weights)
        whole = self._of_whole(video.video_id, level)
        keeps_masks = whole.clashes == 0 and (level != "continued" or self._same_own_tracks(video, weights))
        if keeps_masks or not whole.optimal:
            return replace(whole, chosen=np.where(video.object_crowd, NONE, whole.chosen))
        return self._link(video, level, weights)

    def _same_own_tracks(self, video: VideoOverlaps, weights: Floats) -> bool:
        """Whether the objects of a stratum have the same own tracks as in the whole video."""
        whole = self._of_whole(video.video_id, "ranking").query
        return np.array_equal(np.where(video.object_crowd, NONE, whole), self._link(video, "ranking", weights).query)

    def _of_whole(self, video_id: int, level: str) -> Linking:
        """Linking of a video without any restriction; what a threshold is worth does not matter to where it is used."""
        key = (video_id, level)
        if key not in self._whole:
            self._whole[key] = self._link(self._videos[video_id], level, None)
        return self._whole[key]

    def _link(self, video: VideoOverlaps, level: str, weights: Floats | None) -> Linking:
        return link(
            video,
            STAGES[level],
            self._objective,
            weights=weights,
            settings=self._settings,
            compare_thresholds=False,
        )

    def _row_candidates(self, video: VideoOverlaps) -> Candidates:
        """The rows of a video, which no restriction changes."""
        if video.video_id not in self._rows:
            self._rows[video.video_id] = row_candidates(video)
        return self._rows[video.video_id]


def _all_sizes(entry: CategoryMatches) -> CategoryMatches:
    """Keeps only the group of all sizes, which makes entries of videos with and without occlusion levels alike."""
    return replace(entry, tp=entry.tp[_ALL].copy(), fp=entry.fp[_ALL].copy(), counted=entry.counted[_ALL].copy())
