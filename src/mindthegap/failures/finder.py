"""From overlap tables and oracle choices to priced failure events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mindthegap.failures.costs import GAPS, LEVELS, ObjectCosts, object_costs, threshold_weights
from mindthegap.failures.events import Cost, Event
from mindthegap.failures.families import PairIou
from mindthegap.failures.linking import VideoLinking, linking_by_video
from mindthegap.failures.modes import MODES, OTHER, Finding, Gap, Mode
from mindthegap.failures.scene import Scene, build_scene
from mindthegap.failures.thresholds import FailureThresholds

if TYPE_CHECKING:
    from pandas import DataFrame

    from mindthegap.evaluation.tables import OverlapTables
    from mindthegap.strata.geometry import VideoGeometry

_NO_COST = 1e-12
_MODE_ORDER = {mode.name: place for place, mode in enumerate(MODES)}


def find_failures(
    tables: OverlapTables,
    linking: Mapping[int, VideoLinking] | Iterable[VideoLinking],
    *,
    thresholds: FailureThresholds | None = None,
    geometry: Mapping[int, VideoGeometry] | None = None,
    pair_iou: PairIou | None = None,
) -> list[Event]:
    """Finds and prices the failure events of all videos.

    A frame's loss is shared equally by the events of the object that cover it and may explain that gap; what no
    event covers becomes one event of mode ``other`` per object. Hence, for each gap and object, the events' IoU sums
    to the IoU the gap regains, and their points to the object's share ``(hits after - hits before) * 100 / (10 N_c
    K)``.

    Args:
        tables: Overlap tables.
        linking: The oracles' choices for every video.
        thresholds: Numbers that decide the events; `FailureThresholds()` if None.
        geometry: Boxes by video id (`mindthegap.strata.boxes_of`); without them no unlabelled object counts as
            hidden behind another and distances stay undefined.
        pair_iou: Exact mutual IoU of queries (`exact_pair_iou`); without it families are decided by the tables alone.

    Returns:
        Events by ascending video, object (background queries last), start and mode.

    Raises:
        ValueError: The linking does not fit the tables.
    """
    choices = linking_by_video(tables, linking)
    weights = threshold_weights(tables)
    events: list[Event] = []
    for video in tables.videos:
        boxes = geometry[video.video_id].ordered(video.object_id) if geometry is not None else None
        scene = build_scene(video, thresholds or FailureThresholds(), boxes=boxes, pair_iou=pair_iou)
        events += _video_events(scene, object_costs(video, choices[video.video_id], weights))
    return events


def object_shares(tables: OverlapTables, linking: Mapping[int, VideoLinking] | Iterable[VideoLinking]) -> DataFrame:
    """Track IoU, thresholds reached and gap shares of every object that is not crowd.

    Columns: ``video_id, object_id``, ``iou_<level>`` and ``hits_<level>`` for ranking, tracking and classification,
    ``<gap>_gap_points`` in AP points (tracking without the ranking part).
    """
    import pandas as pd

    choices, weights = linking_by_video(tables, linking), threshold_weights(tables)
    parts = []
    for video in tables.videos:
        costs = object_costs(video, choices[video.video_id], weights)
        columns: dict[str, object] = {"video_id": video.video_id, "object_id": video.object_id}
        for place, level in enumerate(LEVELS[:-1]):
            columns |= {f"iou_{level}": costs.iou[place], f"hits_{level}": costs.hits[place]}
        columns |= {f"{gap}_gap_points": costs.points[place] for place, gap in enumerate(GAPS)}
        parts.append(pd.DataFrame(columns)[~video.object_crowd])
    return pd.concat(parts, ignore_index=True)


def _video_events(scene: Scene, costs: ObjectCosts) -> list[Event]:
    by_object: dict[int, list[tuple[Mode, Finding]]] = defaultdict(list)
    for mode in MODES:
        for finding in mode.find(scene):
            by_object[finding.index].append((mode, finding))
    events: list[Event] = []
    for index in np.flatnonzero(~scene.video.object_crowd).tolist():
        events += _object_events(scene, costs, index, by_object[index])
    background = [_event(scene, mode, finding, {}) for mode, finding in by_object[-1]]
    return events + sorted(background, key=_event_order)


def _object_events(scene: Scene, costs: ObjectCosts, index: int, findings: list[tuple[Mode, Finding]]) -> list[Event]:
    """Priced events of one object, the headline marked, ``other`` last."""
    priced: list[dict[Gap, Cost]] = [{} for _ in findings]
    rest: dict[Gap, Cost] = {}
    for place, gap in enumerate(GAPS):
        scopes = {n: finding.scope_in(gap) for n, (mode, finding) in enumerate(findings) if gap in mode.gaps}
        eligible = {number: scope for number, scope in scopes.items() if scope is not None}
        shares, remainder = _shared_losses(costs.frames[place, :, index], list(eligible.values()))
        regained = float(costs.iou[place + 1, index] - costs.iou[place, index])
        points = float(costs.points[place, index])
        rate = points / regained if regained else 0.0
        for number, share in zip(eligible, shares, strict=True):
            priced[number][gap] = Cost(share, share * rate)
        rest[gap] = Cost(_tidy(remainder), _tidy(points - sum(share * rate for share in shares)))
    events = [_event(scene, mode, finding, cost) for (mode, finding), cost in zip(findings, priced, strict=True)]
    if events:
        top = _headline(events, scene.thresholds.headline_tie)
        events = [replace(event, headline=event is top) for event in events]
    if any(cost.iou or cost.points for cost in rest.values()):
        video, identity = scene.video.video_id, int(scene.video.object_id[index])
        costs_left = (rest["tracking"], rest["classification"], rest["segmentation"])
        events.append(Event(video, OTHER, "", None, None, identity, None, None, None, *costs_left))
    return sorted(events, key=_event_order)


def _tidy(remainder: float) -> float:
    """A remainder without the noise of its last bits."""
    return 0.0 if abs(remainder) <= _NO_COST else remainder


def _headline(events: list[Event], tie: float) -> Event:
    """The most expensive event; among those that nearly reach its cost the most specific mode, then the earliest."""
    most = max(event.total_iou for event in events)
    near = [event for event in events if event.total_iou >= most - tie * abs(most) - _NO_COST]
    return min(near, key=lambda event: (_MODE_ORDER[event.mode], event.start_frame))


def _shared_losses(losses: np.ndarray, scopes: list[tuple[int, int]]) -> tuple[list[float], float]:
    """The part of ``losses [T]`` of each scope (first and last frame), frames shared equally, and what none covers."""
    cover = np.zeros((len(scopes), len(losses)))
    for row, (start, end) in zip(cover, scopes, strict=True):
        row[start : end + 1] = 1.0
    claims = cover.sum(axis=0)
    shares = (cover / np.maximum(claims, 1.0)) @ losses
    return shares.tolist(), float(losses[claims == 0].sum())


def _event(scene: Scene, mode: Mode, finding: Finding, costs: dict[Gap, Cost]) -> Event:
    def object_id(index: int) -> int | None:
        return int(scene.video.object_id[index]) if index >= 0 else None

    def query(family: int) -> int | None:
        return scene.families[family].query if family >= 0 else None

    return Event(
        video=scene.video.video_id,
        mode=mode.name,
        subtype=finding.subtype,
        start_frame=finding.start,
        end_frame=finding.end,
        object=object_id(finding.index),
        other_object=object_id(finding.other),
        query=query(finding.family),
        other_query=query(finding.other_family),
        tracking=costs.get("tracking"),
        classification=costs.get("classification"),
        segmentation=costs.get("segmentation"),
        value=None if finding.value is None else float(finding.value),
        false_rows=() if mode.gaps else _false_rows(scene, finding),
    )


def _false_rows(scene: Scene, finding: Finding) -> tuple[int, ...]:
    """Rows of the finding's family that are false positives at an IoU of 0.5."""
    members = np.isin(scene.video.row_query, scene.families[finding.family].members)
    return tuple(np.flatnonzero(members & (scene.match.object_of_row == -1)).tolist())


def _event_order(event: Event) -> tuple[int, int, int, int]:
    """Sorts by start, mode (as listed) and end; ``other`` comes last."""
    if event.start_frame is None or event.end_frame is None:
        return (1, 0, 0, 0)
    return (0, event.start_frame, _MODE_ORDER[event.mode], event.end_frame)
