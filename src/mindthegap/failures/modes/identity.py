"""Failures of identity: the object and the query that follows it part ways."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from mindthegap.failures.intervals import Run
from mindthegap.failures.modes.base import Finding, Mode
from mindthegap.failures.scene import ABSENT, BACKGROUND, Scene


def find_switches(scene: Scene) -> Iterator[Finding]:
    """Changes of carrier. Their scope is both carriers' stretches: which of them is lost depends on the ranking."""
    for index in scene.objects:
        for before, after in pairwise(scene.carrier_runs(index)):
            subtype, other = _switch_subtype(scene, index, before, after)
            gap = after.start - before.end - 1
            scope, missing = (before.start, after.end), (before.end + 1, after.start - 1)
            yield Finding(
                subtype, before.end, after.start, scope, index, other, before.label, after.label, gap, missing
            )


def _switch_subtype(scene: Scene, index: int, before: Run, after: Run) -> tuple[str, int]:
    """Subtype and the other object of a switch from family ``before.label`` to ``after.label``."""
    window = scene.thresholds.window
    old, new = scene.owner[:, before.label], scene.owner[:, after.label]
    past = new[max(0, after.start - window) : after.start]
    came_from = _last_owner(past, index)
    moved_to = set(old[before.end : before.end + window + 1].tolist()) - {index}
    if came_from >= 0 and came_from in moved_to:
        return "swap", came_from
    if came_from >= 0:
        return "takeover", came_from
    if np.isin(past, (ABSENT, BACKGROUND)).all():
        return "rebirth", -1
    if (old[after.start : after.start + window] == ABSENT).all():
        return "retreat", -1
    return "other", -1


def _last_owner(owners: np.ndarray, index: int) -> int:
    """The last object other than ``index`` in ``owners``, or -1."""
    others = owners[(owners >= 0) & (owners != index)]
    return int(others[-1]) if others.size else -1


def find_hijacks(scene: Scene) -> Iterator[Finding]:
    """Changes of owner across an occlusion of the old owner, to an object the query had never owned."""
    for family, before, after, owned in _owner_changes(scene):
        if after.label not in owned and _occluded_between(scene, before, after):
            yield _parting(scene, family, before, after)


def find_drifts(scene: Scene) -> Iterator[Finding]:
    """Changes of owner without an occlusion of the old owner near."""
    for family, before, after, _ in _owner_changes(scene):
        if not _occluded_between(scene, before, after):
            yield _parting(scene, family, before, after)


def _occluded_between(scene: Scene, before: Run, after: Run) -> bool:
    """Whether the old owner was hidden after it was first owned, and the owner changed then or within the window."""
    return any(
        before.start < hidden.start <= after.start <= hidden.end + scene.thresholds.window and before.end <= hidden.end
        for hidden in scene.occlusions[before.label]
    )


def _owner_changes(scene: Scene) -> Iterator[tuple[int, Run, Run, set[int]]]:
    """Family, its run on the old owner, its run on the new one, and its owners until then."""
    for family in range(len(scene.families)):
        owned: set[int] = set()
        for before, after in pairwise(scene.owner_runs(family)):
            owned.add(before.label)
            yield family, before, after, set(owned)


def _parting(scene: Scene, family: int, before: Run, after: Run) -> Finding:
    categories = scene.video.object_category
    return Finding(
        "look_alike" if categories[before.label] == categories[after.label] else "other_class",
        before.end,
        after.start,
        (before.start, after.end),
        index=before.label,
        other=after.label,
        family=family,
        other_family=int(scene.carrier[after.start, before.label]),
        value=_distance(scene, before, after),
        missing=(before.end + 1, _uncarried_until(scene, before, after)),
    )


def _uncarried_until(scene: Scene, before: Run, after: Run) -> int:
    """Last frame before another query carries the old owner, at most the end of the run on the new one."""
    hits = scene.hits(before.label)
    later = hits[hits > before.end]
    return min(after.end, int(later[0]) - 1) if later.size else after.end


def _distance(scene: Scene, before: Run, after: Run) -> float | None:
    """Pixels between the box centres of the old owner when last owned and the new one when first owned."""
    if scene.boxes is None:
        return None
    old, new = scene.boxes[before.end, before.label], scene.boxes[after.start, after.label]
    distance = float(np.hypot(*((new[:2] + new[2:] / 2) - (old[:2] + old[2:] / 2))))
    return distance if np.isfinite(distance) else None


def find_class_flips(scene: Scene) -> Iterator[Finding]:
    """Changes of carrier that change the object's label."""
    for index in scene.objects:
        truth = scene.video.object_category[index]
        for before, after in pairwise(scene.carrier_runs(index)):
            old, new = (scene.families[run.label].top_label for run in (before, after))
            if old != new:
                subtype = "to_right" if new == truth else "to_wrong" if old == truth else "wrong_to_wrong"
                scope = (before.start, after.end)
                yield Finding(subtype, before.end, after.start, scope, index, -1, before.label, after.label)


LOOK_ALIKE = {"look_alike": "the new object is of the same class", "other_class": "the new object is of another class"}

HIJACK = Mode(
    "hijack_after_occlusion",
    "A query followed the object until it was hidden and came back on another object it had never owned; value: "
    "distance of the two in pixels.",
    LOOK_ALIKE,
    frozenset({"tracking", "segmentation"}),
    find_hijacks,
)
SWITCH = Mode(
    "identity_switch",
    "Another query carries the object than the last one that did; value: frames without a carrier in between.",
    {
        "swap": "the old carrier took over the object that the new carrier left",
        "takeover": "the new carrier left another object for this one",
        "rebirth": "the new carrier had been absent or on background",
        "retreat": "the old carrier vanished",
        "other": "none of these",
    },
    frozenset({"tracking", "segmentation"}),
    find_switches,
)
DRIFT = Mode(
    "drift",
    "A query changed from the object to another one although the object was not hidden; value: distance of the two in "
    "pixels.",
    LOOK_ALIKE,
    frozenset({"tracking", "segmentation"}),
    find_drifts,
)
CLASS_FLIP = Mode(
    "class_flip",
    "Successive carriers of the object have different labels.",
    {
        "to_wrong": "from the right label to a wrong one",
        "to_right": "from a wrong label to the right one",
        "wrong_to_wrong": "between two wrong labels",
    },
    frozenset({"classification"}),
    find_class_flips,
)
