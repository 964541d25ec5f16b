"""Reading a dataset folder for training: any class list, any mask form, and the order of items."""

import itertools
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_utils

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from methods.runtime.data import DatasetFolder, FrameError, KeyFrameSampler, LoadFrame, compressed_rle  # noqa: E402
from methods.runtime.facts import read_facts  # noqa: E402
from mindthegap.errors import InputError  # noqa: E402
from mindthegap.files import sha256_file  # noqa: E402

HEIGHT, WIDTH = 40, 48


def box_mask(top, left, bottom, right):
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8, order="F")
    mask[top:bottom, left:right] = 1
    return mask


def compressed(mask):
    rle = mask_utils.encode(mask)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def uncompressed(mask):
    flat = mask.flatten(order="F")
    runs, value = [], 0
    for key, group in itertools.groupby(flat):
        if key != value:
            runs.append(0)
        runs.append(len(list(group)))
        value = 1 - key
    return {"size": [HEIGHT, WIDTH], "counts": runs}


@pytest.fixture
def folder(tmp_path):
    """Three videos: every mask form, one without any object, one with a crowd; ids and classes with holes."""
    polygon = [[4.0, 6.0, 20.0, 6.0, 20.0, 30.0, 4.0, 30.0]]
    third = compressed(box_mask(1, 2, 5, 9))
    annotations = [
        {"id": 70, "video_id": 5, "category_id": 9, "iscrowd": 0},
        {"id": 3, "video_id": 5, "category_id": 2, "iscrowd": 0},
        {"id": 8, "video_id": 6, "category_id": 25, "iscrowd": 1},
    ]
    annotations[0]["segmentations"] = [polygon, compressed(box_mask(10, 12, 20, 30)), None]
    annotations[1]["segmentations"] = [uncompressed(box_mask(3, 5, 9, 15)), compressed(box_mask(0, 0, 0, 0)), None]
    annotations[2]["segmentations"] = [third, third]
    videos = []
    for video_id, length in ((5, 3), (6, 2), (7, 2)):
        names = [f"v{video_id}/{frame:05d}.png" for frame in range(length)]
        videos.append({"id": video_id, "height": HEIGHT, "width": WIDTH, "length": length, "file_names": names})
        for name in names:
            path = tmp_path / "frames" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 7 * video_id, dtype=np.uint8))
    categories = [{"id": 25, "name": "fish"}, {"id": 2, "name": "owl"}, {"id": 9, "name": "cat"}]
    content = {"videos": videos, "categories": categories, "annotations": annotations}
    write_split(tmp_path, content)
    return tmp_path


def write_split(folder, content):
    path = folder / "train.json"
    path.write_text(json.dumps(content))
    manifest = {"schema_version": 1, "dataset": "tiny", "splits": {"train": {"sha256": sha256_file(path)}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def load(folder, **kwargs):
    return DatasetFolder(str(folder / "train.json"), str(folder / "frames"), seed=0, pipeline=[], **kwargs)


def test_every_mask_form_gives_the_same_pixels():
    mask = box_mask(3, 5, 9, 15)
    polygon = [[5.0, 3.0, 15.0, 3.0, 15.0, 9.0, 5.0, 9.0]]
    forms = [compressed(mask), uncompressed(mask), polygon]
    for form in forms:
        rle = compressed_rle(form, HEIGHT, WIDTH)
        assert isinstance(rle["counts"], str)
        np.testing.assert_array_equal(mask_utils.decode(rle), mask)
    assert compressed_rle(None, HEIGHT, WIDTH) is None
    assert compressed_rle(compressed(box_mask(0, 0, 0, 0)), HEIGHT, WIDTH) is None
    with pytest.raises(ValueError, match="differs from the frame's"):
        compressed_rle(compressed(mask), HEIGHT, WIDTH + 1)


def test_labels_follow_ascending_category_ids(folder):
    facts = read_facts(folder, "train")
    assert facts.classes == ("owl", "cat", "fish")
    assert facts.category_ids == (2, 9, 25)
    assert (facts.videos, facts.frames, facts.annotated_frames, facts.identities) == (3, 7, 4, 3)
    assert facts.max_objects_per_frame == 2
    dataset = load(folder)
    assert dataset.metainfo["classes"] == facts.classes
    first = dataset.get_data_info(0)["images"][0]["instances"]
    assert [item["bbox_label"] for item in first] == [1, 0]
    assert [item["instance_id"] for item in first] == [1, 2]  # never 0, whatever the file's ids are
    assert first[1]["bbox"] == [5.0, 3.0, 15.0, 9.0]


def test_videos_and_frames_without_objects_are_not_trained_on(folder):
    dataset = load(folder)
    assert [video["video_id"] for video in map(dataset.get_data_info, range(len(dataset)))] == [5]
    assert dataset.get_len_per_video(0) == 2  # the third frame is empty; the crowd's video is no target either
    assert [len(image["instances"]) for image in dataset.get_data_info(0)["images"]] == [2, 1]


def test_split_without_any_object_is_refused(folder):
    content = json.loads((folder / "train.json").read_text())
    write_split(folder, content | {"annotations": []})
    with pytest.raises(InputError, match="no frame with an object"):
        load(folder)


def test_altered_annotations_are_noticed(folder):
    with (folder / "train.json").open("a") as stream:
        stream.write(" ")
    with pytest.raises(InputError, match=r"changed after manifest\.json"):
        read_facts(folder, "train")


@pytest.mark.parametrize("key", ["videos", "categories", "annotations"])
def test_file_of_another_kind_is_refused_in_one_sentence(folder, key):
    content = json.loads((folder / "train.json").read_text())
    del content[key]
    write_split(folder, content)
    with pytest.raises(InputError, match="not a YouTube-VIS file"):
        read_facts(folder, "train")


def test_unusable_mask_is_named(folder):
    content = json.loads((folder / "train.json").read_text())
    content["annotations"][1]["segmentations"][0] = {"size": [10, 10], "counts": [100]}
    write_split(folder, content)
    with pytest.raises(InputError, match="annotation 3, frame 0"):
        load(folder)


def test_missing_frame_is_named_before_training(folder):
    (folder / "frames/v5/00001.png").unlink()
    with pytest.raises(FrameError, match=r"v5/00001\.png: there is no such frame"):
        load(folder)


def test_damaged_or_wrong_frames_are_named(folder):
    path = folder / "frames/v5/00000.png"
    load_frame = LoadFrame()
    request = {"img_path": str(path), "height": HEIGHT, "width": WIDTH}
    assert load_frame(dict(request))["img"].shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(FrameError, match="40x48 but the annotation says 41x48"):
        load_frame(request | {"height": HEIGHT + 1})
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(FrameError, match="cannot be decoded"):
        load_frame(dict(request))


def order(folder, count, *, seed=0, skip=0):
    sampler = KeyFrameSampler(load(folder), seed=seed)
    sampler.skip(skip)
    return list(itertools.islice(sampler, count))


def test_order_covers_every_frame_once_per_pass_and_depends_on_the_seed(folder):
    items = order(folder, 40)
    for start in range(0, 40, 2):
        assert {item[:2] for item in items[start : start + 2]} == {(0, 0), (0, 1)}
    assert [item[2] for item in items] == list(range(40))
    assert items == order(folder, 40)
    assert items != order(folder, 40, seed=1)


@pytest.mark.parametrize("skip", [0, 1, 2, 7, 31])
def test_skipping_continues_the_same_order(folder, skip):
    assert order(folder, 9, skip=skip) == order(folder, 40)[skip : skip + 9]


def test_registry_answers_without_torch():
    program = (
        "import sys, time; start = time.perf_counter(); from methods.runtime import registry; "
        "import methods.runtime.training; from mindthegap.errors import ConfigError\n"
        "assert 'torch' not in sys.modules and 'mmengine' not in sys.modules\n"
        "assert 'masktrack_rcnn' in registry.available() and len(registry.METHODS) == 7\n"
        "for name, words in (('nothing', 'no such method'), ('nope', 'seqformer')):\n"
        "    try: registry.method_folder(name)\n"
        "    except ConfigError as error: assert words in str(error) and name in str(error), error\n"
        "    else: raise SystemExit('accepted ' + name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_known_method_without_a_folder_is_named(monkeypatch, tmp_path):
    from methods.runtime import registry
    from mindthegap.errors import ConfigError

    monkeypatch.setattr(registry, "_ROOT", tmp_path)
    with pytest.raises(ConfigError, match="SeqFormer is known but not implemented"):
        registry.method_folder("seqformer")
