"""Prepared datasets beside the published numbers of the real ones, one row each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mindthegap.data.statistics import PUBLISHED
from mindthegap.files import atomic_path, read_json
from mindthegap.formats import OCCLUSION_LEVELS, GroundTruth, read_ground_truth
from mindthegap.progress import track

if TYPE_CHECKING:
    from pandas import DataFrame

MEANS = ("frames_per_video", "objects_per_video", "objects_per_frame", "presence", "box_overlap_rate")
COLUMNS = ("dataset", "split", "videos", "objects", "masks", "masks_per_object", *MEANS, *OCCLUSION_LEVELS, "source")


def describe_manifests(manifests: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Counts and means of every split, as `mindthegap.data.statistics.dataset_statistics` defines them.

    The whole real datasets follow, as their authors describe them.

    Args:
        manifests: Contents of ``manifest.json`` files.

    Returns:
        ``COLUMNS``: counts, ``masks_per_object`` (frames in which an object is seen), means, and the share of
        object-frames per occlusion level; ``source`` says where a row's numbers come from. Unknown is null.
    """
    import pandas as pd

    rows = [row for content in manifests for row in _rows(content)]
    rows += [
        {
            "dataset": name,
            "split": "all",
            **numbers,
            "masks_per_object": round(numbers["masks"] / numbers["objects"], 1),
            "source": "Qi et al., IJCV 2022, table 1",
        }
        for name, numbers in PUBLISHED.items()
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(dict.fromkeys(("videos", "objects", "masks"), "int64"))


def described_with_linking(
    manifests: Sequence[Mapping[str, Any]], diagnosed: Iterable[GroundTruth], *, progress: bool = True
) -> DataFrame:
    """`describe_manifests` with ``linking_AP`` of the diagnostic splits (`mindthegap.data.linking`).

    Args:
        manifests: Contents of ``manifest.json`` files.
        diagnosed: Their diagnostic splits, in the same order.
        progress: Whether to show it on standard error.
    """
    from mindthegap.data.linking import linking_ap

    table = describe_manifests(manifests)
    pairs = track(zip(manifests, diagnosed, strict=True), "linking by overlap", len(manifests), enabled=progress)
    scores = {content["dataset"]: linking_ap(truth) for content, truth in pairs}
    known = table["dataset"].map(scores).where(table["split"] == "diagnostic").astype("float64")
    table.insert(len(table.columns) - 1, "linking_AP", known.round(1))
    return table


def write_statistics(
    manifests: Sequence[str | Path], diagnostics: Sequence[str | Path], out_csv: str | Path, *, progress: bool = True
) -> None:
    """Writes `described_with_linking` as CSV.

    Args:
        manifests: Manifests of prepared datasets.
        diagnostics: Their ``diagnostic.json``, in the same order.
        out_csv: Table to write.
        progress: Whether to show it on standard error.

    Raises:
        InputError: A file cannot be used.
    """
    contents = [read_json(path) for path in manifests]
    table = described_with_linking(contents, (read_ground_truth(path) for path in diagnostics), progress=progress)
    save_described(table, out_csv)


def save_described(table: DataFrame, out_csv: str | Path) -> None:
    """Writes a table of this module as CSV, atomically."""
    with atomic_path(out_csv) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def _rows(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per split of a manifest."""
    rows = []
    for split, record in content["splits"].items():
        statistics, objects = record["statistics"], record["annotations"]
        rows.append(
            {
                "dataset": content["dataset"],
                "split": split,
                "videos": record["videos"],
                "objects": objects,
                "masks": record["masks"],
                "masks_per_object": round(record["masks"] / objects, 1) if objects else None,
                **{name: statistics[name] for name in MEANS},
                **(statistics["occlusion"] or {}),
                "source": "measured",
            }
        )
    return rows
