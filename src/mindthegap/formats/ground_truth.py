"""Reading YouTube-VIS 2019/2021 and OVIS ground truth, strictly."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mindthegap.errors import InputError
from mindthegap.files import read_json
from mindthegap.formats import rle
from mindthegap.formats.fields import Fields, finite, printable
from mindthegap.formats.masks import MaskReader
from mindthegap.formats.model import RLE, Category, GroundTruth, ObjectTrack, Video, video_name
from mindthegap.formats.problems import Problems, shown
from mindthegap.formats.reading import without_collection

OCCLUSION_LEVELS = ("no_occlusion", "slight_occlusion", "severe_occlusion")
"""OVIS's words for how much of an object is hidden (``oviseval.py``)."""

_HIDDEN = (
    "has no annotations (public validation and test files hide them)",
    "use a split that holds annotations, e.g. one carved from the training set",
)
_LENGTH_REMEDY = "write one entry per frame of the video, null where the object is absent"


def read_ground_truth(path: str | Path, *, official_quirks: bool = False) -> GroundTruth:
    """Reads and checks a ground-truth file.

    Args:
        path: YouTube-VIS or OVIS JSON (a byte order mark is accepted).
        official_quirks: Accepts annotation id 0, tracks of another length than the video and masks of another size,
            as the official evaluator does.

    Raises:
        InputError: The first problem found.
    """
    return check_ground_truth(path, Problems(str(path)), official_quirks=official_quirks)


def check_ground_truth(path: str | Path, problems: Problems, *, official_quirks: bool = False) -> GroundTruth:
    """Like ``read_ground_truth``, sending what is wrong to ``problems`` and leaving out what cannot be used.

    Raises:
        InputError: The file is no JSON object at all.
    """
    with without_collection():
        return _Reader(problems, official_quirks).read(read_json(path))


def parse_ground_truth(header: Any, annotations: Iterable[Any], problems: Problems) -> GroundTruth:
    """Checks ground truth whose annotations arrive one by one, so that they need not all be in memory as JSON.

    Args:
        header: The outermost JSON object; its own ``annotations``, if any, are not looked at.
        annotations: The entries of ``annotations`` in order.
        problems: Receives what is wrong.
    """
    with without_collection():
        return _Reader(problems, False, keep_runs=False).read(header, annotations)


class _Reader:
    """Walks one file; every method leaves out what it reports."""

    def __init__(self, problems: Problems, official_quirks: bool, *, keep_runs: bool = True) -> None:
        self.problems, self.quirks = problems, official_quirks
        self.masks = MaskReader(problems, any_size=official_quirks, keep_runs=keep_runs)
        self.ids: dict[str, dict[int, str]] = {"videos": {}, "categories": {}, "annotations": {}}
        self.videos: dict[int, Video] = {}
        self.categories: dict[int, Category] = {}

    def read(self, data: Any, annotations: Iterable[Any] | None = None) -> GroundTruth:
        """Reads the whole file; ``annotations`` given apart take the place of the section in ``data``."""
        if not isinstance(data, dict):
            problem = f"is {shown(data)}, not a JSON object with videos, categories and annotations"
            raise InputError(self.problems.path, "", problem, "give the ground truth here and the results after it")
        top = Fields(self.problems, "", data)
        for position, entry in enumerate(self._section(top, "videos")):
            self._read_video(f"videos[{position}]", entry)
        for position, entry in enumerate(self._section(top, "categories")):
            self._read_category(f"categories[{position}]", entry)
        objects = self._read_objects(self._section(top, "annotations") if annotations is None else annotations)
        for section, used in (("videos", self.videos), ("categories", self.categories)):
            self.problems.refused[section] = set(self.ids[section]) - set(used)
        info = data.get("info")
        synthetic = isinstance(info, dict) and info.get("synthetic") is True
        videos, categories = tuple(self.videos.values()), tuple(self.categories.values())
        return GroundTruth(self.problems.path, videos, categories, objects, synthetic)

    def _section(self, top: Fields, key: str) -> list[Any]:
        """One of the three lists of the file; empty after a problem."""
        entries = top.value.get(key)
        if isinstance(entries, list):
            return entries
        if key == "annotations" and entries is None:
            self.problems.add("structure", key, *_HIDDEN)
        else:
            found = f"is {shown(entries)}, not a list" if key in top.value else "is missing"
            self.problems.add("structure", key, found, "give a YouTube-VIS ground truth")
        return []

    def _unique(self, section: str, fields: Fields, minimum: int | None) -> int | None:
        """The entry's id, unless another entry has it."""
        number = fields.integer("id", minimum)
        if number is None:
            return None
        first = self.ids[section].setdefault(number, fields.place)
        if first != fields.place:
            problem = f"{number} is already the id of {first}"
            self.problems.add("duplicate id", f"{fields.place}.id", problem, "give every entry an id of its own")
            return None
        return number

    def _read_video(self, place: str, entry: Any) -> None:
        """Reads one entry of ``videos``."""
        fields = Fields(self.problems, place, entry)
        number = self._unique("videos", fields, None)
        height, width = fields.integer("height", 1), fields.integer("width", 1)
        names = self._file_names(fields)
        length = fields.integer("length", 1) if "length" in fields.value or names is None else len(names)
        if number is None or height is None or width is None or names is None or length is None:
            return
        if height * width > rle.MAX_PIXELS:
            problem = f"{height} x {width} is more than {rle.MAX_PIXELS} pixels"
            self.problems.add("frame size", place, problem, "write the frame size in pixels")
        elif length != len(names):
            problem = f"is {length}, but file_names has {len(names)} entries"
            self.problems.add("video length", f"{place}.length", problem, "make the two agree")
        else:
            self.videos[number] = Video(number, video_name(names), height, width, length, names)

    def _file_names(self, fields: Fields) -> tuple[str, ...] | None:
        """The frame files of a video."""
        names = fields.array("file_names", "list the frame files in order")
        if names is None:
            return None
        bad = [i for i, name in enumerate(names) if not isinstance(name, str) or not printable(name)]
        for i in bad:
            place, problem = f"{fields.place}.file_names[{i}]", f"is {shown(names[i])}, not a text"
            self.problems.add("file name", place, problem, "write the frame's file name")
        return None if bad else tuple(names)

    def _read_category(self, place: str, entry: Any) -> None:
        """Reads one entry of ``categories``."""
        fields = Fields(self.problems, place, entry)
        number, name = self._unique("categories", fields, None), fields.text("name")
        if number is not None and name is not None:
            self.categories[number] = Category(number, name)

    def _read_objects(self, entries: Iterable[Any]) -> tuple[ObjectTrack, ...]:
        """Reads ``annotations``; the masks are decoded together at the end."""
        tracks = [self._read_object(f"annotations[{i}]", entry) for i, entry in enumerate(entries)]
        self.masks.flush()
        return tuple(
            ObjectTrack(number, video, category, crowd, self.masks.finished(masks), areas, occlusion)
            for number, video, category, crowd, masks, areas, occlusion in filter(None, tracks)
        )

    def _read_object(self, place: str, entry: Any) -> tuple[Any, ...] | None:
        """Reads one entry of ``annotations``; its masks are filled in later."""
        fields = Fields(self.problems, place, entry)
        number = self._unique("annotations", fields, 0 if self.quirks else 1)
        video_id, category_id = fields.integer("video_id"), fields.integer("category_id")
        crowd = self._crowd(fields)
        remedy = "write one mask per frame"
        masks = fields.array("segmentations", remedy)
        areas = self._areas(fields)
        video = self._known(fields, "video_id", self.videos, video_id)
        category = self._known(fields, "category_id", self.categories, category_id)
        if video is None:
            return None
        for key in ("segmentations", "areas"):
            entries = fields.value.get(key)
            if isinstance(entries, list) and len(entries) != video.length and not self.quirks:
                problem = f"has {len(entries)} entries, but video {video.id} has {video.length} frames"
                self.problems.add("track length", f"{place}.{key}", problem, _LENGTH_REMEDY)
        occlusion = self._occlusion(fields, video)
        read: list[RLE | None] = self.masks.read(masks or [], f"{place}.segmentations", video)
        if number is None or category is None or masks is None or areas is None or crowd is None:
            return None
        return number, video.id, category.id, crowd, read, areas, occlusion

    def _known(self, fields: Fields, key: str, table: dict[int, Any], number: int | None) -> Any:
        """The video or category that ``number`` names; one that was itself refused gives ``None`` without a word."""
        section = "videos" if key == "video_id" else "categories"
        if number is None or number in table:
            return None if number is None else table[number]
        if number not in self.ids[section]:
            remedy = f"name an id that stands in {section}"
            self.problems.add(f"unknown {key}", f"{fields.place}.{key}", f"there is no {number} in {section}", remedy)
        return None

    def _crowd(self, fields: Fields) -> bool | None:
        """``iscrowd``: 0, 1, false or true."""
        value = fields.value.get("iscrowd")
        if isinstance(value, bool) or (type(value) is int and value in (0, 1)):
            return bool(value)
        fields.bad("iscrowd", "0 or 1", "write 0, or 1 for a region of many objects that is not to be counted")
        return None

    def _areas(self, fields: Fields) -> tuple[float | None, ...] | None:
        """The stored areas: non-negative finite numbers or null."""
        values = fields.array("areas", "write the mask's area per frame, null where the object is absent")
        if values is None:
            return None
        numbers = tuple(None if value is None else finite(value) for value in values)
        pairs = enumerate(zip(values, numbers, strict=True))
        bad = [i for i, (value, number) in pairs if value is not None and (number is None or number < 0)]
        for i in bad:
            place, problem = f"{fields.place}.areas[{i}]", f"is {shown(values[i])}, not a finite area of 0 or more"
            self.problems.add("area", place, problem, "write the mask's area in pixels or null")
        return None if bad else numbers

    def _occlusion(self, fields: Fields, video: Video) -> tuple[str | None, ...] | None:
        """OVIS occlusion levels, ``None`` where the file has none."""
        levels = fields.value.get("occlusion")
        if levels is None:
            return None
        place = f"{fields.place}.occlusion"
        if not isinstance(levels, list) or len(levels) != video.length:
            found = f"is {shown(levels)}, not a list of {video.length} levels"
            self.problems.add("occlusion", place, found, "write one level or null per frame, or leave the key out")
            return None
        bad = [i for i, level in enumerate(levels) if level is not None and level not in OCCLUSION_LEVELS]
        for i in bad:
            remedy = f"write null or one of {', '.join(OCCLUSION_LEVELS)}"
            self.problems.add("occlusion", f"{place}[{i}]", f"is {shown(levels[i])}, not a level", remedy)
        return None if bad else tuple(levels)
