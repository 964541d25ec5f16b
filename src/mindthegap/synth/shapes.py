"""Silhouettes of the classes, and the irregular ones of distractors and occluders.

Silhouettes are tests on a grid of points that use only ``+ - * /`` and comparisons, which IEEE 754 rounds the same way
on every machine; sines and cosines come from ``math``, rounded to nine digits. So masks do not depend on the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float64]
Inside = NDArray[np.bool_]
Coverage = NDArray[np.uint8]

PHASES = 8
AMPLITUDES = 3


def _cos(turns: float) -> float:
    """Cosine of a share of a full turn, rounded so that all mathematical libraries agree."""
    return round(math.cos(2.0 * math.pi * turns), 9)


def _sin(turns: float) -> float:
    """Sine of a share of a full turn, rounded so that all mathematical libraries agree."""
    return round(math.sin(2.0 * math.pi * turns), 9)


def _ellipse(x: Grid, y: Grid, centre: tuple[float, float], radii: tuple[float, float]) -> Inside:
    u, v = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1]
    return u * u + v * v < 1.0


def _capsule(x: Grid, y: Grid, start: tuple[float, float], end: tuple[float, float], radius: float) -> Inside:
    """Points closer than ``radius`` to a line segment."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0.0, 1.0)
    u, v = x - start[0] - along * dx, y - start[1] - along * dy
    return u * u + v * v < radius * radius


def _polygon(x: Grid, y: Grid, corners: list[tuple[float, float]]) -> Inside:
    """Even-odd rule."""
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if y0 != y1:
            inside ^= ((y < y0) != (y < y1)) & (x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
    return inside


def _disc(x: Grid, y: Grid, s: float) -> Inside:
    return _ellipse(x, y, (0.0, 0.0), (0.88 * (1.0 + 0.07 * s), 0.88 * (1.0 - 0.07 * s)))


def _square(x: Grid, y: Grid, s: float) -> Inside:
    return (np.abs(x - 0.22 * s * y) < 0.74) & (np.abs(y) < 0.74)


def _triangle(x: Grid, y: Grid, s: float) -> Inside:
    return _polygon(x, y, [(0.4 * s, -0.9), (0.9, 0.72), (-0.9, 0.72)])


def _star(x: Grid, y: Grid, s: float) -> Inside:
    corners = []
    for k in range(5):
        tip, notch = k / 5 - 0.25 + 0.035 * s, k / 5 - 0.15
        corners += [(0.94 * _cos(tip), 0.94 * _sin(tip)), (0.38 * _cos(notch), 0.38 * _sin(notch))]
    return _polygon(x, y, corners)


def _cross(x: Grid, y: Grid, s: float) -> Inside:
    twist = 0.45 * s * (x * x + y * y)
    u, v = np.abs(x - twist * y), np.abs(y + twist * x)
    return ((u < 0.26) & (v < 0.9)) | ((u < 0.9) & (v < 0.26))


def _ring(x: Grid, y: Grid, s: float) -> Inside:
    return _ellipse(x, y, (0.0, 0.0), (0.9, 0.9)) & ~_ellipse(x, y, (0.0, 0.0), (0.56 + 0.12 * s, 0.56 - 0.1 * s))


def _crescent(x: Grid, y: Grid, s: float) -> Inside:
    hollow = 0.5 + 0.12 * s
    return _ellipse(x, y, (0.1, 0.0), (0.9, 0.9)) & ~_ellipse(x, y, (0.1 + hollow, 0.0), (0.72, 0.72))


def _heart(x: Grid, y: Grid, s: float) -> Inside:
    u, v = x * (1.25 + 0.1 * s), 0.12 - y * 1.22
    rest = u * u + v * v - 1.0
    return rest * rest * rest - u * u * v * v * v < 0.0


def _butterfly(x: Grid, y: Grid, s: float) -> Inside:
    fold = 0.72 + 0.28 * s
    u = np.abs(x) / fold
    upper, lower = _ellipse(u, y, (0.48, -0.36), (0.44, 0.46)), _ellipse(u, y, (0.4, 0.42), (0.34, 0.38))
    return upper | lower | _ellipse(x, y, (0.0, 0.0), (0.12, 0.75))


def _fish(x: Grid, y: Grid, s: float) -> Inside:
    body = _ellipse(x, y, (-0.22, 0.0), (0.68, 0.46))
    cos, sin = _cos(0.07 * s), _sin(0.07 * s)
    u, v = (x - 0.3) * cos + y * sin, y * cos - (x - 0.3) * sin
    return body | _polygon(u, v, [(0.0, 0.0), (0.6, -0.55), (0.45, 0.0), (0.6, 0.55)])


def _walker(x: Grid, y: Grid, s: float) -> Inside:
    inside = _ellipse(x, y, (0.0, -0.66), (0.25, 0.25)) | _capsule(x, y, (0.0, -0.32), (0.0, 0.15), 0.2)
    for side in (-1.0, 1.0):
        swing = side * s
        inside |= _capsule(x, y, (0.06 * side, 0.15), (0.12 * side + 0.38 * swing, 0.8), 0.13)
        inside |= _capsule(x, y, (0.0, -0.3), (0.35 * side - 0.3 * swing, 0.2), 0.1)
    return inside


def _scissors(x: Grid, y: Grid, s: float) -> Inside:
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=bool)
    for side in (-1.0, 1.0):
        turn = side * (0.045 + 0.03 * s)
        cos, sin = _cos(turn), _sin(turn)
        u, v = x * cos + (y - 0.1) * sin, (y - 0.1) * cos - x * sin
        inside |= _polygon(u, v, [(-0.12, 0.3), (0.12, 0.3), (0.0, -1.0)])
        inside |= _ellipse(u, v, (0.0, 0.5), (0.24, 0.3)) & ~_ellipse(u, v, (0.0, 0.5), (0.1, 0.15))
    return inside


_SHAPES: dict[str, Callable[[Grid, Grid, float], Inside]] = {
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "crescent": _crescent,
    "heart": _heart,
    "butterfly": _butterfly,
    "fish": _fish,
    "walker": _walker,
    "scissors": _scissors,
}
SHAPE_NAMES = tuple(_SHAPES)


def _grid(side: int) -> tuple[Grid, Grid]:
    """Coordinates (-1 to 1) of the 2 x 2 sample points in each of ``side`` x ``side`` cells."""
    axis = (np.arange(2 * side, dtype=np.float64) + 0.5) / side - 1.0
    return axis[None, :], axis[:, None]


def _coverage(inside: Inside) -> Coverage:
    """Averages 2 x 2 samples to 0-255; the rim stays empty, so that sampling outside reads nothing."""
    cells = inside.astype(np.uint16)
    count = cells[::2, ::2] + cells[1::2, ::2] + cells[::2, 1::2] + cells[1::2, 1::2]
    result = ((count * 255 + 2) // 4).astype(np.uint8)
    result[[0, -1], :] = 0
    result[:, [0, -1]] = 0
    return result


@lru_cache(maxsize=256)
def silhouette(name: str, side: int, amplitude: int) -> Coverage:
    """One cycle of a class's articulated silhouette.

    Args:
        name: One of ``SHAPE_NAMES``.
        side: Cells along each side.
        amplitude: 0 (rigid) to ``AMPLITUDES`` - 1 (strongest).

    Returns:
        uint8 [phases, side, side], how much of each cell is covered; one phase when rigid, else ``PHASES``.
    """
    x, y = _grid(side)
    strength = amplitude / (AMPLITUDES - 1)
    phases = PHASES if amplitude else 1
    frames = [_coverage(_SHAPES[name](x, y, strength * _sin(phase / PHASES))) for phase in range(phases)]
    stack = np.stack(frames)
    stack.setflags(write=False)
    return stack


def blob(rng: np.random.Generator, side: int) -> Coverage:
    """An irregular clump of overlapping ellipses, like foliage; belongs to no class. uint8 [side, side]."""
    x, y = _grid(side)
    inside = np.zeros((2 * side, 2 * side), dtype=bool)
    for cx, cy, rx, ry in rng.integers((-45, -45, 20, 20), (46, 46, 50, 50), size=(5, 4)) / 100.0:
        inside |= _ellipse(x, y, (cx, cy), (rx, ry))
    return _coverage(inside)


def bar(side: int) -> Coverage:
    """An upright post with a slightly waved edge. uint8 [side, side]."""
    x, y = _grid(side)
    return _coverage((np.abs(x + 0.3 * y * y * y) < 0.35) & (np.abs(y) < 0.97))
