"""Atomic writing, and errors of the disk in words."""

from __future__ import annotations

import errno
import math
import pickle

import pytest

from mindthegap.errors import InputError, MindTheGapError
from mindthegap.files import atomic_path, disk_errors, read_json, sha256_file, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.json"
    write_json(path, {"old": 1})
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_nan_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"AP": math.nan})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only")])
def test_disk_errors_become_a_sentence(number, words):
    with pytest.raises(MindTheGapError, match=words), disk_errors("out.json"):
        raise OSError(number, "x")


def test_other_os_errors_stay_what_they_are():
    with pytest.raises(OSError), disk_errors("out.json"):
        raise OSError(errno.EIO, "x")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b'{"videos": [', "is not valid JSON"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", "thousands of digits"),
    ],
)
def test_unreadable_json_is_one_sentence(tmp_path, content, words):
    path = tmp_path / "in.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_accepted(tmp_path):
    path = tmp_path / "in.json"
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(path) == [1]


def test_missing_file_and_folder(tmp_path):
    for path, words in ((tmp_path / "none", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(InputError, match=words):
            read_json(path)


@pytest.mark.parametrize(("magic", "name"), [(b"\x1f\x8b\x08\x00\xff", "gzip"), (b"PK\x03\x04\xff\xff", "zip")])
def test_compressed_files_are_called_so(tmp_path, magic, name):
    (tmp_path / "results.json").write_bytes(magic)
    with pytest.raises(InputError, match=rf"is compressed \({name}\); unpack it"):
        read_json(tmp_path / "results.json")


@pytest.mark.parametrize(
    ("place", "words"),
    [("file/a.json", "is a file, not a folder"), ("folder", "a folder of that name"), ("n" * 300, "name is too long")],
)
def test_places_where_no_file_can_be_are_told(tmp_path, place, words):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MindTheGapError, match=words):
        write_json(tmp_path / place, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
    assert not list((tmp_path / "folder").iterdir())


def test_names_that_no_file_can_have_are_not_read(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / ("n" * 300))


def test_sha256_of_known_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_input_errors_cross_process_boundaries():
    error = pickle.loads(pickle.dumps(InputError("a.json", "x[1]", "is wrong", "mend it")))
    assert str(error) == "a.json: x[1]: is wrong; mend it."
