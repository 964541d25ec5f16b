"""Sweeps over one knob: what was wanted of each dataset, and what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mindthegap.data.staging import MANIFEST
from mindthegap.errors import InputError, MindTheGapError
from mindthegap.files import read_json, read_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from mindthegap.config.rendered import SweepPoint

UNITS = {
    "length": "frames of a video",
    "density": "visible objects per frame",
    "occlusion": "share of object-frames in which something covers the object",
}
COLUMNS = ("dataset", "sweep", "knob", "wanted", "achieved", "unit", "videos", "frames", "annotations")


def sweep_record(point: SweepPoint, statistics: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest's entry about a dataset's place in its sweep.

    Args:
        point: What was asked for.
        statistics: `mindthegap.data.statistics.dataset_statistics` of what was rendered.

    Returns:
        ``name`` and ``knob`` of the sweep, the ``wanted`` value, the ``achieved`` one measured on the rendered masks,
        and the ``unit`` of the latter. A density is wanted in objects of the video and measured in visible ones.
    """
    levels = statistics["occlusion"] or {}
    measured = {
        "length": statistics["frames_per_video"],
        "density": statistics["objects_per_frame"],
        "occlusion": round(1.0 - levels["no_occlusion"], 4) if levels else None,
    }
    return {
        "name": point.name,
        "knob": point.knob,
        "wanted": point.value,
        "achieved": measured[point.knob],
        "unit": UNITS[point.knob],
    }


def sweep_table(manifests: Iterable[str | Path]) -> DataFrame:
    """One row per dataset of a sweep: ``COLUMNS``, sorted by sweep and wanted value.

    Args:
        manifests: Manifests of prepared datasets; those of datasets outside a sweep are skipped.

    Raises:
        InputError: A file is no manifest.
    """
    import pandas as pd

    rows = [row for path in manifests if (row := _row(Path(path))) is not None]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.sort_values(["sweep", "wanted"], kind="stable", ignore_index=True)


def configured_points(start: str | Path = ".") -> dict[str, dict[str, Any]]:
    """Where each dataset of ``config.yaml``, here or in a folder above, stands in its sweep; as `sweep_points` says.

    Raises:
        MindTheGapError: There is no config.yaml, or it is not valid.
    """
    import yaml

    from mindthegap.config import parse_config

    here = Path(start).absolute()
    for folder in (here, *here.parents):
        if (folder / "config.yaml").is_file():
            return sweep_points(parse_config(yaml.safe_load(read_text(folder / "config.yaml", "YAML"))).datasets)
    raise MindTheGapError(f"There is no config.yaml in {here} or above, which says what the sweeps are.")


def sweep_points(datasets: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``name`` and ``knob`` of the sweep and the wanted ``value``, for the datasets that belong to one.

    Args:
        datasets: The section ``datasets`` of the configuration, as `mindthegap.config.parse_config` gives it.
    """
    points = {name: getattr(spec, "sweep", None) for name, spec in datasets.items()}
    return {name: point.model_dump() for name, point in points.items() if point is not None}


def _row(path: Path) -> dict[str, Any] | None:
    """The row of one manifest; None outside a sweep."""
    content = read_json(path)
    try:
        sweep = content["source"].get("sweep")
        if sweep is None:
            return None
        split = content["splits"]["diagnostic"]
        counts = {key: split[key] for key in ("videos", "frames", "annotations")}
        names = {"dataset": content["dataset"], "sweep": sweep["name"]}
        return {**names, **{key: sweep[key] for key in ("knob", "wanted", "achieved", "unit")}, **counts}
    except (KeyError, TypeError, AttributeError) as error:
        problem = f"is not a dataset's manifest ({error!r})"
        raise InputError(path, "", problem, f"give {MANIFEST} of a prepared dataset") from None
