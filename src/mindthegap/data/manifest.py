"""``manifest.json``: what a dataset folder holds, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mindthegap.data.statistics import dataset_statistics
from mindthegap.files import sha256_file
from mindthegap.formats import GroundTruth

SCHEMA_VERSION = 1


def describe_split(path: Path, ground_truth: GroundTruth) -> dict[str, Any]:
    """Counts, statistics and checksum of a split's JSON that was just written.

    Args:
        path: The file.
        ground_truth: What it says.
    """
    return {"file": path.name, "sha256": sha256_file(path), **count_split(ground_truth)}


def count_split(ground_truth: GroundTruth) -> dict[str, Any]:
    """Counts and statistics of what a split's JSON says."""
    return {
        "videos": len(ground_truth.videos),
        "annotations": len(ground_truth.objects),
        "frames": sum(video.length for video in ground_truth.videos),
        "masks": sum(mask is not None for item in ground_truth.objects for mask in item.segmentations),
        "statistics": dataset_statistics(ground_truth),
    }


def manifest(
    name: str,
    source: Mapping[str, Any],
    categories: Sequence[Mapping[str, Any]],
    splits: Mapping[str, Mapping[str, Any]],
    split_recipe: Mapping[str, Any],
    *,
    synthetic: bool,
) -> dict[str, Any]:
    """Puts a manifest together; see the data contract in the README for its keys."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": name,
        "synthetic": synthetic,
        "source": dict(source),
        "categories": [{"id": category["id"], "name": category["name"]} for category in categories],
        "splits": {split: dict(record) for split, record in splits.items()},
        "frames": {"files": sum(record["frames"] for record in splits.values())},
        "split_recipe": dict(split_recipe),
    }
