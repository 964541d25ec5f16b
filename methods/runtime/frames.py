"""Frames of one video for inference: streamed from disk through the method's test pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmcv.transforms import Compose

from methods.runtime.queries import QueryRecorder


class VideoFrames:
    """A video that is read in consecutive groups of frames.

    Args:
        video: Entry of the JSON's ``videos``.
        frames_dir: Folder that ``file_names`` are relative to.
        pipeline: The method's composed test pipeline, ending in ``PackTrackInputs``.
        queries: Where the method leaves its query embeddings; None when nobody asked for them.

    Attributes:
        length: Number of frames.
        load_seconds: Time spent on reading and resizing so far.
    """

    def __init__(
        self, video: dict[str, Any], frames_dir: Path, pipeline: Compose, queries: QueryRecorder | None = None
    ) -> None:
        self.video_id: int = video["id"]
        self.height: int = video["height"]
        self.width: int = video["width"]
        self.names: Sequence[str] = video["file_names"]
        self.length = len(self.names)
        self.load_seconds = 0.0
        self.queries = queries
        self._frames_dir, self._pipeline = Path(frames_dir), pipeline

    def batch(self, indices: Sequence[int]) -> dict[str, list[Any]]:
        """Frames as mmdet's data preprocessor takes them: one video of ``len(indices)`` frames."""
        started = time.perf_counter()
        count = len(indices)
        packed = self._pipeline(
            {
                "img_path": [str(self._frames_dir / self.names[index]) for index in indices],
                "img_id": list(indices),
                "frame_id": list(indices),
                "video_id": [self.video_id] * count,
                "height": [self.height] * count,
                "width": [self.width] * count,
                "video_length": [count] * count,
                "ori_video_length": [self.length] * count,
            }
        )
        self.load_seconds += time.perf_counter() - started
        return {"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]}

    def batches(self, size: int) -> Iterator[dict[str, list[Any]]]:
        """All frames in order, ``size`` at a time."""
        for start in range(0, self.length, size):
            yield self.batch(range(start, min(start + size, self.length)))
