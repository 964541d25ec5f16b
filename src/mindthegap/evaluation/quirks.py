"""What the official evaluator makes of files that are wrong, and how much each oddity changes the number.

Four oddities are reproduced under ``--official-quirks`` (all of ``ytvoseval.py``): tracks are compared only up to the
end of the shorter one, masks of different size have neither intersection nor union, rows of a category that the ground
truth lacks vanish, and an object with id 0 can be taken but never counts as found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mindthegap.evaluation.accumulation import accumulate, mean_points
from mindthegap.evaluation.candidates import row_candidates
from mindthegap.evaluation.matching import match
from mindthegap.evaluation.tables import OfficialSums, OverlapTables, VideoOverlaps
from mindthegap.formats.model import GroundTruth, ObjectTrack, ResultRow, Results


def quirk_notes(ground_truth: GroundTruth, results: Results, tables: OverlapTables) -> tuple[dict[str, Any], ...]:
    """One note per oddity that the files show.

    Args:
        ground_truth: Read with ``official_quirks``.
        results: Read with ``official_quirks``.
        tables: Their tables, made with ``official_quirks``.

    Returns:
        Entries with ``quirk``, ``count``, ``AP_change`` (official AP minus AP with this oddity corrected, in points,
        ``None`` where undefined) and ``message``.
    """
    counts = _counts(ground_truth, results)
    official = _ap(tables)
    notes = []
    for quirk, (noun, treatment, correct) in _QUIRKS.items():
        if counts[quirk]:
            corrected = _ap(replace(tables, videos=tuple(map(correct, tables.videos))))
            change = None if official is None or corrected is None else official - corrected
            effect = "leaves the AP undefined" if change is None else f"changes AP by {change:+.2f} points"
            message = f"Official quirk: {counts[quirk]} {noun} {treatment}; this {effect}."
            notes.append({"quirk": quirk, "count": counts[quirk], "AP_change": change, "message": message})
    return tuple(notes)


def _counts(ground_truth: GroundTruth, results: Results) -> dict[str, int]:
    """How often each oddity occurs."""
    videos = {video.id: video for video in ground_truth.videos}
    categories = {category.id for category in ground_truth.categories}
    tracks: list[ObjectTrack | ResultRow] = [*ground_truth.objects, *results.rows]
    return {
        "length": sum(len(entry.segmentations) != videos[entry.video_id].length for entry in tracks),
        "size": sum(_misfits(entry, videos[entry.video_id].height, videos[entry.video_id].width) for entry in tracks),
        "category": sum(row.category_id not in categories for row in results.rows),
        "id": sum(entry.id == 0 for entry in ground_truth.objects),
    }


def _misfits(entry: ObjectTrack | ResultRow, height: int, width: int) -> int:
    """Masks of a track that are not of the video's size."""
    return sum(mask is not None and mask["size"] != [height, width] for mask in entry.segmentations)


def _ap(tables: OverlapTables) -> float | None:
    """AP in points."""
    precision, _ = accumulate(match(tables, [row_candidates(video) for video in tables.videos]))
    return mean_points(precision[..., 0, -1])


def _whole_tracks(video: VideoOverlaps) -> VideoOverlaps:
    """Compares tracks over all frames."""
    return replace(video, official=_without(video.official, "unseen_union", "unseen_intersection"))


def _all_sizes(video: VideoOverlaps) -> VideoOverlaps:
    """Counts a mask of another size as one that overlaps nothing."""
    return replace(video, official=_without(video.official, "skipped_union"))


def _without(sums: OfficialSums | None, *names: str) -> OfficialSums | None:
    """The sums with some set to zero."""
    return None if sums is None else replace(sums, **{name: np.zeros_like(getattr(sums, name)) for name in names})


def _own_id(video: VideoOverlaps) -> VideoOverlaps:
    """Gives the object 0 an id that counts."""
    return replace(video, object_id=np.where(video.object_id == 0, np.iinfo(np.int64).max, video.object_id))


def _unchanged(video: VideoOverlaps) -> VideoOverlaps:
    """A class without objects never enters the mean, so keeping its rows changes nothing."""
    return video


_QUIRKS: dict[str, tuple[str, str, Callable[[VideoOverlaps], VideoOverlaps]]] = {
    "length": ("tracks of another length than their video", "are compared up to the shorter end only", _whole_tracks),
    "size": ("masks of another size than their video", "are skipped against masks of other sizes", _all_sizes),
    "category": ("rows of a category that the ground truth lacks", "are left out", _unchanged),
    "id": ("objects with id 0", "can be taken but never found", _own_id),
}
