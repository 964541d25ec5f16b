"""Divides checked annotations into the videos to train on and the videos to diagnose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mindthegap.data.archives import Place, locate
from mindthegap.data.lineage import origin
from mindthegap.data.source import Source, read_source
from mindthegap.data.splitting import demanding, draw_split, listed_split
from mindthegap.errors import InputError
from mindthegap.files import sha256_file
from mindthegap.formats import ObjectTrack, Video

if TYPE_CHECKING:
    from mindthegap.config.datasets import FolderDataset


@dataclass(frozen=True)
class Part:
    """Videos of one split, and where their annotations and frames come from."""

    name: str
    source: Source
    frames: Place
    video_ids: frozenset[int]

    @property
    def videos(self) -> list[Video]:
        """In the file's order."""
        return [video for video in self.source.ground_truth.videos if video.id in self.video_ids]

    @property
    def positions(self) -> list[int]:
        """Positions of the annotations."""
        objects = self.source.ground_truth.objects
        return [k for k, item in enumerate(objects) if item.video_id in self.video_ids]

    @property
    def objects(self) -> list[ObjectTrack]:
        """In the file's order."""
        return [self.source.ground_truth.objects[k] for k in self.positions]


def divide(spec: FolderDataset, source: Source, progress: bool) -> tuple[list[Part], dict[str, Any]]:
    """The splits to write, and how they came about.

    Raises:
        InputError: A list or a second file cannot be used, no video fits, or the two parts share a video or a source.
    """
    split, frames = spec.effective_split(), locate(spec.frames)
    everything = frozenset(video.id for video in source.ground_truth.videos)
    recipe: dict[str, Any]
    if split is None:
        recipe, chosen = {"how": "every video is diagnosed"}, everything
    elif split.diagnostic_annotations is not None:
        return _two_files(spec, source, split.diagnostic_annotations, split.diagnostic_frames, progress)
    elif split.diagnostic_list is not None:
        recipe = {"how": "list", "file": split.diagnostic_list, "sha256": _sha256(split.diagnostic_list)}
        chosen = listed_split(source.ground_truth, split.diagnostic_list)
        if spec.weights_from is None:
            _require_whole_sources(source, chosen, split.diagnostic_list)
    else:
        assert split.diagnostic_fraction is not None, "FolderSplit asks for exactly one way"
        recipe = {"how": "drawn and stratified", "fraction": split.diagnostic_fraction, "seed": split.seed}
        among = None
        if split.at_least is not None:
            recipe["at_least"] = split.at_least.model_dump()
            among = demanding(source.ground_truth, **recipe["at_least"])
            recipe["eligible_videos"] = len(among)
        chosen = draw_split(source.ground_truth, split.diagnostic_fraction, split.seed, among=among)
    parts = [Part("diagnostic", source, frames, chosen)]
    if spec.weights_from is None:
        parts.insert(0, Part("train", source, frames, everything - chosen))
    return parts, recipe | _lists(parts)


def _require_whole_sources(source: Source, chosen: frozenset[int], path: str) -> None:
    """A list may not take one clip of a source and leave another to training."""
    trained = {origin(video.name): video.name for video in source.ground_truth.videos if video.id not in chosen}
    for video in source.ground_truth.videos:
        if video.id in chosen and origin(video.name) in trained:
            problem = (
                f"{video.name!r} was cut from the same video as {trained[origin(video.name)]!r}, which is not listed"
            )
            raise InputError(path, "", problem, "list all clips of one video, or none")


def _sha256(path: str) -> str:
    """Checksum of a user's file; a missing one is an error in words."""
    try:
        return sha256_file(path)
    except OSError as error:
        raise InputError(path, "", f"cannot be read ({error.strerror})", "check the path") from None


def _two_files(
    spec: FolderDataset, source: Source, annotations: str, frames: str | None, progress: bool
) -> tuple[list[Part], dict[str, Any]]:
    """Train and diagnostic videos from a file each."""
    other = read_source(annotations, progress=progress)
    _require_equal_categories(source, other)
    if spec.weights_from is None:
        _require_apart(source, other)
    place = locate(spec.frames)
    everything = frozenset(video.id for video in source.ground_truth.videos)
    diagnosed = frozenset(video.id for video in other.ground_truth.videos)
    parts = [Part("diagnostic", other, locate(frames) if frames else place, diagnosed)]
    if spec.weights_from is None:
        parts.insert(0, Part("train", source, place, everything))
    return parts, {"how": "two files"} | _lists(parts)


def _require_apart(source: Source, other: Source) -> None:
    """No video, and no two clips of one video, in both files."""
    names = {video.name: k for k, video in enumerate(source.ground_truth.videos)}
    sources = {origin(name): name for name in names}
    for k, video in enumerate(other.ground_truth.videos):
        remedy = "no video may be trained on and diagnosed"
        if video.name in names:
            problem = f"video {video.name!r} is also videos[{names[video.name]}] of {source.path}"
            raise InputError(other.path, f"videos[{k}]", problem, remedy)
        if origin(video.name) in sources:
            problem = f"{video.name!r} was cut from the same video as {sources[origin(video.name)]!r} of {source.path}"
            raise InputError(other.path, f"videos[{k}]", problem, remedy)


def _require_equal_categories(source: Source, other: Source) -> None:
    """Both files must mean the same by a category id."""
    tables = [{item.id: item.name for item in file.ground_truth.categories} for file in (source, other)]
    for number in sorted(tables[0].keys() | tables[1].keys()):
        if tables[0].get(number) != tables[1].get(number):
            problem = f"category {number} is {tables[1].get(number)!r}, but {tables[0].get(number)!r} in {source.path}"
            raise InputError(other.path, "categories", problem, "give two files with the same categories")


def _lists(parts: Sequence[Part]) -> dict[str, Any]:
    """Names of the videos of each split, sorted."""
    return {"videos": {part.name: sorted(video.name for video in part.videos) for part in parts}}
