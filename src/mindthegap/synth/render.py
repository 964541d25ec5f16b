"""Draws the planned actors from far to near; the order decides every pixel's owner exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mindthegap.synth.motion import TURN, UNIT, cosine, sine, sines
from mindthegap.synth.plan import Actor, VideoPlan
from mindthegap.synth.shapes import PHASES, bar, blob, silhouette
from mindthegap.synth.textures import background, object_texture, sprite

_MASK_LEVEL = 128
_SHUTTER_PARTS = 4


@dataclass(frozen=True, eq=False)
class Frame:
    """One rendered frame.

    Attributes:
        pixels: uint8 [height, width, 4]; the fourth channel means nothing.
        owner: uint8 [height, width], column-major: 1 + position of the object in ``plan.objects`` that is seen in a
            pixel, 0 for everything else.
        full_area: Pixels of each object inside the frame as if nothing covered it.
        full_masks: The same as masks (bool [height, width]) where asked for, else an empty list.
    """

    pixels: NDArray[np.uint8]
    owner: NDArray[np.uint8]
    full_area: list[int]
    full_masks: list[NDArray[np.bool_]]


def render(plan: VideoPlan, classes: tuple[str, ...], *, amodal: bool = False) -> Iterator[Frame]:
    """Yields the frames of a video.

    Args:
        plan: What happens.
        classes: Names of silhouettes, by category.
        amodal: Whether to also give the objects' whole masks.
    """
    stage = _Stage(plan)
    puppets = [_Puppet(actor, owner, classes, plan, stage) for owner, actor in enumerate(plan.objects, start=1)]
    puppets += [_Puppet(actor, 0, classes, plan, stage) for actor in plan.others]
    puppets.sort(key=lambda puppet: (puppet.actor.depth, puppet.owner))
    for time in range(plan.frames):
        pixels = stage.view(time)
        owner = np.zeros((plan.height, plan.width), dtype=np.uint8, order="F")
        areas = [0] * len(plan.objects)
        masks = [np.zeros(owner.shape, dtype=bool) for _ in plan.objects] if amodal else []
        for puppet in puppets:
            _draw(puppet, time, pixels, owner, areas, masks)
        yield Frame(pixels, owner, areas, masks)


def _draw(
    puppet: _Puppet,
    time: int,
    pixels: NDArray[np.uint8],
    owner: NDArray[np.uint8],
    areas: list[int],
    masks: list[NDArray[np.bool_]],
) -> None:
    """Puts one actor into the frame."""
    placed = puppet.sample(time)
    if placed is None:
        return
    (rows, columns), colours, mask = placed
    under = pixels[rows, columns]
    alpha = colours[..., 3:].astype(np.uint16)
    under[...] = colours + ((under * (256 - alpha - (alpha >> 7))) >> 8)
    np.copyto(owner[rows, columns], puppet.owner, where=mask)
    if puppet.owner:
        areas[puppet.owner - 1] = int(np.count_nonzero(mask))
        if masks:
            masks[puppet.owner - 1][rows, columns] = mask


class _Stage:
    """The background as the camera sees it."""

    def __init__(self, plan: VideoPlan) -> None:
        rng = np.random.default_rng(plan.canvas_seed)
        camera = plan.camera
        self.canvas, self.colour = background(rng, camera.canvas_height, camera.canvas_width, plan.clutter)
        self.camera = camera
        self.wave = int(rng.integers(2, 6)) * UNIT if plan.clutter and rng.integers(4) == 0 else 0

    def view(self, time: int) -> NDArray[np.uint8]:
        """Pixels of the empty scene. uint8 [height, width, 4]."""
        camera = self.camera
        step = (UNIT << 12) // int(camera.zoom[time])
        shift = camera.centre[time] - camera.shake[time]
        rows = self._axis(camera.frame_height, int(shift[1]), step)
        columns = self._axis(camera.frame_width, int(shift[0]), step)
        rows = np.clip(rows >> 6, 0, camera.canvas_height - 1)
        if not self.wave:
            columns = np.clip(columns >> 6, 0, camera.canvas_width - 1)
            seen = self.canvas[rows].take(columns, axis=1)
        else:
            swell = (self.wave * sines(rows * 24 + time * 40)) >> 14
            moved = np.clip((columns[None, :] + swell[:, None]) >> 6, 0, camera.canvas_width - 1)
            seen = self.canvas.take(rows[:, None] * camera.canvas_width + moved)
        pixels: NDArray[np.uint8] = seen.view(np.uint8).reshape(camera.frame_height, camera.frame_width, 4)
        return pixels

    @staticmethod
    def _axis(length: int, centre: int, step: int) -> NDArray[np.int64]:
        """Canvas coordinates (1/64 pixel) of a row or column of pixels."""
        return np.asarray(centre + (2 * np.arange(length) + 1 - length) * step // 2)


class _Puppet:
    """An actor with its pictures."""

    def __init__(self, actor: Actor, owner: int, classes: tuple[str, ...], plan: VideoPlan, stage: _Stage) -> None:
        self.actor, self.owner = actor, owner
        self.frame = (plan.height, plan.width)
        extent = max(2, actor.extent // UNIT)  # typical, not largest: the picture must not depend on the video's length
        self.side = min(1024, max(32, 1 << (extent - 1).bit_length()))
        if actor.shape is None:
            rng = np.random.default_rng(actor.outline)
            self.covers = (bar(self.side) if rng.integers(3) == 0 else blob(rng, self.side))[None]
        else:
            self.covers = silhouette(classes[actor.shape], self.side, actor.amplitude)
        texture = object_texture(np.random.default_rng(actor.look), self.side, stage.colour)
        self.texture = np.clip(texture.astype(np.int16) + actor.tint, 0, 255).astype(np.uint8)
        self.sprites: dict[int, NDArray[np.uint32]] = {}

    def _sprite(self, cycle: int) -> NDArray[np.uint32]:
        """Picture at a point of the cycle (1/256), made when first needed; flat."""
        phase = (cycle * PHASES >> 8) % len(self.covers)
        if phase not in self.sprites:
            self.sprites[phase] = sprite(self.texture, self.covers[phase]).ravel()
        return self.sprites[phase]

    def sample(self, time: int) -> tuple[tuple[slice, slice], NDArray[np.uint8], NDArray[np.bool_]] | None:
        """Place in the frame, premultiplied colours (uint8 [h, w, 4]) and mask (bool [h, w]); None if out of view."""
        smear = self._smear(time)
        pad = max(abs(part) for offset in smear for part in offset) if smear else 0
        box = self._box(time, pad)
        if box is None:
            return None
        top, bottom, left, right = box
        colours = self._warp(time, top, bottom, left, right)
        inner = (slice(max(0, top) - top, min(self.frame[0], bottom) - top),
                 slice(max(0, left) - left, min(self.frame[1], right) - left))  # fmt: skip
        mask = colours[..., 3][inner] >= _MASK_LEVEL
        seen = _smeared(colours, smear)[inner] if smear else colours[inner]
        place = (slice(max(0, top), min(self.frame[0], bottom)), slice(max(0, left), min(self.frame[1], right)))
        return place, seen, mask

    def _smear(self, time: int) -> list[tuple[int, int]]:
        """Offsets (rows, columns) during half a frame of open shutter; empty when slow."""
        path = self.actor.path
        other = time - 1 if time else min(1, len(path.x) - 1)
        dx, dy = int(path.x[time] - path.x[other]), int(path.y[time] - path.y[other])
        if max(abs(dx), abs(dy)) < 3 * UNIT or max(abs(dx), abs(dy)) > 40 * UNIT:
            return []
        parts = [2 * k - (_SHUTTER_PARTS - 1) for k in range(_SHUTTER_PARTS)]
        span = 4 * (_SHUTTER_PARTS - 1) * UNIT
        return [((2 * dy * k + span) // (2 * span), (2 * dx * k + span) // (2 * span)) for k in parts]

    def _box(self, time: int, pad: int) -> tuple[int, int, int, int] | None:
        """Top, bottom, left, right of what must be sampled, at most ``pad`` beyond the frame."""
        path = self.actor.path
        cos, sin = abs(cosine(int(path.angle[time]))), abs(sine(int(path.angle[time])))
        width, height = int(path.width[time]), int(path.height[time])
        reach_x = (cos * width + sin * height >> 15) + UNIT
        reach_y = (sin * width + cos * height >> 15) + UNIT
        x, y = int(path.x[time]), int(path.y[time])
        top, bottom = max(-pad, (y - reach_y >> 6) - pad), min(self.frame[0] + pad, (y + reach_y >> 6) + 1 + pad)
        left, right = max(-pad, (x - reach_x >> 6) - pad), min(self.frame[1] + pad, (x + reach_x >> 6) + 1 + pad)
        hidden = bottom <= 0 or right <= 0 or top >= self.frame[0] or left >= self.frame[1]
        return None if hidden or top >= bottom or left >= right else (top, bottom, left, right)

    def _warp(self, time: int, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
        """Looks up, for every pixel's centre, the cell of the picture that lies there. uint8 [h, w, 4]."""
        path, side = self.actor.path, self.side
        cos, sin = cosine(int(path.angle[time])), sine(int(path.angle[time]))
        width, height = int(path.width[time]), int(path.height[time])
        dx = (np.arange(left, right, dtype=np.int32) << 6) + (32 - int(path.x[time]))
        dy = (np.arange(top, bottom, dtype=np.int32) << 6) + (32 - int(path.y[time]))
        scale_u, scale_v, middle = 4 * side * cos, 4 * side * sin, side << 15
        u = (dx * (scale_u // width) + middle)[None, :] + (dy * (scale_v // width))[:, None]
        v = (dy * (scale_u // height) + middle)[:, None] - (dx * (scale_v // height))[None, :]
        u >>= 16
        v >>= 16
        np.clip(v, 0, side - 1, out=v)
        if self.actor.bend:
            u += self._bending(int(path.cycle[time])).take(v)
        np.clip(u, 0, side - 1, out=u)
        v *= side
        v += u
        colours = self._sprite(int(path.cycle[time])).take(v)
        return np.asarray(colours.view(np.uint8).reshape(*v.shape, 4))

    def _bending(self, cycle: int) -> NDArray[np.int32]:
        """How far each row of the picture is pushed sideways. int32 [side]."""
        waves = sines(np.arange(self.side) * TURN // self.side + cycle * TURN // 256)
        return ((waves * (self.actor.bend * self.side)) >> 22).astype(np.int32)


def _smeared(colours: NDArray[np.uint8], offsets: list[tuple[int, int]]) -> NDArray[np.uint8]:
    """Mean of shifted copies; what is shifted in from outside is empty. uint8, same shape."""
    height, width = colours.shape[:2]
    total = np.zeros(colours.shape, dtype=np.uint16)
    for down, across in offsets:
        target = (slice(max(0, down), height + min(0, down)), slice(max(0, across), width + min(0, across)))
        source = (slice(max(0, -down), height + min(0, -down)), slice(max(0, -across), width + min(0, -across)))
        total[target] += colours[source]
    return (total // _SHUTTER_PARTS).astype(np.uint8)
