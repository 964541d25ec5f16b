"""Strata as ground-truth sets of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mindthegap.strata.attributes import object_attributes, video_attributes
from mindthegap.strata.bins import BINNINGS, Binning, Unit
from mindthegap.strata.geometry import VideoGeometry

if TYPE_CHECKING:
    from pandas import DataFrame

    from mindthegap.evaluation.tables import OverlapTables


def restrict(
    tables: OverlapTables,
    *,
    keep_objects: Collection[int] | None = None,
    keep_videos: Collection[int] | None = None,
) -> OverlapTables:
    """Tables whose ground truth is a subset, for evaluating a stratum with the code that evaluates everything.

    Videos outside ``keep_videos`` are dropped with their predictions. Objects outside ``keep_objects`` become crowd:
    they count for nothing, and rows matched to one are ignored (any number, so that doubles of an object out of the
    stratum do not count against it; the official groups ignore only the first). All other rows still compete: a row
    that fits no object counts as false in every stratum, so strata do not add up to the whole.

    Args:
        tables: All overlap tables.
        keep_objects: Ids of the objects in the stratum; None keeps all.
        keep_videos: Ids of the videos in the stratum; None keeps all.
    """
    videos = [video for video in tables.videos if keep_videos is None or video.video_id in keep_videos]
    if keep_objects is not None:
        kept = np.array(sorted(keep_objects), dtype=np.int64)
        videos = [replace(video, object_crowd=video.object_crowd | ~np.isin(video.object_id, kept)) for video in videos]
    return replace(tables, videos=tuple(videos))


@dataclass(frozen=True)
class Stratum:
    """One bin of one attribute.

    Attributes:
        attribute: The attribute.
        name: The bin.
        low: Its lower edge.
        high: Its upper edge.
        unit: Whether it holds whole videos or single objects.
        video_ids: The videos with at least one object (unit object) or all its videos (unit video).
        object_ids: Its objects, crowd excluded.
    """

    attribute: str
    name: str
    low: float
    high: float
    unit: Unit
    video_ids: frozenset[int]
    object_ids: frozenset[int]

    def restrict(self, tables: OverlapTables) -> OverlapTables:
        """The tables with this stratum as their ground truth.

        A video stratum drops the other videos. An object stratum keeps every video, because rows in a video without
        such an object still count as false, as in the official groups.
        """
        if self.unit == "video":
            return restrict(tables, keep_videos=self.video_ids)
        return restrict(tables, keep_objects=self.object_ids)


def strata(
    tables: OverlapTables,
    geometry: Mapping[int, VideoGeometry] | None = None,
    binnings: Sequence[Binning] = BINNINGS,
) -> list[Stratum]:
    """All strata with at least one object, in the order of ``binnings`` and low to high.

    Attributes that are unknown everywhere (motion without ``geometry``, occlusion without labels) give none.

    Raises:
        KeyError: A binning names an attribute that its unit does not have.
    """
    objects = object_attributes(tables, geometry)
    videos = video_attributes(tables, geometry)
    found = []
    for binning in binnings:
        frame = videos if binning.unit == "video" else objects
        values = frame[binning.attribute].to_numpy(dtype=np.float64, na_value=np.nan)
        for place, name in enumerate(binning.names):
            members = frame[binning.holds(values, place)]
            inside = objects[objects.video_id.isin(members.video_id)] if binning.unit == "video" else members
            if len(inside):
                low, high = binning.edges[place], binning.edges[place + 1]
                video_ids = frozenset(members.video_id.tolist())
                ids = frozenset(inside.object_id.tolist())
                found.append(Stratum(binning.attribute, name, low, high, binning.unit, video_ids, ids))
    return found


def strata_frame(groups: Iterable[Stratum]) -> DataFrame:
    """One row per stratum: ``attribute, stratum, low, high, unit, videos, objects``; an open upper edge is null."""
    import pandas as pd

    rows = [
        (group.attribute, group.name, group.low, group.high, group.unit, len(group.video_ids), len(group.object_ids))
        for group in groups
    ]
    columns = ["attribute", "stratum", "low", "high", "unit", "videos", "objects"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["high"] = frame["high"].astype("Float64").mask(np.isinf(frame["high"].astype(float)))
    return frame


def member_frame(groups: Iterable[Stratum], tables: OverlapTables) -> DataFrame:
    """One row per stratum and object in it, for joins: ``attribute, stratum, video_id, object_id``."""
    import pandas as pd

    video_of = {identity: video.video_id for video in tables.videos for identity in video.object_id.tolist()}
    rows = [
        (group.attribute, group.name, video_of[identity], identity)
        for group in groups
        for identity in sorted(group.object_ids, key=lambda identity: (video_of[identity], identity))
    ]
    return pd.DataFrame(rows, columns=["attribute", "stratum", "video_id", "object_id"])
