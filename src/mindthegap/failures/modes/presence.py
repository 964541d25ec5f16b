"""Failures of presence: no query is on the object when one should be, or one is when none should be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mindthegap.failures.intervals import true_runs
from mindthegap.failures.modes.base import Finding, Gap, Mode
from mindthegap.failures.scene import ABSENT, Scene


def _linkable(scene: Scene, index: int, start: int, end: int) -> str:
    """Whether some query of the file covered the object between two frames: linking if so, else detection."""
    return "linking" if scene.covered[start : end + 1, index].any() else "detection"


def find_fragmentations(scene: Scene) -> Iterator[Finding]:
    """Gaps of at least ``min_run`` present frames between two hits by the same query."""
    for index in scene.objects:
        hits = scene.hits(index)
        for left, right in zip(hits[:-1].tolist(), hits[1:].tolist(), strict=True):
            family = int(scene.carrier[left, index])
            missed = left + 1 + np.flatnonzero(scene.present[left + 1 : right, index])
            if family == scene.carrier[right, index] and len(missed) >= scene.thresholds.min_run:
                start, end = int(missed[0]), int(missed[-1])
                subtype = _linkable(scene, index, start, end)
                yield Finding(subtype, start, end, (left + 1, right - 1), index, family=family, value=len(missed))


def find_late_births(scene: Scene) -> Iterator[Finding]:
    """First hits long after the first appearance."""
    for index, first, _, frames in _hit_objects(scene):
        hits = scene.hits(index)
        if hits[0] - first >= scene.thresholds.presence_lag(frames):
            start, end = first, int(hits[0]) - 1
            family = int(scene.carrier[hits[0], index])
            subtype = _linkable(scene, index, start, end)
            yield Finding(subtype, start, end, (start, end), index, family=family, value=end - start + 1)


def find_early_deaths(scene: Scene) -> Iterator[Finding]:
    """Last hits long before the last appearance."""
    for index, _, last, frames in _hit_objects(scene):
        hits = scene.hits(index)
        if last - hits[-1] >= scene.thresholds.presence_lag(frames):
            start, end = int(hits[-1]) + 1, last
            family = int(scene.carrier[hits[-1], index])
            subtype = _linkable(scene, index, start, end)
            yield Finding(subtype, start, end, (start, end), index, family=family, value=end - start + 1)


def _hit_objects(scene: Scene) -> Iterator[tuple[int, int, int, int]]:
    """Index, first and last present frame, and number of present frames of the objects that are hit at all."""
    for index in scene.objects:
        if scene.hits(index).size:
            yield index, *scene.hull(index), int(scene.present[:, index].sum())


def find_losses(scene: Scene) -> Iterator[Finding]:
    """Objects carried before an occlusion and not carried in the first present frames after it.

    An object that was missed for ``min_run`` present frames already before it was hidden was not lost by that. The
    scope reaches from the last hit before to the next hit after, or to the object's end. An occlusion within the scope
    of an earlier loss starts no loss of its own.
    """
    window = scene.thresholds.window
    for index in scene.objects:
        hits, lost_until = scene.hits(index), -1
        for occlusion in scene.occlusions[index]:
            before = hits[(hits < occlusion.start) & (hits >= occlusion.start - window)]
            after = occlusion.end + 1 + np.flatnonzero(scene.present[occlusion.end + 1 :, index])
            awaited = after[:window]
            if occlusion.start <= lost_until or not before.size or len(awaited) < scene.thresholds.min_run:
                continue
            lost_before = scene.present[before[-1] + 1 : occlusion.start, index].sum() >= scene.thresholds.min_run
            if lost_before or not (scene.carrier[awaited, index] < 0).all():
                continue
            later = hits[hits > awaited[-1]]
            lost_until = int(later[0]) - 1 if later.size else int(after[-1])
            yield Finding(
                "recovered" if later.size else "permanent",
                int(after[0]),
                lost_until,
                (int(before[-1]) + 1, lost_until),
                index,
                family=int(scene.carrier[before[-1], index]),
                other_family=int(scene.carrier[later[0], index]) if later.size else -1,
                value=float(later[0] - occlusion.end) if later.size else None,
            )


def find_overstays(scene: Scene) -> Iterator[Finding]:
    """Masks on no object for ``min_run`` frames or more where the object they belong to is absent.

    They belong to the object that last owned the query or, before any did, to the first one that will.
    """
    for family in range(len(scene.families)):
        owner = scene.owner[:, family]
        belongs_to = _carried_forward(owner)
        stays = (owner < 0) & (owner != ABSENT)
        for index in scene.objects:
            flags = stays & (belongs_to == index) & ~scene.present[:, index]
            first, last = scene.hull(index)
            for run in true_runs(flags, scene.thresholds.min_run):
                subtype = "after_exit" if run.start > last else "before_entry" if run.end < first else "in_absence"
                scope = (run.start, run.end)
                yield Finding(subtype, *scope, scope, index, family=family, value=run.end - run.start + 1)


def _carried_forward(owner: np.ndarray) -> np.ndarray:
    """The latest object among ``owner [T]`` up to each frame; before the first, that one; -1 if there is none."""
    owned = np.flatnonzero(owner >= 0)
    if not owned.size:
        return np.full(len(owner), -1)
    latest = np.maximum.accumulate(np.where(owner >= 0, np.arange(len(owner)), owned[0]))
    return np.asarray(owner[latest])


def find_missed(scene: Scene) -> Iterator[Finding]:
    """Objects that no family hits in ``missed_share`` of their frames."""
    bar, share = scene.thresholds.carrier_iou, scene.thresholds.missed_share
    hit = np.asarray((scene.iou >= bar).any(axis=1))
    for index in scene.objects:
        frames = scene.present[:, index].sum()
        if hit[:, index].sum() < share * frames:
            subtype = "undetected" if scene.covered[:, index].sum() < share * frames else "low_score"
            first, last = scene.hull(index)
            value = float(scene.iou[:, :, index].max(initial=0.0))
            yield Finding(subtype, first, last, (0, scene.video.length - 1), index, value=value)


LINKABLE = {
    "linking": "some query of the file covered the object meanwhile",
    "detection": "no query of the file covered the object meanwhile",
}
LOSS_GAPS: frozenset[Gap] = frozenset({"tracking", "segmentation"})

FRAGMENTATION = Mode(
    "fragmentation",
    "The object's carrier is lost and comes back; value: present frames missed.",
    LINKABLE,
    LOSS_GAPS,
    find_fragmentations,
)
LATE_BIRTH = Mode(
    "late_birth",
    "The object is first carried long after it appeared; value: frames late.",
    LINKABLE,
    LOSS_GAPS,
    find_late_births,
)
EARLY_DEATH = Mode(
    "early_death",
    "The object is last carried long before it left; value: frames early.",
    LINKABLE,
    LOSS_GAPS,
    find_early_deaths,
)
LOST = Mode(
    "lost_after_occlusion",
    "The object was carried before it was hidden and not after; value: frames from reappearance to the next carrier.",
    {"recovered": "a query carries it later", "permanent": "no query carries it any more"},
    LOSS_GAPS,
    find_losses,
)
OVERSTAY = Mode(
    "overstay",
    "A query keeps a mask where its object is absent; value: frames.",
    {
        "after_exit": "after the object's last frame",
        "before_entry": "before its first frame",
        "in_absence": "between two of its appearances",
    },
    LOSS_GAPS,
    find_overstays,
)
MISSED = Mode(
    "missed",
    "Hardly any frame of the object is hit; value: best frame IoU.",
    {
        "undetected": "by no query of the file",
        "low_score": "only by unmatched queries below the score floor or beyond the top 100",
    },
    LOSS_GAPS,
    find_missed,
)
