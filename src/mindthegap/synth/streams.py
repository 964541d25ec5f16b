"""Sources of chance: one seeded stream per actor and quantity.

A knob that draws more or fewer numbers must not shift those of another, or a sweep over it would change everything at
once. So nothing shares a stream: a video's first frames are the same however long it is, its first objects however many
follow, and looks, sizes and the camera whatever occlusion is wanted. Quantities over time draw row by row from a stream
of their own, so that a longer video only appends.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Role(IntEnum):
    """Whose numbers a stream holds."""

    SCENE = 0
    OBJECT = 1
    FOREGROUND = 2
    BACKDROP = 3


class Part(IntEnum):
    """What a stream's numbers are for."""

    LENGTH = 0
    COUNT = 1
    CANVAS = 2
    PAN = 3
    ZOOM = 4
    SHAKE = 5
    RHYTHM = 6
    BALANCE = 7
    LOOK = 8
    DEPTH = 9
    SIZE = 10
    SCALE = 11
    RATIO = 12
    ANGLE = 13
    DEFORMATION = 14
    STEPS = 15
    MEETINGS = 16
    EXITS = 17
    TWIN = 18
    POSE = 19


@dataclass(frozen=True)
class Streams:
    """The streams of one video.

    Attributes:
        key: Seed, split and number of the video; nothing else is random.
    """

    key: tuple[int, int, int]

    def of(self, part: Part, role: Role = Role.SCENE, number: int = 0) -> np.random.Generator:
        """A fresh generator at the beginning of a stream; the same arguments give the same numbers."""
        return np.random.default_rng((*self.key, role, number, part))
