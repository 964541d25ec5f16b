"""Who moves where: ways that cover each other as often as is wanted.

Occlusion is steered, not hoped for. A way is a row of points, one every ``period`` frames. For every point an object
has several candidates, some away from the others and some close to one of them, and takes the one that brings the share
of covered object-frames up to then closest to what is wanted; foreground things that belong to no class make up the
rest. A decision looks at earlier points and at actors with lower numbers only: that is what keeps the first frames of a
longer video, and the first objects of a fuller one, as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mindthegap.synth.motion import UNIT, Ints, knots
from mindthegap.synth.presets import Knobs
from mindthegap.synth.streams import Part, Role, Streams

_TRIES = 16
_MEETINGS = 4
_FIRST_SAMPLE = 2  # sample 2k is point k, sample 2k - 1 lies halfway before it; point 1 is passed in frame 0


@dataclass(frozen=True)
class Bulk:
    """An actor's typical size, in 1/64 pixel, and its depth (larger is nearer to the camera)."""

    width: int
    height: int
    depth: int

    @property
    def radius(self) -> int:
        """Radius of a disc of about the same extent."""
        return (self.width + self.height) * 5 // 22

    @property
    def extent(self) -> int:
        """Its longer side, when it has grown."""
        return max(self.width, self.height) * 5 // 4


class Choreography:
    """Finds the ways of a video's actors, one actor after the other.

    Args:
        streams: The video's streams.
        knobs: ``occlusion``, ``motion`` and ``exits`` are used.
        size: Height and width of a frame.
        frames: Number of frames.
    """

    def __init__(self, streams: Streams, knobs: Knobs, size: tuple[int, int], frames: int) -> None:
        self.streams, self.knobs = streams, knobs
        self.limit = np.array([size[1], size[0]]) * UNIT
        self.period = int(streams.of(Part.RHYTHM).integers(10, 19))
        self.count = knots(frames, self.period)
        # Discs that touch at two successive samples part in between now and then: an eighth more makes up for it.
        self.wanted = round(1000 * knobs.occlusion * (1 + knobs.occlusion / 8))
        # Counts are whole numbers, so a fixed rounding would leave short videos without any occlusion.
        self.rounding = int(streams.of(Part.BALANCE).integers(-500, 500))
        samples = 2 * self.count - 1
        self.bulks: list[Bulk] = []
        self.points = np.empty((0, self.count, 2), dtype=np.int64)
        self.spots = np.empty((0, samples, 2), dtype=np.int64)
        self.covered = np.zeros((0, samples), dtype=bool)
        self.present = np.zeros((0, samples), dtype=bool)

    def object_way(self, number: int, bulk: Bulk) -> Ints:
        """Points of the next annotated object, which counts for all that follow. int64 [count, 2]."""
        walk = _Walk(self, Role.OBJECT, number, bulk)
        outside = self._absences(number)
        tally = _Tally(self, bulk, counts=True)
        points = np.zeros((self.count, 2), dtype=np.int64)
        for k in range(self.count):
            options = walk.options(k)[: 1 if outside[k] else None]
            chosen = walk.place = options[tally.take(k, options, points[k - 1])]
            points[k] = walk.beyond(chosen) if outside[k] else chosen
            tally.keep(k, points[k], points[k - 1])
        self._add(bulk, points, tally)
        return points

    def foreground_way(self, number: int, bulk: Bulk) -> Ints | None:
        """Points of a thing in front of all objects that appears where occlusion is lacking; None if it never does."""
        walk = _Walk(self, Role.FOREGROUND, number, bulk)
        tally = _Tally(self, bulk, counts=False)
        points = np.zeros((self.count, 2), dtype=np.int64)
        for k in range(self.count):
            away = walk.beyond(walk.steps_from(k)[0])
            options = np.concatenate([away[None], walk.meetings(k)])
            points[k] = options[tally.take(k, options, points[k - 1])]
            walk.place = np.clip(points[k], walk.margin, self.limit - walk.margin)
            tally.keep(k, points[k], points[k - 1])
        self.covered |= tally.theirs
        inside = ((points > -bulk.extent // 2) & (points < self.limit + bulk.extent // 2)).all(axis=1)
        return points if inside.any() else None

    def backdrop_way(self, number: int, bulk: Bulk) -> Ints:
        """Points of a distractor that heeds nobody. int64 [count, 2]."""
        walk = _Walk(self, Role.BACKDROP, number, bulk)
        points = np.zeros((self.count, 2), dtype=np.int64)
        for k in range(self.count):
            points[k] = walk.place = walk.steps_from(k)[0]
        return points

    def _absences(self, number: int) -> NDArray[np.bool_]:
        """Which points of an object lie outside: a late entry or a first stay, then absences and longer stays in turn.

        The first object stays, so that no video is without one.
        """
        outside = np.zeros(self.count, dtype=bool)
        rng = self.streams.of(Part.EXITS, Role.OBJECT, number)
        if number == 0 or int(rng.integers(1000)) >= 1000 * self.knobs.exits:
            return outside
        late = int(rng.integers(3)) == 0
        start, absent = (0 if late else int(rng.integers(2, 5))), True
        while start < self.count:
            length = int(rng.integers(1, 3)) + (start == 0) if absent else int(rng.integers(3, 8))
            outside[start : start + length] = absent
            start, absent = start + length, not absent
        return outside

    def _add(self, bulk: Bulk, points: Ints, tally: _Tally) -> None:
        """Makes an object one that later actors meet, avoid and cover."""
        self.bulks.append(bulk)
        self.points = np.concatenate([self.points, points[None]])
        self.spots = np.concatenate([self.spots, tally.spots[None]])
        self.covered = np.concatenate([self.covered | tally.theirs, tally.own[None]])
        self.present = np.concatenate([self.present, tally.here[None]])


class _Walk:
    """Candidates for the points of one way."""

    def __init__(self, stage: Choreography, role: Role, number: int, bulk: Bulk) -> None:
        self.stage, self.bulk = stage, bulk
        limit = stage.limit
        self.margin = np.minimum(bulk.extent * 2 // 5, limit * 2 // 5)
        pace = limit[0] * round(1000 * stage.knobs.motion) * stage.period // 8000
        rng = stage.streams.of(Part.STEPS, role, number)
        start = rng.integers(0, 1001, size=(_TRIES, 2))
        self.starts = self.margin + start * (limit - 2 * self.margin) // 1000
        self.side = int(rng.integers(4))
        self.steps = rng.integers(-1000, 1001, size=(stage.count, _TRIES, 2)) * np.clip(pace, UNIT, limit) // 1000
        spread = 200 if role is Role.FOREGROUND else 100
        chance = stage.streams.of(Part.MEETINGS, role, number).integers(2**16, size=(stage.count, _MEETINGS, 3))
        self.partners, self.offsets = chance[..., 0], (chance[..., 1:] % 131 - 65) * bulk.height // spread
        near = np.array([other.radius + bulk.radius for other in stage.bulks], dtype=np.int64)
        self.near = (near * near)[:, None]
        self.place: Ints = self.starts[0]

    def options(self, k: int) -> Ints:
        """Where to go next: the step that leads farthest from all others, any step, and places close to one of them."""
        places = self.steps_from(k)
        if not self.stage.bulks:
            return places[:1]
        halfway = (places + self.place) >> 1 if k > 1 else places
        others = self.stage.spots[:, _samples(k)] if k else self.stage.points[:, :1]
        away = np.stack([halfway, places], axis=1)[:, None, -others.shape[1] :] - others[None]
        farthest = int(((away * away).sum(axis=3) * 1024 // self.near).min(axis=(1, 2)).argmax())
        return np.concatenate([places[farthest : farthest + 1], places[:1], self.meetings(k)])

    def meetings(self, k: int) -> Ints:
        """Places close to where some object is at that time. int64 [meetings, 2]."""
        others = self.stage.points[:, k]
        return np.asarray(others[self.partners[k] % len(others)] + self.offsets[k])

    def beyond(self, place: Ints) -> Ints:
        """A place moved out of the frame, to the actor's own side."""
        axis, reach = self.side % 2, self.bulk.extent * 7 // 10
        moved: Ints = place.copy()
        moved[axis] = -reach if self.side < 2 else self.stage.limit[axis] + reach
        return moved

    def steps_from(self, k: int) -> Ints:
        """Steps of a random walk that turns back at the frame's border. int64 [tries, 2]."""
        if k == 0:
            return np.asarray(self.starts)
        place = self.place + self.steps[k]
        outside = (place < self.margin) | (place > self.stage.limit - self.margin)
        turned = np.where(outside, self.place - self.steps[k], place)
        return np.asarray(np.clip(turned, self.margin, self.stage.limit - self.margin))


class _Tally:
    """Counts who is covered when, taking all for discs, while the way of one actor is found."""

    def __init__(self, stage: Choreography, bulk: Bulk, *, counts: bool) -> None:
        self.stage, self.bulk, self.counts = stage, bulk, counts
        near = np.array([other.radius for other in stage.bulks], dtype=np.int64) + bulk.radius
        self.reach = (13 * near * near)[:, None]
        self.nearer = np.array([other.depth > bulk.depth for other in stage.bulks], dtype=bool)[:, None]
        self.theirs = np.zeros_like(stage.covered)
        self.spots = np.zeros((stage.covered.shape[1], 2), dtype=np.int64)
        self.own, self.here = (np.zeros(len(self.spots), dtype=bool) for _ in range(2))
        self.hidden = self.seen = 0

    def take(self, k: int, options: Ints, before: Ints) -> int:
        """The option after which the share of covered object-frames is closest to what is wanted."""
        if k == 0 or len(options) == 1 or not len(self.stage.bulks):
            return 0
        spots = options[:, None] if k == 1 else np.stack([(options + before) >> 1, options], axis=1)
        theirs, own, here = self._look(k, spots)
        hidden = self.hidden + theirs.sum(axis=(1, 2)) + own.sum(axis=1)
        seen = self.seen + int(self.stage.present[:, _samples(k)].sum()) + here.sum(axis=1)
        return int(np.abs(1000 * hidden - self.stage.wanted * seen - self.stage.rounding).argmin())

    def keep(self, k: int, point: Ints, before: Ints) -> None:
        """Counts the point that was taken."""
        if k == 0:
            return
        span = _samples(k)
        self.spots[span] = point if k == 1 else [(point + before) >> 1, point]
        theirs, own, here = self._look(k, self.spots[span][None])
        self.theirs[:, span], self.own[span], self.here[span] = theirs[0], own[0], here[0]
        self.hidden += int(theirs.sum() + own.sum())
        self.seen += int(self.stage.present[:, span].sum() + here.sum())

    def _look(self, k: int, spots: Ints) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Who is hidden if this actor is at ``spots`` [n, samples, 2].

        Returns:
            Whether the others (bool [n, others, samples]) and it itself (bool [n, samples]) are covered, and whether it
            is in the frame; a thing that is not annotated never counts itself.
        """
        stage, span = self.stage, _samples(k)
        offset = spots[:, None] - stage.spots[None, :, span]
        touching = 20 * (offset * offset).sum(axis=3) < self.reach
        theirs = (stage.covered[:, span] | (touching & ~self.nearer)) & stage.present[:, span]
        here = np.asarray(((spots >= 0) & (spots < stage.limit)).all(axis=2) & self.counts)
        return theirs, np.asarray((touching & self.nearer).any(axis=1) & here), here


def _samples(k: int) -> slice:
    """Samples that point ``k`` (from 1 on) decides."""
    return slice(_FIRST_SAMPLE, 3) if k == 1 else slice(2 * k - 1, 2 * k + 1)
