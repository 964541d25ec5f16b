"""What happens in a video: who is there, who looks alike, who covers whom.

Occlusion is steered, not hoped for: every object gets several candidate ways, more or less drawn to the others, and
takes the one that brings the video's predicted share of covered object-frames closest to what is wanted; foreground
things that belong to no class make up the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mindthegap.synth.motion import ONE, TURN, UNIT, Camera, Ints, Path, glide, knots, move_camera
from mindthegap.synth.presets import Knobs
from mindthegap.synth.shapes import AMPLITUDES

_PULLS = (-1, -1, 0, 1, 2, 3, 4, 5)
_OBJECT, _SCENE, _FOREGROUND, _BACKDROP = range(4)


@dataclass(frozen=True, eq=False)
class Actor:
    """Something that moves in front of the background.

    Attributes:
        shape: Index into the dataset's classes, or None for a thing that belongs to no class.
        depth: Larger is nearer to the camera.
        path: Where it is.
        amplitude: Strength of articulation, 0 (rigid) to ``AMPLITUDES`` - 1.
        bend: Strength of bending, share of the width in 1/256.
        look: Seed of the texture; look-alikes share it.
        tint: Levels added to all channels.
        outline: Seed of the silhouette of a thing that belongs to no class.
    """

    shape: int | None
    depth: int
    path: Path
    amplitude: int
    bend: int
    look: int
    tint: int
    outline: int = 0


@dataclass(frozen=True, eq=False)
class VideoPlan:
    """All that the renderer needs to know; ``objects`` are annotated, ``others`` are not."""

    frames: int
    height: int
    width: int
    camera: Camera
    objects: tuple[Actor, ...]
    others: tuple[Actor, ...]
    canvas_seed: int
    clutter: float


def plan_video(knobs: Knobs, classes: int, size: tuple[int, int], key: tuple[int, int, int]) -> VideoPlan:
    """Draws one video.

    Args:
        knobs: What the video is to be like.
        classes: Number of classes.
        size: Height and width of a frame.
        key: Seed, split and number of the video; nothing else is random.
    """
    rng = np.random.default_rng((*key, _SCENE))
    first = key[2] % classes
    canvas_seed = int(rng.integers(2**31))
    frames = int(rng.integers(knobs.frames[0], knobs.frames[1] + 1))
    count = int(rng.integers(knobs.objects[0], knobs.objects[1] + 1, size=2).min())
    camera = move_camera(rng, frames, size[0], size[1], knobs.camera)
    cast = _Cast(knobs, classes, size, frames, key)
    for number in range(count):
        cast.add_object(number, first)
    cast.add_foreground()
    backdrop = cast.backdrop()
    objects = tuple(replace(actor, path=actor.path.seen(camera)) for actor in cast.objects)
    others = tuple(replace(actor, path=actor.path.seen(camera)) for actor in cast.foreground + backdrop)
    return VideoPlan(frames, size[0], size[1], camera, objects, others, canvas_seed, knobs.clutter)


class _Cast:
    """Adds one actor after the other, keeping count of who is covered when."""

    def __init__(
        self, knobs: Knobs, classes: int, size: tuple[int, int], frames: int, key: tuple[int, int, int]
    ) -> None:
        self.knobs, self.classes, self.size, self.frames, self.key = knobs, classes, size, frames, key
        self.objects: list[Actor] = []
        self.foreground: list[Actor] = []

    def _rng(self, stream: int, number: int) -> np.random.Generator:
        """Every actor has its own stream, so that one more of them leaves the others' looks as they are."""
        return np.random.default_rng((*self.key, stream, number))

    def add_object(self, number: int, first_class: int) -> None:
        """Draws looks, size and ways of one annotated object and takes the way that suits the wanted occlusion."""
        rng = self._rng(_OBJECT, number)
        shape = first_class if number == 0 else int(rng.integers(self.classes))
        look, depth = int(rng.integers(2**31)), 1000 + int(rng.integers(1000))
        deforms = int(rng.integers(1000)) < self.knobs.deformation * 1000
        amplitude = int(rng.integers(1, AMPLITUDES)) * deforms
        bend = int(rng.integers(0, 14)) * deforms
        partner = int(rng.integers(2**16))
        if number and int(rng.integers(1000)) < self.knobs.look_alikes * 1000:
            twin = self.objects[partner % number]
            shape, look, amplitude = twin.shape if twin.shape is not None else shape, twin.look, twin.amplitude
        low, high = (round(1000 * share) * min(self.size) * UNIT // 1000 for share in self.knobs.object_size)
        body = _body(rng, self.frames, int(rng.integers(low, high + 1)), deforms)
        stays = number == 0 or int(rng.integers(1000)) >= self.knobs.exits * 1000
        actor = Actor(shape, depth, body, amplitude, bend, look, int(rng.integers(-12, 13)))
        ways = [self._way(rng, body, pull, stays) for pull in _PULLS]
        actors = [replace(actor, path=way) for way in ways]
        shares = [_covered_share([*self.objects, option], [], self.size) for option in actors]
        gaps = [abs(share - self._wanted()) for share in shares]
        self.objects.append(actors[gaps.index(min(gaps))])

    def _wanted(self) -> int:
        return round(1000 * self.knobs.occlusion)

    def add_foreground(self) -> None:
        """Adds things in front of the objects as long as they bring occlusion closer to what is wanted."""
        share = _covered_share(self.objects, [], self.size)
        for number in range(len(self.objects) + 1):
            if share >= self._wanted():
                return
            rng = self._rng(_FOREGROUND, number)
            options = [self._thing(rng, 3000 + number, pull) for pull in (1, 3, 5)]
            shares = [_covered_share(self.objects, [*self.foreground, option], self.size) for option in options]
            gaps = [abs(new - self._wanted()) for new in shares]
            best = gaps.index(min(gaps))
            if gaps[best] < abs(share - self._wanted()):
                self.foreground.append(options[best])
                share = shares[best]

    def backdrop(self) -> list[Actor]:
        """Moving distractors behind all objects."""
        most = int(self.knobs.clutter * 6)
        count = int(self._rng(_BACKDROP, 0).integers(most + 1))
        return [self._thing(self._rng(_BACKDROP, 1 + number), number, 0) for number in range(count)]

    def _thing(self, rng: np.random.Generator, depth: int, pull: int) -> Actor:
        """Something that belongs to no class."""
        side = int(rng.integers(20, 50)) * min(self.size) * UNIT // 100
        body = _body(rng, self.frames, side, bool(rng.integers(2)))
        way = self._way(rng, body, pull, True)
        look, outline = int(rng.integers(2**31)), int(rng.integers(2**31))
        return Actor(None, depth, way, 0, int(rng.integers(0, 10)), look, 0, outline)

    def _way(self, rng: np.random.Generator, body: Path, pull: int, stays: bool) -> Path:
        """Fills in the centre's way; each of its points is, with chance ``pull`` in 5, close to some other object.

        A ``pull`` below 0 keeps away from them.
        """
        period = int(rng.integers(10, 19))
        points = self._wander(rng, knots(self.frames, period), period, int(body.height.max()), avoid=pull < 0)
        meets = rng.integers(5, size=len(points)) < pull
        partners = rng.integers(2**16, size=len(points))
        offsets = rng.integers(-65, 66, size=points.shape) * int(body.height[0]) // 100
        if self.objects and pull > 0:
            met = self._others(len(points), period)[partners % len(self.objects), np.arange(len(points))]
            points = np.where(meets[:, None], met + offsets, points)
        if not stays:
            self._leave(rng, points, int(max(body.width.max(), body.height.max())))
        way = glide(points, self.frames, period)
        return replace(body, x=way[:, 0], y=way[:, 1])

    def _others(self, count: int, period: int) -> Ints:
        """Where the other objects are when the points of a way are passed. int64 [objects, count, 2]."""
        time = np.clip((np.arange(count) - 1) * period, 0, self.frames - 1)
        return np.stack([np.stack([other.path.x[time], other.path.y[time]], axis=1) for other in self.objects])

    def _wander(self, rng: np.random.Generator, count: int, period: int, extent: int, *, avoid: bool) -> Ints:
        """A random walk that keeps most of the body in the frame. int64 [count, 2].

        With ``avoid``, of several next points the one is taken whose nearest other object is farthest.
        """
        limit = np.array([self.size[1], self.size[0]]) * UNIT
        margin = np.minimum(extent * 2 // 5, limit * 2 // 5)
        reach = np.maximum(UNIT, np.minimum(limit, limit[0] * round(1000 * self.knobs.motion) * period // 8000))
        tries = 6 if avoid and self.objects else 1
        steps = rng.integers(-1000, 1001, size=(count, tries, 2)) * reach // 1000
        place = margin + rng.integers(0, 1001, size=(tries, 2)) * (limit - 2 * margin) // 1000
        others = self._others(count, period) if tries > 1 else None
        points = np.empty((count, 2), dtype=np.int64)
        for k in range(count):
            if k:
                place = points[k - 1] + steps[k]
                outside = (place < margin) | (place > limit - margin)
                place = np.clip(np.where(outside, points[k - 1] - steps[k], place), margin, limit - margin)
            points[k] = place[0 if others is None else _farthest(place, others[:, k])]
        return points

    def _leave(self, rng: np.random.Generator, points: Ints, extent: int) -> None:
        """Moves some points beyond the frame's border: the first, the last, or one or two in between."""
        inner = len(points) - 3
        manner, length, side = int(rng.integers(3)), int(rng.integers(1, 3)), int(rng.integers(4))
        middle = 1 + int(rng.integers(2**16)) % max(1, inner)
        first, last = ((0, length + 1), (len(points) - 1 - length, len(points)), (middle, middle + length))[manner]
        axis = int(side % 2 == 1)
        limit = (self.size[1], self.size[0])[axis] * UNIT
        points[first:last, axis] = -extent * 7 // 10 if side < 2 else limit + extent * 7 // 10


def _farthest(places: Ints, others: Ints) -> int:
    """Position in ``places`` [n, 2] of the one whose nearest of ``others`` [m, 2] is farthest."""
    away = places[:, None] - others[None]
    return int((away * away).sum(axis=2).min(axis=1).argmax())


def _body(rng: np.random.Generator, frames: int, side: int, deforms: bool) -> Path:
    """Size, aspect, turn and cycle over time, at the origin. ``side`` is the typical height in 1/64 pixel."""
    period = int(rng.integers(12, 25))
    count = knots(frames, period)
    scale = glide(rng.integers(ONE * 4 // 5, ONE * 5 // 4, size=(count, 1)), frames, period)[:, 0]
    spread = ONE // 8 if deforms else ONE // 25
    aspect = int(rng.integers(ONE * 85 // 100, ONE * 125 // 100))
    ratio = glide(aspect + rng.integers(-spread, spread + 1, size=(count, 1)), frames, period)[:, 0]
    swing = int(rng.integers(TURN // 64, TURN // 10))
    turn = int(rng.integers(-TURN // 12, TURN // 12 + 1))
    angle = glide(turn + rng.integers(-swing, swing + 1, size=(count, 1)), frames, period)[:, 0]
    start, pace = int(rng.integers(256)), int(rng.integers(6, 26))
    height = (side * scale) >> 12
    nowhere = np.zeros(frames, dtype=np.int64)
    return Path(nowhere, nowhere, (height * ratio) >> 12, height, angle, start + pace * np.arange(frames))


def _covered_share(objects: list[Actor], foreground: list[Actor], size: tuple[int, int]) -> int:
    """Predicted share, in 1/1000, of object-frames in which a nearer actor overlaps, taking all for discs."""
    actors = objects + foreground
    x, y = (np.stack([getattr(actor.path, axis) for actor in actors]) for axis in ("x", "y"))
    radius = np.stack([actor.path.radius() for actor in actors])
    depth = np.array([actor.depth for actor in actors])
    count = len(objects)
    present = _present(x[:count], y[:count], size)
    dx, dy = x[:count, None] - x[None], y[:count, None] - y[None]
    near = radius[:count, None] + radius[None]
    touching = 10 * (dx * dx + dy * dy) < 7 * near * near
    covers = touching & (depth[None, :] > depth[:count, None])[:, :, None]
    total = int(present.sum())
    return int((covers.any(axis=1) & present).sum()) * 1000 // total if total else 0


def _present(x: Ints, y: Ints, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether an actor's centre is in the frame."""
    return (x >= 0) & (x < size[1] * UNIT) & (y >= 0) & (y < size[0] * UNIT)
