"""Entry levels above training: published files stand in for computed ones, each checked by its hash.

A published folder is laid out like ``results/<scale>`` and holds ``SHA256SUMS`` in the format of ``sha256sum``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from mindthegap.errors import ConfigError, InputError
from mindthegap.files import atomic_path, sha256_file, write_text

CHECKSUMS = "SHA256SUMS"


def check_published(folder: str | Path, wanted: Iterable[str], entry: str) -> None:
    """Refuses to start when published files are missing, so that no level falls through to a deeper one.

    Args:
        folder: The published folder.
        wanted: Paths relative to it that the run starts from.
        entry: The entry level, for the sentence.

    Raises:
        ConfigError: The folder, its checksums or a file is missing.
    """
    if not Path(folder).is_dir():
        raise ConfigError(f"published: {folder}: there is no such folder; unpack the published files there.")
    sums = _read_checksums(folder)
    for name in wanted:
        if name not in sums or not (Path(folder) / name).is_file():
            reason = "is not there" if name in sums else f"is not listed in {CHECKSUMS}"
            raise ConfigError(
                f"entry: {entry} needs {Path(folder) / name}, which {reason}; get it, or choose a deeper entry level."
            )


def import_published(folder: str | Path, name: str, target: str | Path) -> None:
    """Copies one published file to its place in the results after checking its hash.

    Raises:
        InputError: The file is missing, not listed, or its bytes are not those that were published.
    """
    source = Path(folder) / name
    expected = _read_checksums(folder).get(name)
    if expected is None:
        raise InputError(source, "", f"is not listed in {CHECKSUMS}", "get the complete published folder")
    if not source.is_file():
        raise InputError(source, "", "there is no such file", "get the complete published folder")
    found = sha256_file(source)
    if found != expected:
        raise InputError(
            source, "", f"has SHA-256 {found[:12]}..., published was {expected[:12]}...", "fetch the file again"
        )
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def write_checksums(folder: str | Path, names: Iterable[str], target: str | Path) -> None:
    """Writes ``SHA256SUMS`` for files of a results folder, so that it can be published as it is."""
    lines = [f"{sha256_file(Path(folder) / name)}  {name}\n" for name in sorted(names)]
    write_text(target, "".join(lines))


def _read_checksums(folder: str | Path) -> dict[str, str]:
    """Relative path to SHA-256, from the format of ``sha256sum``."""
    path = Path(folder) / CHECKSUMS
    if not path.is_file():
        raise InputError(path, "", "there is no such file", "published folders carry one; get it with the files")
    sums: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name:
            raise InputError(path, f"line {number}", "is not '<sha256>  <path>'", "get the file again")
        sums[name.removeprefix("./")] = digest.lower()
    return sums
