"""Archives as they are handed out: the same outputs as from folders, and nothing that a hostile one asks for."""

import errno
import io
import json
import multiprocessing
import os
import random
import signal
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from data_folders import HEIGHT, WIDTH, make, prepared, spec, write
from PIL import Image
from typer.testing import CliRunner

from mindthegap.cli import app
from mindthegap.config.datasets import FolderDataset
from mindthegap.data import prepare_folder, source_files, unpacking
from mindthegap.data.archives import Place, locate
from mindthegap.data.inventory import inventory
from mindthegap.errors import InputError, MindTheGapError


def _pack(folder, target, prefix="train/", extra=()):
    """``folder`` (JPEGImages and gt.json) as the archive ``target``."""
    files = {f"{prefix}{path.relative_to(folder)}": path.read_bytes() for path in sorted(folder.rglob("*.*"))}
    files = {name: data for name, data in files.items() if data or name.endswith(".jpg")}
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in [*files.items(), *extra]:
                archive.writestr(name, data)
    else:
        with tarfile.open(target, "w:gz" if target.name.endswith("gz") else "w") as archive:
            for name, data in [*files.items(), *extra]:
                member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return target


def _files(folder):
    """Name and content of everything that a preparation wrote, frames through their link."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return write(tmp_path / "in", make(videos=5))


def _packed(tmp_path, archive, out, **changes):
    paths = {"frames": str(archive), "annotations": str(archive)}
    return prepare_folder(spec(tmp_path / "in", **(paths | changes)), tmp_path / out, "mine", progress=False)


@pytest.mark.parametrize(
    ("name", "prefix"), [("train.zip", "train/"), ("train.tar", "./train/"), ("train.tar.gz", "train/")]
)
def test_an_archive_gives_what_its_folder_gives(tmp_path, folder, name, prefix):
    plain, _ = prepared(tmp_path, None, "plain")
    archive = _pack(
        folder, tmp_path / name, prefix, extra=[("train/readme.txt", b"hello"), ("__MACOSX/train/._gt.json", b"x")]
    )
    packed = _packed(tmp_path, archive, "packed")
    for split in ("train", "diagnostic"):
        written = [(tmp_path / out / f"{split}.json").read_bytes() for out in ("plain", "packed")]
        assert written[0] == written[1]
    for key in ("splits", "split_recipe", "categories", "frames"):
        assert packed[key] == plain[key]
    linked = tmp_path / "packed/frames"
    assert not Path(os.readlink(linked)).is_absolute()
    for path in folder.rglob("*.jpg"):
        assert (linked / path.relative_to(folder / "JPEGImages")).read_bytes() == path.read_bytes()
    assert packed["source"]["archives"][0]["file"] == str(archive)
    places = {"frames": f"{archive}/train/JPEGImages", "annotations": f"{archive}/train/gt.json"}
    assert _packed(tmp_path, archive, "inner", **places)["splits"] == plain["splits"]


def test_a_wrong_folder_in_an_archive_is_named(tmp_path, folder):
    archive = _pack(folder, tmp_path / "a.zip")
    with pytest.raises(InputError, match=r"train/Images: is no folder in the archive; name .*a\.zip/train/JPEGImages"):
        _packed(tmp_path, archive, "out", frames=f"{archive}/train/Images")
    with pytest.raises(InputError, match=r"train/x\.json: is not in the archive; name one that is \(train/gt\.json\)"):
        _packed(tmp_path, archive, "out", annotations=f"{archive}/train/x.json")


def test_places_are_told_apart(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    (tmp_path / "folder.zip").mkdir()
    assert locate(tmp_path / "a.zip/train/x") == Place(tmp_path / "a.zip", "train/x", True)
    assert locate(tmp_path / "lost.tar.gz") == Place(tmp_path / "lost.tar.gz", "", True)
    assert locate(tmp_path / "folder.zip/x") == Place(tmp_path / "folder.zip/x")
    assert locate(tmp_path / "in") == Place(tmp_path / "in")


def _link(name, kind):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


def _zip_link():
    info = zipfile.ZipInfo("train/link")
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize(
    ("name", "extra", "message"),
    [
        ("a.zip", ("../evil.txt", b"x"), "leads out of the folder"),
        ("a.zip", ("/evil.txt", b"x"), "leads out of the folder"),
        ("a.zip", ("..\\evil.txt", b"x"), "leads out of the folder"),
        ("a.zip", ("C:\\evil.txt", b"x"), "leads out of the folder"),
        ("a.zip", (_zip_link(), b"/etc/passwd"), "is a link or a device"),
        ("a.zip", ("train/gt.json", b"{}"), "is in the archive twice"),
        ("a.zip", ("train/big.json", b"0" * (101 << 20)), "would grow to 101 MiB, out of an archive of"),
        ("a.zip", ("other.json", b"{}"), r"holds several .json files \(train/gt.json, other.json\); name one of them"),
        ("a.tar", ("../evil.txt", b"x"), "leads out of the folder"),
        ("a.tar", (_link("train/l", tarfile.SYMTYPE), b""), "is a link or a device"),
        ("a.tar", (_link("train/l", tarfile.LNKTYPE), b""), "is a link or a device"),
        ("a.tar.gz", (_link("train/l", tarfile.CHRTYPE), b""), "is a link or a device"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_archives_are_refused(tmp_path, folder, name, extra, message):
    archive = _pack(folder, tmp_path / name, extra=[extra])
    with pytest.raises(InputError, match=message) as caught:
        _packed(tmp_path, archive, "out")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "in"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_every_cut_of_an_archive_is_noticed(tmp_path, folder, name):
    whole = _pack(folder, tmp_path / name).read_bytes()
    for share in (0, 0.01, 0.3, 0.6, 0.8):
        (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError, match=r"damaged or cut off|lacks|holds no \.json") as caught:
            _packed(tmp_path, tmp_path / name, "out")
        assert str(caught.value).count("\n") == 0
        assert not (tmp_path / "out/manifest.json").exists()


def test_a_flipped_bit_is_noticed_and_a_second_run_continues(tmp_path, folder, monkeypatch):
    archive = _pack(folder, tmp_path / "a.zip")
    whole = archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        last = opened.infolist()[-1]
    spoilt = bytearray(whole)
    spoilt[last.header_offset + 30 + len(last.filename) + last.compress_size // 2] ^= 8
    archive.write_bytes(spoilt)
    annotations = str(folder / "gt.json")
    if last.filename.endswith(".json"):
        last = opened.infolist()[-2]
        spoilt = bytearray(whole)
        spoilt[last.header_offset + 30 + len(last.filename) + last.compress_size // 2] ^= 8
        archive.write_bytes(spoilt)
    with pytest.raises(InputError, match="damaged or cut off"):
        _packed(tmp_path, archive, "out", annotations=annotations)
    there = list((tmp_path / "out/unpacked").rglob("*.jpg"))
    assert len(there) > 10
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".building")]
    archive.write_bytes(whole)
    written = []
    take = unpacking._take
    monkeypatch.setattr(unpacking, "_take", lambda *args: (written.append(args[1]), take(*args)))
    _packed(tmp_path, archive, "out", annotations=annotations)
    assert len(written) == len(list(folder.rglob("*.jpg"))) - len(there)


def _spoil(picture_format, mode):
    stream = io.BytesIO()
    Image.new(mode, (WIDTH, HEIGHT)).save(stream, picture_format)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_spoil("JPEG", "L"), "mode L, not RGB"),
        (_spoil("JPEG", "RGB")[:-4], "is cut off"),
        (b"", "not a picture"),
        (b"\0" * 2_000_000, "has 2000000 bytes, more than any 16x12 picture needs"),
        (None, r"lacks train/JPEGImages/.*, a frame that the annotations name"),
    ],
)
def test_bad_frames_in_an_archive_are_named(tmp_path, folder, data, message):
    victim = sorted(folder.rglob("*.jpg"))[3]
    victim.unlink() if data is None else victim.write_bytes(data)
    archive = _pack(folder, tmp_path / "a.zip", extra=[("pad.bin", random.Random(0).randbytes(2_000_000 // 150))])
    with pytest.raises(InputError, match=message) as caught:
        _packed(tmp_path, archive, "out")
    assert victim.parent.name + "/" + victim.name in str(caught.value)
    status = inventory({"mine": spec(folder, frames=str(archive), annotations=str(archive))}, check=True)[0]
    assert status.state == "wrong"
    assert str(caught.value) == status.details[0]


def test_too_little_room_is_told_before_anything_is_written(tmp_path, folder, monkeypatch):
    archive = _pack(folder, tmp_path / "a.zip")
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda path: _Free)
    with pytest.raises(MindTheGapError, match=r"a\.zip needs .* MiB, but the disk has 0\.0 MiB left"):
        _packed(tmp_path, archive, "out")
    assert not list((tmp_path / "out").rglob("*.jpg"))


def test_a_disk_that_fills_up_is_one_sentence_and_a_second_run_continues(tmp_path, folder, monkeypatch):
    archive = _pack(folder, tmp_path / "a.zip")
    write_bytes, room = Path.write_bytes, [7]

    def fill_up(path, data):
        room[0] -= 1
        if room[0] < 0:
            write_bytes(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(MindTheGapError, match="the disk is full; free some space and start again"):
        _packed(tmp_path, archive, "out")
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(left) == 7
    assert all(path.suffix == ".jpg" for path in left)
    room[0] = 10**6
    assert _packed(tmp_path, archive, "out")["splits"]
    assert room[0] == 10**6 - (len(list(folder.rglob("*.jpg"))) - 7)


class _Free:
    free = 100


def _count_events(work):
    """Number of calls that ``work`` makes, as the profiler sees them."""
    events = [0]
    sys.setprofile(lambda *args: events.__setitem__(0, events[0] + 1))
    try:
        work()
    finally:
        sys.setprofile(None)
    return events[0]


def _die_at(number, work):
    """Runs ``work`` and kills this process, without any chance to tidy up, at the ``number``-th call."""
    left = [number]

    def profile(frame, event, argument):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(profile)
    work()


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_killed_anywhere_it_continues_and_ends_in_the_same_bytes(tmp_path, folder, name):
    archive = _pack(folder, tmp_path / name)

    def work():
        _packed(tmp_path, archive, "out")

    total = _count_events(lambda: _packed(tmp_path, archive, "whole"))
    expected = _files(tmp_path / "whole")
    rng, kills = random.Random(0), 0
    context = multiprocessing.get_context("fork")
    for moment in sorted(rng.randrange(total // 20, total) for _ in range(6)):
        child = context.Process(target=_die_at, args=(moment, work))
        child.start()
        child.join()
        kills += child.exitcode == -signal.SIGKILL
        manifest = tmp_path / "out/manifest.json"
        assert not manifest.exists() or json.loads(manifest.read_text())["schema_version"] == 1
    assert kills >= 4
    work()
    assert _files(tmp_path / "out") == expected


def test_the_command_lists_archives_and_missing_files(tmp_path, folder):
    archive = _pack(folder, tmp_path / "a.zip")
    entries = {
        "packed": {"kind": "folder", "frames": str(archive), "annotations": f"{archive}/train/gt.json"},
        "lost": {"kind": "folder", "expect": "ovis", "frames": "data/train.zip", "annotations": "data/a.json"},
    }
    (tmp_path / "config.yaml").write_text(json.dumps({"scale": "s", "datasets": entries, "scales": {"s": _SCALE}}))
    runner = CliRunner()
    found = runner.invoke(app, ["datasets", "--config", str(tmp_path / "config.yaml"), "--check"])
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0] == "packed: present"
    assert "(train)" in lines[1]
    assert "lost (OVIS): missing" in lines
    assert "    annotations: data/a.json is not there; put annotations_train.json there" in lines
    assert "    frames: data/train.zip is not there; put train.zip (not verified: ask the owners) there" in lines
    as_json = json.loads(runner.invoke(app, ["datasets", "--config", str(tmp_path / "config.yaml"), "--json"]).stdout)
    assert [(entry["name"], entry["state"]) for entry in as_json] == [("packed", "present"), ("lost", "missing")]
    files = source_files(FolderDataset.model_validate(entries["packed"]))
    assert files == [str(archive)]


_SCALE = {"title": "t", "preset": "smoke", "datasets": ["packed"], "methods": ["masktrack_rcnn"],
          "backbones": ["r18_tiny"], "seeds": [0]}  # fmt: skip
