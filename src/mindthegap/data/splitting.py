"""Which videos are diagnosed: drawn by seed, evenly over length, density, occlusion and categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mindthegap.data.lineage import origin
from mindthegap.errors import InputError
from mindthegap.evaluation import occlusion_score
from mindthegap.files import read_text
from mindthegap.formats import GroundTruth

_BINS = 3
_WEIGHTS = {"no_occlusion": 0.0, "slight_occlusion": 0.25, "severe_occlusion": 0.75}


def draw_split(
    ground_truth: GroundTruth, fraction: float, seed: int, *, among: frozenset[int] | None = None
) -> frozenset[int]:
    """Draws the diagnosed videos.

    Videos whose frames lie in one folder, or that were cut from one source (see ``origin``), stay together. Labels
    (categories; thirds of length, density and occlusion) are spread by iterative stratification: Sechidis et al., "On
    the Stratification of Multi-label Data" (ECML PKDD 2011), algorithm 1, rarest label first; ties fall to the train
    split, so a label that occurs once can be learnt.

    Args:
        ground_truth: All videos.
        fraction: Share (0-1, exclusive) of the videos to diagnose; at least one group goes to either side.
        seed: Decides the order among equals; the order of the file does not matter.
        among: Ids of the videos that may be drawn, see ``demanding``; ``fraction`` is a share of them. None: all.

    Returns:
        Ids of the diagnosed videos.

    Raises:
        InputError: There are fewer than two videos to divide, or none that may be drawn.
    """
    groups = _groups(ground_truth)
    if len(groups) < 2:
        problem = f"has {len(groups)} video to divide into train and diagnostic"
        raise InputError(ground_truth.path, "videos", problem, "give more videos, or take weights from another dataset")
    names = sorted(name for name, ids in groups.items() if among is None or among.issuperset(ids))
    if not names:
        remedy = "lower split.at_least"
        raise InputError(ground_truth.path, "videos", "no video reaches what split.at_least asks for", remedy)
    order = [names[k] for k in np.random.default_rng(seed).permutation(len(names))]
    labels = _labels(ground_truth, groups)
    wanted = min(max(1, round(fraction * len(names))), len(groups) - 1)
    chosen = _spread(order, labels, wanted)
    return frozenset(video for name in chosen for video in groups[name])


def demanding(ground_truth: GroundTruth, frames: int, density: float, occlusion: float) -> frozenset[int]:
    """Ids of the videos that are long, dense and occluded enough.

    Args:
        ground_truth: All videos; regions of many objects (``iscrowd``) do not count.
        frames: Least number of frames.
        density: Least number of visible objects per frame, the mean over the video.
        occlusion: Least OVIS occlusion score (0-0.75), the mean over the video's graded objects; a video without any
            grade has 0.
    """
    masks: Counter[int] = Counter()
    scores: dict[int, list[float]] = {}
    for item in ground_truth.objects:
        if item.iscrowd:
            continue
        masks[item.video_id] += sum(mask is not None for mask in item.segmentations)
        if any(level is not None for level in item.occlusion or ()):
            scores.setdefault(item.video_id, []).append(occlusion_score(item.occlusion or ()))
    means = {number: sum(values) / len(values) for number, values in scores.items()}
    return frozenset(
        video.id
        for video in ground_truth.videos
        if video.length >= frames
        and masks[video.id] >= density * video.length
        and means.get(video.id, 0.0) >= occlusion
    )


def _groups(ground_truth: GroundTruth) -> dict[str, list[int]]:
    """Ids of the videos by their source."""
    groups: dict[str, list[int]] = {}
    for video in ground_truth.videos:
        groups.setdefault(origin(video.name), []).append(video.id)
    return groups


def _labels(ground_truth: GroundTruth, groups: Mapping[str, Sequence[int]]) -> dict[str, frozenset[str]]:
    """What each group has: its categories and its thirds."""
    length = {video.id: video.length for video in ground_truth.videos}
    categories: dict[int, set[int]] = {number: set() for number in length}
    masks: Counter[int] = Counter()
    hidden: Counter[int] = Counter()
    graded: Counter[int] = Counter()
    for item in ground_truth.objects:
        categories[item.video_id].add(item.category_id)
        masks[item.video_id] += sum(mask is not None for mask in item.segmentations)
        levels = [level for level in item.occlusion or () if level is not None]
        graded[item.video_id] += len(levels)
        hidden[item.video_id] += int(sum(100 * _WEIGHTS[level] for level in levels))
    traits: dict[str, dict[str, float]] = {
        "length": {name: max(length[v] for v in ids) for name, ids in groups.items()},
        "density": {name: sum(masks[v] for v in ids) / sum(length[v] for v in ids) for name, ids in groups.items()},
    }
    if graded:
        traits["occlusion"] = {
            name: sum(hidden[v] for v in ids) / max(1, sum(graded[v] for v in ids)) for name, ids in groups.items()
        }
    labels = {name: {f"category {c}" for v in ids for c in categories[v]} for name, ids in groups.items()}
    for trait, values in traits.items():
        for name, third in _thirds(values).items():
            labels[name].add(f"{trait} {third}")
    return {name: frozenset(own) for name, own in labels.items()}


def _thirds(values: Mapping[str, float]) -> dict[str, int]:
    """Bin (0 to 2) of each value; equal values share a bin."""
    ranked = sorted(values.values())
    bounds = [ranked[len(ranked) * k // _BINS] for k in range(1, _BINS)]
    return {name: sum(value >= bound for bound in bounds) for name, value in values.items()}


def _spread(order: Sequence[str], labels: Mapping[str, frozenset[str]], wanted: int) -> set[str]:
    """Chooses ``wanted`` names of ``order`` so that every label is represented in proportion."""
    total = Counter(label for name in order for label in labels[name])
    share = wanted / len(order)
    want = {label: count * share for label, count in total.items()}
    keep = {label: count * (1.0 - share) for label, count in total.items()}
    left, chosen = list(order), set[str]()
    room = len(order) - wanted
    while left:
        open_labels = Counter(label for name in left for label in labels[name])
        rarest = min(open_labels, key=lambda label: (open_labels[label], label), default="")
        for name in [name for name in left if not rarest or rarest in labels[name]]:
            eager = (want.get(rarest, 0.0), wanted - len(chosen)) > (keep.get(rarest, 0.0), room)
            to_chosen = (eager and len(chosen) < wanted) or room == 0
            (chosen.add(name) if to_chosen else None)
            room -= not to_chosen
            budget = want if to_chosen else keep
            for label in labels[name]:
                budget[label] -= 1.0
            left.remove(name)
    return chosen


def listed_split(ground_truth: GroundTruth, path: str | Path) -> frozenset[int]:
    """Ids of the videos that a text file names, one per line; empty lines and lines from ``#`` on are skipped.

    Raises:
        InputError: The file is missing or empty, or names a video that the annotations do not have.
    """
    lines = [line.split("#", 1)[0].strip().rstrip("/") for line in read_text(path, "text").splitlines()]
    numbers: dict[str, list[int]] = {}
    for video in ground_truth.videos:
        numbers.setdefault(video.name, []).append(video.id)
    listed = {line: row for row, line in reversed(list(enumerate(lines, start=1))) if line}
    if not listed:
        raise InputError(path, "", "names no video", "write the name of one diagnosed video per line")
    for name, row in listed.items():
        if name not in numbers:
            problem = f"there is no video {name!r} in {ground_truth.path}"
            raise InputError(path, f"line {row}", problem, "write the folder of the video's frames, one per line")
    return frozenset(number for name in listed for number in numbers[name])
