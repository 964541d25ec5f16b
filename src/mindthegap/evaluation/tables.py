"""Integer overlap tables: all that evaluation, oracle, strata and bootstrap ever need of the masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class OfficialSums:
    """Pixels of misfitting masks that the official evaluator leaves out (``--official-quirks`` only).

    Attributes:
        unseen_union: ``[Q, G]`` union pixels in frames past the end of the shorter track, which it never sees.
        unseen_intersection: ``[Q, G]`` shared pixels in those frames.
        skipped_union: ``[Q, G]`` union pixels in seen frames where both masks are there but differ in size.
    """

    unseen_union: Int64s
    unseen_intersection: Int64s
    skipped_union: Int64s


@dataclass(frozen=True, eq=False)
class VideoOverlaps:
    """Pixels of and between the tracks of one video.

    T frames, Q queries (distinct mask sequences among the rows, numbered by first appearance), G objects in file
    order, R rows in file order.

    Attributes:
        video_id: The video.
        length: T, frames of the video (of its longest track where ``official_quirks`` let longer ones in).
        height: Frame height in pixels.
        width: Frame width in pixels.
        query_area: ``[T, Q]`` pixels of query q in frame t, 0 = absent.
        object_area: ``[T, G]`` pixels of object g in frame t, 0 = absent.
        intersection: ``[T, Q, G]`` pixels that both cover.
        object_id: ``[G]`` annotation ids.
        object_category: ``[G]`` category ids.
        object_crowd: ``[G]`` crowd regions: neither counted nor punished.
        object_mean_area: ``[G]`` mean of the stored ``areas`` over frames where they are not 0 (official rule).
        object_occlusion: ``[G][T]`` OVIS levels, ``None`` for objects without.
        row_index: ``[R]`` position in the result file.
        row_query: ``[R]`` the row's query.
        row_category: ``[R]`` the row's category id.
        row_score: ``[R]`` the row's score.
        official: Present only in tables made with ``official_quirks``.
    """

    video_id: int
    length: int
    height: int
    width: int
    query_area: Int32s
    object_area: Int32s
    intersection: Int32s
    object_id: Int64s
    object_category: Int64s
    object_crowd: Bools
    object_mean_area: Floats
    object_occlusion: tuple[tuple[str | None, ...] | None, ...]
    row_index: Int64s
    row_query: Int64s
    row_category: Int64s
    row_score: Floats
    official: OfficialSums | None = None


@dataclass(frozen=True, eq=False)
class OverlapTables:
    """The tables of a result file against a ground truth; videos ascend by id, categories too."""

    videos: tuple[VideoOverlaps, ...]
    category_ids: tuple[int, ...]
    category_names: tuple[str, ...]
    synthetic: bool
