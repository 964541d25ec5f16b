"""Every mistake in a real folder is one sentence, and leaves nothing half-written."""

import json
import os
import random

import pytest
from data_folders import HEIGHT, WIDTH, make, prepared, write
from PIL import Image

from mindthegap.data import prepare as prepare_module
from mindthegap.errors import InputError, MindTheGapError
from mindthegap.formats import read_ground_truth


def _set(content, path, value):
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["annotations"], None, r"annotations: .* hides its ground truth"),
        (["annotations"], [], "no annotation"),
        (["annotations"], {}, "not a list"),
        (["annotations", 1, "id"], 1, r"annotations\[1\]\.id: 1 is already the id of annotations\[0\]"),
        (["annotations", 2, "id"], 0, r"annotations\[2\]\.id"),
        (["annotations", 0, "category_id"], 9, "there is no 9 in categories"),
        (["annotations", 0, "video_id"], 9, "there is no 9 in videos"),
        (["annotations", 0, "segmentations"], [None], r"annotations\[0\]\.segmentations: has 1 entries"),
        (["annotations", 0, "segmentations", 0], {"size": [12, 17], "counts": "x"}, r"\[12, 17\]"),
        (["annotations", 0, "segmentations", 0], {"size": [12, 16], "counts": "zzz"}, "run-length|runs"),
        (["annotations", 0], 7, r"annotations\[0\]"),
        (["annotations", 0, "areas"], "many", r"annotations\[0\]\.areas"),
        (["videos", 1, "id"], 100, "already the id|100"),
        (["videos"], None, "videos"),
        (["categories"], None, "categories"),
        (["videos", 0, "width"], 17, r"is 16x12 .* but its video is 17x12|size"),
        (["videos", 0, "file_names", 0], "../../etc/passwd", "leads out of the folder"),
        (["videos", 0, "file_names", 0], "/etc/passwd", "leads out of the folder"),
        (["videos", 0, "file_names", 1], "none/00.jpg", "does not exist"),
    ],
)
def test_mistakes_in_the_file_are_one_sentence(tmp_path, path, value, message):
    write(tmp_path / "in", make())
    content = make()
    if path == ["videos", 1, "id"]:
        value = content["videos"][0]["id"]
    _set(content, path, value)
    if path == ["videos", 0, "width"]:
        number = content["videos"][0]["id"]
        content["annotations"] = [item for item in content["annotations"] if item["video_id"] != number]
    (tmp_path / "in/gt.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as caught:
        prepared(tmp_path, content)
    assert str(caught.value).count("\n") == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("[]", "not a JSON object"),
        ('{"videos": [], "annotations": [1, 2', "truncated"),
        ('{"videos": [], "annotations": []} tail', "Extra data"),
        ('{"videos": [], "annotations": [],}', "not valid JSON"),
        ('{"videos": [], "annotations": [{"id": NaN}]}', "NaN"),
        ('{"videos": []', "truncated"),
        ("{}", "hides its ground truth|videos"),
        ('{"a": ' + "[" * 100000, "nested too deeply|not valid JSON"),
        ('{"videos": [' + "9" * 5000 + "]}", "thousands of digits"),
    ],
)
def test_broken_json_is_one_sentence(tmp_path, text, message):
    write(tmp_path / "in", make())
    (tmp_path / "in/gt.json").write_text(text)
    with pytest.raises(InputError, match=message):
        prepared(tmp_path, None)
    assert not (tmp_path / "out").exists()


def test_every_cut_of_a_file_is_noticed(tmp_path):
    write(tmp_path / "in", make(videos=2))
    text = (tmp_path / "in/gt.json").read_text()
    for end in range(0, len(text) - 1, 23):
        (tmp_path / "in/gt.json").write_text(text[:end])
        with pytest.raises(InputError, match="truncated"):
            prepared(tmp_path, None)


def _grey(path):
    Image.new("L", (WIDTH, HEIGHT)).save(path)


def _small(path):
    Image.new("RGB", (8, 8)).save(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (os.unlink, "does not exist"),
        (_grey, "mode L, not RGB"),
        (_small, "is 8x8 .width x height., but its video is 16x12"),
        (lambda path: path.write_bytes(b"\xff\xd8\xff\xe0 broken"), "cannot be read|not a picture"),
        (lambda path: path.write_bytes(b""), "not a picture"),
    ],
)
def test_damaged_frames_are_found(tmp_path, damage, message):
    content = make()
    write(tmp_path / "in", content)
    for number in (2, 5):
        damage(tmp_path / "in/JPEGImages" / content["videos"][number]["file_names"][1])
    with pytest.raises(InputError, match=message) as caught:
        prepared(tmp_path, content)
    assert "videos[2].file_names[1]" in str(caught.value)
    assert "and 1 more files" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_missing_places_are_named(tmp_path):
    content = make()
    write(tmp_path / "in", content)
    with pytest.raises(InputError, match="no such file"):
        prepared(tmp_path, content, annotations=str(tmp_path / "nowhere.json"))
    with pytest.raises(InputError, match="no such folder"):
        prepared(tmp_path, content, frames=str(tmp_path / "nowhere"))
    (tmp_path / "blocked").write_text("")
    with pytest.raises(InputError, match="is a file"):
        prepared(tmp_path, content, "blocked/out")


def test_one_video_cannot_be_divided(tmp_path):
    content = make(videos=1)
    write(tmp_path / "in", content)
    with pytest.raises(InputError, match="to divide"):
        prepared(tmp_path, content)


def test_a_full_disk_leaves_the_former_output(tmp_path, monkeypatch):
    content = make()
    write(tmp_path / "in", content)
    prepared(tmp_path, content)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.json")}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepare_module, "write_json", full)
    with pytest.raises(MindTheGapError, match="disk is full"):
        prepared(tmp_path, content, split={"diagnostic_fraction": 0.5})
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.json")} == before
    written = ["diagnostic.json", "diagnostic.txt", "frames", "manifest.json", "train.json"]
    assert sorted(os.listdir(tmp_path / "out")) == written


_STRANGE = [None, True, -1, 0, 1.5, 10**30, "", "x", "\ud800", "a\0b", "../x", [], {}, [None], [[1, 2]], {"size": [1]}]


def _places(value, place=()):
    """Every place in a JSON value."""
    if place:
        yield place
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _places(child, (*place, key))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_stands_in_a_file_is_taken_or_refused_in_one_sentence(tmp_path, seed):
    rng = random.Random(seed)
    write(tmp_path / "in", make(videos=3))
    places = list(_places(make(videos=3)))
    taken, refusals = 0, []
    for _ in range(40):
        content = make(videos=3)
        *parents, last = rng.choice(places)
        holder = content
        for key in parents:
            holder = holder[key]
        if rng.random() < 0.3:
            del holder[last]
        else:
            holder[last] = rng.choice(_STRANGE)
        (tmp_path / "in/gt.json").write_text(json.dumps(content))
        try:
            manifest, _ = prepared(tmp_path, content)
        except MindTheGapError as error:
            refusals.append(str(error))
            continue
        taken += 1
        for split in manifest["splits"]:
            read_ground_truth(tmp_path / "out" / f"{split}.json")
    assert taken
    assert refusals
    assert all("gt.json" in sentence and "\n" not in sentence for sentence in refusals)
