"""Our HOTA and IDF1 against TrackEval's, on the same files in the same run.

    python benchmarks/identity.py      # needs the package trackeval

Ours: overlap tables of two files and the scores of every class; theirs: its YouTube-VIS dataset, HOTA and Identity.
TrackEval wants uncompressed masks in the ground truth and a height and width with every annotation, so it is given a
copy that has them. A line is printed only after the scores of every class have been found equal.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from crowded_sets import Size, write
from measuring import alone, alternate

from mindthegap.evaluation import cached_overlaps
from mindthegap.failures import identity_metrics
from mindthegap.formats import rle

SIZES = (
    Size("360p, shared classes", 10, 40, 6, 20, 360, 640, 5),
    Size("360p, one class", 10, 40, 6, 20, 360, 640, 1),
    Size("720p, shared classes", 4, 60, 8, 50, 720, 1280, 5),
)
_CURVES = ("HOTA", "DetA", "AssA", "LocA")
_SCALARS = ("IDF1", "IDR", "IDP")


def lay_out(gt: Path, results: Path, folder: Path) -> None:
    """Writes the files as TrackEval looks for them."""
    truth = json.loads(gt.read_text())
    size = {video["id"]: (video["height"], video["width"]) for video in truth["videos"]}
    for entry in truth["annotations"]:
        entry["height"], entry["width"] = size[entry["video_id"]]
        entry["segmentations"] = [_uncompressed(mask) for mask in entry["segmentations"]]
    for name, content in (("gt", json.dumps(truth)), ("trackers", results.read_text())):
        place = folder / name / "youtube_vis_train" / ("ours/data" if name == "trackers" else "")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.json").write_text(content)


def _uncompressed(mask: dict[str, Any] | None) -> dict[str, Any] | None:
    """A mask with its run lengths as a list."""
    if mask is None:
        return None
    runs, _ = rle.decode([mask["counts"].encode()])
    return {"size": mask["size"], "counts": runs.counts.tolist()}


def theirs(folder: Path) -> dict[str, Any]:
    """TrackEval's scores over all videos, by class name."""
    import trackeval

    quiet = {"PRINT_RESULTS": False, "PRINT_CONFIG": False, "TIME_PROGRESS": False, "DISPLAY_LESS_PROGRESS": True}
    quiet |= {f"OUTPUT_{kind}": False for kind in ("SUMMARY", "DETAILED", "EMPTY_CLASSES")}
    places = {"GT_FOLDER": f"{folder}/gt/", "TRACKERS_FOLDER": f"{folder}/trackers/", "SPLIT_TO_EVAL": "train"}
    evaluator = trackeval.Evaluator({"USE_PARALLEL": False, "PLOT_CURVES": False, "BREAK_ON_ERROR": True, **quiet})
    dataset = trackeval.datasets.YouTubeVIS(places | {"PRINT_CONFIG": False})
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.Identity({"PRINT_CONFIG": False})]
    found, _ = evaluator.evaluate([dataset], metrics)
    return dict(found["YouTubeVIS"]["ours"]["COMBINED_SEQ"])


def ours(gt: Path, results: Path) -> dict[int, Any]:
    """Our scores by category id."""
    return dict(identity_metrics(cached_overlaps(gt, results, None)).per_category)


def theirs_alone(folder: str) -> None:
    """For ``alone``."""
    theirs(Path(folder))


def ours_alone(gt: str, results: str) -> None:
    """For ``alone``."""
    ours(Path(gt), Path(results))


def compare(size: Size, repeats: int, folder: Path) -> None:
    """Prints the line of one set."""
    gt, results = folder / "gt.json", folder / "results.json"
    write(size, gt, results)
    lay_out(gt, results, folder)
    found = alternate({"ours": lambda: ours(gt, results), "theirs": lambda: theirs(folder)}, repeats)
    for category, scores in found["ours"].value.items():
        expected = found["theirs"].value[f"class {category}"]
        for name in _CURVES:
            assert np.isclose(getattr(scores, name), 100 * expected["HOTA"][name].mean(), atol=1e-6), (category, name)
        for name in _SCALARS:
            assert np.isclose(getattr(scores, name), 100 * expected["Identity"][name], atol=1e-6), (category, name)
    one, other = found["ours"], found["theirs"]
    peaks = alone("identity", "ours_alone", str(gt), str(results)), alone("identity", "theirs_alone", str(folder))
    print(
        f"{size.name}: ours {one.processor:.2f} ({one.wall:.2f}) s, {peaks[0]['peak']:.0f} MiB | TrackEval "
        f"{other.processor:.2f} ({other.wall:.2f}) s, {peaks[1]['peak']:.0f} MiB | "
        f"ratio {other.processor / one.processor:.1f}",
        flush=True,
    )


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--videos", type=int, help="videos of each set instead of the usual number")
    options = parser.parse_args()
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            compare(replace(size, videos=options.videos or size.videos), options.repeats, Path(folder))


if __name__ == "__main__":
    main()
