"""Clips of T frames: training targets per instance, and sliding windows over a video with features computed once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.datasets.transforms import BaseFrameSample
from mmdet.registry import TRANSFORMS
from mmdet.structures import TrackDataSample
from torch import Tensor
from torch.nn import functional

from methods.runtime.frames import VideoFrames
from methods.runtime.heap import Heap

Features = tuple[Tensor, ...]
_HEAP = Heap()  # one for the process: what short videos leave behind adds up


class ClipSample(BaseFrameSample):
    """Base of the methods' clip samplers: a subclass says which frames make the clip of a key frame."""

    def frames(self, key: int, length: int) -> list[int]:
        """Indices of the clip's frames among the video's annotated frames, in the clip's order.

        Args:
            key: Index of the key frame.
            length: Number of annotated frames of the video.
        """
        raise NotImplementedError

    def transform(self, video_infos: dict[str, Any]) -> dict[str, Any]:
        """The clip's frames as lists, with the key frame flagged (its first occurrence)."""
        key = video_infos["key_frame_id"]
        chosen = self.frames(key, video_infos["video_length"])
        results: dict[str, Any] = self.prepare_data(video_infos, chosen)
        first = chosen.index(key)
        results["key_frame_flags"] = [position == first for position in range(len(chosen))]
        return results


@TRANSFORMS.register_module()
class StillFrame(ClipSample):
    """The key frame alone: T = 1, as in the papers' pretraining on images."""

    def frames(self, key: int, length: int) -> list[int]:
        """The key frame."""
        return [key]


@dataclass(frozen=True)
class ClipTargets:
    """The objects of one clip, by ascending identity; an object counts if one sampled frame shows it.

    Attributes:
        labels: [n] contiguous class labels.
        boxes: [n, T, 4] x1, y1, x2, y2 in pixels of the network's input; zeros where the object is absent.
        masks: [n, T, H, W] bool, padded to the batch's input size; empty where the object is absent.
        visible: [n, T] bool, whether the frame shows the object.
        identities: [n] instance ids, unique over the split.
    """

    labels: Tensor
    boxes: Tensor
    masks: Tensor
    visible: Tensor
    identities: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, objects: Tensor, frames: slice) -> ClipTargets:
        """Some objects (mask [n] or indices) in some frames."""
        return ClipTargets(
            self.labels[objects],
            self.boxes[objects, frames],
            self.masks[objects, frames],
            self.visible[objects, frames],
            self.identities[objects],
        )

    def scaled_masks(self, stride: int) -> Tensor:
        """Masks [n, T, ceil(H / stride), ceil(W / stride)] in 0..1, resized bilinearly and left soft."""
        height, width = self.masks.shape[-2:]
        size = (-(-height // stride), -(-width // stride))
        return functional.interpolate(self.masks.float(), size=size, mode="bilinear", align_corners=False)


def clip_targets(samples: Sequence[TrackDataSample], device: torch.device | str) -> list[ClipTargets]:
    """Targets of a batch of clips.

    Args:
        samples: One per clip; every frame holds ``gt_instances`` with ``instances_ids``, ``labels``, ``bboxes`` and
            ``masks`` (padded by the data preprocessor).
        device: Where the targets are needed.
    """
    return [_one_clip(sample, device) for sample in samples]


def _one_clip(sample: TrackDataSample, device: torch.device | str) -> ClipTargets:
    instances = [frame.gt_instances for frame in sample.video_data_samples]
    identities = torch.cat([item.instances_ids.long() for item in instances]).unique().to(device)
    count, length = len(identities), len(instances)
    labels = torch.zeros(count, dtype=torch.long, device=device)
    boxes = torch.zeros(count, length, 4, device=device)
    masks = torch.zeros(count, length, *sample[0].batch_input_shape, dtype=torch.bool, device=device)
    for frame, item in enumerate(instances):
        if len(item):
            rows = torch.searchsorted(identities, item.instances_ids.long().to(device))
            labels[rows] = item.labels.to(device)
            boxes[rows, frame] = item.bboxes.float().to(device)
            masks[rows, frame] = item.masks.to_tensor(torch.bool, device)
    visible = masks.flatten(2).any(dim=2)  # a crop can leave a corner of the box but nothing of the object
    boxes[~visible] = 0
    targets = ClipTargets(labels, boxes, masks, visible, identities)
    return targets.subset(visible.any(dim=1), slice(None))


def padding_mask(samples: Sequence[TrackDataSample], stride: int, size: tuple[int, int], device: Any) -> Tensor:
    """Which cells of a feature map lie wholly in the padding.

    An image of height h covers ``ceil(h / stride)`` rows of cells.

    Args:
        samples: One per clip, all with the same number of frames; frames of a clip have one size.
        stride: Stride of the feature map.
        size: Rows and columns of the feature map.
        device: Where the mask is needed.

    Returns:
        [N, T, rows, columns], True in the padding.
    """
    mask = torch.ones(len(samples), len(samples[0]), *size, dtype=torch.bool, device=device)
    for row, sample in enumerate(samples):
        height, width = sample[0].img_shape[:2]
        mask[row, :, : -(-height // stride), : -(-width // stride)] = False
    return mask


def window_length(length: int, window: int, whole_video: int) -> int:
    """Frames per clip at test time: the whole video up to ``whole_video`` frames, windows of ``window`` beyond.

    Args:
        length: Frames of the video.
        window: Clip length for long videos, >= 1.
        whole_video: Longest video that is handled in one clip; memory grows with it. 0 always slides.
    """
    return length if length <= max(whole_video, window) else window


def clip_ranges(length: int, window: int, stride: int) -> Iterator[range]:
    """Frames of each clip: starts 0, stride, 2 stride, ...; the clip that reaches the end is moved back and is last.

    Own implementation of the published rule (official IFC, ``ifc/ifc.py``). Every frame is covered; neighbouring
    clips overlap if ``stride < window``.

    Args:
        length: Frames of the video, >= 1.
        window: Frames per clip.
        stride: Distance of clip starts, 1..window.

    Raises:
        ValueError: The stride would skip frames.
    """
    if not 1 <= stride <= window:
        raise ValueError(f"clips of {window} frames need a stride from 1 to {window}, not {stride}")
    for start in range(0, length, stride):
        if start + window >= length:
            yield range(max(0, length - window), length)
            return
        yield range(start, start + window)


def sliding_clips(
    frames: VideoFrames, window: int, stride: int, encode: Callable[[dict[str, Any]], Features], chunk: int = 1
) -> Iterator[tuple[range, Features]]:
    """Overlapping clips of a video; each frame is read and encoded once, and kept while a later clip needs it.

    Args:
        frames: The video.
        window: Frames per clip.
        stride: Distance of clip starts.
        encode: Features of a batch as ``VideoFrames.batch`` gives it, each [frames, ...] (typically the backbone).
        chunk: Frames per call of ``encode``.

    Yields:
        The clip's frames and its features, each [T, ...].
    """
    cache: deque[Features] = deque()
    first, encoded = 0, 0
    for clip in clip_ranges(frames.length, window, stride):
        while first < clip.start:
            cache.popleft()
            first += 1
        while encoded < clip.stop:
            stop = min(encoded + chunk, clip.stop)
            batch = encode(frames.batch(range(encoded, stop)))
            # Clones: a slice would keep its whole chunk alive.
            cache.extend(tuple(level[row].clone() for level in batch) for row in range(stop - encoded))
            encoded = stop
        yield clip, tuple(torch.stack(level) for level in zip(*cache, strict=True))
        _HEAP.give_back()
