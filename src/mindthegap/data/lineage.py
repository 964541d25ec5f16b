"""Which videos are cut from the same source, and which diagnosed videos a method has seen in training.

A score on videos that were trained on is too good, and every gap is then too small. Public checkpoints were trained on
the whole train part, which is also the only part whose ground truth is public, so this is the common case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mindthegap.errors import InputError
from mindthegap.files import read_text
from mindthegap.formats.model import video_name

_YOUTUBE_ID = re.compile(r"([\w-]{11})(?:[_.-]\d+)*", re.ASCII)


@dataclass(frozen=True)
class Seen:
    """What a method saw of the diagnosed videos while it was trained.

    Attributes:
        videos: Diagnosed videos that were trained on, or cut from the same source; None if nobody knows.
        of: All diagnosed videos.
        source: Who says so, e.g. the dataset or the list of the training videos.
    """

    videos: int | None
    of: int
    source: str

    @property
    def sentence(self) -> str:
        """A warning for whatever shows a number; empty if no diagnosed video was seen."""
        if self.videos is None:
            return f"It is not known whether the weights have seen the diagnosed videos ({self.source})."
        if not self.videos:
            return ""
        return (
            f"The weights have seen {self.videos} of {self.of} diagnosed videos in training ({self.source}): "
            "AP is likely too high and the gaps too small."
        )

    def to_dict(self) -> dict[str, Any]:
        """``{"videos": n, "of": m, "source": text}``, as it stands in ``gaps.json`` under ``contaminated``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Seen:
        """Reads what ``to_dict`` wrote."""
        return cls(value["videos"], int(value["of"]), str(value["source"]))


def origin(name: str) -> str:
    """The source a video was cut from as far as its name tells: a YouTube id in it, else the name itself.

    ``dQw4w9WgXcQ_12`` and ``dQw4w9WgXcQ/clip3`` have one origin. An id has 11 characters of [A-Za-z0-9_-]; words of
    that length are told from ids by holding two of: small letters, capitals, digits. The 10-digit names of YouTube-VIS
    and the 8-digit ones of OVIS stand for themselves.
    """
    for part in name.split("/"):
        match = _YOUTUBE_ID.fullmatch(part)
        if match and sum(bool(re.search(kind, match[1])) for kind in ("[a-z]", "[A-Z]", "[0-9]")) > 1:
            return match[1]
    return name


def seen(diagnosed: Iterable[str], trained: Iterable[str] | None, source: str) -> Seen:
    """Compares the names of videos.

    Args:
        diagnosed: Names of the diagnosed videos.
        trained: Names of the videos that the weights were trained on; None if they are not known.
        source: Where ``trained`` comes from.
    """
    names = list(diagnosed)
    if trained is None:
        return Seen(None, len(names), source)
    origins = {origin(name) for name in trained}
    return Seen(sum(origin(name) in origins for name in names), len(names), source)


def read_names(path: str | Path) -> list[str]:
    """Names of videos from a YouTube-VIS JSON, a dataset's ``manifest.json`` (its train part), or a text file.

    In a text file every line names a video; empty lines and what follows a ``#`` are skipped.

    Raises:
        InputError: The file is missing, or names no video.
    """
    if Path(path).suffix == ".json":
        from mindthegap.data.source import read_header  # large annotations must not be in memory as a whole

        names = _names_in_json(path, read_header(path))
    else:
        lines = (line.split("#", 1)[0].strip().rstrip("/") for line in read_text(path, "text").splitlines())
        names = [line for line in lines if line]
    if not names:
        raise InputError(path, "", "names no video", "write the name of one video per line")
    return sorted(set(names))


def _names_in_json(path: str | Path, content: Any) -> list[str]:
    """Names in a YouTube-VIS JSON or a manifest."""
    remedy = "give a YouTube-VIS JSON, a manifest.json, or a text file with one name per line"
    try:
        if "split_recipe" in content:
            return [str(name) for name in content["split_recipe"]["videos"].get("train", [])]
        return [video_name(video["file_names"]) for video in content["videos"]]
    except (KeyError, TypeError, AttributeError):
        raise InputError(path, "", "names no videos in a known way", remedy) from None
