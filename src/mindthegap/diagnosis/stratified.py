"""Gaps of subsets: categories, long videos, crowded videos, occluded objects and so on; and of each IoU threshold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mindthegap.diagnosis.chain import Chain
from mindthegap.diagnosis.gaps import DIFFERENCES, PERFECT
from mindthegap.diagnosis.intervals import Bootstrap, interval, named, videos_by_category
from mindthegap.diagnosis.sharing import LEVELS, StratumMatcher
from mindthegap.evaluation import Matches, OverlapTables, accumulate, bootstrap_profiles, resampling_weights
from mindthegap.evaluation.accumulation import mean_points
from mindthegap.evaluation.parameters import MAX_TRACKS
from mindthegap.oracle import Linking, Objective, SolverSettings
from mindthegap.oracle.sums import Floats
from mindthegap.progress import track
from mindthegap.strata import Stratum

if TYPE_CHECKING:
    import pandas as pd

_APS = {"AP": "default", "AP_tracking": "tracking", "AP_classification": "both"}
_GAPS = (
    "tracking",
    "tracking.ranking",
    "tracking.association",
    "tracking.selection",
    "classification",
    "segmentation",
)
QUANTITIES = {name: name.replace(".", "_") for name in (*_APS, *_GAPS)}
"""Names of AP and gaps elsewhere, and the columns they have here."""
_KINDS = {"attribute": "string", "stratum": "string", "low": "float64", "high": "float64", "unit": "string"}
_KINDS |= {"videos": "int64", "objects": "int64", "optimal": "bool"}
_KINDS |= {f"{column}{end}": "float64" for end in ("", "_low", "_high") for column in QUANTITIES.values()}


@dataclass(frozen=True, eq=False)
class StratumGaps:
    """AP and gaps of a subset of the ground truth.

    Attributes:
        attribute: By what the subset was made, e.g. ``video_length``.
        stratum: Its name among the subsets of the attribute.
        low: Lower edge of the attribute's values; ``None`` where there are no edges.
        high: Upper edge; ``None`` where it is open.
        unit: ``"video"`` or ``"object"``, what was sorted.
        videos: Videos that hold one of its objects, or all of its videos.
        objects: Its objects.
        resampled: Videos with an object that counts; fewer than two give no intervals.
        optimal: Whether every linking behind the numbers is proven optimal.
        points: By quantity (``AP``, ``AP_tracking``, ``AP_classification`` and gaps), ``None`` where no object counts.
        samples: ``[B]`` of each quantity over resamples of the videos; empty without a bootstrap.
    """

    attribute: str
    stratum: str
    low: float | None
    high: float | None
    unit: str
    videos: int
    objects: int
    resampled: int
    optimal: bool
    points: Mapping[str, float | None]
    samples: Mapping[str, Floats]

    def row(self) -> dict[str, Any]:
        """Its row in ``strata.parquet``."""
        names = ("attribute", "stratum", "low", "high", "unit", "videos", "objects", "optimal")
        row = {name: getattr(self, name) for name in names}
        row |= {column: self.points[name] for name, column in QUANTITIES.items()}
        for name, column in QUANTITIES.items():
            bounds = interval(self.samples[name], self.resampled) if self.samples else None
            row[f"{column}_low"], row[f"{column}_high"] = bounds or (None, None)
        return row


def gap_frame(strata: Iterable[StratumGaps]) -> pd.DataFrame:
    """One row per stratum.

    Returns:
        Columns ``attribute, stratum, low, high, unit, videos, objects, optimal`` as in ``StratumGaps``, ``AP,
        AP_tracking, AP_classification``, the gaps ``tracking`` with its parts ``tracking_ranking``,
        ``tracking_association``, ``tracking_selection``, ``classification`` and ``segmentation`` in points, null where
        no object counts; then ``<name>_low`` and ``<name>_high`` of each, null without a bootstrap or with fewer than
        two videos. An open upper edge ``high`` is null.
    """
    import pandas as pd

    return pd.DataFrame([entry.row() for entry in strata], columns=list(_KINDS)).astype(_KINDS)


def whole_gaps(chain: Chain, bootstrap: Bootstrap | None) -> Iterator[StratumGaps]:
    """Everything as one stratum, then each IoU threshold (all objects), then each category that has an object.

    ``low`` and ``high`` hold the threshold. Categories of one name are told apart by their ids.
    """
    evaluations = {name: chain.levels[name].evaluation for name in LEVELS}
    counted = videos_by_category(evaluations["default"].matches)
    resampled = len(set().union(*counted.values()))
    objects = evaluations["default"].counts["objects"]
    optimal = all(linking.optimal for name in LEVELS for linking in chain.levels[name].linkings)
    sizes = resampled, objects, resampled, optimal
    whole = _points({name: evaluation.AP for name, evaluation in evaluations.items()})
    yield StratumGaps("all", "all", None, None, "video", *sizes, whole, bootstrap.values if bootstrap else {})
    for place, iou in enumerate(evaluations["default"].profile):
        points = _points({name: evaluation.profile[iou] for name, evaluation in evaluations.items()})
        samples = {name: values[:, place] for name, values in bootstrap.profiles.items()} if bootstrap else {}
        yield StratumGaps("iou_threshold", f"{iou:.2f}", iou, iou, "video", *sizes, points, samples)
    tables = {name: evaluation.per_category for name, evaluation in evaluations.items()}
    names = Counter(entry["category"] for entry in tables["default"])
    for k, entry in enumerate(tables["default"]):
        number = entry["category_id"]
        if number in counted:
            points = _points({name: table[k]["AP"] for name, table in tables.items()})
            found = bootstrap.per_category[number][1] if bootstrap else {}
            samples = {name: values.mean(axis=1) for name, values in found.items()}
            sizes = len(counted[number]), entry["objects"], len(counted[number]), optimal
            name = entry["category"] if names[entry["category"]] == 1 else f"{entry['category']} ({number})"
            yield StratumGaps("category", name, None, None, "object", *sizes, points, samples)


def stratum_gaps(
    tables: OverlapTables,
    strata: Iterable[Stratum],
    *,
    objective: Objective = "tight",
    settings: SolverSettings | None = None,
    linkings: Mapping[str, Sequence[Linking]] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> Iterator[StratumGaps]:
    """AP and gaps of every stratum, each against its own AP as given.

    A stratum is a ground truth of its own: other objects are ignored like crowds, other videos are left out, and the
    oracle links anew. False tracks in the kept videos count in every object stratum, so strata do not average to the
    whole.

    Args:
        tables: All overlap tables.
        strata: The subsets.
        objective: See ``diagnose``.
        settings: Solver and time limit (see ``StratumMatcher``).
        linkings: What the oracle chose for all tables, by level (names of ``LEVELS``) and video; saves work.
        bootstrap: Resamples of a stratum's videos for the intervals, 0 for none.
        seed: Seed of the resampling.
        progress: Shows a progress bar on standard error.

    Yields:
        The strata in the order given.
    """
    groups = list(strata)
    matcher = StratumMatcher(tables, objective, settings or SolverSettings(), linkings)
    for group in track(groups, "strata", len(groups), enabled=progress):
        found = matcher.matches(group.restrict(tables))
        resampled = len(set().union(*videos_by_category(found.levels["default"]).values()))
        sizes = len(group.video_ids), len(group.object_ids), resampled, found.optimal
        aps = {name: _ap(matches) for name, matches in found.levels.items()}
        high = None if np.isinf(group.high) else group.high
        samples = _samples(found.levels, bootstrap, seed) if bootstrap else {}
        yield StratumGaps(group.attribute, group.name, group.low, high, group.unit, *sizes, _points(aps), samples)


def _ap(matches: Matches) -> float | None:
    """AP over all thresholds in points."""
    precision, _ = accumulate(matches, limits=MAX_TRACKS[-1:])
    return mean_points(precision[..., 0, -1])


def _points(aps: Mapping[str, float | None]) -> dict[str, float | None]:
    """AP and gaps from the AP of each level."""
    values = {name: aps[level] for name, level in _APS.items()}
    for name in _GAPS:
        lower, upper = DIFFERENCES[name]
        low, high = aps[lower], PERFECT if upper == "perfect" else aps[upper]
        values[name] = None if low is None or high is None else high - low
    return values


def _samples(levels: Mapping[str, Matches], samples: int, seed: int) -> dict[str, Floats]:
    """AP and every gap on resamples of the videos."""
    weights = resampling_weights(len(levels["default"].videos), samples, seed)
    return named({name: bootstrap_profiles(matches, weights).mean(axis=1) for name, matches in levels.items()})
