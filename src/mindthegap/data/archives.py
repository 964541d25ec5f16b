"""ZIP and TAR archives as datasets are handed out: listed and read member by member, never trusted.

An archive that could write outside of its folder (absolute paths, ``..``, links, devices) is refused as a whole.
"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple

from mindthegap.errors import InputError
from mindthegap.progress import track

if TYPE_CHECKING:
    from mindthegap.config.datasets import FolderDataset

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_MIB = 2**20
_LARGEST_EXPANSION = 200  # text of run lengths shrinks to a fifth or so, pictures not at all
_REMEDY_FETCH = "fetch the archive again"
_REMEDY_OFFICIAL = "use the archive that the dataset's owner hands out"


class Entry(NamedTuple):
    """A regular file in an archive: its size in bytes, and its CRC-32 where the archive stores one (ZIP does)."""

    size: int
    crc: int | None


@dataclass(frozen=True)
class Place:
    """A path of the configuration: a file or folder on disk, or something in an archive.

    Attributes:
        path: What lies on the disk.
        inner: Path within the archive, without slashes at its ends; empty for the archive as a whole.
        packed: Whether ``path`` is an archive.
    """

    path: Path
    inner: str = ""
    packed: bool = False


def locate(path: str | Path) -> Place:
    """Tells ``train.zip`` and ``train.zip/train/JPEGImages`` from ordinary files and folders."""
    path = Path(path)
    for candidate in (path, *path.parents):
        if candidate.name.lower().endswith(SUFFIXES) and not candidate.is_dir():
            inner = path.relative_to(candidate).as_posix()
            return Place(candidate, "" if inner == "." else inner, True)
    return Place(path)


def source_files(spec: FolderDataset) -> list[str]:
    """The user's files behind a prepared dataset, archives included; folders cannot be told to have changed."""
    split = spec.split
    split = spec.split
    others = (split.diagnostic_annotations, split.diagnostic_frames, split.diagnostic_list) if split else ()
    given = [spec.annotations, spec.frames, *filter(None, others)]
    files = dict.fromkeys(locate(path).path for path in given)
    return [str(file) for file in files if file.is_file()]


class Archive:
    """A listed archive.

    Args:
        path: ZIP, or TAR with any compression that Python reads; told apart by content.
        progress: Whether to show progress on standard error.

    Attributes:
        files: Every regular file by its name in the archive.

    Raises:
        InputError: The file is missing, damaged or cut off, encrypted, or holds members that lead out of a folder.
    """

    def __init__(self, path: str | Path, *, progress: bool = True) -> None:
        self.path = Path(path)
        self._progress = progress
        with archive_errors(self.path):
            self._zip = zipfile.is_zipfile(self.path) or self.path.suffix.lower() == ".zip"
            self.files = dict(self._list_zip() if self._zip else self._list_tar())

    def streams(self, wanted: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        """Yields name and content of each wanted file, in the archive's order; read each before asking for the next."""
        return self._zip_streams(wanted) if self._zip else self._tar_streams(wanted)

    def _zip_streams(self, wanted: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        with zipfile.ZipFile(self.path) as archive:
            for info in archive.infolist():
                if info.filename in wanted:
                    with archive.open(info) as stream:
                        yield info.filename, stream

    def _tar_streams(self, wanted: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        with tarfile.open(self.path, "r|*") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # or tarfile would keep them all
                name = member.name.removeprefix("./")
                stream = tar.extractfile(member) if name in wanted else None
                if stream is not None:
                    yield name, stream

    def read(self, name: str) -> bytes:
        """The content of one file.

        Raises:
            InputError: The archive is damaged.
        """
        with archive_errors(self.path):
            for _, stream in self.streams([name]):
                return stream.read()
        raise InputError(self.path, name, "is not in the archive", _REMEDY_FETCH)

    def _list_zip(self) -> Iterator[tuple[str, Entry]]:
        seen: set[str] = set()
        with zipfile.ZipFile(self.path) as archive:
            for info in archive.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                link = bool(kind) and kind not in (stat.S_IFREG, stat.S_IFDIR)
                self._check(info.filename, link, info.filename in seen)
                if info.flag_bits & 1:
                    raise InputError(self.path, info.filename, "is encrypted", _REMEDY_OFFICIAL)
                if not info.is_dir():
                    seen.add(info.filename)
                    self._check_size(info.filename, info.file_size)
                    yield info.filename, Entry(info.file_size, info.CRC)

    def _list_tar(self) -> Iterator[tuple[str, Entry]]:
        found: dict[str, Entry] = {}
        blocks = 1 + self.path.stat().st_size // _MIB
        for _ in track(self._walk_tar(found), f"listing {self.path.name}", blocks, enabled=self._progress):
            pass
        yield from found.items()

    def _walk_tar(self, found: dict[str, Entry]) -> Iterator[None]:
        """Fills ``found``; yields once per MiB of the file."""
        told = 0
        with self.path.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|*") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]
                name = member.name.removeprefix("./")  # as `tar -cf train.tar .` writes them
                self._check(name, not (member.isreg() or member.isdir()), name in found)
                if member.isreg():
                    self._check_size(name, member.size)
                    found[name] = Entry(member.size, None)
                while told < raw.tell() // _MIB:
                    told += 1
                    yield

    def _check(self, name: str, link: bool, twice: bool) -> None:
        """Refuses members that lead out of the folder, are no files, or come twice."""
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or (parts.parts[:1] and parts.parts[0].endswith(":")):
            raise InputError(self.path, repr(name), "leads out of the folder it is unpacked to", _REMEDY_OFFICIAL)
        if link:
            raise InputError(self.path, repr(name), "is a link or a device, not a file", _REMEDY_OFFICIAL)
        if twice:
            raise InputError(self.path, repr(name), "is in the archive twice", _REMEDY_OFFICIAL)

    def _check_size(self, name: str, size: int) -> None:
        """Refuses what expands beyond all measure."""
        packed = self.path.stat().st_size
        if size > max(100 * _MIB, _LARGEST_EXPANSION * packed):
            problem = f"would grow to {size / _MIB:.0f} MiB, out of an archive of {packed / _MIB:.1f} MiB"
            raise InputError(self.path, repr(name), problem, _REMEDY_OFFICIAL)


@contextmanager
def archive_errors(path: Path) -> Iterator[None]:
    """Turns what the readers raise into one sentence about ``path``; errors of the disk pass."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(path, "", "there is no such file", "check the path") from None
    except PermissionError:
        raise InputError(path, "", "may not be read", "change its permissions") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise InputError(path, "", f"is damaged or cut off ({_reason(error)})", _REMEDY_FETCH) from None
    except (NotImplementedError, RuntimeError) as error:
        raise InputError(path, "", f"cannot be unpacked ({_reason(error)})", _REMEDY_OFFICIAL) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise InputError(path, "", f"is damaged or cut off ({_reason(error)})", _REMEDY_FETCH) from None


def _reason(error: Exception) -> str:
    """A library's message as a clause."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def annotations_member(archive: Archive, inner: str) -> str:
    """The JSON in an archive.

    Args:
        archive: Where to look.
        inner: Its name in there; empty if it is the only one.

    Raises:
        InputError: There is none, or several to choose from.
    """
    found = [name for name in archive.files if name.endswith(".json") and not name.startswith("__MACOSX/")]
    if inner:
        if inner in archive.files:
            return inner
        remedy = f"name one that is ({_some(found)})" if found else "name the file or archive with the annotations"
        raise InputError(archive.path, inner, "is not in the archive", remedy)
    if not found:
        raise InputError(archive.path, "", "holds no .json file", "name the file or archive with the annotations")
    if len(found) > 1:
        remedy = f"name one of them, e.g. {archive.path / found[0]}"
        raise InputError(archive.path, "", f"holds several .json files ({_some(found)})", remedy)
    return found[0]


def _some(names: list[str]) -> str:
    """The first few names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
