"""Errors planted at random places in noisy tracks come back as the headline of their object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from failure_clips import relink, table, tables_of

from mindthegap.failures import find_failures

CLIPS_PER_MODE = 10
LANE, SIZE, WIDTH = 12, 10, 60


class Stage:
    """Three objects in lanes of their own, each with a noisy query; planters then spoil object 0."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.frames = int(self.rng.integers(24, 41))
        self.objects = [self._track(lane) for lane in range(3)]
        self.categories = [1, 1, 2]
        self.queries = [self.noisy(masks) for masks in self.objects]
        self.labels = list(self.categories)

    def _track(self, lane: int) -> np.ndarray:
        masks = np.zeros((self.frames, 3 * LANE, WIDTH), dtype=bool)
        lefts = np.clip(20 + np.cumsum(self.rng.integers(-1, 2, self.frames)), 0, WIDTH - SIZE)
        for frame, left in enumerate(lefts.tolist()):
            masks[frame, LANE * lane + 1 : LANE * lane + 1 + SIZE, left : left + SIZE] = True
        return masks

    def noisy(self, masks: np.ndarray) -> np.ndarray:
        """The masks less a few pixels here and there and sometimes a column wider."""
        spoiled = masks & (self.rng.random(masks.shape) > 0.04)
        wider = self.rng.random(len(masks)) < 0.3
        spoiled[wider] |= np.roll(masks[wider], 1, axis=2)
        return spoiled

    def moment(self) -> int:
        """A frame in the middle third."""
        return int(self.rng.integers(self.frames // 3, 2 * self.frames // 3))

    def interval(self) -> slice:
        start = self.moment()
        return slice(start, start + int(self.rng.integers(4, 7)))

    def add(self, masks: np.ndarray, label: int = 1) -> None:
        self.queries.append(masks)
        self.labels.append(label)

    def hide(self) -> slice:
        """Makes object 0 and its query vanish for some frames."""
        hidden = self.interval()
        self.objects[0][hidden] = self.queries[0][hidden] = False
        return hidden

    def headline(self) -> tuple[str | None, int]:
        """Mode that heads object 0, and the number of events on object 2, which nothing was done to."""
        rows = [
            (query, label, 0.9 - 0.1 * query) for query, label in enumerate(self.labels) if self.queries[query].any()
        ]
        video = table(self.objects, self.queries, self.categories, rows)
        events = [event for event in find_failures(tables_of(video), [relink(video)]) if event.mode != "other"]
        modes = [event.mode for event in events if event.object == 101 and event.headline]
        return (modes[0] if modes else None), sum(event.object == 103 for event in events)


def plant_switch(stage: Stage) -> None:
    start = stage.moment()
    rest = stage.queries[0].copy()
    rest[:start] = stage.queries[0][start:] = False
    stage.add(rest)


def plant_swap(stage: Stage) -> None:
    start = stage.moment()
    one, two = stage.queries[0], stage.queries[1]
    one[start:], two[start:] = two[start:].copy(), one[start:].copy()


def plant_fragmentation(stage: Stage) -> None:
    stage.queries[0][stage.interval()] = False


def plant_late_birth(stage: Stage) -> None:
    stage.queries[0][: stage.moment()] = False


def plant_early_death(stage: Stage) -> None:
    stage.queries[0][stage.moment() :] = False


def plant_loss(stage: Stage) -> None:
    stage.queries[0][stage.hide().start :] = False


def plant_hijack(stage: Stage) -> None:
    hidden = stage.hide()
    stage.queries[0][hidden.stop :] = stage.queries[1][hidden.stop :]
    stage.queries[1][hidden.stop :] = False


def plant_drift(stage: Stage) -> None:
    start = stage.moment()
    stage.queries[0][start:] = stage.queries[1][start:]
    stage.queries[1][start:] = False


def plant_merge(stage: Stage) -> None:
    both = stage.interval()
    stage.queries[0][both] |= stage.queries[1][both]
    stage.queries[1][both] = False


def plant_split(stage: Stage) -> None:
    apart = stage.interval()
    piece = np.zeros_like(stage.queries[0])
    piece[apart, 7:] = stage.queries[0][apart, 7:]
    stage.queries[0][apart, 5:] = False
    stage.add(piece)


def plant_overstay(stage: Stage) -> None:
    start = stage.moment()
    stage.queries[0][start:] = stage.queries[0][start - 1]
    stage.objects[0][start:] = False


def plant_class_error(stage: Stage) -> None:
    stage.labels[0] = 2


def plant_class_flip(stage: Stage) -> None:
    plant_switch(stage)
    stage.labels[-1] = 2


def plant_missed(stage: Stage) -> None:
    stage.queries[0][:] = False


def plant_rough_mask(stage: Stage) -> None:
    stage.queries[0][:] = np.roll(stage.objects[0], 2 + int(stage.rng.integers(2)), axis=2)


PLANTERS: dict[str, list[Callable[[Stage], None]]] = {
    "identity_switch": [plant_switch, plant_swap],
    "fragmentation": [plant_fragmentation],
    "late_birth": [plant_late_birth],
    "early_death": [plant_early_death],
    "lost_after_occlusion": [plant_loss],
    "hijack_after_occlusion": [plant_hijack],
    "drift": [plant_drift],
    "merge": [plant_merge],
    "split": [plant_split],
    "overstay": [plant_overstay],
    "class_error": [plant_class_error],
    "class_flip": [plant_class_flip],
    "missed": [plant_missed],
    "rough_mask": [plant_rough_mask],
}


@pytest.fixture(scope="module")
def confusion() -> Counter[tuple[str, str | None]]:
    """(planted mode, headline) counted; checks on the way that the object left alone stays without events."""
    counts: Counter[tuple[str, str | None]] = Counter()
    for place, (mode, planters) in enumerate(PLANTERS.items()):
        for number in range(CLIPS_PER_MODE):
            stage = Stage(1000 * place + number)
            planters[number % len(planters)](stage)
            headline, elsewhere = stage.headline()
            assert elsewhere == 0
            counts[mode, headline] += 1
    return counts


@pytest.mark.parametrize("mode", PLANTERS)
def test_planted_mode_comes_back(confusion, mode):
    found = confusion[mode, mode]
    assert found >= 0.95 * sum(count for (planted, _), count in confusion.items() if planted == mode)
    assert found >= 0.95 * sum(count for (_, headline), count in confusion.items() if headline == mode)


def test_untouched_noisy_tracks_fire_nothing():
    for seed in range(20):
        assert Stage(seed).headline() == (None, 0)
