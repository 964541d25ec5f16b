"""The levels and gaps of one objective, over all categories and per category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mindthegap.diagnosis.gaps import differences, nested
from mindthegap.diagnosis.levels import Level
from mindthegap.evaluation import Evaluation
from mindthegap.oracle import Objective

HEADLINES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")
PRINTED_LEVELS = {"default": "default", "oracle_tracking": "tracking", "oracle_classification": "both"}
"""The levels of ``gaps.json`` and where they come from; ``oracle_classification`` repairs identities and classes."""
STAGES = {"ranking": "ranking", "continued": "continued", "classes_only": "classes", "missed_found": "found"}
"""The further levels that the splits and orders are differences of."""


@dataclass(frozen=True, eq=False)
class Chain:
    """Levels and gaps of one objective.

    Attributes:
        objective: ``"tight"`` or ``"iou"``.
        levels: By name: default, ranking, continued, tracking, classes, both, found.
        gaps: Flat gaps in points by name (see ``gaps.DIFFERENCES``); ``None`` where AP is undefined.
    """

    objective: Objective
    levels: Mapping[str, Level]
    gaps: Mapping[str, float | None]

    @classmethod
    def from_levels(cls, objective: Objective, levels: Mapping[str, Level]) -> Chain:
        """Takes the differences of the levels' AP."""
        return cls(objective, levels, differences({name: level.evaluation.AP for name, level in levels.items()}))

    def summary(self) -> dict[str, Any]:
        """The objects ``levels``, ``stages``, ``gaps``, ``splits``, ``orders`` and ``per_threshold``."""
        levels = {name: headlines(self.levels[source].evaluation) for name, source in PRINTED_LEVELS.items()}
        stages = {name: headlines(self.levels[source].evaluation) for name, source in STAGES.items()}
        return {"levels": levels, "stages": stages, **nested(self.gaps), "per_threshold": self.per_threshold()}

    def per_threshold(self) -> list[dict[str, Any]]:
        """AP of the printed levels, gaps and splits at each IoU threshold."""
        entries = []
        for threshold in self.levels["default"].evaluation.profile:
            points = {name: level.evaluation.profile[threshold] for name, level in self.levels.items()}
            found = nested(differences(points))
            levels = {name: points[source] for name, source in PRINTED_LEVELS.items()}
            entries.append({"iou": threshold, "levels": levels, "gaps": found["gaps"], "splits": found["splits"]})
        return entries

    def per_category(self) -> list[dict[str, Any]]:
        """AP of the printed levels, gaps and splits of each category that has an object."""
        tables = {name: level.evaluation.per_category for name, level in self.levels.items()}
        entries = []
        for k, default in enumerate(tables["default"]):
            if not default["objects"]:
                continue
            points = {name: table[k]["AP"] for name, table in tables.items()}
            found = nested(differences(points))
            entry = {key: default[key] for key in ("category_id", "category", "objects", "tracks")}
            entry["levels"] = {name: points[source] for name, source in PRINTED_LEVELS.items()}
            entries.append({**entry, "gaps": found["gaps"], "splits": found["splits"]})
        return entries


def headlines(evaluation: Evaluation) -> dict[str, float | None]:
    """The headline numbers of an evaluation."""
    return {name: getattr(evaluation, name) for name in HEADLINES}
