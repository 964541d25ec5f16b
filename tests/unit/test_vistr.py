"""VisTR's parts and whole videos with random weights: sampling, encoding, matching, losses, masks, rows, settings."""

import math

import numpy as np
import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.structures import DetDataSample, TrackDataSample  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from pycocotools import mask as mask_utils  # noqa: E402

from methods.runtime.backbones import BACKBONES  # noqa: E402
from methods.runtime.clips import ClipTargets  # noqa: E402
from methods.runtime.configs import build_config  # noqa: E402
from methods.runtime.facts import DatasetFacts  # noqa: E402
from methods.runtime.queries import QueryRecorder  # noqa: E402
from methods.vistr import config  # noqa: E402
from methods.vistr.heads import AttentionMap, InstanceMaskHead, norm_groups  # noqa: E402
from methods.vistr.losses import (  # noqa: E402
    LossWeights,
    SequenceCriterion,
    SlotTargets,
    attention_loss,
    match,
    sequence_iou,
    slot_targets,
)
from methods.vistr.model import GapVisTR  # noqa: E402
from methods.vistr.network import ClipOutputs, VisTRHead, sine_3d  # noqa: E402
from methods.vistr.sampling import VisTRClipSample  # noqa: E402
from mindthegap.errors import ConfigError  # noqa: E402

NOTHING = torch.zeros(0), torch.zeros(0), ()  # memory, maps and laterals, which these losses do not look at
HEIGHT, WIDTH = 44, 60  # no multiples of any stride


def facts(tmp_path):
    return DatasetFacts("tiny", "train", tmp_path, tmp_path, "0", ("a", "b"), (1, 2), 2, 8, 80, 3, 2, (HEIGHT, WIDTH))


@pytest.mark.parametrize(
    ("key", "length", "clip", "expected"),
    [
        (5, 9, 4, [2, 3, 4, 5]),
        (1, 5, 4, [3, 4, 0, 1]),
        (2, 3, 7, [2, 0, 1, 2, 0, 1, 2]),
        (0, 1, 3, [0, 0, 0]),
        (3, 4, 1, [3]),
    ],
)
def test_clips_end_at_the_key_frame_and_wrap(key, length, clip, expected):
    # By hand from the official rule: frame = key - offset, offsets cyclic in the video, negative indices from the end.
    assert VisTRClipSample(clip).frames(key, length) == expected


def test_positions_are_time_rows_columns_in_this_order():
    encoding = sine_3d(torch.zeros(1, 4, 2, 5, dtype=torch.bool), 12)
    assert encoding.shape == (1, 4, 12, 2, 5)
    for first, count, place in ((0, 4, 3), (4, 2, 2), (8, 5, 2)):
        phase = place / (count + 1e-6) * 2 * math.pi  # the 3rd frame, 2nd row and 2nd column
        expected = [math.sin(phase), math.cos(phase), math.sin(phase / 100), math.cos(phase / 100)]
        np.testing.assert_allclose(encoding[0, 2, first : first + 4, 1, 1], expected, atol=1e-5)


def test_placed_pixels_are_pixels_with_their_positions():
    sizes = {
        "classes": 2,
        "frames": 2,
        "slots": 3,
        "channels": (8, 8),
        "dims": 12,
        "heads": 2,
        "ffn": 8,
        "dropout": 0.0,
    }
    sizes |= {"encoder_layers": 1, "decoder_layers": 1, "mask_channels": (8, 8), "instance_channels": 4, "dropout": 0.0}
    placed, plain = VisTRHead(**sizes, placed_pixels=True).eval(), VisTRHead(**sizes).eval()
    plain.load_state_dict(placed.state_dict())
    pixels = torch.randn(1, 2, 12, 3, 4, generator=torch.Generator().manual_seed(0))
    positions = sine_3d(torch.zeros(1, 2, 3, 4, dtype=torch.bool), 12)
    for found, expected in zip(placed.decode(pixels, None), plain.decode(pixels + positions, None), strict=True):
        torch.testing.assert_close(found, expected)
    assert not torch.allclose(placed.decode(pixels, None)[1], plain.decode(pixels, None)[1], atol=0.1)


def test_attention_maps_sum_to_one_over_heads_and_pixels_and_leave_out_padding():
    torch.manual_seed(0)
    maps = AttentionMap(8, 2)
    padding = torch.zeros(1, 3, 4, dtype=torch.bool)
    padding[..., 3] = True
    weights = maps(torch.randn(1, 5, 8), torch.randn(1, 8, 3, 4), padding)
    assert weights.shape == (1, 5, 2, 3, 4)
    torch.testing.assert_close(weights.flatten(2).sum(dim=-1), torch.ones(1, 5))
    assert not weights[..., 3].any()


def test_queries_learn_to_look_at_all_of_their_object():
    masks = torch.zeros(2, 1, 4, 8)
    masks[0, 0, :, :4] = 1.0  # the left one of two cells; the second object is absent
    target = SlotTargets(torch.tensor([0, 1]), torch.zeros(2, 1, 4), torch.tensor([[True], [False]]), masks)
    maps = torch.tensor([[[0.2, 0.1], [0.3, 0.4]], [[0.7, 0.0], [0.1, 0.2]]]).view(1, 1, 2, 2, 1, 2)  # of two heads
    pairs = [(torch.tensor([1, 0]), torch.tensor([0, 1]))]
    assert float(attention_loss(maps, [target], pairs)) == pytest.approx(-math.log(0.8))
    masks[0, 0, :2, 4:] = 1.0  # and half of the right one
    expected = -(math.log(0.8) + 0.5 * math.log(0.2)) / 1.5
    assert float(attention_loss(maps, [target], pairs)) == pytest.approx(expected)
    nothing = (torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long))
    assert float(attention_loss(maps, [target], [nothing])) == 0.0


def test_masks_of_a_single_frame_take_the_short_way_to_the_same_numbers():
    torch.manual_seed(0)
    head, features = InstanceMaskHead(6, 8).double(), torch.randn(2, 6, 1, 9, 7, dtype=torch.double)
    torch.testing.assert_close(head(features), torch.nn.Sequential.forward(head, features))
    two = torch.cat([features, features], dim=2)
    torch.testing.assert_close(head(two), torch.nn.Sequential.forward(head, two))


@pytest.mark.parametrize(("channels", "groups"), [(24, 8), (392, 8), (100, 5), (7, 7), (18, 6)])
def test_norm_groups_divide(channels, groups):
    assert norm_groups(channels) == groups


def test_sequence_iou_of_shifted_boxes():
    boxes = torch.tensor([[0.3, 0.5, 0.2, 0.4], [0.0, 0.0, 0.0, 0.0]])[None, None]
    shifted = torch.tensor([[0.4, 0.5, 0.2, 0.4], [0.0, 0.0, 0.0, 0.0]])[None, None]
    torch.testing.assert_close(sequence_iou(boxes, shifted)[0, 0], torch.tensor([1 / 3, 1.0]), atol=1e-4, rtol=0)


def targets(visible, labels=(0, 1)):
    shown = torch.tensor(visible)
    boxes = torch.tensor([[[0.0, 0.0, 20.0, 20.0]], [[32.0, 12.0, 40.0, 40.0]]]).repeat(1, shown.shape[1], 1)
    masks = torch.zeros(*shown.shape, 40, 40, dtype=torch.bool)
    masks[0, :, :20, :20] = True
    masks[1, :, 12:, 32:] = True
    return ClipTargets(
        torch.tensor(labels), boxes * shown[..., None], masks & shown[..., None, None], shown, torch.arange(2)
    )


def perfect(target, frames, slots=3):
    """Outputs, and masks by clip and slot, that say exactly what is there; object i has slot 2 - i."""
    wanted = slot_targets(target, (40, 40), 4)
    classes = torch.full((1, 1, frames * slots, 3), -20.0)
    classes[..., 2] = 20.0
    boxes = torch.full((1, 1, frames * slots, 4), 0.5)
    masks = torch.full((1, slots, frames, 10, 10), -20.0)
    for row, frame in target.visible.nonzero().tolist():
        query = frame * slots + 2 - row
        classes[0, 0, query] = -20.0
        classes[0, 0, query, target.labels[row]] = 20.0
        boxes[0, 0, query] = wanted.boxes[row, frame]
        masks[0, 2 - row, frame] = wanted.masks[row, frame] * 40 - 20
    outputs = ClipOutputs(classes, boxes, torch.zeros(1, frames, slots, 4), *NOTHING)
    return outputs, lambda clip, slot: masks[clip, slot], wanted


def test_pairs_are_the_visible_frames_of_the_object_matched():
    # The official code would take the frames of the other object here: the assignment is not the identity.
    target = targets([[True, False, True], [False, True, True]])
    outputs, masks_of, wanted = perfect(target, 3)
    slots, objects = match(
        outputs.class_logits[0, 0].unflatten(0, (3, 3)), outputs.boxes[0, 0].unflatten(0, (3, 3)), wanted, LossWeights()
    )
    assert dict(zip(slots.tolist(), objects.tolist(), strict=True)) == {2: 0, 1: 1}
    losses = SequenceCriterion(LossWeights(), 4)(outputs, masks_of, [target], [(40, 40)])
    assert all(float(value) < 1e-4 for value in losses.values()), losses


def test_losses_by_hand_count_absent_frames_in_the_normaliser():
    target = targets([[True, False], [True, True]])
    outputs, masks_of, _ = perfect(target, 2)
    outputs.boxes[0, 0, 2, 0] += 0.1  # frame 0, slot 2: object 0, width 0.5, so that the IoU is 0.4 / 0.6
    outputs.class_logits[0, 0, 0] = 0.0  # an empty slot that says nothing
    losses = SequenceCriterion(LossWeights(), 4)(outputs, masks_of, [target], [(40, 40)])
    assert float(losses["loss_bbox"]) == pytest.approx(5 * 0.1 / 4, rel=1e-4)
    assert float(losses["loss_giou"]) == pytest.approx(2 * (1 - 0.4 / 0.6) / 4, rel=1e-4)
    # Three objects with weight 1 and three empty queries with weight 0.1, one of which costs log 3.
    assert float(losses["loss_cls"]) == pytest.approx(0.1 * math.log(3) / 3.3, rel=1e-4)


def test_a_clip_without_objects_teaches_no_object_alone():
    target = targets([[True], [True]]).subset(torch.zeros(2, dtype=torch.bool), slice(None))
    boxes, masks = torch.full((1, 1, 3, 4), 0.5), torch.zeros(1, 3, 1, 10, 10)
    outputs = ClipOutputs(torch.zeros(1, 1, 3, 3), boxes, torch.zeros(1, 1, 3, 4), *NOTHING)
    parts = (outputs.class_logits, outputs.boxes, masks)
    for part in parts:
        part.requires_grad_()
    criterion = SequenceCriterion(LossWeights(), 4)
    losses = criterion(outputs, lambda clip, slot: masks[clip, slot], [target], [(40, 40)])
    assert float(losses["loss_cls"].detach()) == pytest.approx(math.log(3))
    assert [float(losses[name].detach()) for name in ("loss_bbox", "loss_giou", "loss_focal", "loss_dice")] == [0.0] * 4
    sum(losses.values()).backward()
    assert all(part.grad is not None for part in parts)


class Frames:
    """Stands in for ``VideoFrames``: random pictures, the same ones whenever a frame is asked for."""

    def __init__(self, length, queries=None):
        self.length, self.height, self.width, self.queries = length, HEIGHT, WIDTH, queries

    def batch(self, indices):
        seeds = [torch.Generator().manual_seed(index) for index in indices]
        pictures = [torch.randint(0, 255, (3, HEIGHT, WIDTH), generator=seed) for seed in seeds]
        sample = TrackDataSample()
        sample.video_data_samples = [DetDataSample(metainfo={"img_shape": (HEIGHT, WIDTH)}) for _ in indices]
        return {"inputs": [torch.stack(pictures).to(torch.uint8)], "data_samples": [sample]}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    register_all_modules(init_default_scope=True)
    settings = {"dims": 24, "ffn": 16, "clip_frames": 4, "encoder_layers": 1, "decoder_layers": 1}
    built = build_config("vistr", "smoke", facts(tmp_path_factory.mktemp("none")), "r18_tiny", settings).model.to_dict()
    built.pop("type")
    torch.manual_seed(3)
    network = GapVisTR(**built)
    network.init_weights()
    torch.nn.init.constant_(network.head.class_embed.bias[-1:], -2.0)
    torch.nn.init.constant_(network.head.insmask_head[-1].bias, 0.2)
    return network.eval()


@pytest.mark.parametrize("length", [1, 3, 4, 5, 9])
def test_any_length_gives_rows_of_that_length(model, length):
    recorder = QueryRecorder()
    rows = model.predict_video(Frames(length, recorder))
    assert rows
    assert {len(row.segmentations) for row in rows} == {len(row.frame_scores) for row in rows} == {length}
    assert all(rle is None or rle["size"] == [HEIGHT, WIDTH] for row in rows for rle in row.segmentations)
    arrays = recorder.arrays()
    assert set(arrays["frame"].tolist()) == set(range(length))
    assert {row.query_id for row in rows} <= set(arrays["query_id"].tolist())
    assert rows == model.predict_video(Frames(length))


def test_a_whole_clip_has_the_numbers_of_a_training_batch(model):
    data = model.data_preprocessor(Frames(4).batch(range(4)), training=False)
    with torch.no_grad():
        outputs = model(data["inputs"], data["data_samples"])
    best, labels = outputs.class_logits[-1, 0].softmax(dim=-1).unflatten(0, (4, 4))[..., :-1].max(dim=-1)
    rows = model.predict_video(Frames(4))
    for row in rows:
        assert row.score == pytest.approx(float(best[:, row.query_id].mean()), abs=1e-5)
        assert row.label in labels[:, row.query_id].tolist()
        with torch.no_grad():
            masks = model.head.mask_logits(outputs, torch.tensor([0]), torch.tensor([row.query_id]))
        logits = torch.nn.functional.interpolate(masks, (HEIGHT, WIDTH), mode="bilinear")
        for rle, expected in zip(row.segmentations, (logits[0] > 0).numpy(), strict=True):
            found = mask_utils.decode(rle) if rle else np.zeros((HEIGHT, WIDTH))
            assert (found != expected).sum() <= 2  # pixels at the border, rounded differently


def test_an_instance_has_the_same_mask_whatever_others_are_asked_for(model):
    data = model.data_preprocessor(Frames(4).batch(range(4)), training=False)
    with torch.no_grad():
        outputs = model(data["inputs"].repeat(2, 1, 1, 1, 1).flip(0), data["data_samples"] * 2)
        clips, slots = torch.cartesian_prod(torch.arange(2), torch.arange(4)).T
        masks = model.head.mask_logits(outputs, clips, slots)
        some = torch.tensor([6, 1, 3])
        torch.testing.assert_close(model.head.mask_logits(outputs, clips[some], slots[some]), masks[some])
    assert len({round(float(mask.mean()), 4) for mask in masks[:4]}) == 4


def test_rows_follow_the_official_rules(model):
    """Majority class with ties to the lower id, mean of the best probabilities, frames below the threshold absent."""
    probs = torch.zeros(4, 4, 3)
    probs[:, 0] = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.3, 0.7, 0.0], [0.0005, 0.0001, 0.9994]])
    probs[:, 1] = torch.tensor([0.5, 0.25, 0.25])
    probs[:, 2] = torch.tensor([0.0004, 0.0002, 0.9994])  # absent from all frames
    logits = torch.ones(4, 4, 8, 8)
    logits[1, 2] = -1.0
    logits[3] = -1.0  # no pixel at all
    rows = model._slot_rows(Frames(4), logits, probs, torch.zeros(4, 4, 8))
    assert [(row.query_id, row.label) for row in rows] == [(0, 0), (1, 0)]
    assert rows[0].score == pytest.approx((0.9 + 0.8 + 0.7 + 0.0005) / 4)
    assert [rle is None for rle in rows[0].segmentations] == [False, False, False, True]
    assert [rle is None for rle in rows[1].segmentations] == [False, False, True, False]
    assert rows[1].frame_scores == (0.5, 0.5, 0.0, 0.5)


def test_empty_slots_of_long_videos_open_no_tracks(model):
    bias = model.head.class_embed.bias
    with torch.no_grad():
        before, bias[-1] = bias[-1].clone(), 99.0
    assert model.predict_video(Frames(6)) == []
    with torch.no_grad():
        bias[-1] = before


@pytest.mark.parametrize("scale", sorted(config.TRAINING))
@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_every_scale_with_every_backbone(tmp_path, scale, backbone):
    settings = {"memory_stride": 32, "mask_channels": (16, 8, 8, 8)} if backbone == "swin_l" else {}
    built = build_config("vistr", scale, facts(tmp_path), backbone, settings if scale != "paper" else {})
    assert len(built.model.head.channels) == len(built.model.head.mask_channels)
    assert built.model.head.frames == built.settings["clip_frames"]
    if scale == "paper":
        assert built.steps == 180  # 18 passes over 80 frames, 8 clips a step
        assert built.param_scheduler[1]["milestones"] == [120]
        assert (built.model.head.frames, built.inference.clip_stride) == (36, 18)


@pytest.mark.parametrize(
    ("backbone", "settings", "inference", "message"),
    [
        ("r50", {"dims": 100}, {}, r"dims 100 must be a multiple of 6 and of heads \(8\)"),
        ("r50", {"schedule": "poly"}, {}, "setting 'schedule' must be one of 'step', 'cosine', not 'poly'"),
        ("swin_l", {"memory_stride": 16}, {}, "only a ResNet has a memory_stride below 32; set 32 for swin_l"),
        ("r50", {"memory_stride": 16}, {}, "memory_stride 16 needs 3 mask_channels, one per level"),
        ("r50", {"slots": 0}, {}, "setting 'slots' must be a whole number and at least 1, not 0"),
        ("r50", {"instance_channels": 6}, {}, "instance_channels must be a multiple of 4, not 6"),
        ("r50", {}, {"clip_stride": 36}, "'clip_stride' must be from 1 to 35, so that clips of 36 frames overlap"),
        ("r50", {"solts": 3}, {}, "there is no setting 'solts'"),
    ],
)
def test_mistakes_in_settings_are_named(tmp_path, backbone, settings, inference, message):
    with pytest.raises(ConfigError, match=message):
        build_config("vistr", "paper", facts(tmp_path), backbone, settings, inference)
