"""Builds the page: reads the experiments, writes into a temporary folder, and puts it in place by rename."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from mindthegap import __version__
from mindthegap.data.lineage import Seen
from mindthegap.errors import InputError, MindTheGapError
from mindthegap.evaluation.overlap import compute_overlaps
from mindthegap.failures import MODES, FailureThresholds, exact_pair_iou
from mindthegap.files import disk_errors, write_json
from mindthegap.formats import GroundTruth, read_ground_truth, read_results
from mindthegap.progress import track
from mindthegap.strata import boxes_of
from mindthegap.tracklens.checks import check_objects, check_queries
from mindthegap.tracklens.experiment import (
    ExperimentFiles,
    event_rows,
    object_rows,
    provenance,
    read_tables,
)
from mindthegap.tracklens.lanes import video_lanes
from mindthegap.tracklens.masks import MAX_DRAWN_WIDTH
from mindthegap.tracklens.payload import write_payload
from mindthegap.tracklens.shards import prediction_shard, truth_shard

MARKER = "tracklens.json"
"""Says that a folder is a page of ours, which a rebuild may therefore replace."""
SCHEMA_VERSION = 1
THRESHOLDS = FailureThresholds()


def build(
    out_dir: str | Path,
    experiments: Sequence[ExperimentFiles],
    *,
    title: str,
    frames: str | Path | None = None,
    progress: bool = False,
) -> Path:
    """Writes the page for one or several experiments; the same inputs give the same bytes.

    Frames are never copied: the page links to them by relative path, so page and frames must keep their places
    relative to each other.

    Args:
        out_dir: Folder of the page. It is replaced if it is empty or an older page.
        experiments: What to show; experiments with the same ground-truth file share its data.
        title: Heading of the page.
        frames: Folder that ``file_names`` of the ground truth are relative to. By default the folder ``frames``
            beside each ground truth, if there is one; without frames the page draws masks on grey.
        progress: Show progress on standard error.

    Returns:
        Path of ``index.html``.

    Raises:
        InputError: An input cannot be used, or ``out_dir`` holds something else than a page.
        MindTheGapError: There are no experiments, or the disk refuses.
    """
    out_dir = Path(os.path.abspath(out_dir))
    if not experiments:
        raise MindTheGapError("TrackLens has no experiment to show: name at least one ground truth with its results.")
    if frames is not None and not Path(frames).is_dir():
        raise InputError(frames, "", "there is no such folder of frames", "check the path, or leave frames out")
    _check_replaceable(out_dir)
    with disk_errors(out_dir):
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=out_dir.parent, prefix=f".{out_dir.name}."))
        try:
            _write_site(work / "page", out_dir, experiments, title, frames, progress)
            _replace(work, out_dir)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return out_dir / "index.html"


def _check_replaceable(out_dir: Path) -> None:
    """Refuses to replace a folder that is not a page of ours."""
    if not out_dir.exists():
        return
    if not out_dir.is_dir():
        raise InputError(out_dir, "", "is a file, not a folder", "choose another place for the page")
    if any(out_dir.iterdir()) and not (out_dir / MARKER).is_file():
        raise InputError(out_dir, "", "holds files that are not a TrackLens page", "choose an empty or new folder")


def _replace(work: Path, out_dir: Path) -> None:
    """Puts the finished page in place; the old one is moved into ``work`` and goes with it."""
    if out_dir.exists():
        out_dir.rename(work / "old")
    (work / "page").rename(out_dir)


def _write_site(
    page: Path,
    out_dir: Path,
    experiments: Sequence[ExperimentFiles],
    title: str,
    frames: str | Path | None,
    progress: bool,
) -> None:
    """Writes every file of the page."""
    page.mkdir()
    _copy_assets(page)
    truths: dict[Path, tuple[int, GroundTruth]] = {}
    site: dict[str, Any] = {"title": title, "version": __version__, "truths": [], "experiments": []}
    site["thresholds"] = {**THRESHOLDS.to_dict(), "drawn_width_px": MAX_DRAWN_WIDTH}
    site["modes"] = {mode.name: {"sentence": mode.sentence, "subtypes": mode.subtypes} for mode in MODES}
    for number, files in enumerate(track(experiments, "TrackLens", len(experiments), enabled=progress)):
        source = Path(files.ground_truth).absolute()
        if source not in truths:
            truths[source] = (len(truths), read_ground_truth(source))
            _write_truth(page, *truths[source])
            site["truths"].append(_truth_entry(truths[source][1], _frames_link(source, frames, out_dir)))
        index, truth = truths[source]
        site["experiments"].append({"truth": index, **_write_experiment(page, number, files, truth)})
    write_payload(page / "data", "site", site)
    inputs = [{"label": e["label"], "inputs": e["inputs"]} for e in site["experiments"]]
    write_json(
        page / MARKER, {"schema_version": SCHEMA_VERSION, "version": __version__, "experiments": inputs}, indent=1
    )


def _copy_assets(page: Path) -> None:
    """Copies style sheet and scripts; the shell goes to the top of the page."""
    (page / "assets").mkdir()
    for asset in sorted(resources.files("mindthegap.tracklens").joinpath("assets").iterdir(), key=lambda a: a.name):
        target = page / "index.html" if asset.name == "index.html" else page / "assets" / asset.name
        if asset.name.endswith((".html", ".js", ".css")):
            target.write_bytes(asset.read_bytes())


def _truth_entry(truth: GroundTruth, frames: str | None) -> dict[str, Any]:
    """What the page knows of a ground truth before a video is opened."""
    return {
        "synthetic": truth.synthetic,
        "frames": frames,
        "categories": {str(category.id): category.name for category in truth.categories},
        "videos": [[video.id, video.name, video.length] for video in truth.videos],
        "objects": len(truth.objects),
    }


def _frames_link(ground_truth: Path, frames: str | Path | None, out_dir: Path) -> str | None:
    """Address of the frames folder relative to the page, ``None`` without frames."""
    folder = Path(frames) if frames is not None else ground_truth.parent / "frames"
    if not folder.is_dir():
        return None
    relative = os.path.relpath(os.path.abspath(folder), out_dir)
    return quote(str(PurePosixPath(*Path(relative).parts)))


def _write_truth(page: Path, index: int, truth: GroundTruth) -> None:
    """Writes a data file per video with the objects to draw."""
    objects = defaultdict(list)
    for item in truth.objects:
        objects[item.video_id].append(item)
    for video in truth.videos:
        write_payload(page / "data", f"g{index}/{video.id}", truth_shard(video, objects[video.id]))


def _write_experiment(page: Path, number: int, files: ExperimentFiles, truth: GroundTruth) -> dict[str, Any]:
    """Writes an experiment's tables and videos; returns its entry for the site's overview."""
    tables = read_tables(files)
    check_objects(files, tables, truth)
    results = read_results(files.predictions, truth)
    rows = {row.index: row for row in results.rows}
    videos = {video.id: video for video in truth.videos}
    measure, geometry = exact_pair_iou(results), boxes_of(truth)
    association = dict(list(tables.association.groupby("video_id")))
    failures = {} if tables.failures is None else dict(list(tables.failures.groupby("video_id")))
    overlap_tables = compute_overlaps(truth, results)
    check_queries(files, tables, overlap_tables)
    for overlaps in overlap_tables.videos:
        chosen = association.get(overlaps.video_id, tables.association.iloc[:0])
        events = None if tables.failures is None else failures.get(overlaps.video_id, tables.failures.iloc[:0])
        boxes = geometry[overlaps.video_id].ordered(overlaps.object_id)
        lanes = video_lanes(overlaps, THRESHOLDS, boxes, measure)
        shard = prediction_shard(videos[overlaps.video_id], overlaps, lanes, rows, chosen, events)
        write_payload(page / "data", f"p{number}/{overlaps.video_id}", shard)
    objects, events_of_all = object_rows(tables), event_rows(tables.failures)
    write_payload(page / "data", f"x{number}", {"objects": objects, "events": events_of_all})
    return {
        "label": files.label,
        "rows": len(results.rows),
        "gaps": _overview(tables.gaps),
        "synthetic": truth.synthetic or bool(tables.gaps.get("synthetic")),
        "warning": _warning(tables.gaps),
        "inputs": provenance(files),
    }


def _warning(gaps: dict[str, Any]) -> str:
    """What the page says above all numbers of an experiment whose weights may know the videos."""
    told = gaps.get("contaminated")
    return Seen.from_dict(told).sentence if told else ""


def _overview(gaps: dict[str, Any]) -> dict[str, Any]:
    """The part of gaps.json that the page shows."""
    wanted = ("objective", "levels", "gaps", "splits", "hedging", "solver", "intervals")
    overview = {key: gaps[key] for key in wanted if key in gaps}
    # Wall-clock times would make the page differ from one build to the next.
    overview["solver"] = {k: v for k, v in gaps.get("solver", {}).items() if "seconds" not in k}
    return overview
