"""The typed source of the section ``datasets`` of ``config.yaml``: rendered video, or data on this machine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mindthegap.config.rendered import Section, SweepDataset, SyntheticDataset

__all__ = [
    "CocoDataset",
    "Dataset",
    "FolderDataset",
    "Prepared",
    "SweepDataset",
    "SyntheticDataset",
    "with_members",
]


class Demands(Section):
    """What a video must reach to be drawn for diagnosis, e.g. the long, dense, heavily occluded part of OVIS."""

    frames: int = Field(1, ge=1, description="Frames of the video.")
    density: float = Field(0.0, ge=0.0, description="Visible objects per frame, the mean over the video.")
    occlusion: float = Field(
        0.0, ge=0.0, le=0.75, description="OVIS occlusion score (0 to 0.75), the mean over the video's objects."
    )


class FolderSplit(Section):
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
        None,
        description="Folder or archive with the frames of diagnostic_annotations, if it is not that in 'frames'.",
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


class FolderDataset(Section):
    """Real data as its owner hands it out: a folder with frames and a YouTube-VIS JSON."""

    kind: Literal["folder"] = Field(description="Frames and annotations on this machine.")
    frames: str = Field(
        description="Folder that the file_names in the annotations are relative to, or the archive (zip, tar) that "
        "holds it; <archive>/<folder> if it holds several."
    )
    annotations: str = Field(
        description="YouTube-VIS JSON (2019, 2021, OVIS, or anybody's) with ground truth, or the archive that holds it."
    )
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


class CocoDataset(Section):
    """Still pictures with COCO instance annotations, as videos of one frame, to pretrain on."""

    kind: Literal["coco"] = Field(description="Still pictures on this machine.")
    frames: str = Field(description="Folder with the pictures, e.g. train2017.")
    annotations: str = Field(description="COCO instance annotations, e.g. instances_train2017.json.")
    title: str | None = Field(None, description="Name in figures and tables; the dataset's key if left out.")
    categories: Literal["youtube_vis_2019", "youtube_vis_2021"] | None = Field(
        None, description="Dataset whose categories are kept, under its ids and names; left out: all of COCO's."
    )
    max_objects: int = Field(25, ge=1, description="Pictures with more objects are left out, as SeqFormer does.")
    diagnostic_fraction: float = Field(
        0.01, gt=0.0, lt=1.0, description="Share of the pictures that is kept apart as the diagnostic split."
    )
    seed: int = Field(0, ge=0, description="Seed of the draw.")

    @property
    def weights_from(self) -> None:
        """Stills are trained on; they borrow no weights."""


Prepared = Annotated[SyntheticDataset | FolderDataset | CocoDataset, Field(discriminator="kind")]
Dataset = Annotated[SyntheticDataset | SweepDataset | FolderDataset | CocoDataset, Field(discriminator="kind")]


def with_members(datasets: dict[str, Dataset]) -> dict[str, Dataset]:
    """Adds the datasets that sweeps are made of, behind each sweep; a recorded configuration has them already.

    Raises:
        ValueError: One of their names is taken by something else.
    """
    everything: dict[str, Dataset] = {}
    for name, spec in datasets.items():
        everything[name] = spec
        if isinstance(spec, SweepDataset):
            for member, rendered in spec.members(name).items():
                if datasets.get(member, rendered) != rendered:
                    raise ValueError(f"datasets.{member}: the sweep '{name}' makes a dataset of this name; rename one")
                everything[member] = rendered
    return everything
