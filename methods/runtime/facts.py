"""What a method must know of a dataset folder: classes, sizes, checksums. Imports no torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mindthegap.errors import InputError
from mindthegap.files import read_json, sha256_file
from mindthegap.formats.model import video_name


@dataclass(frozen=True)
class DatasetFacts:
    """Facts of one split of a dataset folder.

    Attributes:
        dataset: Name from the manifest.
        split: Name of the split.
        annotations: Path of the split's JSON.
        frames_dir: Folder that ``file_names`` are relative to.
        sha256: Checksum of the split's JSON.
        classes: Class names in ascending category id; the position is the contiguous label.
        category_ids: Category ids in the same order.
        videos: Number of videos.
        frames: Number of frames.
        annotated_frames: Number of frames that show at least one object.
        identities: Number of object tracks.
        max_objects_per_frame: Largest number of objects that one frame shows.
        frame_size: Commonest (height, width) of the videos.
        video_names: Folder of each video's frames, sorted; weights say by them what they were trained on.
    """

    dataset: str
    split: str
    annotations: Path
    frames_dir: Path
    sha256: str
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    videos: int
    frames: int
    annotated_frames: int
    identities: int
    max_objects_per_frame: int
    frame_size: tuple[int, int]
    video_names: tuple[str, ...] = ()


def _checked_sha256(manifest: Any, folder: Path, split: str, annotations: Path) -> str:
    """The split's checksum, after comparing the file with the manifest."""
    remedy = "build the dataset folder again"
    try:
        expected = manifest["splits"][split]["sha256"]
    except (KeyError, TypeError):
        raise InputError(folder / "manifest.json", f"splits.{split}.sha256", "is missing", remedy) from None
    if not annotations.is_file():
        raise InputError(annotations, "", "there is no such file", remedy)
    actual = sha256_file(annotations)
    if actual != expected:
        raise InputError(annotations, "", "was changed after manifest.json was written (SHA-256 differs)", remedy)
    return actual


def _objects_per_frame(annotations: list[dict[str, Any]]) -> Counter[tuple[int, int]]:
    """Number of masks of every (video id, frame) that shows at least one object."""
    return Counter(
        (annotation["video_id"], frame)
        for annotation in annotations
        for frame, mask in enumerate(annotation["segmentations"])
        if mask
    )


def read_facts(dataset_dir: Path, split: str) -> DatasetFacts:
    """Reads a dataset folder's manifest and one split.

    Args:
        dataset_dir: Dataset folder (``manifest.json``, ``<split>.json``, ``frames/``).
        split: ``train`` or ``diagnostic``.

    Raises:
        InputError: A file is missing, unreadable, or not the one the manifest describes.
    """
    folder = Path(dataset_dir)
    manifest = read_json(folder / "manifest.json")
    annotations = folder / f"{split}.json"
    sha256 = _checked_sha256(manifest, folder, split, annotations)
    frames_dir = folder / "frames"
    if not frames_dir.is_dir():
        raise InputError(frames_dir, "", "there is no such folder", "link it to the folder with the video frames")
    content = read_json(annotations)
    try:
        categories = sorted(content["categories"], key=lambda category: category["id"])
        objects = _objects_per_frame(content["annotations"])
        sizes = Counter((video["height"], video["width"]) for video in content["videos"])
        return DatasetFacts(
            dataset=str(manifest["dataset"]),
            split=split,
            annotations=annotations,
            frames_dir=frames_dir,
            sha256=sha256,
            classes=tuple(str(category["name"]) for category in categories),
            category_ids=tuple(int(category["id"]) for category in categories),
            videos=len(content["videos"]),
            frames=sum(len(video["file_names"]) for video in content["videos"]),
            annotated_frames=len(objects),
            identities=len(content["annotations"]),
            max_objects_per_frame=max(objects.values(), default=0),
            frame_size=min(sizes, key=lambda size: (-sizes[size], size), default=(0, 0)),
            video_names=tuple(sorted(video_name(video["file_names"]) for video in content["videos"])),
        )
    except (KeyError, TypeError, AttributeError) as error:
        problem = f"is not a YouTube-VIS file (missing or malformed {error})"
        raise InputError(annotations, "", problem, "run `mindthegap validate` on it") from error
