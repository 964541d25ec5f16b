"""Rendered video in the section ``datasets`` of ``config.yaml``: single sets, and sweeps over one knob."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mindthegap.synth.presets import Knobs, preset_knobs

PresetName = Literal["synth_ytvis19", "synth_ytvis21", "synth_ovis"]
ShapeName = Literal[
    "disc",
    "square",
    "triangle",
    "star",
    "cross",
    "ring",
    "crescent",
    "heart",
    "butterfly",
    "fish",
    "walker",
    "scissors",
]

KnobName = Literal["length", "density", "occlusion"]

SPLIT_KEYS = {"length": "frames", "density": "objects", "occlusion": "occlusion"}
"""What a split calls the knob of a sweep."""
_DEFAULT_CLASSES: tuple[ShapeName, ...] = get_args(ShapeName)[:8]


def _as_range(value: object) -> object:
    """A lone number means exactly that many."""
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


CountRange = Annotated[
    tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]],
    BeforeValidator(_as_range, json_schema_input_type=int | list[int]),
]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """Unknown keys are errors, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SyntheticSplit(Section):
    """One split of rendered video; what is left out comes from the preset."""

    videos: int = Field(ge=1, description="Number of videos.")
    frames: CountRange | None = Field(None, description="Frames of a video: one number, or [min, max].")
    objects: CountRange | None = Field(None, description="Annotated objects of a video: one number, or [min, max].")
    occlusion: Share | None = Field(
        None, description="Wanted share of object-frames in which something covers the object (OVIS: slight or severe)."
    )
    look_alikes: Share | None = Field(
        None, description="Share of objects that repeat the class and the colours of another object of the video."
    )
    exits: Share | None = Field(None, description="Share of objects that enter late, leave early, or leave and return.")
    camera: Share | None = Field(None, description="Strength of the camera's pan, zoom and shake; 0 is a tripod.")
    motion: Share | None = Field(None, description="Speed of the objects; 1 crosses the frame in about eight frames.")
    deformation: Share | None = Field(None, description="Strength of articulated and bending motion; 0 is rigid.")
    clutter: Share | None = Field(None, description="Amount of distractors in the background that belong to no class.")
    object_size: tuple[Share, Share] | None = Field(
        None, description="Height of an object as a share of the frame's shorter side: [min, max]."
    )

    @model_validator(mode="after")
    def _ranges_ascend(self) -> SyntheticSplit:
        for key in ("frames", "objects", "object_size"):
            value = getattr(self, key)
            if value is not None and value[0] > value[1]:
                raise ValueError(f"{key}: [{value[0]}, {value[1]}] runs backwards; write [min, max]")
        if self.object_size is not None and self.object_size[0] < 0.04:
            raise ValueError("object_size: below 0.04 nothing is left to see; write e.g. [0.2, 0.5]")
        return self


class SweepPoint(Section):
    """Where a dataset stands in a sweep."""

    name: str = Field(description="The sweep.")
    knob: KnobName = Field(description="What the sweep varies.")
    value: float = Field(description="The wanted value.")


class _Rendered(Section):
    """What all kinds of rendered video have in common."""

    preset: PresetName = Field(
        "synth_ytvis19", description="Named set of knobs that imitates the statistics of a real dataset."
    )
    title: str | None = Field(None, description="Name in figures and tables; the dataset's key if left out.")
    classes: tuple[ShapeName, ...] = Field(
        _DEFAULT_CLASSES, min_length=1, description="Silhouettes that occur; category ids count from 1 in this order."
    )
    height: int = Field(96, ge=32, le=4320, description="Height of a frame in pixels.")
    width: int = Field(160, ge=32, le=7680, description="Width of a frame in pixels.")
    seed: int = Field(0, ge=0, description="Seed; video i of a split depends on it, the split and i only.")
    amodal: bool = Field(False, description="Also write the masks as they would be without occlusion.")
    diagnostic: SyntheticSplit = Field(description="Videos to diagnose.")

    @model_validator(mode="after")
    def _classes_once(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: a name occurs twice; write each once")
        return self


class SyntheticDataset(_Rendered):
    """Video rendered by ``mindthegap.synth`` with exact ground truth."""

    kind: Literal["synthetic"] = Field(description="Rendered video.")
    train: SyntheticSplit | None = Field(None, description="Videos to train on; absent with weights_from.")
    weights_from: str | None = Field(
        None, description="Dataset whose trained weights are used here; then there is no train split."
    )
    sweep: SweepPoint | None = Field(None, description="Filled in for the datasets that a sweep is made of.")

    @model_validator(mode="after")
    def _consistent(self) -> SyntheticDataset:
        if self.weights_from is None and self.train is None:
            raise ValueError("train: is missing; write train: {videos: N}, or weights_from: <dataset that is trained>")
        if self.weights_from is not None and self.train is not None:
            raise ValueError("train: does not go with weights_from; remove one of the two")
        return self

    def knobs(self, split: Literal["train", "diagnostic"]) -> Knobs:
        """The complete knobs of a split: the preset's, changed by what the split says."""
        section = self.train if split == "train" else self.diagnostic
        if section is None:
            raise ValueError(f"there is no split '{split}'")
        given = section.model_dump(exclude={"videos"}, exclude_none=True)
        return preset_knobs(self.preset).changed(**given)


class SweepDataset(_Rendered):
    """One dataset per value of a knob, all else equal: the same videos, longer, fuller, or more occluded.

    The datasets are called ``<sweep>_<value>``; a scale may list them one by one or name the sweep.
    """

    kind: Literal["sweep"] = Field(description="One rendered dataset per value of a knob.")
    knob: KnobName = Field(description="length: frames of a video; density: its objects; occlusion: covered share.")
    values: tuple[float, ...] = Field(min_length=2, description="Values of the knob, ascending.")
    weights_from: str = Field(description="Dataset whose trained weights are used for all values.")

    @model_validator(mode="after")
    def _values_fit(self) -> SweepDataset:
        """Whole numbers where things are counted, shares where they are shares; ``diagnostic`` leaves the knob out."""
        key = SPLIT_KEYS[self.knob]
        if getattr(self.diagnostic, key) is not None:
            raise ValueError(f"diagnostic.{key}: is what the sweep varies; remove it and write values: [...]")
        if any(low >= high for low, high in pairwise(self.values)):
            raise ValueError(f"values: {list(self.values)} do not ascend; write each once, smallest first")
        if self.knob == "occlusion" and not all(0 <= value <= 1 for value in self.values):
            raise ValueError("values: an occlusion is a share from 0 to 1; write e.g. [0, 0.3, 0.6, 0.9]")
        if self.knob != "occlusion" and not all(value >= 1 and value == int(value) for value in self.values):
            raise ValueError(f"values: a {self.knob} is a whole number from 1 on; write e.g. [1, 2, 4, 8]")
        labels = [self._label(value) for value in self.values]
        if len(set(labels)) != len(labels):
            raise ValueError("values: they agree to a hundredth; write values that are farther apart")
        return self

    def members(self, name: str) -> dict[str, SyntheticDataset]:
        """The datasets of the sweep called ``name``, in the order of their values."""
        shared = self.model_dump(exclude={"kind", "knob", "values", "diagnostic", "title"})
        members = {}
        for value in self.values:
            knob = value if self.knob == "occlusion" else int(value)
            point = SweepPoint(name=name, knob=self.knob, value=value)
            split = {**self.diagnostic.model_dump(exclude_none=True), SPLIT_KEYS[self.knob]: knob}
            title = f"{self.title}, {knob:g}" if self.title else None
            raw = {**shared, "kind": "synthetic", "title": title, "diagnostic": split, "sweep": point}
            members[f"{name}_{self._label(value)}"] = SyntheticDataset.model_validate(raw)
        return members

    def _label(self, value: float) -> str:
        """A value in a dataset's name, shares in percent; filled with zeros, so that names sort like values."""
        unit = 100 if self.knob == "occlusion" else 1
        digits = max(2, len(str(round(unit * max(self.values)))))
        return f"{round(unit * value):0{digits}d}"
