"""Frames out of an archive: only those that the annotations name, each checked before it is written.

A frame appears under its name complete or not at all. A later start compares what is there with the archive (size and
CRC-32; for TAR, which stores no checksum, byte by byte) and writes only what is missing.
"""

from __future__ import annotations

import io
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mindthegap.data.archives import Archive, archive_errors
from mindthegap.data.frames import path_fault
from mindthegap.data.pictures import picture_fault
from mindthegap.data.staging import own_prefix, remove_orphans
from mindthegap.errors import InputError, MindTheGapError
from mindthegap.files import disk_errors
from mindthegap.formats import Video
from mindthegap.progress import track

_MIB = 2**20


@dataclass(frozen=True)
class _Frame:
    """A frame that is wanted: its place below the folder with frames, and its video's size in pixels."""

    name: str
    width: int
    height: int

    @property
    def most_bytes(self) -> int:
        """No file is larger than its pixels in 16 bits and a generous header."""
        return 6 * self.width * self.height + _MIB


def unpack_frames(
    archive: Archive, inner: str, videos: Sequence[Video], folder: Path | None, *, progress: bool = True
) -> None:
    """Checks the frames of ``videos`` in an archive and writes those that ``folder`` lacks.

    Args:
        archive: The archive.
        inner: The folder in it that ``file_names`` are relative to; empty to look for it.
        videos: Whose frames are wanted.
        folder: Where they go; None only checks them.
        progress: Whether to show it on standard error.

    Raises:
        InputError: A frame is missing, damaged, not RGB or not of its video's size, or the archive is damaged.
        MindTheGapError: There is not enough room on the disk.
    """
    wanted = _wanted(archive, inner, videos)
    done: set[str] = set()
    if folder is not None:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            remove_orphans(folder)
        done = _unpacked(archive, wanted, folder, progress)
        _require_room(archive, wanted.keys() - done, wanted, folder)
    left = wanted.keys() - done
    with archive_errors(archive.path):
        for name, stream in track(archive.streams(left), f"unpacking {archive.path.name}", len(left), enabled=progress):
            _take(archive, name, stream, wanted[name], folder)


def _unpacked(archive: Archive, wanted: Mapping[str, _Frame], folder: Path, progress: bool) -> set[str]:
    """Members that an earlier start wrote, by size and CRC-32; their pictures are checked against their videos."""
    done = set()
    for name in track(sorted(wanted), "comparing unpacked frames", len(wanted), enabled=progress):
        frame, entry = wanted[name], archive.files[name]
        if entry.crc is not None and _size(folder / frame.name) == entry.size:
            content = (folder / frame.name).read_bytes()
            if zlib.crc32(content) == entry.crc:
                _require_sound(archive, name, content, frame)
                done.add(name)
    return done


def _size(path: Path) -> int:
    """Size in bytes; -1 for what is no file."""
    return path.stat().st_size if path.is_file() else -1


def _wanted(archive: Archive, inner: str, videos: Sequence[Video]) -> dict[str, _Frame]:
    """The frames of ``videos`` by their member in the archive."""
    frames = [_Frame(name, video.width, video.height) for video in videos for name in video.file_names]
    for frame in frames:
        fault = path_fault(frame.name)
        if fault:
            raise InputError(archive.path, "", f"a frame of the annotations, {fault.problem}", fault.remedy)
    prefix = f"{inner}/" if inner else _prefix(archive, frames[0].name)
    if not any(name.startswith(prefix) for name in archive.files):
        remedy = f"name {archive.path / _prefix(archive, frames[0].name)}"
        raise InputError(archive.path, inner, "is no folder in the archive", remedy)
    missing = [frame.name for frame in frames if prefix + frame.name not in archive.files]
    if missing:
        others = f" (and {len(missing) - 1} more files)" if len(missing) > 1 else ""
        problem = f"lacks {prefix}{missing[0]}, a frame that the annotations name{others}"
        raise InputError(archive.path, "", problem, "use the archive that belongs to these annotations")
    wanted = {prefix + frame.name: frame for frame in frames}
    for name, frame in wanted.items():
        if archive.files[name].size > frame.most_bytes:
            problem = f"has {archive.files[name].size} bytes, more than any {frame.width}x{frame.height} picture needs"
            raise InputError(archive.path, repr(name), problem, "use the archive that the dataset's owner hands out")
    return wanted


def _prefix(archive: Archive, first: str) -> str:
    """The folder in the archive that holds the frame ``first``."""
    found = sorted(name.removesuffix(first) for name in archive.files if name == first or name.endswith(f"/{first}"))
    found = [prefix for prefix in found if not prefix.startswith("__MACOSX/")]
    if not found:
        problem = f"does not hold {first}, the first frame that the annotations name"
        raise InputError(archive.path, "", problem, "use the archive that belongs to these annotations")
    if len(found) > 1:
        problem = f"holds {first} in several folders ({', '.join(found[:3])})"
        raise InputError(archive.path, "", problem, f"name one of them, e.g. {archive.path / found[0]}")
    return found[0]


def _require_room(archive: Archive, left: Iterable[str], wanted: Mapping[str, _Frame], folder: Path) -> None:
    """Refuses to start what cannot end, with a hundredth to spare for the file system's own needs."""
    sizes = ((archive.files[name].size, _size(folder / wanted[name].name)) for name in left)
    needed = 1.01 * sum(size for size, there in sizes if size != there)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise MindTheGapError(
            f"{folder}: unpacking {archive.path.name} needs {needed / _MIB:.1f} MiB, but the disk has "
            f"{free / _MIB:.1f} MiB left; free some space, or choose another folder for results."
        )


def _take(archive: Archive, name: str, stream: IO[bytes], frame: _Frame, folder: Path | None) -> None:
    """Reads one frame, checks it and writes it unless it is there already."""
    content = stream.read()
    _require_sound(archive, name, content, frame)
    if folder is None:
        return
    target = folder / frame.name
    if _size(target) == len(content) and target.read_bytes() == content:
        return
    with disk_errors(folder):
        temporary = folder / f"{own_prefix()}frame"
        try:
            temporary.write_bytes(content)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def _require_sound(archive: Archive, name: str, content: bytes, frame: _Frame) -> None:
    """Refuses what is no picture of its video's size."""
    fault = picture_fault(io.BytesIO(content), frame.width, frame.height)
    if fault:
        raise InputError(archive.path, repr(name), fault.problem, fault.remedy)
