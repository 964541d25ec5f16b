"""Reading and writing files so that a reader never meets a half-written one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mindthegap.errors import InputError, MindTheGapError

_DISK_ERRORS = {
    errno.ENOSPC: "the disk is full; free some space and start again",
    errno.EDQUOT: "the disk quota is used up; free some space and start again",
    errno.EACCES: "the folder is not writable; change its permissions or choose another one",
    errno.EPERM: "the folder is not writable; change its permissions or choose another one",
    errno.EROFS: "the file system is read-only; choose another folder",
}
_PLACE_ERRORS = {
    errno.ENOENT: "no file can be made there; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EEXIST: "a part of the path is a file, not a folder; choose another path",
    errno.EISDIR: "there is a folder of that name; choose another name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EINVAL: "no file can be made there; choose another folder",
}
_ARCHIVES = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
"""How compressed files begin."""


@contextmanager
def disk_errors(path: str | Path, *, place: bool = False) -> Iterator[None]:
    """Turns a full, read-only or forbidden disk into one sentence that names ``path``.

    Args:
        path: What is written.
        place: Also says so where no file of that path can exist at all.
    """
    known = _DISK_ERRORS | _PLACE_ERRORS if place else _DISK_ERRORS
    try:
        yield
    except OSError as error:
        if error.errno not in known:
            raise
        raise MindTheGapError(f"{path}: cannot be written: {known[error.errno]}.") from error


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, renamed to ``path`` on success and removed on failure.

    The temporary name keeps the suffix, because some writers choose the format by it. The content is flushed
    to disk before the rename, so that a crash leaves either the old file or the new one.
    """
    path = Path(path)
    with disk_errors(path, place=True):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
    with disk_errors(path):
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's file creation mask; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any, *, indent: int | None = None) -> None:
    """Writes ``value`` as JSON, atomically; NaN and infinity are refused because JSON has no word for them."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=indent, allow_nan=False)
        stream.write("\n")


def read_json(path: str | Path) -> Any:
    """Reads a JSON file (a UTF-8 byte order mark is accepted).

    Raises:
        InputError: The file is missing, unreadable, truncated, or not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise json_error(path, text, error) from None
    except ValueError:
        problem = "holds a number with thousands of digits"
        raise InputError(path, "", problem, "give a YouTube-VIS JSON file") from None
    except RecursionError:
        raise InputError(path, "", "is nested too deeply", "give a YouTube-VIS JSON file") from None


def read_text(path: str | Path, kind: str = "JSON") -> str:
    """Reads a UTF-8 file (a byte order mark is accepted).

    Args:
        path: The file.
        kind: What the file should be, for the message.

    Raises:
        InputError: The file is missing, unreadable, or not text.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(path, "", "there is no such file", "check the path") from None
    except IsADirectoryError:
        raise InputError(path, "", "is a folder, not a file", f"name the {kind} file in it") from None
    except PermissionError:
        raise InputError(path, "", "may not be read", "change its permissions") from None
    except OSError as error:
        raise InputError(path, "", f"cannot be read ({error.strerror})", "check the path") from None
    except UnicodeDecodeError as error:
        with Path(path).open("rb") as stream:
            start = stream.read(8)
        for magic, name in _ARCHIVES.items():
            if start.startswith(magic):
                raise InputError(path, "", f"is compressed ({name})", "unpack it and give the file in it") from None
        raise InputError(path, f"byte {error.start}", "is not UTF-8 text", f"give the plain {kind} file") from None


def json_error(path: str | Path, text: str, error: json.JSONDecodeError) -> InputError:
    """A syntax error in words."""
    place = f"line {error.lineno} column {error.colno}"
    problem = "the file is empty" if not text.strip() else f"is not valid JSON ({error.msg})"
    return InputError(path, place, problem, "the file may be truncated: fetch or write it again")


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes as hexadecimal text."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
