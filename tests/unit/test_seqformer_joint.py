"""Joint training with stills: one order over both data sets, pseudo clips of the stills, steps for both."""

import json

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from pycocotools import mask as mask_api
from seqformer_tools import config, register_all_modules

from methods.runtime import registry
from methods.runtime.data import KeyFrameSampler
from methods.runtime.facts import read_facts
from methods.runtime.joint import read_stills
from methods.runtime.trainer import _dataset
from mindthegap.errors import InputError
from mindthegap.files import sha256_file

HEIGHT, WIDTH = 48, 64


def write(folder, lengths, names=("disc", "square")):
    """A dataset folder of videos of grey frames with one white square each."""
    (folder / "frames").mkdir(parents=True)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[10:30, 20:40] = 1
    encoded = mask_api.encode(mask)
    rle = {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}
    videos, annotations = [], []
    for index, length in enumerate(lengths, start=1):
        files = [f"{index}_{frame}.png" for frame in range(length)]
        for name in files:
            cv2.imwrite(str(folder / "frames" / name), np.dstack([mask * 200 + 50] * 3))
        videos.append({"id": index, "height": HEIGHT, "width": WIDTH, "length": length, "file_names": files})
        annotations.append({"id": index, "video_id": index, "category_id": 2, "segmentations": [rle] * length})
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    content = {"videos": videos, "annotations": annotations, "categories": categories}
    (folder / "train.json").write_text(json.dumps(content))
    manifest = {"dataset": folder.name, "splits": {"train": {"sha256": sha256_file(folder / "train.json")}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


class Job:
    seed = 3


def test_videos_and_stills_come_in_one_order(tmp_path):
    videos = read_facts(write(tmp_path / "videos", [3, 2]), "train")
    write(tmp_path / "stills", [1, 1, 1])
    settings = {"stills": str(tmp_path / "stills"), "epochs": 2.0, "steps": None, "batch_size": 4, "clip_frames": 3}
    built = config(facts=videos, settings=settings)
    assert built.steps == 2 * (5 + 3) // 4
    assert config(facts=videos, settings=settings, inference={}).stills is None  # prediction needs no stills
    register_all_modules(init_default_scope=True)
    registry.load("seqformer", "model")  # registers its sampler
    dataset = DATASETS.build(_dataset(built, Job, videos))
    sampler = KeyFrameSampler(dataset, seed=0)
    indices = [index for index, _ in zip(sampler, range(8), strict=False)]
    assert sorted(index[:2] for index in indices) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (3, 0), (4, 0)]
    for index in indices:
        item = dataset[index]
        frames = item["inputs"].float()
        assert frames.shape[:2] == (3, 3)
        identical = bool((frames[0] == frames[1]).all() and (frames[1] == frames[2]).all())
        boxes = [frame.gt_instances.bboxes.tolist() for frame in item["data_samples"].video_data_samples]
        assert any(boxes)
        if index[0] < 2:  # a video that never changes
            assert identical
        else:
            assert not identical
            assert len({str(box) for box in boxes}) > 1


def test_stills_of_other_categories_are_refused(tmp_path):
    videos = read_facts(write(tmp_path / "videos", [2]), "train")
    write(tmp_path / "coco", [1], names=("disc", "bicycle"))
    with pytest.raises(InputError, match=r"coco/train.json.*other categories than videos"):
        read_stills(tmp_path / "coco", videos)
    with pytest.raises(InputError, match="manifest"):
        read_stills(tmp_path / "nowhere", videos)
