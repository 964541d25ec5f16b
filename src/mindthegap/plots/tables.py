"""The tables behind the figures, read from the oracle folders of any number of experiments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mindthegap.data.lineage import Seen
from mindthegap.errors import InputError, MindTheGapError
from mindthegap.files import read_json

KEYS = ("dataset", "method", "backbone", "seed")
LEVELS = ("default", "oracle_tracking", "oracle_classification")
MEASURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")
_GAPS = ("tracking", "classification", "segmentation")
_SPLITS = {"tracking": ("ranking", "selection", "association"), "segmentation": ("missed", "mask_quality")}
_TOLERANCE_POINTS = 0.05  # AP + gaps = 100 by definition; files may round to two decimals


def experiment_keys(path: str | Path, content: dict[str, Any]) -> dict[str, str]:
    """Names of an experiment: what the file says, else its place ``<dataset>/<method>-<backbone>/<seed>/``.

    A lone file outside such a tree is named after its folder, so that a figure of it still has a label.
    """
    told = {key: str(content[key]) for key in KEYS if content.get(key) not in (None, "")}
    folders = Path(path).absolute().parent.parts[-3:]
    if len(folders) == 3 and "-" in folders[1] and folders[2].isdigit():
        method, _, backbone = folders[1].partition("-")
        place = {"dataset": folders[0], "method": method, "backbone": backbone, "seed": folders[2]}
    else:
        place = {"dataset": "", "method": folders[-1], "backbone": "", "seed": ""}
    return {key: told.get(key, place[key]) for key in KEYS}


def _points(path: Path, place: str, value: Any, *, optional: bool = True) -> float:
    """A value in points; undefined (null) is NaN where that is allowed."""
    if value is None and optional:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(path, place, f"{value!r} is not a number", "write the file again with `mindthegap diagnose`")
    return float(value)


def _mapping(path: Path, content: dict[str, Any], key: str, place: str = "") -> dict[str, Any]:
    """A nested object of gaps.json that must be there."""
    where = f"{place}.{key}" if place else key
    value = content.get(key)
    if not isinstance(value, dict):
        problem = "is missing" if value is None else "is not an object"
        raise InputError(path, where, problem, "give a gaps.json written by `mindthegap diagnose`")
    return value


def gap_row(path: str | Path) -> dict[str, Any]:
    """One gaps.json (schema 1) as a flat row; see :func:`gap_table` for the columns.

    Raises:
        InputError: The file is missing, not JSON, of another schema, or AP and the gaps do not add up to 100.
    """
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(path, "", "is not a JSON object", "give a gaps.json written by `mindthegap diagnose`")
    if content.get("schema_version") != 1:
        found = content.get("schema_version")
        raise InputError(
            path, "schema_version", f"is {found!r}, not 1", "write it again with this version's `diagnose`"
        )
    row: dict[str, Any] = {**experiment_keys(path, content), "synthetic": bool(content.get("synthetic", False))}
    row["contaminated"] = _contaminated(path, content.get("contaminated"))
    row["objective"] = str(content.get("objective", ""))
    levels = _mapping(path, content, "levels")
    for level in LEVELS:
        scores = _mapping(path, levels, level, "levels")
        for measure in MEASURES:
            place = f"levels.{level}.{measure}"
            row[f"{measure}_{level}"] = _points(path, place, scores.get(measure))
    gaps = _mapping(path, content, "gaps")
    for gap in _GAPS:
        row[f"{gap}_gap"] = _points(path, f"gaps.{gap}", gaps.get(gap))
    splits = _mapping(path, content, "splits")
    for gap, parts in _SPLITS.items():
        values = _mapping(path, splits, gap, "splits")
        for part in parts:
            row[f"{gap}_{part}"] = _points(path, f"splits.{gap}.{part}", values.get(part))
    row |= _intervals(path, content.get("intervals"))
    row |= _best_row(path, content.get("hedging"))
    _check_sum(path, row)
    return row


def _contaminated(path: Path, told: Any) -> bool:
    """Whether the weights have, or may have, seen diagnosed videos; False where nobody said anything."""
    if told is None:
        return False
    try:
        return bool(Seen.from_dict(told).sentence)
    except (KeyError, TypeError, ValueError):
        problem = f"{told!r} is not an object with videos, of and source"
        raise InputError(path, "contaminated", problem, "write the file again with `mindthegap diagnose`") from None


def _intervals(path: Path, intervals: Any) -> dict[str, float]:
    """Bootstrap intervals of AP and the gaps as ``<column>_low`` and ``<column>_high``; empty without a bootstrap."""
    if intervals is None:
        return {}
    columns = {"AP": "AP_default", **{gap: f"{gap}_gap" for gap in _GAPS}}
    row = {}
    for name, column in columns.items():
        value = intervals.get(name) if isinstance(intervals, dict) else None
        if value is None:
            continue  # no resample had an object
        if not isinstance(value, list) or len(value) != 2:
            raise InputError(path, f"intervals.{name}", f"{value!r} is not [low, high]", "write the file again")
        for end, number in zip(("low", "high"), value, strict=True):
            row[f"{column}_{end}"] = _points(path, f"intervals.{name}", number, optional=False)
    return row


def _best_row(path: Path, hedging: Any) -> dict[str, float]:
    """Rows per query, and AP and gaps of the best row of each query; empty for a file that does not tell."""
    if hedging is None:
        return {}
    if not isinstance(hedging, dict):
        raise InputError(path, "hedging", "is not an object", "write it again with `mindthegap diagnose`")
    best = _mapping(path, hedging, "best_row_alone", "hedging")
    gaps = _mapping(path, best, "gaps", "hedging.best_row_alone")
    row = {"rows_per_query": _points(path, "hedging.rows_per_query", hedging.get("rows_per_query"))}
    row["AP_best_row"] = _points(path, "hedging.best_row_alone.AP", best.get("AP"))
    for gap in _GAPS:
        row[f"{gap}_gap_best_row"] = _points(path, f"hedging.best_row_alone.gaps.{gap}", gaps.get(gap))
    return row


def best_row_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table of the gaps that each method has if every query keeps its best row alone.

    Methods that report a query under several classes hide class errors in the ranking (see
    ``mindthegap.diagnosis.hedging``); this table compares all methods alike.

    Args:
        table: As ``gap_table`` returns it.

    Returns:
        ``dataset, method, backbone, seed, synthetic, contaminated, objective, rows_per_query, AP_default`` and the
        three gaps, in points; no intervals.

    Raises:
        MindTheGapError: A file behind the table does not tell.
    """
    columns = {"AP_best_row": "AP_default", **{f"{gap}_gap_best_row": f"{gap}_gap" for gap in _GAPS}}
    told = {"rows_per_query", *columns} <= set(table.columns)
    if not told or (table["AP_best_row"].isna() & table["AP_default"].notna()).any():
        raise MindTheGapError("A gaps.json says nothing of rows per query: write it again with `mindthegap diagnose`.")
    kept = [*KEYS, "synthetic", "contaminated", "objective", "rows_per_query"]
    return table[[*kept, *columns]].rename(columns=columns)


def _check_sum(path: Path, row: dict[str, Any]) -> None:
    """Refuses a file whose bars would not reach 100 points."""
    total = row["AP_default"] + sum(row[f"{gap}_gap"] for gap in _GAPS)
    if abs(total - 100) > _TOLERANCE_POINTS:  # False for NaN: an undefined AP has nothing to add up
        raise InputError(path, "gaps", f"AP and the three gaps add up to {total:.2f}, not 100", "write the file again")


def gap_table(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Reads any number of gaps.json files into one table, one row per experiment, sorted by its keys.

    Args:
        paths: gaps.json files, in any order.

    Returns:
        Columns ``dataset, method, backbone, seed, synthetic, contaminated, objective``; ``<measure>_<level>`` for AP,
        AP50, AP75, APs, APm, APl, AR1, AR10, AR100 at the levels default, oracle_tracking, oracle_classification;
        ``tracking_gap, classification_gap, segmentation_gap``; ``tracking_{ranking,selection,association}`` and
        ``segmentation_{missed,mask_quality}``; where a file has bootstrap intervals, ``<column>_low`` and
        ``<column>_high`` of AP_default and the gaps; ``rows_per_query, AP_best_row, <gap>_gap_best_row``. All but the
        rows per query in points (0-100, gaps may be negative); undefined is NaN.

    Raises:
        InputError: A file cannot be used, or two files describe the same experiment.
        MindTheGapError: There are no files.
    """
    files = [Path(path) for path in paths]
    if not files:
        raise MindTheGapError("No gaps.json was given: run `mindthegap diagnose` or `make demo` first.")
    seen: dict[tuple[str, ...], Path] = {}
    rows = []
    for path in files:
        row = gap_row(path)
        key = tuple(row[name] for name in KEYS)
        if key in seen:
            raise InputError(path, "", f"describes the same experiment as {seen[key]}", "give each experiment once")
        seen[key] = path
        rows.append(row)
    return pd.DataFrame(rows).sort_values(list(KEYS), kind="stable", ignore_index=True)


def find_results(name: str, scale: str = "demo", start: str | Path = ".") -> list[str]:
    """All oracle files called ``name`` of a scale, looked for in ``results/`` here or in a folder above.

    Notebooks use it for their default inputs, so that they run alone from the project's root as well as from
    ``notebooks/``.

    Raises:
        MindTheGapError: There are none yet.
    """
    here = Path(start).absolute()
    for folder in (here, *here.parents):
        found = sorted((folder / "results" / scale / "oracle").glob(f"*/*/*/{name}"))
        if found:
            return [str(path) for path in found]
    raise MindTheGapError(f"There is no results/{scale}/oracle/*/*/*/{name} yet: run `snakemake` for that scale first.")


def read_parquet(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """Reads a parquet table that must have ``columns``.

    Raises:
        InputError: The file is missing, is not Parquet, or lacks a column.
    """
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(path, "", "there is no such file", "check the path") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(path, "", f"is not a Parquet table ({reason})", "write it again with `diagnose`") from None
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InputError(path, "", f"has no column {', '.join(missing)}", "write it again with `mindthegap diagnose`")
    return frame
