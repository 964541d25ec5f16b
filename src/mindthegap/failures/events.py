"""Events: failures with a place, an object and a price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Cost:
    """Part of one gap: track IoU of the object, and AP points."""

    iou: float
    points: float


@dataclass(frozen=True)
class Event:
    """One failure, or (mode ``other``) what the failures of an object leave unexplained.

    Attributes:
        video: Video id.
        mode: Mode name.
        subtype: Subtype name; empty for ``other``.
        start_frame: First frame, from 0; None for ``other``.
        end_frame: Last frame, included; None for ``other``.
        object: Object id, None for background queries.
        other_object: Another object involved.
        query: The query involved, the representative of its family, as numbered in the overlap tables.
        other_query: Another query involved.
        tracking: Its part of the tracking gap (without the ranking part); None where undefined.
        classification: Its part of the classification gap; None where undefined.
        segmentation: Its part of the segmentation gap; None where undefined.
        headline: Whether it is the object's most expensive event.
        value: A number whose meaning the mode's sentence gives.
        false_rows: Positions in the video's row arrays of the false positives it consists of; modes that cost rank.
    """

    video: int
    mode: str
    subtype: str
    start_frame: int | None
    end_frame: int | None
    object: int | None
    other_object: int | None
    query: int | None
    other_query: int | None
    tracking: Cost | None
    classification: Cost | None
    segmentation: Cost | None
    headline: bool = False
    value: float | None = None
    false_rows: tuple[int, ...] = ()

    @property
    def total_iou(self) -> float:
        """Track IoU it explains over all gaps; 0 where undefined."""
        return sum(cost.iou for cost in (self.tracking, self.classification, self.segmentation) if cost is not None)


_COLUMNS = {
    "dataset": "string",
    "method": "string",
    "backbone": "string",
    "seed": "Int64",
    "video_id": "int64",
    "mode": "string",
    "subtype": "string",
    "start_frame": "Int64",
    "end_frame": "Int64",
    "object_id": "Int64",
    "other_object_id": "Int64",
    "query": "Int64",
    "other_query": "Int64",
    "cost_iou": "Float64",
    "cost_points": "Float64",
    "classification_cost_iou": "Float64",
    "classification_cost_points": "Float64",
    "segmentation_cost_iou": "Float64",
    "segmentation_cost_points": "Float64",
    "headline": "bool",
    "value": "Float64",
}


def to_frame(
    events: Iterable[Event], *, dataset: str = "", method: str = "", backbone: str = "", seed: int | None = None
) -> DataFrame:
    """The events as the table ``failures.parquet``, one row each; undefined is null.

    ``cost_iou`` and ``cost_points`` belong to the tracking gap (without its ranking part); the columns after them to
    the classification and the segmentation gap.
    """
    import pandas as pd

    rows = [(dataset, method, backbone, seed, *_cells(event)) for event in events]
    # Column by column, as a column of integers and None would become floats, which do not hold all 64-bit ids.
    columns = zip(_COLUMNS.items(), zip(*rows, strict=True) if rows else [()] * len(_COLUMNS), strict=True)
    return pd.DataFrame({name: pd.array(values, dtype=kind) for (name, kind), values in columns})


def _cells(event: Event) -> tuple[object, ...]:
    costs: list[float | None] = []
    for cost in (event.tracking, event.classification, event.segmentation):
        costs += [None, None] if cost is None else [cost.iou, cost.points]
    return (
        event.video,
        event.mode,
        event.subtype,
        event.start_frame,
        event.end_frame,
        event.object,
        event.other_object,
        event.query,
        event.other_query,
        *costs,
        event.headline,
        event.value,
    )
