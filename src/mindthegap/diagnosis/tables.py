"""The Parquet tables of a diagnosis: one row per object, and one per chosen mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mindthegap.diagnosis.chain import Chain
from mindthegap.diagnosis.levels import object_worth
from mindthegap.errors import MindTheGapError
from mindthegap.evaluation import OverlapTables, VideoOverlaps, occlusion_score
from mindthegap.oracle import Linking, hits, iou, linked_sums

if TYPE_CHECKING:
    import pandas as pd

_THRESHOLDS = 10
_TRACK_LEVELS = {"ranking": "ranking", "tracking": "tracking", "classification": "both"}
_ASSOCIATION_LEVELS = {"tracking": "tracking", "classification": "both"}


@dataclass(frozen=True)
class Keys:
    """Names of an experiment, empty (``seed`` undefined) for a lone result file."""

    dataset: str = ""
    method: str = ""
    backbone: str = ""
    seed: int | None = None

    @classmethod
    def from_mapping(cls, keys: Mapping[str, Any] | None) -> Keys:
        """Reads ``dataset, method, backbone, seed``; other names (further wildcards) are left out.

        Raises:
            MindTheGapError: The seed is not a whole number.
        """
        given = keys or {}
        seed = given.get("seed")
        try:
            number = None if seed is None or seed == "" else int(seed)
        except (TypeError, ValueError):
            raise MindTheGapError(f"The key 'seed' is {seed!r}: write a whole number, or leave it out.") from None
        dataset, method, backbone = (str(given.get(name, "")) for name in ("dataset", "method", "backbone"))
        return cls(dataset, method, backbone, number)

    def columns(self) -> dict[str, Any]:
        """The first columns of every table."""
        return {"dataset": self.dataset, "method": self.method, "backbone": self.backbone, "seed": self.seed}


def tracks_table(tables: OverlapTables, chain: Chain, keys: Keys) -> pd.DataFrame:
    """``tracks.parquet``: one row per object that is not crowd, in file order within ascending videos.

    ``video_length`` is in annotated frames; ``frames_hull`` counts the frames from the first to the last in which the
    object is present. ``hits_*`` count the ten IoU thresholds a level's track reaches. An object's share of a gap is
    100 / (10 N_c K) points per threshold (N_c objects of its class, K classes): shares sum to the gap in mean recall,
    which differs from the gap in AP by the ranking part and the grid of 101 recall points.
    """
    import pandas as pd

    worth = object_worth(tables)
    point = 100.0 / (_THRESHOLDS * max(len(worth), 1))
    names = dict(zip(tables.category_ids, tables.category_names, strict=True))
    parts = []
    for i, video in enumerate(tables.videos):
        columns = {"synthetic": tables.synthetic, **_object_columns(video, names)}
        reached = {}
        for name, level in _TRACK_LEVELS.items():
            sums = linked_sums(video, chain.levels[level].linkings[i].chosen)
            columns[f"iou_{name}"] = iou(*sums)
            reached[name] = hits(*sums)
        columns |= {f"hits_{name}": values for name, values in reached.items()}
        value = point * np.array([worth.get(c, 0.0) for c in video.object_category.tolist()], np.float64)
        columns["tracking_gap_points"] = (reached["tracking"] - reached["ranking"]) * value
        columns["classification_gap_points"] = (reached["classification"] - reached["tracking"]) * value
        columns["segmentation_gap_points"] = (_THRESHOLDS - reached["classification"]) * value
        parts.append(pd.DataFrame(columns)[~video.object_crowd])
    empty = pd.DataFrame({"synthetic": pd.Series(dtype=bool)})
    return with_keys(pd.concat(parts, ignore_index=True) if parts else empty, keys)


def _object_columns(video: VideoOverlaps, names: Mapping[int, str]) -> dict[str, Any]:
    """What the ground truth says of each object."""
    present = video.object_area > 0
    count = present.sum(axis=0)
    if video.length:
        hull = np.where(count > 0, video.length - present.argmax(axis=0) - present[::-1].argmax(axis=0), 0)
    else:
        hull = count
    scores = [np.nan if levels is None else occlusion_score(levels) for levels in video.object_occlusion]
    return {
        "video_id": np.full(len(count), video.video_id, np.int64),
        "video_length": np.full(len(count), video.length, np.int64),
        "object_id": video.object_id,
        "category_id": video.object_category,
        "category": [names[c] for c in video.object_category.tolist()],
        "frames_present": count.astype(np.int64),
        "frames_hull": hull.astype(np.int64),
        "mean_area_px": video.object_area.sum(axis=0) / np.maximum(count, 1),
        "occlusion_score": np.array(scores, np.float64),
    }


def association_table(tables: OverlapTables, chain: Chain, keys: Keys) -> pd.DataFrame:
    """``association.parquet``: one row per level, object and frame in which the oracle chose a mask.

    ``row_index`` is the position in the result file of the query's first row.
    """
    import pandas as pd

    parts = []
    for name, level in _ASSOCIATION_LEVELS.items():
        for video, linking in zip(tables.videos, chain.levels[level].linkings, strict=True):
            parts.append(pd.DataFrame({"level": name, **_choice_columns(video, linking)}))
    return with_keys(pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(), keys)


def _choice_columns(video: VideoOverlaps, linking: Linking) -> dict[str, Any]:
    """The choices of one linking by object, then frame."""
    target, frame = np.nonzero(linking.chosen.T >= 0)
    query = linking.chosen[frame, target]
    return {
        "video_id": np.full(len(frame), video.video_id, np.int64),
        "object_id": video.object_id[target],
        "frame": frame.astype(np.int64),
        "query": query,
        "row_index": first_rows(video)[query],
        "intersection_px": video.intersection[frame, query, target].astype(np.int64),
        "query_area_px": video.query_area[frame, query].astype(np.int64),
        "object_area_px": video.object_area[frame, target].astype(np.int64),
    }


def first_rows(video: VideoOverlaps) -> np.ndarray:
    """``int64 [Q]`` position in the result file of each query's first row."""
    first = np.full(video.query_area.shape[1], np.iinfo(np.int64).max)
    np.minimum.at(first, video.row_query, video.row_index)
    return first


def with_keys(frame: pd.DataFrame, keys: Keys) -> pd.DataFrame:
    """Puts the experiment's names first, with the same types in every file so that tables concatenate."""
    for place, (name, value) in enumerate(keys.columns().items()):
        frame.insert(place, name, value)
    kinds = {"dataset": "string", "method": "string", "backbone": "string", "seed": "Int64"}
    kinds |= {name: "string" for name in ("level", "category") if name in frame}
    return frame.astype(kinds)
