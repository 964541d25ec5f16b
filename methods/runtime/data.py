"""Training data: a dataset folder's YouTube-VIS JSON as an mmdet video dataset, and the order it is read in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets import BaseVideoDataset
from mmdet.registry import DATA_SAMPLERS, DATASETS, TRANSFORMS
from mmengine.dist import get_dist_info
from pycocotools import mask as mask_utils
from torch.utils.data import Dataset, Sampler

from methods.runtime.determinism import STREAM_ITEM, STREAM_ORDER, seeded_item
from mindthegap.errors import InputError, MindTheGapError
from mindthegap.files import read_json


class FrameError(MindTheGapError):
    """A frame image is missing, unreadable or of the wrong size.

    Takes one argument, unlike ``InputError``, because a data worker's error is rebuilt from its message alone.
    """


@TRANSFORMS.register_module()
class LoadFrame(LoadImageFromFile):
    """Reads one frame as BGR uint8 [H, W, 3] and checks it against the annotation's height and width."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds ``img`` to ``results``.

        Raises:
            FrameError: The file is missing, cannot be decoded, or has another size.
        """
        path, expected = results["img_path"], (results["height"], results["width"])
        if not Path(path).is_file():
            raise FrameError(f"{path}: there is no such frame; check the frames folder of the dataset.")
        try:
            loaded = super().transform(results)
        except Exception as error:
            raise FrameError(f"{path}: the frame cannot be decoded ({error}); fetch it again.") from None
        if loaded is None or loaded["img"] is None:
            raise FrameError(f"{path}: the frame cannot be decoded; fetch it again.")
        if loaded["img"].shape[:2] != expected:
            height, width = loaded["img"].shape[:2]
            raise FrameError(
                f"{path}: the frame is {height}x{width} but the annotation says {expected[0]}x{expected[1]} "
                "(height x width); give the frames that the annotation was made for."
            )
        return loaded


def compressed_rle(segmentation: Any, height: int, width: int) -> dict[str, Any] | None:
    """Any form of a YouTube-VIS segmentation as compressed RLE with text counts, None for an empty or absent one.

    Args:
        segmentation: None, polygons, uncompressed RLE (list counts) or compressed RLE (text counts).
        height: Frame height in pixels.
        width: Frame width in pixels.

    Raises:
        ValueError: The segmentation has none of these forms, or its size is not the frame's.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        rle = mask_utils.merge(mask_utils.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        rle = mask_utils.frPyObjects(segmentation, *segmentation["size"])
    else:
        rle = segmentation
    if list(rle["size"]) != [height, width]:
        raise ValueError(f"size {list(rle['size'])} differs from the frame's [{height}, {width}]")
    if mask_utils.area(rle) == 0:
        return None
    counts = rle["counts"]
    return {"size": [height, width], "counts": counts.decode() if isinstance(counts, bytes) else counts}


@DATASETS.register_module()
class DatasetFolder(BaseVideoDataset):
    """Videos of a dataset folder, with classes from the JSON's own ``categories``.

    Labels are contiguous in ascending category id. Boxes are the masks' tight boxes. Instance ids are 1, 2, ... over
    the whole split (mmdet replaces an id of 0 by something else). Frames without an object are no training frames;
    videos without any are dropped, because samplers index into a video's frames.

    Args:
        ann_file: The split's JSON.
        frames_dir: Folder that ``file_names`` are relative to.
        seed: Seed of the augmentation of every item.
        pipeline: mmdet transforms.
    """

    def __init__(self, ann_file: str, frames_dir: str, seed: int, **kwargs: Any) -> None:
        self.frames_dir = Path(frames_dir)
        self.seed = seed
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Videos with their annotated frames, in the file's order."""
        content = read_json(self.ann_file)
        categories = sorted(content["categories"], key=lambda category: category["id"])
        self._metainfo["classes"] = tuple(category["name"] for category in categories)
        self.cat_ids = [category["id"] for category in categories]
        self.cat2label = {category_id: label for label, category_id in enumerate(self.cat_ids)}
        self.num_identities = len(content["annotations"])
        by_video: dict[int, list[tuple[int, dict[str, Any]]]] = {video["id"]: [] for video in content["videos"]}
        for identity, annotation in enumerate(content["annotations"], start=1):
            by_video[annotation["video_id"]].append((identity, annotation))
        return [self._video(video, by_video[video["id"]]) for video in content["videos"]]

    def _video(self, video: dict[str, Any], annotations: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
        images = [
            {
                "img_id": video["id"] * 100000 + frame,
                "img_path": str(self.frames_dir / name),
                "height": video["height"],
                "width": video["width"],
                "frame_id": frame,
                "instances": self._instances(video, annotations, frame),
            }
            for frame, name in enumerate(video["file_names"])
        ]
        return {"video_id": video["id"], "images": images, "video_length": len(images)}

    def _instances(
        self, video: dict[str, Any], annotations: list[tuple[int, dict[str, Any]]], frame: int
    ) -> list[dict[str, Any]]:
        instances = []
        for identity, annotation in annotations:
            try:
                rle = compressed_rle(annotation["segmentations"][frame], video["height"], video["width"])
            except (ValueError, KeyError, TypeError, IndexError) as error:
                place = f"annotation {annotation.get('id')}, frame {frame}"
                problem = f"has an unusable segmentation ({error})"
                raise InputError(self.ann_file, place, problem, "run `mindthegap validate` on it") from error
            if rle is None:
                continue
            x, y, width, height = mask_utils.toBbox(rle).tolist()
            instances.append(
                {
                    "bbox": [x, y, x + width, y + height],
                    "bbox_label": self.cat2label[annotation["category_id"]],
                    "mask": rle,
                    "instance_id": identity,
                    "ignore_flag": int(bool(annotation.get("iscrowd", 0))),
                }
            )
        return instances

    def filter_data(self) -> list[dict[str, Any]]:
        """Keeps frames with at least one object that is not a crowd, and videos with at least one such frame."""
        if self.test_mode:
            return self.data_list
        kept = []
        for video in self.data_list:
            images = [image for image in video["images"] if any(not item["ignore_flag"] for item in image["instances"])]
            if images:
                kept.append({**video, "images": images, "video_length": len(images)})
        if not kept:
            raise InputError(self.ann_file, "", "has no frame with an object to train on", "use another split")
        self._require_frames(kept)
        return kept

    @staticmethod
    def _require_frames(videos: list[dict[str, Any]]) -> None:
        """Names a missing frame before hours of training instead of after."""
        paths = (image["img_path"] for video in videos for image in video["images"])
        missing = next((path for path in paths if not Path(path).is_file()), None)
        if missing is not None:
            raise FrameError(f"{missing}: there is no such frame; check the frames folder of the dataset.")

    def prepare_data(self, idx: tuple[int, int, int]) -> Any:
        """One training item.

        Args:
            idx: Video index, key frame's index among the annotated frames, position in the training order.
        """
        video, frame, position = idx
        with seeded_item(STREAM_ITEM, self.seed, position):
            return super().prepare_data((video, frame))


@DATA_SAMPLERS.register_module()
class KeyFrameSampler(Sampler[tuple[int, int, int]]):
    """Endless order of key frames: every annotated frame once per pass, each pass in its own random order.

    Position ``p`` of the order depends on (seed, p) only, so ``skip`` resumes exactly, with any number of workers.

    Args:
        dataset: A ``DatasetFolder`` or ``JointFolders``.
        seed: Seed of the order.
    """

    def __init__(self, dataset: DatasetFolder | JointFolders, seed: int = 0) -> None:
        self.seed = seed
        self.rank, self.world_size = get_dist_info()
        self.keys = [
            (video, frame) for video in range(len(dataset)) for frame in range(dataset.get_len_per_video(video))
        ]
        self.start = 0

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        position, pass_number, order = self.rank + self.start * self.world_size, -1, np.empty(0, dtype=np.int64)
        while True:
            wanted, offset = divmod(position, len(self.keys))
            if wanted != pass_number:
                pass_number = wanted
                order = np.random.default_rng([STREAM_ORDER, self.seed, wanted]).permutation(len(self.keys))
            yield (*self.keys[order[offset]], position)
            position += self.world_size

    def __len__(self) -> int:
        return len(self.keys)

    def skip(self, num_samples: int) -> None:
        """Starts after ``num_samples`` items of this rank (mmengine calls it on resuming)."""
        self.start = num_samples

    def set_epoch(self, epoch: int) -> None:
        """Not used: passes are counted by position."""


@DATASETS.register_module()
class JointFolders(Dataset[Any]):
    """Several dataset folders as one: the videos of the first, then those of the second, and so on.

    Args:
        folders: Configurations of ``DatasetFolder``, each with its own pipeline; their categories are the same.
    """

    def __init__(self, folders: list[dict[str, Any]]) -> None:
        self.folders = [DATASETS.build(folder) for folder in folders]
        self.starts = np.cumsum([0, *(len(folder) for folder in self.folders)])
        self.metainfo = self.folders[0].metainfo

    def __len__(self) -> int:
        return int(self.starts[-1])

    def _found(self, video: int) -> tuple[DatasetFolder, int]:
        place = int(np.searchsorted(self.starts, video, side="right")) - 1
        return self.folders[place], video - int(self.starts[place])

    def get_len_per_video(self, video: int) -> int:
        """Number of annotated frames of a video."""
        folder, index = self._found(video)
        return int(folder.get_len_per_video(index))

    def __getitem__(self, index: tuple[int, int, int]) -> Any:
        """One training item, as ``DatasetFolder.prepare_data`` takes it."""
        folder, video = self._found(index[0])
        return folder[video, *index[1:]]
