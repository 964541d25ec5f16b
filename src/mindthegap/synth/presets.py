"""Named sets of knobs that imitate the statistics of the three benchmark datasets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Knobs:
    """Everything that shapes one split of rendered video.

    Attributes:
        frames: Fewest and most frames of a video.
        objects: Fewest and most annotated objects of a video.
        occlusion: Wanted share (0-1) of object-frames in which something covers part of the object.
        look_alikes: Share (0-1) of objects that repeat class and colours of another object of the video.
        exits: Share (0-1) of objects that enter late, leave early, or leave and return.
        camera: Strength (0-1) of the camera's pan, zoom and shake.
        motion: Speed (0-1) of the objects.
        deformation: Strength (0-1) of articulated and bending motion.
        clutter: Amount (0-1) of distractors that belong to no class.
        object_size: Smallest and largest height of an object as a share of the frame's shorter side.
    """

    frames: tuple[int, int]
    objects: tuple[int, int]
    occlusion: float
    look_alikes: float
    exits: float
    camera: float
    motion: float
    deformation: float
    clutter: float
    object_size: tuple[float, float]

    def changed(self, **changes: Any) -> Knobs:
        """A copy with some knobs set differently."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


# Lengths, densities and occlusion follow table 1 of Qi et al., "Occluded Video Instance Segmentation: A Benchmark"
# (IJCV 2022): objects per frame 1.57 / 1.95 / 4.72, instances per video 1.69 / 2.10 / 5.80.
_PRESETS = {
    "synth_ytvis19": Knobs(
        frames=(18, 36),
        objects=(1, 3),
        occlusion=0.12,
        look_alikes=0.2,
        exits=0.15,
        camera=0.4,
        motion=0.3,
        deformation=0.4,
        clutter=0.3,
        object_size=(0.26, 0.58),
    ),
    "synth_ytvis21": Knobs(
        frames=(20, 40),
        objects=(1, 4),
        occlusion=0.2,
        look_alikes=0.4,
        exits=0.25,
        camera=0.5,
        motion=0.35,
        deformation=0.6,
        clutter=0.5,
        object_size=(0.22, 0.55),
    ),
    "synth_ovis": Knobs(
        frames=(40, 100),
        objects=(3, 12),
        occlusion=0.8,
        look_alikes=0.7,
        exits=0.45,
        camera=0.6,
        motion=0.35,
        deformation=0.7,
        clutter=0.6,
        object_size=(0.2, 0.48),
    ),
}
PRESETS = tuple(_PRESETS)


def preset_knobs(name: str) -> Knobs:
    """The knobs of a preset; ``KeyError`` for a name that is not in ``PRESETS``."""
    return _PRESETS[name]
