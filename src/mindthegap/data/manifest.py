"""``manifest.json``: what a dataset folder holds, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mindthegap.files import sha256_file

SCHEMA_VERSION = 1


def describe_split(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Counts and checksum of a split's JSON that was just written.

    Args:
        path: The file.
        content: Its content: ``videos`` and ``annotations``.
    """
    segmentations = (s for annotation in content["annotations"] for s in annotation["segmentations"])
    return {
        "file": path.name,
        "sha256": sha256_file(path),
        "videos": len(content["videos"]),
        "annotations": len(content["annotations"]),
        "frames": sum(len(video["file_names"]) for video in content["videos"]),
        "masks": sum(1 for segmentation in segmentations if segmentation),
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
