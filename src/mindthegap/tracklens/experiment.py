"""What the page reads of one experiment, and the tables it shows of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mindthegap.errors import InputError
from mindthegap.files import read_json, sha256_file
from mindthegap.plots.tables import gap_row, read_parquet

_TRACKS = ("video_id", "object_id", "category_id", "frames_present", "mean_area_px")
_LEVELS = ("ranking", "tracking", "classification")
_GAPS = ("tracking", "classification", "segmentation")
_EVENTS = ("video_id", "mode", "subtype", "start_frame", "end_frame", "object_id", "query", "cost_points")
_ASSOCIATION = ("level", "video_id", "object_id", "frame", "query", "row_index")
_TEXT = {"mode", "subtype"}
_COSTS = ("cost_points", "classification_cost_points", "segmentation_cost_points")


@dataclass(frozen=True)
class ExperimentFiles:
    """The files of one experiment.

    Attributes:
        label: Shown on the page, e.g. ``ovis/seqformer-r50/0``.
        ground_truth: Ground truth that was diagnosed, YouTube-VIS JSON.
        predictions: Result file that was diagnosed.
        oracle_dir: Folder with ``gaps.json``, ``tracks.parquet``, ``association.parquet`` and, where failure modes
            were sought, ``failures.parquet``.
    """

    label: str
    ground_truth: Path
    predictions: Path
    oracle_dir: Path


@dataclass(frozen=True, eq=False)
class Tables:
    """Tables of one experiment; ``failures`` is ``None`` where the folder has none."""

    gaps: dict[str, Any]
    tracks: pd.DataFrame
    association: pd.DataFrame
    failures: pd.DataFrame | None


def read_tables(files: ExperimentFiles) -> Tables:
    """Reads and checks an oracle folder.

    Raises:
        InputError: The folder is missing or one of its files cannot be used.
    """
    folder = Path(files.oracle_dir)
    if not folder.is_dir():
        raise InputError(folder, "", "there is no such folder", "run `mindthegap diagnose` first")
    gap_row(folder / "gaps.json")  # refuses what the page could not draw
    columns = [*_TRACKS, *(f"iou_{level}" for level in _LEVELS), *(f"{gap}_gap_points" for gap in _GAPS)]
    failures = folder / "failures.parquet"
    return Tables(
        gaps=read_json(folder / "gaps.json"),
        tracks=read_parquet(folder / "tracks.parquet", columns),
        association=read_parquet(folder / "association.parquet", _ASSOCIATION),
        failures=read_parquet(failures, _EVENTS) if failures.exists() else None,
    )


def provenance(files: ExperimentFiles) -> list[dict[str, str]]:
    """Names and SHA-256 of the inputs; names without folders, so that the page tells nothing about the machine."""
    oracle = Path(files.oracle_dir)
    inputs = {"ground truth": files.ground_truth, "predictions": files.predictions}
    inputs |= {name: oracle / name for name in ("gaps.json", "tracks.parquet", "association.parquet")}
    if (oracle / "failures.parquet").exists():
        inputs["failures.parquet"] = oracle / "failures.parquet"
    return [
        {"role": role, "name": Path(path).name, "sha256": sha256_file(path)} for role, path in sorted(inputs.items())
    ]


def plain(value: Any) -> Any:
    """A table cell as JSON: numpy scalars become Python's, NaN and missing values become ``None``."""
    if value is None or value is pd.NA:
        return None
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return None if not math.isfinite(value) else round(value, 6)
    return value


def object_rows(tables: Tables) -> list[dict[str, Any]]:
    """One entry per object, most points lost first; ties by video and object id."""
    headline = _headlines(tables.failures)
    rows = []
    for record in tables.tracks.to_dict("records"):
        points = [plain(record[f"{gap}_gap_points"]) for gap in _GAPS]
        key = (int(record["video_id"]), int(record["object_id"]))
        rows.append(
            {
                "v": key[0],
                "o": key[1],
                "c": int(record["category_id"]),
                "n": int(record["frames_present"]),
                "a": plain(record["mean_area_px"]),
                "iou": [plain(record[f"iou_{level}"]) for level in _LEVELS],
                "pts": points,
                "mode": headline.get(key, ""),
            }
        )
    rows.sort(key=lambda row: (-sum(p or 0.0 for p in row["pts"]), row["v"], row["o"]))
    return rows


def event_rows(failures: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    """One entry per failure event, in time order within a video; ``None`` when they were not sought."""
    if failures is None:
        return None
    names = {"video_id": "v", "mode": "m", "subtype": "s", "start_frame": "t0", "end_frame": "t1", "object_id": "o"}
    names |= {"other_object_id": "o2", "query": "q", "other_query": "q2"}
    rows = []
    for record in failures.to_dict("records"):
        row: dict[str, Any] = {}
        for column, short in names.items():
            value = plain(record.get(column))
            if column in _TEXT:
                row[short] = "" if value is None else str(value)
            else:
                row[short] = None if value is None else int(value)
        row["pts"] = _event_points(record)
        rows.append(row)
    rows.sort(key=lambda row: (row["v"], row["t0"] or 0, row["t1"] or 0, row["m"], row["o"] or 0, row["q"] or 0))
    return rows


def _event_points(record: dict[str, Any]) -> float | None:
    """Points an event costs over all gaps; ``None`` when no cost is defined."""
    known = [value for value in (plain(record.get(name)) for name in _COSTS) if value is not None]
    return round(sum(known), 6) if known else None


def _headlines(failures: pd.DataFrame | None) -> dict[tuple[int, int], str]:
    """Each object's costliest failure mode; an object whose events cost nothing has none."""
    best: dict[tuple[int, int], tuple[float, str]] = {}
    for event in event_rows(failures) or []:
        points, key = event["pts"] or 0.0, (event["v"], event["o"])
        # Mode "other" is what no event explains; it has no frames and makes no headline.
        if event["o"] is None or event["t0"] is None or points <= 0:
            continue
        if key not in best or points > best[key][0]:
            best[key] = (points, event["m"])
    return {key: mode for key, (_, mode) in best.items()}
