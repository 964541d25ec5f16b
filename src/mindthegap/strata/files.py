"""What the videos and objects of a ground-truth file are like, as two tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pycocotools import mask as mask_api

from mindthegap.files import atomic_path, read_text
from mindthegap.strata.attributes import object_attributes, video_attributes
from mindthegap.strata.geometry import boxes_of

if TYPE_CHECKING:
    from pandas import DataFrame

VIDEOS, OBJECTS = "strata_videos.parquet", "strata_objects.parquet"
AVERAGED = (
    "frames_present",
    "frames_hull",
    "absences",
    "relative_area",
    "visibility",
    "same_class_neighbours",
    "speed",
    "motion_iou",
    "scale_change",
    "aspect_change",
)
_WHOLE_KEYS = ("visibility", "amodal_segmentations")


def dataset_strata(
    ground_truth: str | Path, dataset: str = "", *, workers: int = 1, progress: bool = False
) -> tuple[DataFrame, DataFrame]:
    """Attributes of every video and every object that is not crowd.

    Args:
        ground_truth: YouTube-VIS or OVIS JSON.
        dataset: Name in the column ``dataset``.
        workers: Processes to use.
        progress: Whether to show it on standard error.

    Returns:
        `video_attributes` and `object_attributes` behind a column ``dataset``; objects also have ``visibility``
        (`mean_visibility`; null where the file does not tell), videos the means of the ``AVERAGED`` attributes over
        their objects as ``mean_<attribute>`` (null without one that has it).

    Raises:
        InputError: The first thing wrong with the file.
    """
    import pandas as pd

    from mindthegap.evaluation.overlap import compute_overlaps
    from mindthegap.formats import read_ground_truth
    from mindthegap.formats.model import Results

    truth = read_ground_truth(ground_truth)
    tables = compute_overlaps(truth, Results(str(ground_truth), ()), workers=workers, progress=progress)
    geometry = boxes_of(truth)
    videos, objects = video_attributes(tables, geometry), object_attributes(tables, geometry)
    shares = _visibilities(ground_truth)
    objects["visibility"] = pd.array([shares.get(number) for number in objects["object_id"]], dtype="Float64")
    means = objects.groupby("video_id")[list(AVERAGED)].mean().astype("Float64").add_prefix("mean_").reset_index()
    videos = videos.merge(means, on="video_id", how="left")
    for frame in (videos, objects):
        frame.insert(0, "dataset", pd.Series([dataset] * len(frame), dtype="string"))
    return videos, objects


def write_strata(
    ground_truth: str | Path,
    videos_parquet: str | Path,
    objects_parquet: str | Path,
    dataset: str = "",
    *,
    workers: int = 1,
    progress: bool = True,
) -> None:
    """Writes both tables of `dataset_strata` as Parquet, atomically."""
    tables = dataset_strata(ground_truth, dataset, workers=workers, progress=progress)
    for frame, path in zip(tables, (videos_parquet, objects_parquet), strict=True):
        with atomic_path(path) as temporary:
            frame.to_parquet(temporary, index=False)


def mean_visibility(annotation: Mapping[str, Any]) -> float | None:
    """Visible share (0-1) of the part of an object inside the frame, the mean over the frames in which it is seen.

    Own definition, from exact masks: ``visibility`` per frame where the file has it (rendered video), else visible over
    whole area where it has ``amodal_segmentations``. None where it has neither, as in the real datasets: a mask alone
    does not tell what is hidden.

    Args:
        annotation: One entry of ``annotations``, masks as compressed RLE.
    """
    shares = annotation.get("visibility")
    if shares is None and annotation.get("amodal_segmentations") is not None:
        pairs = zip(annotation["segmentations"], annotation["amodal_segmentations"], strict=True)
        shares = [mask_api.area(seen) / mask_api.area(whole) for seen, whole in pairs if seen and whole]
    known = [share for share in shares or [] if share is not None]
    return float(sum(known) / len(known)) if known else None


def _visibilities(path: str | Path) -> dict[int, float]:
    """`mean_visibility` by object id. The file has been checked; a large one without such keys is not decoded again."""
    text = read_text(path)
    if not any(f'"{key}"' in text for key in _WHOLE_KEYS):
        return {}
    shares = {entry["id"]: mean_visibility(entry) for entry in json.loads(text)["annotations"]}
    return {number: share for number, share in shares.items() if share is not None}
