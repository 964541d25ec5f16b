"""Failures of labels and ranking: wrong class, second row for one object, row on nothing."""

from __future__ import annotations

from collections.abc import Iterator
from math import log

import numpy as np

from mindthegap.failures.modes.base import Finding, Mode
from mindthegap.failures.scene import Scene


def find_class_errors(scene: Scene) -> Iterator[Finding]:
    """Objects whose main query follows them well under another top label.

    The main query is the officially matched one, else the right-class query of largest track IoU if that reaches
    ``match_iou``, else the query of largest track IoU whatever its label.
    """
    for index in scene.objects:
        family, truth = _main_family(scene, index), int(scene.video.object_category[index])
        if family < 0 or scene.track_iou[family, index] < scene.thresholds.match_iou:
            continue
        labels = scene.families[family]
        if labels.top_label == truth:
            continue
        score = labels.score_of(truth)
        margin = log(score / labels.score) if score is not None and score > 0 and labels.score > 0 else None
        first, last = scene.hull(index)
        subtype = "unlisted" if score is None else "outscored"
        yield Finding(subtype, first, last, (0, scene.video.length - 1), index, family=family, value=margin)


def _main_family(scene: Scene, index: int) -> int:
    matched = scene.matched_family(index)
    if matched >= 0 or not scene.families:
        return matched
    ious, truth = scene.track_iou[:, index], int(scene.video.object_category[index])
    right = [place for place, family in enumerate(scene.families) if family.score_of(truth) is not None]
    best = max(right, key=lambda place: ious[place], default=-1)
    return best if best >= 0 and ious[best] >= scene.thresholds.match_iou else int(ious.argmax())


def find_duplicates(scene: Scene) -> Iterator[Finding]:
    """Families of an object's label that follow it although another family is matched to it with a higher score.

    The same masks (nearly) again in a matched family are copies where they have the object's label, and label doubles
    where they have others; one event of either kind per object.
    """
    for index in scene.objects:
        matched, truth = scene.matched_family(index), int(scene.video.object_category[index])
        if matched < 0:
            continue
        winner = scene.families[matched].score_of(truth) or 0.0
        first, last = scene.hull(index)
        for family, labels in enumerate(scene.families):
            score, iou = labels.score_of(truth), float(scene.track_iou[family, index])
            if family == matched:
                counts = {"copy": _rows(scene, family, truth) - 1, "label_double": len(labels.labels) - 1}
                for subtype, count in counts.items():
                    if count > 0:
                        yield Finding(subtype, first, last, None, index, family=family, value=float(count))
            elif score is not None and score <= winner and iou >= scene.thresholds.match_iou:
                yield Finding("double", first, last, None, index, family=family, other_family=matched, value=score)


def _rows(scene: Scene, family: int, label: int) -> int:
    """Number of rows of a family with a label."""
    own = np.isin(scene.video.row_query, scene.families[family].members) & (scene.video.row_category == label)
    return int(np.count_nonzero(own))


def find_background(scene: Scene) -> Iterator[Finding]:
    """Families that lie on no object."""
    shared = scene.video.intersection.sum(axis=0, dtype="int64")
    total = scene.video.query_area.sum(axis=0, dtype="int64")
    for family, labels in enumerate(scene.families):
        query = labels.query
        if total[query] == 0 or shared[query].max(initial=0) >= scene.thresholds.background_precision * total[query]:
            continue
        frames = scene.area[:, family].nonzero()[0]
        subtype = "confident" if _outranks_a_match(scene, family) else "harmless"
        yield Finding(subtype, int(frames[0]), int(frames[-1]), None, family=family, value=labels.score)


def _outranks_a_match(scene: Scene, family: int) -> bool:
    """Whether a label of the family scores above a matched row of the same label in this video."""
    video, rows = scene.video, scene.match.row_of_object
    matched = rows[rows >= 0].tolist()
    return any(
        score > video.row_score[row] and category == video.row_category[row]
        for category, score in scene.families[family].labels
        for row in matched
    )


CLASS_ERROR = Mode(
    "class_error",
    "The object's main query follows it, but its top label is another class; value: log of the right label's score "
    "over the top one's.",
    {"outscored": "the right label is among its rows", "unlisted": "no row of it has the right label"},
    frozenset({"classification"}),
    find_class_errors,
)
DUPLICATE = Mode(
    "duplicate",
    "The object has a second row beside the matched one; costs rank, not IoU.",
    {
        "double": "another query with the same label; value: its score",
        "copy": "(nearly) the same masks with the same label; value: how many",
        "label_double": "the same query with other labels; value: how many",
    },
    frozenset(),
    find_duplicates,
)
BACKGROUND = Mode(
    "background",
    "A query lies on no object; costs rank, not IoU; value: its score.",
    {
        "confident": "it scores above a matched row of the same label in the video",
        "harmless": "every matched row of its label in the video scores higher",
    },
    frozenset(),
    find_background,
)
