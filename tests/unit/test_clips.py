"""Clips: what they hold as targets, which frames they take, how a video is cut into them."""

import itertools

import numpy as np
import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmcv.transforms import Compose  # noqa: E402
from mmdet.registry import TRANSFORMS  # noqa: E402
from mmdet.structures import DetDataSample, TrackDataSample  # noqa: E402
from mmdet.structures.mask import BitmapMasks  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402
from PIL import Image  # noqa: E402

from methods.runtime import data, recipes  # noqa: E402, F401 - data registers LoadFrame
from methods.runtime.clips import (  # noqa: E402
    ClipSample,
    clip_ranges,
    clip_targets,
    padding_mask,
    sliding_clips,
    window_length,
)

HEIGHT, WIDTH = 8, 12


def frame(objects, height=HEIGHT, width=WIDTH):
    """A frame's sample from {identity: (label, x1, y1, x2, y2)}."""
    masks = np.zeros((len(objects), HEIGHT, WIDTH), np.uint8)
    for row, (_, x1, y1, x2, y2) in enumerate(objects.values()):
        masks[row, y1:y2, x1:x2] = 1
    sample = DetDataSample(metainfo={"batch_input_shape": (HEIGHT, WIDTH), "img_shape": (height, width)})
    sample.gt_instances = InstanceData(
        instances_ids=torch.tensor(list(objects), dtype=torch.int32),
        labels=torch.tensor([label for label, *_ in objects.values()], dtype=torch.long),
        bboxes=torch.tensor([box for _, *box in objects.values()], dtype=torch.float32).reshape(-1, 4),
        masks=BitmapMasks(masks, HEIGHT, WIDTH),
    )
    return sample


def clip(*frames):
    sample = TrackDataSample()
    sample.video_data_samples = list(frames)
    return sample


def test_targets_follow_identities_over_frames():
    first = {7: (2, 0, 0, 4, 4), 3: (1, 5, 1, 9, 5)}
    last = {3: (1, 6, 1, 10, 5), 9: (0, 2, 2, 2, 2)}  # 9 has a box but no pixel: nowhere visible
    (targets,) = clip_targets([clip(frame(first), frame({}), frame(last))], "cpu")
    assert targets.identities.tolist() == [3, 7]
    assert targets.labels.tolist() == [1, 2]
    assert targets.visible.tolist() == [[True, False, True], [True, False, False]]
    assert targets.boxes[0].tolist() == [[5, 1, 9, 5], [0] * 4, [6, 1, 10, 5]]
    assert targets.masks.shape == (2, 3, HEIGHT, WIDTH)
    assert targets.masks.sum(dim=(2, 3)).tolist() == [[16, 0, 16], [16, 0, 0]]
    assert targets.masks[1, 0, :4, :4].all()


def test_scaled_masks_are_soft_and_cover_a_started_cell():
    (targets,) = clip_targets([clip(frame({1: (0, 0, 0, 6, 8)}))], "cpu")
    assert targets.scaled_masks(4)[0, 0].tolist() == [[1.0, 0.5, 0.0]] * 2
    assert targets.scaled_masks(5).shape == (1, 1, 2, 3)


def test_padding_counts_started_cells_as_image():
    mask = padding_mask([clip(frame({}, 5, 9), frame({}, 5, 9)), clip(frame({}), frame({}))], 4, (2, 3), "cpu")
    assert mask.shape == (2, 2, 2, 3)
    assert not mask[0, 0].any()  # 5 rows and 9 columns start 2 x 3 cells of 4 pixels
    narrow = padding_mask([clip(frame({}, 4, 8))], 4, (2, 3), "cpu")
    assert narrow[0, 0].tolist() == [[False, False, True], [True, True, True]]


@pytest.mark.parametrize(
    ("length", "window", "stride", "starts"),
    [
        (1, 5, 1, [0]),
        (5, 5, 1, [0]),
        (6, 5, 1, [0, 1]),
        (10, 5, 4, [0, 4, 5]),
        (9, 5, 4, [0, 4]),
        (7, 3, 3, [0, 3, 4]),
    ],
)
def test_clip_ranges(length, window, stride, starts):
    clips = list(clip_ranges(length, window, stride))
    assert [item.start for item in clips] == starts
    assert {len(item) for item in clips} == {min(window, length)}
    assert set(itertools.chain(*clips)) == set(range(length))


def test_a_stride_that_skips_frames_is_refused():
    with pytest.raises(ValueError, match="stride from 1 to 3, not 4"):
        list(clip_ranges(10, 3, 4))


def test_window_length_takes_whole_videos_up_to_a_limit():
    assert [window_length(length, 5, 36) for length in (3, 36, 37)] == [3, 36, 5]
    assert [window_length(length, 5, 0) for length in (3, 5, 6)] == [3, 5, 5]


class CountingFrames:
    """Stands in for ``VideoFrames``: a batch is the indices themselves."""

    def __init__(self, length):
        self.length, self.read = length, []

    def batch(self, indices):
        self.read += list(indices)
        return {"inputs": torch.tensor(list(indices), dtype=torch.float32)}


@pytest.mark.parametrize("chunk", [1, 3])
def test_sliding_clips_encode_every_frame_once(chunk):
    frames = CountingFrames(11)
    clips = list(sliding_clips(frames, 4, 3, lambda batch: (batch["inputs"], -batch["inputs"][:, None]), chunk))
    assert frames.read == list(range(11))
    assert [list(frame_range) for frame_range, _ in clips] == [list(range(s, s + 4)) for s in (0, 3, 6, 7)]
    for frame_range, (first, second) in clips:
        assert first.tolist() == list(frame_range)
        assert second.tolist() == [[-index] for index in frame_range]


class FirstAndKey(ClipSample):
    def frames(self, key, length):
        return [0, key, key]


def test_clip_frames_share_geometry_and_colour(tmp_path):
    register_all_modules(init_default_scope=True)
    TRANSFORMS.register_module(module=FirstAndKey, force=True)
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0.png")
    instance = {"bbox": [8, 8, 40, 40], "bbox_label": 1, "ignore_flag": 0, "instance_id": 5}
    polygon = [[8.0, 8.0, 40.0, 8.0, 40.0, 40.0, 8.0, 40.0]]
    images = [
        {"img_path": str(tmp_path / "0.png"), "img_id": i, "frame_id": i, "height": 48, "width": 64}
        | {"instances": [{**instance, "mask": polygon}]}
        for i in range(3)
    ]
    crop = {"prob": 0.7, "scales": [(60, 40), (90, 60)], "size": (20, 50)}
    pipeline = Compose(
        recipes.clip_pipeline({"type": "FirstAndKey"}, [(64, 48), (96, 72)], crop=crop, photometric=True)
    )
    shapes = set()
    for seed in range(12):
        np.random.seed(seed)
        results = {"images": [dict(image) for image in images], "video_id": 1, "video_length": 3, "key_frame_id": 2}
        packed = pipeline(results)
        assert packed["inputs"].shape[0] == 3
        assert torch.equal(packed["inputs"][0], packed["inputs"][1])  # one file: alike frames stay alike
        samples = packed["data_samples"]
        assert samples.key_frames_inds == [1]
        first, other = samples[0].gt_instances, samples[2].gt_instances
        assert np.array_equal(first.masks.masks, other.masks.masks)
        assert torch.equal(first.bboxes, other.bboxes)
        shapes.add(tuple(packed["inputs"].shape))
    assert len(shapes) > 4
