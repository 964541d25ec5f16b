"""Ground truth and results as files, and the command line, for the tests of the diagnosis."""

import json

from oracle_cases import rle

KEYS = {"dataset": "ovis", "method": "vistr", "backbone": "r50", "seed": "3"}
KEY_COLUMNS = ["dataset", "method", "backbone", "seed"]


def plain(mask):
    return None if mask is None else {"size": mask["size"], "counts": mask["counts"].decode()}


def write_files(folder, clips, tracks, *, synthetic=True, crowd=()):
    """Ground truth and results as files."""
    annotations = []
    for clip in clips:
        for n, category in enumerate(clip.classes):
            masks = clip.mask(n + 1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": clip.id,
                    "category_id": category,
                    "iscrowd": int(len(annotations) in crowd),
                    "segmentations": [plain(rle(m)) for m in masks],
                    "areas": [int(m.sum()) or None for m in masks],
                    "bboxes": [None if not m.any() else [0, 0, 1, 1] for m in masks],
                }
            )
    videos = [
        {
            "id": c.id,
            "width": c.labels.shape[2],
            "height": c.labels.shape[1],
            "length": len(c.labels),
            "file_names": [f"{c.id}/{t}.jpg" for t in range(len(c.labels))],
        }
        for c in clips
    ]
    truth = {
        "info": {"synthetic": synthetic},
        "videos": videos,
        "categories": [{"id": i, "name": f"c{i}"} for i in (1, 2, 3)],
        "annotations": annotations,
    }
    rows = [
        {
            "video_id": t.video,
            "category_id": t.category,
            "score": t.score,
            "segmentations": [plain(rle(m)) for m in t.masks],
        }
        for t in tracks
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(rows))
    return folder / "truth.json", folder / "results.json"


def run_cli(*arguments):
    """Runs the command line in this process; (exit code or None, standard output)."""
    from typer.testing import CliRunner

    from mindthegap.cli import app

    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exception, result.stdout
