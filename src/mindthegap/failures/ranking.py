"""What false rows cost: failures that move no mask of an object, but stand above true tracks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mindthegap.evaluation import Candidates, accumulate, match, row_candidates
from mindthegap.evaluation.accumulation import mean_points
from mindthegap.failures.events import Event

if TYPE_CHECKING:
    from mindthegap.evaluation.tables import OverlapTables


def ranking_points(tables: OverlapTables, events: Iterable[Event]) -> dict[str, float]:
    """AP points won by leaving out the false rows of all events of a mode, for each mode that has such rows.

    Each mode by itself, so the numbers of several modes do not add up. Empty where AP is undefined.
    """
    left_out: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for event in events:
        if event.false_rows:
            left_out[event.mode][event.video] |= set(event.false_rows)
    rows = [row_candidates(video) for video in tables.videos]
    before = _ap(tables, rows)
    if before is None:
        return {}
    won = {}
    for mode, by_video in left_out.items():
        after = _ap(tables, [_without(entry, by_video.get(entry.video_id, set())) for entry in rows])
        won[mode] = (after or 0.0) - before
    return won


def _ap(tables: OverlapTables, rows: list[Candidates]) -> float | None:
    """AP in points."""
    return mean_points(accumulate(match(tables, rows))[0][..., 0, -1])


def _without(rows: Candidates, places: set[int]) -> Candidates:
    """The rows but for those at ``places``."""
    kept = np.setdiff1d(np.arange(len(rows.score)), list(places))
    names = ("category", "score", "intersection", "union", "mean_area")
    return replace(rows, **{name: getattr(rows, name)[kept] for name in names})
