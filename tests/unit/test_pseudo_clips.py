"""Clips made of stills: copies are warped with their masks, and a training item depends on its seed alone."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_api

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.config import Config  # noqa: E402

from methods.runtime import recipes  # noqa: E402
from methods.runtime.clips import clip_targets  # noqa: E402
from methods.runtime.data import DatasetFolder  # noqa: E402
from methods.runtime.pseudo_clips import WarpCopies, as_pseudo_clips, warp_image, warp_masks  # noqa: E402
from methods.runtime.trainer import _loader  # noqa: E402
from mindthegap.errors import ConfigError  # noqa: E402

HEIGHT, WIDTH = 48, 64
register_all_modules(init_default_scope=True)


def square(top, left, side=14):
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


@pytest.fixture
def dataset(tmp_path):
    """One still with a red and a green square; the squares are the objects."""
    masks = [square(8, 10), square(24, 40)]
    picture = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    for mask, colour in zip(masks, [(0, 0, 200), (0, 200, 0)], strict=True):
        picture[mask == 1] = colour
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames/still.png"), picture)
    annotations = []
    for number, mask in enumerate(masks, start=1):
        rle = mask_api.encode(np.asfortranarray(mask))
        rle["counts"] = rle["counts"].decode()
        annotations.append({"id": number, "video_id": 1, "category_id": number, "iscrowd": 0, "segmentations": [rle]})
    video = {"id": 1, "height": HEIGHT, "width": WIDTH, "length": 1, "file_names": ["still.png"]}
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "green"}]
    (tmp_path / "train.json").write_text(
        json.dumps({"videos": [video], "categories": categories, "annotations": annotations})
    )
    plain = recipes.clip_pipeline({"type": "StillFrame"}, [(WIDTH, HEIGHT)])
    return DatasetFolder(str(tmp_path / "train.json"), str(tmp_path / "frames"), seed=5,
                         pipeline=as_pseudo_clips(plain, 4))  # fmt: skip


def test_a_still_becomes_a_clip_with_lasting_identities(dataset):
    item = dataset[(0, 0, 7)]
    assert item["inputs"].shape == (4, 3, HEIGHT, WIDTH)
    sample = item["data_samples"]
    assert sample.key_frames_inds == [0]
    for frame in sample.video_data_samples:
        frame.set_metainfo({"batch_input_shape": (HEIGHT, WIDTH)})
    (targets,) = clip_targets([sample], "cpu")
    assert targets.identities.tolist() == [1, 2]
    assert targets.labels.tolist() == [0, 1]
    assert targets.visible.sum() >= 6
    for row, channel in ((0, 2), (1, 1)):
        for time in targets.visible[row].nonzero().flatten().tolist():
            mask, pixels = targets.masks[row, time], item["inputs"][time].float()
            inside = pixels[:, mask].mean(dim=1)
            assert inside.argmax() == channel  # the mask went where its square went
            assert inside[channel] > 1.5 * inside[3 - channel]
            x1, y1, x2, y2 = targets.boxes[row, time].int().tolist()
            assert mask[y1:y2, x1:x2].sum() == mask.sum()


def test_one_copy_is_the_still_itself_and_the_others_differ(dataset):
    frames = dataset[(0, 0, 3)]["inputs"].numpy()
    flat = [frame.mean(axis=0) for frame in frames]
    pure = [np.isin(np.unique(frame), [0, 90, 200]).all() for frame in frames]
    assert sum(pure) == 1
    assert all(np.abs(flat[0] - other).mean() > 1 for other in flat[1:])


def test_an_item_depends_on_its_position_alone(dataset):
    np.random.seed(1)
    first = dataset[(0, 0, 11)]["inputs"]
    np.random.seed(2)
    assert (dataset[(0, 0, 11)]["inputs"] == first).all()
    assert (dataset[(0, 0, 12)]["inputs"] != first).any()


def test_masks_move_as_the_homography_says():
    matrix = np.array([[1, 0, 5], [0, 1, -3], [0, 0, 1]], dtype=np.float64)
    masks, boxes, kept = warp_masks(np.stack([square(8, 10), square(0, 60, 4), square(20, 30)]), matrix)
    assert kept.tolist() == [0, 2]  # the second has left the frame
    assert np.array_equal(masks[0], square(5, 15))
    assert boxes.tolist() == [[15, 5, 29, 19], [35, 17, 49, 31]]
    none = warp_masks(np.zeros((0, HEIGHT, WIDTH), dtype=np.uint8), matrix)
    assert [part.shape for part in none] == [(0, HEIGHT, WIDTH), (0, 4), (0,)]


def test_picture_and_mask_are_warped_alike():
    np.random.seed(0)
    for _ in range(20):
        matrix = WarpCopies()._matrix(HEIGHT, WIDTH)
        masks, _, _ = warp_masks(square(15, 20, 20)[None], matrix)
        picture = warp_image(np.repeat(square(15, 20, 20)[..., None] * np.uint8(255), 3, axis=2), matrix)
        assert np.array_equal(masks[0].astype(bool), picture[..., 0] >= 128)


def test_without_strength_nothing_changes():
    np.random.seed(0)
    still = WarpCopies(brightness=0, hue_saturation=0, perspective=0, rotation=0, shift=0, blur=0)
    np.testing.assert_allclose(still._matrix(HEIGHT, WIDTH), np.eye(3), atol=1e-6)
    picture = np.random.randint(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    assert np.array_equal(still._blurred(picture), picture)


def test_blur_keeps_the_mean_and_scales_with_the_picture():
    np.random.seed(0)
    picture = np.zeros((480, 640, 3), dtype=np.uint8)
    picture[240, 320] = 255
    for side, longest in ((480, 11), (96, 3)):
        rows, columns, _ = np.nonzero(WarpCopies(blur=1)._blurred(picture[240 - side // 2 : 240 + side // 2]))
        assert 1 < max(np.ptp(rows), np.ptp(columns)) + 1 <= longest


def test_other_pipelines_are_refused():
    with pytest.raises(ConfigError, match="does not load frames first"):
        as_pseudo_clips([{"type": "StillFrame"}, {"type": "PackTrackInputs"}], 3)
    with pytest.raises(ConfigError, match="-1 frames make no clip"):
        as_pseudo_clips(recipes.pair_pipeline((64, 48), 10), -1)


def test_the_setting_reaches_the_data_loader():
    config = Config({
        "train_pipeline": recipes.pair_pipeline((64, 48), 10),
        "settings": {"batch_size": 2, "workers": 0, "pseudo_clips": 2},
    })  # fmt: skip
    job, facts = SimpleNamespace(seed=0, method="any"), SimpleNamespace(annotations="a.json", frames_dir="frames")
    steps = [step["type"] for step in _loader(config, job, facts, 1)["dataset"]["pipeline"]]
    assert steps == ["StillCopies", "TransformBroadcaster", "WarpCopies", "TransformBroadcaster", "PackTrackInputs"]
    config.settings.pseudo_clips = 0
    assert _loader(config, job, facts, 1)["dataset"]["pipeline"] == config.train_pipeline
