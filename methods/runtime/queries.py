"""Query embeddings per frame, beside the result file: lets one see in embedding space why identities are confused."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from mindthegap.files import atomic_path

Arrays = dict[str, np.ndarray]


class QueryRecorder:
    """Gathers the embeddings of one video; a method adds to it while it predicts.

    A method that does so sets the class attribute ``records_queries`` to True.
    """

    def __init__(self) -> None:
        self._query_ids: list[int] = []
        self._frames: list[int] = []
        self._embeddings: list[np.ndarray] = []

    def add(self, query_id: int, frame: int, embedding: Tensor) -> None:
        """Adds what one query looks like in one frame; a query may have several entries per frame, one per clip.

        Args:
            query_id: As in the result file's rows.
            frame: Index of the frame in the video.
            embedding: [D], the same D in the whole run.
        """
        self._query_ids.append(query_id)
        self._frames.append(frame)
        self._embeddings.append(embedding.detach().float().cpu().numpy())

    def add_clip(self, query_ids: Iterable[int], frames: Sequence[int], embeddings: Tensor) -> None:
        """Adds a clip's queries, each with one embedding for all frames: ``embeddings`` [n, D]."""
        for query_id, embedding in zip(query_ids, embeddings, strict=True):
            for frame in frames:
                self.add(query_id, frame, embedding)

    def arrays(self) -> Arrays:
        """``query_id`` [N] and ``frame`` [N] int32, ``embedding`` [N, D] float32, in the order of adding."""
        embeddings = np.stack(self._embeddings) if self._embeddings else np.zeros((0, 0), np.float32)
        return {
            "query_id": np.array(self._query_ids, np.int32),
            "frame": np.array(self._frames, np.int32),
            "embedding": embeddings.astype(np.float32),
        }


def write_queries(path: Path, arrays: Arrays) -> None:
    """Writes an npz file atomically; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_queries(path: Path) -> Arrays:
    """The arrays of a file that ``write_queries`` wrote."""
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def merge_queries(path: Path, parts: Iterable[tuple[int, Path]]) -> None:
    """Joins the videos' files into one, with the column ``video_id`` [N] int64 added.

    Args:
        path: Output file.
        parts: Video id and file of each video, in the order wanted.
    """
    gathered: dict[str, list[np.ndarray]] = {"video_id": [], "query_id": [], "frame": [], "embedding": []}
    for video_id, part in parts:
        arrays = read_queries(part)
        if len(arrays["frame"]):
            gathered["video_id"].append(np.full(len(arrays["frame"]), video_id, np.int64))
            for name, values in arrays.items():
                gathered[name].append(values)
    empty = QueryRecorder().arrays() | {"video_id": np.zeros(0, np.int64)}
    write_queries(path, {name: np.concatenate(values) if values else empty[name] for name, values in gathered.items()})
