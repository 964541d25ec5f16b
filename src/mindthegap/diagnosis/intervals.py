"""Paired percentile bootstrap over videos (Efron and Tibshirani 1993, chapter 13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mindthegap.diagnosis.gaps import sampled_differences
from mindthegap.evaluation import Matches, bootstrap_profiles
from mindthegap.oracle.sums import Floats, Ints

CONFIDENCE = 0.95
_FEWEST_VIDEOS = 2  # one video drawn again and again is always itself: its interval would have no width and no meaning


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Resampled AP and gaps of one method.

    Attributes:
        samples: Number of resamples.
        seed: Seed of their generator; the same seed draws the same videos for every method and level (paired).
        videos: Number of videos with an object that counts; below two there are no intervals.
        profiles: ``[samples, 10]`` points per IoU threshold by name: ``AP``, ``AP_tracking``, ``AP_classification`` and
            every gap. NaN where a resample holds no object.
        per_category: The same per category id, each with the number of its videos.
    """

    samples: int
    seed: int
    videos: int
    profiles: Mapping[str, Floats]
    per_category: Mapping[int, tuple[int, Mapping[str, Floats]]]

    @property
    def values(self) -> dict[str, Floats]:
        """``[samples]`` points by name, over all thresholds."""
        return {name: profile.mean(axis=1) for name, profile in self.profiles.items()}

    def intervals(self) -> dict[str, list[float] | None]:
        """``[low, high]`` per name."""
        return {name: interval(values, self.videos) for name, values in self.values.items()}

    def at_threshold(self, place: int) -> dict[str, list[float] | None]:
        """``[low, high]`` per name at one of the ten thresholds."""
        return {name: interval(profile[:, place], self.videos) for name, profile in self.profiles.items()}

    def of_category(self, category: int) -> dict[str, list[float] | None]:
        """``[low, high]`` per name for one category that has an object."""
        videos, profiles = self.per_category[category]
        return {name: interval(profile.mean(axis=1), videos) for name, profile in profiles.items()}

    def to_dict(self) -> dict[str, Any]:
        """The object ``intervals`` of ``gaps.json``."""
        return {"samples": self.samples, "seed": self.seed, "confidence": CONFIDENCE, **self.intervals()}


def resample(levels: Mapping[str, Matches], weights: Ints, seed: int) -> Bootstrap:
    """Recomputes every level's AP, and from it every gap, on each resample of the videos.

    The linkings stay as they are: an object's best linking does not depend on which other videos are drawn, but for the
    rare component in which classes compete for a mask.

    Args:
        levels: Matches of every level (see ``gaps.DIFFERENCES``).
        weights: ``[B, V]`` how often each video is drawn.
        seed: Only noted.
    """
    counted = videos_by_category(levels["default"])
    per_category: dict[int, tuple[int, Mapping[str, Floats]]] = {}
    for category, videos in counted.items():
        points = {name: bootstrap_profiles(of_category(m, category), weights) for name, m in levels.items()}
        per_category[category] = len(videos), named(points)
    names = named({name: np.full((len(weights), 10), np.nan) for name in levels})
    profiles = {name: _mean([found[name] for _, found in per_category.values()], names[name]) for name in names}
    return Bootstrap(len(weights), seed, len(set().union(*counted.values())), profiles, per_category)


def named(points: Mapping[str, Floats]) -> dict[str, Floats]:
    """AP of the printed levels and every gap from the AP of the levels."""
    aps = {"AP": points["default"], "AP_tracking": points["tracking"], "AP_classification": points["both"]}
    return aps | sampled_differences(points)


def videos_by_category(matches: Matches) -> dict[int, set[int]]:
    """For every category with an object that counts, the ids of the videos that hold one."""
    found: dict[int, set[int]] = {}
    for video in matches.videos:
        for entry in video.categories:
            if entry.counted[0]:
                found.setdefault(entry.category, set()).add(video.video_id)
    return dict(sorted(found.items()))


def of_category(matches: Matches, category: int) -> Matches:
    """The matches of one category alone."""
    videos = tuple(
        replace(video, categories=tuple(entry for entry in video.categories if entry.category == category))
        for video in matches.videos
    )
    return replace(matches, videos=videos)


def _mean(categories: list[Floats], undefined: Floats) -> Floats:
    """Mean over the categories that a resample holds an object of; NaN where it holds none."""
    total, count = np.zeros_like(undefined), np.zeros_like(undefined)
    for values in categories:
        known = ~np.isnan(values)
        total += np.where(known, values, 0.0)
        count += known
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


def interval(values: Floats, videos: int) -> list[float] | None:
    """Percentile interval over the defined samples; ``None`` without any, or from fewer than two videos."""
    defined = values[~np.isnan(values)]
    if not len(defined) or videos < _FEWEST_VIDEOS:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return [float(low), float(high)]
