"""Oracle tracks as an ordinary result file, so that anyone can check the AP with the evaluator of their choice."""

from __future__ import annotations

from typing import Any

from mindthegap.diagnosis.levels import Level
from mindthegap.diagnosis.tables import first_rows
from mindthegap.evaluation import OverlapTables
from mindthegap.formats.model import RLE, Results


def result_entries(tables: OverlapTables, level: Level, results: Results) -> list[dict[str, Any]]:
    """The tracks of a level as result rows, in the order in which they were evaluated.

    Masks are those of the result file; scores realise the ranking (under the ``tight`` objective a track's IoU: then at
    every threshold the true positives come first, and ties do not matter).
    """
    rows = {row.index: row for row in results.rows}
    entries = []
    for video, linking in zip(tables.videos, level.linkings, strict=True):
        source = first_rows(video)
        for target in linking.tracks.tolist():
            masks = [
                rows[int(source[query])].segmentations[frame] if query >= 0 else None
                for frame, query in enumerate(linking.chosen[:, target].tolist())
            ]
            entries.append(
                {
                    "video_id": video.video_id,
                    "category_id": int(video.object_category[target]),
                    "score": float(linking.score[target]),
                    "segmentations": [_plain(mask) for mask in masks],
                }
            )
    return entries


def _plain(mask: RLE | None) -> dict[str, Any] | None:
    """A compressed RLE with its counts as text, as JSON needs it."""
    if mask is None:
        return None
    return {"size": [int(side) for side in mask["size"]], "counts": mask["counts"].decode("ascii")}
