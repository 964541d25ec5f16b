"""The numbers of an evaluation: frozen, and ready for JSON, data frames and terminals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mindthegap.evaluation.accumulation import accumulate, mean_points
from mindthegap.evaluation.bootstrap import bootstrap_profiles
from mindthegap.evaluation.matching import Matches
from mindthegap.evaluation.parameters import IOU_THRESHOLDS
from mindthegap.evaluation.tables import Floats

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

HEADLINES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")
"""Names of the headline numbers, in order."""

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Track AP and AR in points (0-100); ``None`` where no object counts.

    Attributes:
        AP: Mean over 10 IoU thresholds, 101 recall points and all categories with an object.
        AP50: At IoU 0.5.
        AP75: At IoU 0.75.
        APs: Objects of mean area up to 128 x 128 pixels.
        APm: From 128 x 128 to 256 x 256.
        APl: From 256 x 256.
        AR1: Mean recall with the best track per video and category.
        AR10: With the best 10.
        AR100: With the best 100.
        occlusion: AP of the OVIS groups ``light``, ``medium``, ``heavy``; empty where objects have no levels. Every
            false positive counts in each group, so these do not average to AP.
        profile: AP per IoU threshold, ``{0.5: .., ..., 0.95: ..}``.
        per_category: One entry per category, with ``category_id``, ``category``, ``objects``, ``tracks`` and AP, AP50,
            AP75, AR100.
        counts: Number of ``videos``, ``categories``, ``objects`` (without crowds), ``tracks`` (of which at most 100 per
            video and category are looked at).
        precision: ``[10, 101, K, S, 3]`` in 0-1 as the official evaluator holds it, -1 for undefined.
        recall: ``[10, K, S, 3]``.
        matches: What the numbers were accumulated from.
        synthetic: Whether the ground truth is synthetic; every table then says so.
        notes: Remarks that belong to the numbers, e.g. which official quirk changed them.
    """

    AP: float | None
    AP50: float | None
    AP75: float | None
    APs: float | None
    APm: float | None
    APl: float | None
    AR1: float | None
    AR10: float | None
    AR100: float | None
    occlusion: Mapping[str, float | None]
    profile: Mapping[float, float | None]
    per_category: tuple[dict[str, Any], ...]
    counts: Mapping[str, int]
    precision: Floats
    recall: Floats
    matches: Matches
    synthetic: bool
    notes: tuple[dict[str, Any], ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays, ready for JSON (design: ``evaluate --json``)."""
        return {
            **{name: getattr(self, name) for name in HEADLINES},
            "occlusion": dict(self.occlusion),
            "profile": {f"{threshold:.2f}": value for threshold, value in self.profile.items()},
            "per_category": [dict(entry) for entry in self.per_category],
            "per_video": self.per_video(),
            "counts": dict(self.counts),
            "synthetic": self.synthetic,
            "notes": [dict(entry) for entry in self.notes],
            "schema_version": SCHEMA_VERSION,
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per category, the last one (``category`` = "all") with the headline numbers."""
        import pandas as pd

        total = {"category_id": None, "category": "all", **{name: getattr(self, name) for name in HEADLINES}}
        total |= {"objects": self.counts["objects"], "tracks": self.counts["tracks"]}
        frame = pd.DataFrame([*self.per_category, total])
        # Beside a null, integers would become floats, which do not hold all 64-bit ids.
        frame["category_id"] = pd.array([*(entry["category_id"] for entry in self.per_category), None], dtype="Int64")
        return frame

    def per_video(self) -> list[dict[str, Any]]:
        """Each video's part in the AP, as far as one can be told.

        AP does not split into videos, because precision is taken over all of them at once. Two defined numbers come
        near: ``AP_alone``, the AP of the video evaluated by itself, and ``AP_change``, by how many points the AP of all
        falls when the video is left out (``None`` where either is undefined).
        """
        count = len(self.matches.videos)
        alone = bootstrap_profiles(self.matches, np.eye(count, dtype=np.int64)).mean(axis=1)
        without = bootstrap_profiles(self.matches, 1 - np.eye(count, dtype=np.int64)).mean(axis=1)
        entries = []
        for i, video in enumerate(self.matches.videos):
            change = None if self.AP is None or np.isnan(without[i]) else self.AP - float(without[i])
            entries.append(
                {
                    "video_id": video.video_id,
                    "AP_alone": None if np.isnan(alone[i]) else float(alone[i]),
                    "AP_change": change,
                    "objects": int(sum(entry.counted[0] for entry in video.categories)),
                    "found_at_50": int(sum(np.count_nonzero(entry.tp[0, 0]) for entry in video.categories)),
                    "false_at_50": int(sum(np.count_nonzero(entry.fp[0, 0]) for entry in video.categories)),
                }
            )
        return entries

    def table(self) -> Table:
        """The headline numbers as a rich table."""
        from mindthegap.evaluation.display import headline_table

        return headline_table(self)

    def category_table(self) -> Table:
        """The numbers per category as a rich table."""
        from mindthegap.evaluation.display import category_table

        return category_table(self)

    def __rich__(self) -> Table:
        return self.table()

    def __repr__(self) -> str:
        from mindthegap.evaluation.display import plain_text

        return plain_text(self.table())


def summarize(
    matches: Matches, *, tracks: Mapping[int, int], synthetic: bool, notes: tuple[dict[str, Any], ...] = ()
) -> Evaluation:
    """Accumulates matches and averages them (``ytvoseval.py``, summarize).

    Args:
        matches: Matched tracks.
        tracks: Number of tracks per category id.
        synthetic: Whether the ground truth is synthetic.
        notes: Passed on.
    """
    precision, recall = accumulate(matches)
    group = {name: i for i, name in enumerate(matches.groups)}
    areas = {f"AP{name[0]}": mean_points(precision[:, :, :, group[name], -1]) for name in ("small", "medium", "large")}
    found = [i for i in group if i.startswith("occlusion_")]
    per_category = _per_category(matches, precision[..., 0, -1], recall[..., 0, -1], tracks)
    return Evaluation(
        AP=mean_points(precision[..., 0, -1]),
        AP50=mean_points(precision[0, ..., 0, -1]),
        AP75=mean_points(precision[IOU_THRESHOLDS == 0.75, ..., 0, -1]),
        **areas,
        AR1=mean_points(recall[..., 0, 0]),
        AR10=mean_points(recall[..., 0, 1]),
        AR100=mean_points(recall[..., 0, 2]),
        occlusion={name.removeprefix("occlusion_"): mean_points(precision[:, :, :, group[name], -1]) for name in found},
        profile={round(float(t), 2): mean_points(precision[i, ..., 0, -1]) for i, t in enumerate(IOU_THRESHOLDS)},
        per_category=per_category,
        counts={
            "videos": len(matches.videos),
            "categories": len(matches.category_ids),
            "objects": sum(entry["objects"] for entry in per_category),
            "tracks": sum(entry["tracks"] for entry in per_category),
        },
        precision=precision,
        recall=recall,
        matches=matches,
        synthetic=synthetic,
        notes=notes,
    )


def _per_category(
    matches: Matches, precision: Floats, recall: Floats, tracks: Mapping[int, int]
) -> tuple[dict[str, Any], ...]:
    """The numbers of each category, from ``precision[10, 101, K]`` and ``recall[10, K]``."""
    objects = dict.fromkeys(matches.category_ids, 0)
    for video in matches.videos:
        for entry in video.categories:
            objects[entry.category] += int(entry.counted[0])
    return tuple(
        {
            "category_id": category,
            "category": name,
            "objects": objects[category],
            "tracks": tracks.get(category, 0),
            "AP": mean_points(precision[:, :, k]),
            "AP50": mean_points(precision[0, :, k]),
            "AP75": mean_points(precision[IOU_THRESHOLDS == 0.75][:, :, k]),
            "AR100": mean_points(recall[:, k]),
        }
        for k, (category, name) in enumerate(zip(matches.category_ids, matches.category_names, strict=True))
    )
