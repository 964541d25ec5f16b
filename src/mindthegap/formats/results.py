"""Reading result files, strictly, against the ground truth they belong to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mindthegap.errors import InputError
from mindthegap.formats.fields import Fields, finite
from mindthegap.formats.masks import MaskReader
from mindthegap.formats.model import RLE, GroundTruth, ResultRow, Results, Video
from mindthegap.formats.problems import Problems, shown
from mindthegap.formats.reading import NotAListError, list_entries, without_collection

_NONE_REFUSED: Mapping[str, Collection[int]] = {}
_LENGTH_REMEDY = "write one entry per frame of the video, null where nothing is found (or use --official-quirks)"


def read_results(path: str | Path, ground_truth: GroundTruth, *, official_quirks: bool = False) -> Results:
    """Reads and checks a result file.

    Args:
        path: JSON list of ``{video_id, category_id, score, segmentations}``; an empty list is a valid result.
        ground_truth: What the results are about.
        official_quirks: Accepts rows of another length than the video, masks of another size and categories that the
            ground truth does not have (those rows are kept here and count for nothing), as the official evaluator does.

    Raises:
        InputError: The first problem found.
    """
    return check_results(path, ground_truth, Problems(str(path)), official_quirks=official_quirks)


def check_results(
    path: str | Path,
    ground_truth: GroundTruth,
    problems: Problems,
    *,
    official_quirks: bool = False,
    refused: Mapping[str, Collection[int]] = _NONE_REFUSED,
) -> Results:
    """Like ``read_results``, sending what is wrong to ``problems`` and leaving out what cannot be used.

    Args:
        path: As for ``read_results``.
        ground_truth: As for ``read_results``; may lack what its own check left out.
        problems: Receives what is wrong.
        official_quirks: As for ``read_results``.
        refused: ``Problems.refused`` of the ground truth: rows on such entries are left out without a word.

    Raises:
        InputError: The file is no JSON list at all.
    """
    with without_collection():
        return _Reader(problems, ground_truth, official_quirks, refused).read(list_entries(path))


class _Reader:
    """Walks one file; every method leaves out what it reports."""

    def __init__(
        self,
        problems: Problems,
        ground_truth: GroundTruth,
        official_quirks: bool,
        refused: Mapping[str, Collection[int]],
    ) -> None:
        self.refused_videos, self.refused_categories = refused.get("videos", ()), refused.get("categories", ())
        self.problems, self.quirks = problems, official_quirks
        self.masks = MaskReader(problems, any_size=official_quirks)
        self.videos = {video.id: video for video in ground_truth.videos}
        self.categories = {category.id for category in ground_truth.categories}
        self.gt_path = ground_truth.path

    def read(self, entries: Iterable[Any]) -> Results:
        """Reads the whole file."""
        try:
            rows = [self._read_row(index, entry) for index, entry in enumerate(entries)]
        except NotAListError as error:
            remedy = "give a result file as the evaluation servers take it"
            problem = f"is {shown(error.value)}, not a list of tracks"
            raise InputError(self.problems.path, "", problem, remedy) from None
        self.masks.flush()
        found = [row for row in rows if row is not None]
        tracks = {id(row[4]): row[4] for row in found}
        shared = {number: self.masks.finished(masks) for number, masks in tracks.items()}  # equal rows share a tuple
        complete = tuple(
            ResultRow(index, video, category, score, shared[id(masks)], query, frame_scores)
            for index, video, category, score, masks, query, frame_scores in found
        )
        return Results(self.problems.path, complete)

    def _read_row(self, index: int, entry: Any) -> tuple[Any, ...] | None:
        """Reads one row; its masks are filled in later."""
        place = f"[{index}]"
        fields = Fields(self.problems, place, entry)
        video_id, category_id = fields.integer("video_id"), fields.integer("category_id")
        score = fields.number("score")
        segmentations = fields.array("segmentations", "write one mask per frame (box results cannot be evaluated)")
        video, category = self._known_video(place, video_id), self._known_category(place, category_id)
        query = self._query(fields)
        if segmentations is None or video is None:
            return None
        if len(segmentations) != video.length and not self.quirks:
            problem = f"has {len(segmentations)} entries, but video {video.id} has {video.length} frames"
            self.problems.add("track length", f"{place}.segmentations", problem, _LENGTH_REMEDY)
        masks: list[RLE | None] = self.masks.read(segmentations, f"{place}.segmentations", video)
        frame_scores = self._frame_scores(fields, len(segmentations))
        if category is None or score is None:
            return None
        return index, video.id, category, score, masks, query, frame_scores

    def _known_video(self, place: str, number: int | None) -> Video | None:
        """The row's video, if the ground truth has it."""
        if number is not None and number not in self.videos and number not in self.refused_videos:
            problem = f"there is no video {shown(number)} in {self.gt_path}"
            self.problems.add("unknown video_id", f"{place}.video_id", problem, "give the results of this ground truth")
        return None if number is None else self.videos.get(number)

    def _known_category(self, place: str, number: int | None) -> int | None:
        """The row's category, if the ground truth has it (or quirks take any)."""
        if number is None or number in self.categories or self.quirks:
            return number
        if number not in self.refused_categories:
            problem = f"there is no category {shown(number)} in {self.gt_path}"
            remedy = "use the ground truth's category ids (or --official-quirks to leave such rows out)"
            self.problems.add("unknown category_id", f"{place}.category_id", problem, remedy)
        return None

    def _query(self, fields: Fields) -> int | str | None:
        """The optional ``query_id``: an integer or a text."""
        value = fields.value.get("query_id")
        if value is None or type(value) is int:
            return value
        return fields.text("query_id")

    def _frame_scores(self, fields: Fields, length: int) -> tuple[float, ...] | None:
        """The optional ``frame_scores``: as many finite numbers as there are masks."""
        values = fields.value.get("frame_scores")
        if values is None:
            return None
        place = f"{fields.place}.frame_scores"
        if not isinstance(values, list) or len(values) != length:
            found = f"is {shown(values)}, not a list of {length} numbers"
            self.problems.add("frame_scores", place, found, "write one score per frame, or leave the key out")
            return None
        numbers = tuple(number for number in map(finite, values) if number is not None)
        if len(numbers) == length:
            return numbers
        for i, value in enumerate(values):
            if finite(value) is None:
                found = f"is {shown(value)}, not a finite number"
                self.problems.add("frame_scores", f"{place}[{i}]", found, "write a finite number")
        return None
