"""The typed source of the section ``datasets`` of ``config.yaml``: rendered video, or a folder with real data."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

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

_DEFAULT_CLASSES: tuple[ShapeName, ...] = get_args(ShapeName)[:8]


def _as_range(value: object) -> object:
    """A lone number means exactly that many."""
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


CountRange = Annotated[
    tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]],
    BeforeValidator(_as_range, json_schema_input_type=int | list[int]),
]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Section(BaseModel):
    """Unknown keys are errors, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SyntheticSplit(_Section):
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


class SyntheticDataset(_Section):
    """Video rendered by ``mindthegap.synth`` with exact ground truth."""

    kind: Literal["synthetic"] = Field(description="Rendered video.")
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
    train: SyntheticSplit | None = Field(None, description="Videos to train on; absent with weights_from.")
    diagnostic: SyntheticSplit = Field(description="Videos to diagnose.")
    weights_from: str | None = Field(
        None, description="Dataset whose trained weights are used here; then there is no train split."
    )

    @model_validator(mode="after")
    def _consistent(self) -> SyntheticDataset:
        if self.weights_from is None and self.train is None:
            raise ValueError("train: is missing; write train: {videos: N}, or weights_from: <dataset that is trained>")
        if self.weights_from is not None and self.train is not None:
            raise ValueError("train: does not go with weights_from; remove one of the two")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: a name occurs twice; write each once")
        return self

    def knobs(self, split: Literal["train", "diagnostic"]) -> Knobs:
        """The complete knobs of a split: the preset's, changed by what the split says."""
        section = self.train if split == "train" else self.diagnostic
        if section is None:
            raise ValueError(f"there is no split '{split}'")
        given = section.model_dump(exclude={"videos"}, exclude_none=True)
        return preset_knobs(self.preset).changed(**given)


class Demands(_Section):
    """What a video must reach to be drawn for diagnosis, e.g. the long, dense, heavily occluded part of OVIS."""

    frames: int = Field(1, ge=1, description="Frames of the video.")
    density: float = Field(0.0, ge=0.0, description="Visible objects per frame, the mean over the video.")
    occlusion: float = Field(
        0.0, ge=0.0, le=0.75, description="OVIS occlusion score (0 to 0.75), the mean over the video's objects."
    )


class FolderSplit(_Section):
    """Which videos are diagnosed; the others are trained on. Exactly one of the three ways is written."""

    diagnostic_fraction: float | None = Field(
        None, gt=0.0, lt=1.0, description="Share of the videos that is diagnosed, drawn by seed and stratified."
    )
    seed: int = Field(0, ge=0, description="Seed of the draw.")
    at_least: Demands | None = Field(
        None, description="Draw from videos that reach these values; diagnostic_fraction then is a share of them."
    )
    diagnostic_list: str | None = Field(
        None, description="Text file with one name of a diagnosed video per line, e.g. a split that a paper published."
    )
    diagnostic_annotations: str | None = Field(
        None, description="YouTube-VIS JSON of the diagnosed videos; then all videos of 'annotations' are trained on."
    )
    diagnostic_frames: str | None = Field(
        None, description="Folder with the frames of diagnostic_annotations, if it is not the one in 'frames'."
    )

    @model_validator(mode="after")
    def _one_way(self) -> FolderSplit:
        ways = ("diagnostic_fraction", "diagnostic_list", "diagnostic_annotations")
        given = [way for way in ways if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(ways)} is needed, not {' and '.join(given) or 'none'}")
        if self.at_least is not None and self.diagnostic_fraction is None:
            raise ValueError("at_least: goes with diagnostic_fraction only; remove it")
        if self.diagnostic_frames is not None and self.diagnostic_annotations is None:
            raise ValueError("diagnostic_frames: goes with diagnostic_annotations only; remove it")
        return self


class FolderDataset(_Section):
    """Real data as its owner hands it out: a folder with frames and a YouTube-VIS JSON."""

    kind: Literal["folder"] = Field(description="Frames and annotations on this machine.")
    frames: str = Field(description="Folder that the file_names in the annotations are relative to.")
    annotations: str = Field(description="YouTube-VIS JSON (2019, 2021, OVIS, or anybody's) with ground truth.")
    title: str | None = Field(None, description="Name in figures and tables; the dataset's key if left out.")
    split: FolderSplit | None = Field(
        None, description="Which videos are diagnosed; 15 % if left out, all of them with weights_from."
    )
    expect: Literal["youtube_vis_2019", "youtube_vis_2021", "ovis"] | None = Field(
        None, description="Published dataset that this folder must be: number of videos and categories are checked."
    )
    weights_from: str | None = Field(
        None, description="Dataset whose trained weights are used here; then there is no train split."
    )

    def effective_split(self) -> FolderSplit | None:
        """The split in force; None diagnoses every video."""
        if self.split is None and self.weights_from is None:
            return FolderSplit.model_validate({"diagnostic_fraction": 0.15})
        return self.split


Dataset = Annotated[SyntheticDataset | FolderDataset, Field(discriminator="kind")]
