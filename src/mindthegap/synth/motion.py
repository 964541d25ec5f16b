"""Paths in whole numbers: positions and sizes in 1/64 pixel, factors in 1/4096, angles in 1/1024 turn.

Whole numbers make the masks the same on every machine; float sums would depend on its vector units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mindthegap.synth.streams import Part, Streams

Ints = NDArray[np.int64]

UNIT = 64
ONE = 4096
TURN = 1024
_COSINES = np.array([round(16384 * math.cos(2.0 * math.pi * k / TURN)) for k in range(TURN)], dtype=np.int64)


def cosine(angle: int) -> int:
    """Cosine of ``angle`` (1/1024 turn) times 16384."""
    return int(_COSINES[angle % TURN])


def sine(angle: int) -> int:
    """Sine of ``angle`` (1/1024 turn) times 16384."""
    return int(_COSINES[(angle - TURN // 4) % TURN])


def sines(angles: Ints) -> Ints:
    """Sines of many angles (1/1024 turn) times 16384."""
    return _COSINES[(angles - TURN // 4) % TURN]


@dataclass(frozen=True, eq=False)
class Path:
    """What one actor does; every field has one entry per frame.

    Attributes:
        x: Centre's column, 1/64 pixel.
        y: Centre's row, 1/64 pixel.
        width: Width before turning, 1/64 pixel.
        height: Height before turning, 1/64 pixel.
        angle: Turn about the centre, 1/1024 turn.
        cycle: Progress of articulation and bending, 1/256 of a full cycle.
    """

    x: Ints
    y: Ints
    width: Ints
    height: Ints
    angle: Ints
    cycle: Ints

    def radius(self) -> Ints:
        """Radius of a disc of about the same extent, 1/64 pixel."""
        return (self.width + self.height) * 5 // 22

    def seen(self, camera: Camera) -> Path:
        """The same path as it appears in the picture: zoomed about the frame's middle, and shaken."""
        middle_x, middle_y = camera.frame_width * UNIT // 2, camera.frame_height * UNIT // 2
        return replace(
            self,
            x=middle_x + (((self.x - middle_x) * camera.zoom) >> 12) + camera.shake[:, 0],
            y=middle_y + (((self.y - middle_y) * camera.zoom) >> 12) + camera.shake[:, 1],
            width=np.maximum(3 * UNIT, (self.width * camera.zoom) >> 12),
            height=np.maximum(3 * UNIT, (self.height * camera.zoom) >> 12),
        )


@dataclass(frozen=True, eq=False)
class Camera:
    """Where the camera looks on the background canvas.

    Attributes:
        frame_height: Rows of a frame.
        frame_width: Columns of a frame.
        canvas_height: Rows of the canvas.
        canvas_width: Columns of the canvas.
        centre: int64 [frames, 2], column and row on the canvas, 1/64 pixel.
        zoom: int64 [frames], 1/4096.
        shake: int64 [frames, 2], shift of everything in the picture, 1/64 pixel.
    """

    frame_height: int
    frame_width: int
    canvas_height: int
    canvas_width: int
    centre: Ints
    zoom: Ints
    shake: Ints


def knots(frames: int, period: int) -> int:
    """Number of points that ``glide`` needs for so many frames."""
    return (frames - 1) // period + 4


def glide(points: Ints, frames: int, period: int) -> Ints:
    """Catmull-Rom curve through ``points``, one every ``period`` frames; the first point lies before frame 0.

    Args:
        points: int64 [``knots(frames, period)``, dimensions].
        frames: Number of frames.
        period: Frames between two points.

    Returns:
        int64 [frames, dimensions].
    """
    time = np.arange(frames)
    start = time // period
    f = ((time % period) * 1024 // period)[:, None]
    p0, p1, p2, p3 = (points[start + k] for k in range(4))
    square, cube = f * f, f * f * f
    doubled = 2 * p1 * 2**30 + (p2 - p0) * f * 2**20 + (2 * p0 - 5 * p1 + 4 * p2 - p3) * square * 2**10
    return np.asarray((doubled + (3 * p1 - p0 - 3 * p2 + p3) * cube) >> 31)


def move_camera(streams: Streams, frames: int, height: int, width: int, strength: float) -> Camera:
    """Draws pan, zoom and shake.

    Args:
        streams: The video's streams.
        frames: Number of frames.
        height: Rows of a frame.
        width: Columns of a frame.
        strength: 0 (tripod) to 1; the canvas is the same for all, so that it does not change what is painted on it.
    """
    period = 16
    count = knots(frames, period)
    level = int(strength * 1000)
    canvas_height, canvas_width = height * 7 // 4, width * 7 // 4
    swing = np.array([width, height]) * (1250 + level // 2) // 1000 * UNIT * level // 4000
    middle = np.array([canvas_width, canvas_height]) * UNIT // 2
    pan = middle + streams.of(Part.PAN).integers(-1000, 1001, size=(count, 2)) * swing // 1000
    zoom = ONE + streams.of(Part.ZOOM).integers(-700, 701, size=(count, 1)) * level // 1000
    shake = streams.of(Part.SHAKE).integers(-96, 97, size=(frames, 2)) * level * height // 128000
    path = glide(np.concatenate([pan, zoom], axis=1), frames, period)
    return Camera(height, width, canvas_height, canvas_width, path[:, :2], path[:, 2], shake)
