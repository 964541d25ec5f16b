"""Colours: textures of objects, and the canvas that the camera looks at. Masks never depend on anything in here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Rgb = NDArray[np.uint8]

_KINDS = ("gradient", "stripes", "checks", "spots", "marble", "rings")


def random_colour(rng: np.random.Generator, away_from: Colour | None = None) -> Colour:
    """A colour whose channels differ from ``away_from`` by 200 levels or more in sum, if one is given."""
    best: Colour = (0, 0, 0)
    best_distance = -1
    for candidate in rng.integers(20, 246, size=(8, 3)).tolist():
        distance = sum(abs(a - b) for a, b in zip(candidate, away_from or (0, 0, 0), strict=True))
        if distance > best_distance:
            best, best_distance = (candidate[0], candidate[1], candidate[2]), distance
        if away_from is None or distance >= 200:
            return (candidate[0], candidate[1], candidate[2])
    return best


def _noise(rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int]) -> NDArray[np.int16]:
    """Smooth noise, int16 [height, width] around 0 (-128 to 127), from ``cells`` (rows, columns) random values."""
    small = Image.fromarray(rng.integers(0, 256, size=cells, dtype=np.uint8))
    return np.asarray(small.resize((size[1], size[0]), Image.Resampling.BICUBIC), dtype=np.int16) - 128


def _blend_weight(rng: np.random.Generator, kind: str, side: int) -> NDArray[np.int32]:
    """How much (0-256) of the second colour each texture cell has. int32 [side, side]."""
    row, column = np.mgrid[0:side, 0:side].astype(np.int32)
    period = max(4, side // int(rng.integers(3, 8)))
    slope = int(rng.integers(-2, 3))
    weight: NDArray[np.int32]
    if kind == "gradient":
        weight = (row * (2 + slope) + column * (2 - slope)) * 256 // (4 * side)
    elif kind == "stripes":
        weight = ((2 * row + slope * column) // period % 2) * 256
    elif kind == "checks":
        weight = ((row // period + column // period) % 2) * 256
    elif kind == "spots":
        u, v = row % (2 * period) - period, (column + row // (2 * period) * period) % (2 * period) - period
        weight = (u * u + v * v < period * period // 3) * np.int32(256)
    elif kind == "rings":
        u, v = row - side // 2, column - side // 2
        weight = ((u * u + v * v) * 8 // (side * period) % 2) * 256
    else:
        weight = np.clip(_noise(rng, (6, 6), (side, side)).astype(np.int32) * 3 + 128, 0, 256)
    return weight


def object_texture(rng: np.random.Generator, side: int, away_from: Colour) -> Rgb:
    """A random two-colour pattern with fine grain and light from the upper left. uint8 [side, side, 3]."""
    first, second = random_colour(rng, away_from), random_colour(rng)
    second = tuple((2 * b + a) // 3 for a, b in zip(first, second, strict=True))  # type: ignore[assignment]
    weight = _blend_weight(rng, _KINDS[int(rng.integers(len(_KINDS)))], side)[..., None]
    mixed = (np.array(first, dtype=np.int32) * (256 - weight) + np.array(second, dtype=np.int32) * weight) >> 8
    grain = _noise(rng, (side // 2, side // 2), (side, side)) // 8
    light = np.linspace(22, -22, side).astype(np.int32)
    shaded = mixed + (grain + light[:, None] + light[None, :])[..., None]
    return np.clip(shaded, 0, 255).astype(np.uint8)


def shading(coverage: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Darkens towards the silhouette's edge, so that neighbours of one colour stay apart. uint16 0-256, same shape."""
    radius = max(1, coverage.shape[-1] // 12)
    soft = np.asarray(Image.fromarray(coverage).filter(ImageFilter.BoxBlur(radius)), dtype=np.uint16)
    return np.minimum(256, 60 + soft)


def sprite(texture: Rgb, coverage: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Packs colours, premultiplied by coverage, and coverage into one number per cell. uint32 [side, side] (RGBA)."""
    weight = shading(coverage) * coverage.astype(np.uint32) // 255
    cells = np.empty((*coverage.shape, 4), dtype=np.uint8)
    cells[..., :3] = (texture * weight[..., None]) >> 8
    cells[..., 3] = coverage
    return cells.view(np.uint32)[..., 0]


def background(rng: np.random.Generator, height: int, width: int, clutter: float) -> tuple[NDArray[np.uint32], Colour]:
    """A textured landscape with distractors.

    Args:
        rng: Source of chance.
        height: Rows of the canvas.
        width: Columns of the canvas.
        clutter: Amount (0-1) of lines, patches and strokes that belong to no class.

    Returns:
        uint32 [height, width] packed RGBA with full alpha, and the landscape's mean colour.
    """
    image = _landscape(rng, height, width)
    mean = [int(value) for value in np.asarray(image)[::8, ::8].reshape(-1, 3).mean(axis=0)]
    _draw_clutter(ImageDraw.Draw(image), rng, image.size, clutter)
    base = np.asarray(image.filter(ImageFilter.BoxBlur(0.8)), dtype=np.int16)
    coarse = _noise(rng, (9, 14), (height, width)) // 6
    fine = _noise(rng, (max(2, height // 3), max(2, width // 3)), (height, width)) // 10
    canvas = np.full((height, width, 4), 255, dtype=np.uint8)
    canvas[..., :3] = np.clip(base + (coarse + fine)[..., None], 0, 255)
    return canvas.view(np.uint32)[..., 0], (mean[0], mean[1], mean[2])


def _landscape(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Soft patches, a ground under a sky, or a paved floor, in colours near two muted ones."""
    near, far = rng.integers(50, 200, size=3), rng.integers(50, 200, size=3)
    near, far = ((2 * tone + tone.mean()) // 3 for tone in (near, far))
    share = rng.integers(0, 101, size=(5, 7, 1)) / 100.0
    kind = int(rng.integers(3))
    if kind == 1:
        horizon = int(rng.integers(1, 4))
        share = np.clip(share * 0.35 + 0.65 * (np.arange(5)[:, None, None] < horizon), 0.0, 1.0)
    spread = rng.integers(-14, 15, size=(5, 7, 3))
    tones = np.clip(near + (far - near) * share + spread, 0, 255).astype(np.uint8)
    image = Image.fromarray(tones).resize((width, height), Image.Resampling.BICUBIC)
    return _paved(rng, image) if kind == 2 else image


def _paved(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Lays slabs of slightly different lightness in a running bond."""
    pixels = np.asarray(image, dtype=np.int16)
    unit = max(4, min(image.size) // int(rng.integers(5, 10)))
    row = np.arange(image.size[1]) // unit
    column = (np.arange(image.size[0])[None, :] + (row % 2)[:, None] * unit) // (2 * unit)
    tints = rng.integers(-22, 23, size=(int(row.max()) + 1, int(column.max()) + 1))
    tint = tints[row[:, None], column]
    joint = (np.arange(image.size[1]) % unit == 0)[:, None] | np.zeros_like(tint, dtype=bool)
    return Image.fromarray(np.clip(pixels + (tint - 30 * joint)[..., None], 0, 255).astype(np.uint8))


def _draw_clutter(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], clutter: float) -> None:
    """Strokes, slabs and thin arcs in muted colours."""
    unit = max(4, min(size) // 8)
    for _ in range(round(clutter * 24)):
        x, y = int(rng.integers(size[0])), int(rng.integers(size[1]))
        dx, dy, ex, ey = (int(value) for value in rng.integers(-2 * unit, 2 * unit + 1, size=4))
        colour = tuple(int(value) for value in rng.integers(50, 190, size=3))
        kind = int(rng.integers(3))
        if kind == 0:
            draw.line([(x, y), (x + 2 * dx, y + 2 * dy)], fill=colour, width=max(1, unit // 6))
        elif kind == 1:
            draw.polygon([(x, y), (x + dx, y + dy), (x + dx + ex // 3, y + dy + ey // 3)], fill=colour)
        else:
            draw.arc([(x, y), (x + abs(dx) + 2, y + abs(dy) + 2)], ey * 3, ey * 3 + 120, fill=colour, width=2)
