"""What happens in a video: who is there, who looks alike, who covers whom.

Every quantity has its own stream of chance (see `streams`), and ways are found by `steering`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mindthegap.synth.motion import ONE, TURN, UNIT, Camera, Ints, Path, glide, knots, move_camera
from mindthegap.synth.presets import Knobs
from mindthegap.synth.shapes import AMPLITUDES
from mindthegap.synth.steering import Bulk, Choreography
from mindthegap.synth.streams import Part, Role, Streams

_OBJECT_DEPTH, _FOREGROUND_DEPTH = 1000, 3000


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
        extent: Typical longer side, 1/64 pixel: how fine its picture must be.
        outline: Seed of the silhouette of a thing that belongs to no class.
    """

    shape: int | None
    depth: int
    path: Path
    amplitude: int
    bend: int
    look: int
    tint: int
    extent: int
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
    streams = Streams(key)
    frames = int(streams.of(Part.LENGTH).integers(knobs.frames[0], knobs.frames[1] + 1))
    count = int(streams.of(Part.COUNT).integers(knobs.objects[0], knobs.objects[1] + 1, size=2).min())
    camera = move_camera(streams, frames, size[0], size[1], knobs.camera)
    cast = _Cast(knobs, classes, size, frames, streams)
    for number in range(count):
        cast.add_object(number)
    foreground, backdrop = cast.foreground(), cast.backdrop()
    objects = tuple(replace(actor, path=actor.path.seen(camera)) for actor in cast.objects)
    others = tuple(replace(actor, path=actor.path.seen(camera)) for actor in foreground + backdrop)
    canvas_seed = int(streams.of(Part.CANVAS).integers(2**31))
    return VideoPlan(frames, size[0], size[1], camera, objects, others, canvas_seed, knobs.clutter)


class _Cast:
    """Adds one actor after the other."""

    def __init__(self, knobs: Knobs, classes: int, size: tuple[int, int], frames: int, streams: Streams) -> None:
        self.knobs, self.classes, self.size, self.frames, self.streams = knobs, classes, size, frames, streams
        self.ways = Choreography(streams, knobs, size, frames)
        self.objects: list[Actor] = []

    def add_object(self, number: int) -> None:
        """Draws looks, size and way of one annotated object."""
        deforming = self.streams.of(Part.DEFORMATION, Role.OBJECT, number)
        deforms = int(deforming.integers(1000)) < self.knobs.deformation * 1000
        amplitude, bend = int(deforming.integers(1, AMPLITUDES)) * deforms, int(deforming.integers(0, 14)) * deforms
        low, high = (round(1000 * share) * min(self.size) * UNIT // 1000 for share in self.knobs.object_size)
        side = int(self.streams.of(Part.SIZE, Role.OBJECT, number).integers(low, high + 1))
        depth = _OBJECT_DEPTH + int(self.streams.of(Part.DEPTH, Role.OBJECT, number).integers(1000))
        bulk, body = self._body(Role.OBJECT, number, side, deforms, depth)
        shape, look, tint = self._looks(number)
        twin = self._twin(number)
        if twin is not None:
            shape, look, amplitude = twin.shape if twin.shape is not None else shape, twin.look, twin.amplitude
        path = self._along(body, self.ways.object_way(number, bulk))
        self.objects.append(Actor(shape, depth, path, amplitude, bend, look, tint, max(bulk.width, bulk.height)))

    def foreground(self) -> list[Actor]:
        """Things in front of the objects, where occlusion is lacking."""
        if not self.knobs.occlusion:
            return []
        things = [self._thing(Role.FOREGROUND, number) for number in range(len(self.objects) + 1)]
        return [thing for thing in things if thing is not None]

    def backdrop(self) -> list[Actor]:
        """Moving distractors behind all objects."""
        count = int(self.streams.of(Part.COUNT, Role.BACKDROP).integers(int(self.knobs.clutter * 6) + 1))
        things = [self._thing(Role.BACKDROP, number) for number in range(count)]
        return [thing for thing in things if thing is not None]

    def _looks(self, number: int) -> tuple[int, int, int]:
        """Class, seed of the texture, and tint of an object that is nobody's twin."""
        rng = self.streams.of(Part.LOOK, Role.OBJECT, number)
        shape, look, tint = int(rng.integers(self.classes)), int(rng.integers(2**31)), int(rng.integers(-12, 13))
        return shape if number else self.streams.key[2] % self.classes, look, tint

    def _twin(self, number: int) -> Actor | None:
        """The earlier object that an object looks like, if any."""
        alike, partner = self.streams.of(Part.TWIN, Role.OBJECT, number).integers(1000, size=2).tolist()
        return self.objects[partner % number] if number and alike < self.knobs.look_alikes * 1000 else None

    def _thing(self, role: Role, number: int) -> Actor | None:
        """Something that belongs to no class; None if it never comes into view."""
        rng = self.streams.of(Part.LOOK, role, number)
        side = int(rng.integers(20, 50)) * min(self.size) * UNIT // 100
        deforms, bend = bool(rng.integers(2)), int(rng.integers(0, 10))
        look, outline = int(rng.integers(2**31)), int(rng.integers(2**31))
        depth = number + (_FOREGROUND_DEPTH if role is Role.FOREGROUND else 0)
        bulk, body = self._body(role, number, side, deforms, depth)
        points = (self.ways.foreground_way if role is Role.FOREGROUND else self.ways.backdrop_way)(number, bulk)
        if points is None:
            return None
        extent = max(bulk.width, bulk.height)
        return Actor(None, depth, self._along(body, points), 0, bend, look, 0, extent, outline)

    def _along(self, body: Path, points: Ints) -> Path:
        """A body on its way."""
        way = glide(points, self.frames, self.ways.period)
        return replace(body, x=way[:, 0], y=way[:, 1])

    def _body(self, role: Role, number: int, side: int, deforms: bool, depth: int) -> tuple[Bulk, Path]:
        """Size, aspect, turn and cycle over time, at the origin. ``side`` is the typical height in 1/64 pixel."""
        scale = self._drift(Part.SCALE, role, number, ONE * 4 // 5, ONE * 5 // 4)
        spread = ONE // 8 if deforms else ONE // 25
        still = self.streams.of(Part.POSE, role, number)
        aspect = int(still.integers(ONE * 85 // 100, ONE * 125 // 100))
        swing, turn = int(still.integers(TURN // 64, TURN // 10)), int(still.integers(-TURN // 12, TURN // 12 + 1))
        start, pace = int(still.integers(256)), int(still.integers(6, 26))
        ratio = aspect + self._drift(Part.RATIO, role, number, -spread, spread + 1)
        angle = turn + self._drift(Part.ANGLE, role, number, -swing, swing + 1)
        height = (side * scale) >> 12
        nowhere = np.zeros(self.frames, dtype=np.int64)
        path = Path(nowhere, nowhere, (height * ratio) >> 12, height, angle, start + pace * np.arange(self.frames))
        return Bulk((side * aspect) >> 12, side, depth), path

    def _drift(self, part: Part, role: Role, number: int, low: int, high: int) -> Ints:
        """A smooth random course between ``low`` and ``high``. int64 [frames]."""
        rng = self.streams.of(part, role, number)
        period = int(rng.integers(12, 25))
        return glide(rng.integers(low, high, size=(knots(self.frames, period), 1)), self.frames, period)[:, 0]
