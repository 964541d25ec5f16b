"""IFC's pure parts: sampling, matching, losses by hand, the bus, the configuration, key mapping."""

import copy
import math

import numpy as np
import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.models.layers import DetrTransformerEncoderLayer  # noqa: E402

from methods.ifc.checkpoint import convert, convert_head  # noqa: E402
from methods.ifc.heads import apply_filters  # noqa: E402
from methods.ifc.losses import (  # noqa: E402
    ClipCriterion,
    LossWeights,
    dice_loss,
    dice_scores,
    focal_loss,
    focal_scores,
    match,
)
from methods.ifc.model import IFCHead  # noqa: E402
from methods.ifc.sampling import IFCClipSample  # noqa: E402
from methods.ifc.transformer import layer_config  # noqa: E402
from methods.runtime.attention import LeanAttention, use_lean_attention  # noqa: E402
from methods.runtime.backbones import BACKBONES  # noqa: E402
from methods.runtime.clips import ClipTargets  # noqa: E402
from methods.runtime.configs import build_config  # noqa: E402
from methods.runtime.facts import DatasetFacts  # noqa: E402
from methods.runtime.key_maps import detectron2_resnet_key, detr_layer_key  # noqa: E402
from methods.runtime.semantic import SemanticAid, object_means  # noqa: E402
from mindthegap.errors import ConfigError  # noqa: E402

TRANSFORMER = {"dims": 16, "heads": 2, "ffn": 16, "dropout": 0.0, "encoder_layers": 2, "decoder_layers": 2}


def facts(tmp_path, classes=3):
    names = tuple(f"class {index}" for index in range(classes))
    return DatasetFacts(
        "tiny", "train", tmp_path, tmp_path, "0", names, tuple(range(1, classes + 1)), 2, 8, 8, 3, 2, (96, 160)
    )


def head(bus_tokens=2, classes=3):
    torch.manual_seed(0)
    transformer = {**TRANSFORMER, "bus_tokens": bus_tokens}
    built = IFCHead(classes=classes, queries=5, channels=(4, 6, 8), groups=4, transformer=transformer)
    built.init_weights()
    return built.eval()


def levels(frames, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = ((4, 8, 12), (6, 4, 6), (8, 2, 3))
    return [torch.rand(frames, *size, generator=generator) for size in sizes]


def targets_of(labels, masks):
    masks = torch.as_tensor(masks, dtype=torch.bool)
    boxes = torch.zeros(*masks.shape[:2], 4)
    visible = masks.flatten(2).any(dim=2)
    return ClipTargets(torch.as_tensor(labels), boxes, masks, visible, torch.arange(len(labels)))


def test_samples_keep_the_key_frame_stay_near_and_ascend():
    np.random.seed(0)
    sampler = IFCClipSample(5, frame_range=3)
    seen = set()
    for _ in range(200):
        frames = sampler.frames(10, 40)
        assert frames == sorted(frames)
        assert len(frames) == 5
        assert frames.count(10) == 1
        seen.update(frames)
    assert seen == set(range(7, 14))
    assert set(IFCClipSample(3).frames(0, 2)) == {0, 1}  # two frames for three places: drawn with replacement
    assert IFCClipSample(4).frames(0, 1) == [0, 0, 0, 0]  # a one-frame video repeats its frame


def test_dice_and_focal_by_hand():
    logits = torch.zeros(1, 4)
    masks = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    dice = (2 * 1.0 + 1) / (2 + 2 + 1)
    assert dice_scores(logits, masks).item() == pytest.approx(dice)
    assert dice_loss(logits, masks, 2.0).item() == pytest.approx((1 - dice) / 2)
    focal = (0.25 + 0.75) / 2 * 0.5**2 * math.log(2)
    assert focal_loss(logits, masks, 1.0).item() == pytest.approx(focal)
    assert focal_scores(logits, masks).item() == pytest.approx(-focal)
    soft = torch.tensor([[0.5, 0.5, 0.0, 0.0]])  # soft targets keep their own alpha and difficulty
    expected = (2 * 0.5 * 0.25 + 2 * 0.75 * 0.25) / 4 * math.log(2)
    assert focal_loss(logits, soft, 1.0).item() == pytest.approx(expected)


def test_matching_prefers_masks_and_breaks_ties_by_class():
    masks = torch.zeros(2, 1, 2, 2)
    masks[0, :, 0], masks[1, :, 1] = 1, 1
    logits = torch.stack([masks[1], masks[0], masks[0]]) * 20 - 10
    class_logits = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 2.0], [3.0, 0.0, 0.0]])
    queries, objects = match(class_logits, logits, torch.tensor([0, 1]), masks, LossWeights())
    assert dict(zip(objects.tolist(), queries.tolist(), strict=True)) == {0: 2, 1: 0}
    none = match(class_logits, logits, torch.zeros(0, dtype=torch.long), masks[:0], LossWeights())
    assert [len(item) for item in none] == [0, 0]


def test_losses_vanish_for_exact_predictions_and_count_objects():
    masks = np.zeros((1, 2, 8, 8), bool)
    masks[0, 0, :4] = True  # absent in the second frame: an empty mask that counts
    exact = torch.as_tensor(masks[:, :, ::4, ::4], dtype=torch.float32) * 60 - 30
    other = torch.full_like(exact, -30.0)
    mask_logits = torch.stack([other, exact], dim=1)[None]  # one layer, one clip, two queries
    class_logits = torch.tensor([[[[-30.0, -30.0, 30.0], [30.0, -30.0, -30.0]]]])
    losses = ClipCriterion(LossWeights(), 4)(class_logits, mask_logits, [targets_of([0], masks)])
    assert all(value.item() == pytest.approx(0.0, abs=1e-5) for value in losses.values())
    empty = targets_of(np.zeros(0, int), np.zeros((0, 2, 8, 8)))
    losses = ClipCriterion(LossWeights(), 4)(class_logits, mask_logits, [empty])
    assert losses["loss_dice"] == losses["loss_focal"] == 0
    assert losses["loss_cls"].item() == pytest.approx(30.0)  # mean of 0 and 60 under equal weights


@pytest.mark.parametrize("bus_tokens", [0, 2])
def test_bus_is_the_only_way_between_frames(bus_tokens):
    network = head(bus_tokens)
    with torch.no_grad():
        first, changed = levels(3), levels(3)
        for level in changed:
            level[2] += 1.0
        encoded = [network(network.project(item), 1, None).encoded for item in (first, changed)]
    same = torch.allclose(encoded[0][0, 0], encoded[1][0, 0], atol=1e-6)
    assert same == (bus_tokens == 0)


def test_frames_in_another_order_give_the_same_queries_and_reordered_masks():
    network, order = head(), torch.tensor([2, 0, 1])
    with torch.no_grad():
        straight = network(network.project(levels(3)), 1, None)
        shuffled = network(network.project([level[order] for level in levels(3)]), 1, None)
    torch.testing.assert_close(straight.queries, shuffled.queries, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(straight.mask_logits[:, :, :, order], shuffled.mask_logits, atol=1e-5, rtol=1e-5)


def test_clips_of_a_batch_do_not_mix():
    network = head()
    with torch.no_grad():
        both = network(network.project(levels(4)), 2, None)
        alone = network(network.project([level[2:] for level in levels(4)]), 1, None)
    torch.testing.assert_close(both.mask_logits[:, 1:], alone.mask_logits, atol=1e-5, rtol=1e-5)


def test_padded_pixels_do_not_enter():
    network = head()
    padding = torch.zeros(1, 2, 2, 3, dtype=torch.bool)
    padding[..., 2] = True
    pixels = network.project(levels(2))[0][None]
    disturbed = pixels.clone()
    disturbed[..., 2] += 5
    with torch.no_grad():
        outputs = [network.decode(item, padding)[0] for item in (pixels, disturbed)]
    torch.testing.assert_close(*outputs)


def test_filters_apply_to_all_frames():
    filters, features = torch.rand(2, 1, 3, 4), torch.rand(1, 5, 4, 6, 7)
    logits = apply_filters(filters, features)
    assert logits.shape == (2, 1, 3, 5, 6, 7)
    assert logits[1, 0, 2, 4, 5, 6].item() == pytest.approx(float(filters[1, 0, 2] @ features[0, 4, :, 5, 6]))


def test_objects_are_classified_by_their_mean_pixel():
    masks = np.zeros((2, 2, 4, 8), bool)
    masks[0, :, :, :4] = True
    masks[1, 0, :, 2:] = True  # absent in the second frame
    encoded = torch.zeros(1, 2, 3, 1, 2)
    encoded[0, 0, :, 0, 0], encoded[0, 0, :, 0, 1], encoded[0, 1, :, 0, 0] = 3.0, 6.0, 9.0
    means, labels = object_means(encoded, [targets_of([1, 0], masks)])
    assert labels.tolist() == [1, 1, 0]
    assert means[:, 0].tolist() == [3.0, 9.0, pytest.approx((3 * 0.5 + 6) / 1.5)]
    aid = SemanticAid(3, 2, 3.0)
    torch.nn.init.zeros_(aid.classify.weight)
    torch.nn.init.constant_(aid.classify.bias, 1.0)
    assert aid.loss(encoded, [targets_of([1, 0], masks)])["loss_semantic"].item() == pytest.approx(3 * math.log(2))
    nothing = targets_of(np.zeros(0, int), np.zeros((0, 2, 4, 8)))
    assert aid.loss(encoded, [nothing])["loss_semantic"].item() == 0


@pytest.mark.parametrize("padded", [False, True])
def test_lean_attention_gives_the_numbers_of_the_ordinary_one(padded):
    torch.manual_seed(1)
    layer = DetrTransformerEncoderLayer(**layer_config(16, 2, 8, 0.0))
    lean = copy.deepcopy(layer)
    use_lean_attention(lean)
    lean.load_state_dict(layer.state_dict(), strict=True)
    tokens, positions = torch.rand(2, 2, 5, 16)
    mask = torch.tensor([[False] * 4 + [True]] * 2) if padded else None
    outputs = [item(tokens, query_pos=positions, key_padding_mask=mask) for item in (layer, lean)]
    torch.testing.assert_close(*outputs, atol=1e-6, rtol=1e-6)
    assert isinstance(lean.self_attn.attn, LeanAttention)


@pytest.mark.parametrize("scale", ["smoke", "demo", "paper"])
@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_configuration_exists_for_every_backbone(tmp_path, scale, backbone):
    overrides = {"memory_stride": 32} if backbone == "swin_l" else {}
    built = build_config("ifc", scale, facts(tmp_path), backbone, overrides, {"window": 5})
    assert built.model.head.classes == 3
    assert len(built.model.head.channels) == 3
    assert built.inference.window == 5
    assert built.model.inference.window == 5
    caffe = backbone == "r101"
    assert built.model.data_preprocessor.bgr_to_rgb != caffe
    assert built.model.backbone.get("style", "pytorch") == ("caffe" if caffe else "pytorch")


def test_official_recipe(tmp_path):
    built = build_config("ifc", "paper", facts(tmp_path), "r50", {})
    optimizer = built.optim_wrapper
    assert (optimizer.optimizer.lr, optimizer.optimizer.weight_decay) == (1e-4, 1e-4)
    assert optimizer.paramwise_cfg.custom_keys.backbone.lr_mult == 0.1
    assert optimizer.clip_grad.max_norm == 0.01
    assert built.steps == 6000
    assert built.param_scheduler[0].start_factor == 1.0
    assert built.param_scheduler[1].milestones == [4000]
    assert built.train_pipeline[0].to_dict() == {"type": "IFCClipSample", "length": 5, "frame_range": 20}
    assert built.model.semantic_aid == 0.0
    stills = build_config("ifc", "paper", facts(tmp_path), "r50", {"clip_frames": 1})
    assert stills.train_pipeline[0].type == "StillFrame"


@pytest.mark.parametrize(
    ("backbone", "settings", "message"),
    [
        ("r50", {"dims": 100}, "dims 100 must be even and a multiple of heads"),
        ("r50", {"schedule": "poly"}, "setting 'schedule' must be one of 'step', 'cosine', not 'poly'"),
        ("swin_l", {"memory_stride": 16}, "only a ResNet has a memory_stride below 32; set 32 for swin_l"),
        ("r50", {"clip_frames": 0}, "setting 'clip_frames' must be a whole number and at least 1, not 0"),
        ("r50", {"quries": 3}, "there is no setting 'quries'"),
    ],
)
def test_mistakes_in_settings_are_named(tmp_path, backbone, settings, message):
    with pytest.raises(ConfigError, match=message):
        build_config("ifc", "paper", facts(tmp_path), backbone, settings)


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("stem.conv1.weight", "conv1.weight"),
        ("stem.conv1.norm.running_mean", "bn1.running_mean"),
        ("res2.0.shortcut.weight", "layer1.0.downsample.0.weight"),
        ("res5.0.shortcut.norm.bias", "layer4.0.downsample.1.bias"),
        ("res4.5.conv3.norm.weight", "layer3.5.bn3.weight"),
        ("res4.5.conv2.weight", "layer3.5.conv2.weight"),
        ("res6.0.conv1.weight", None),
    ],
)
def test_detectron2_resnet_keys(official, ours):
    assert detectron2_resnet_key(official) == ours


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("transformer.encoder.bus_layers.2.norm2.bias", "head.transformer.encoder.bus_layers.2.norms.1.bias"),
        (
            "transformer.clip_decoder.layers.0.multihead_attn.in_proj_weight",
            "head.transformer.clip_decoder.layers.0.cross_attn.attn.in_proj_weight",
        ),
        ("transformer.clip_decoder.norm.weight", "head.transformer.clip_decoder.post_norm.weight"),
        ("mask_head.out_lay.depthwise.bias", "head.mask_head.depthwise.bias"),
        ("class_embed.layers.1.weight", "head.class_embed.layers.1.weight"),
        ("bbox_embed.layers.0.weight", None),
    ],
)
def test_official_head_keys(official, ours):
    assert convert_head(official) == ours


def test_layer_words_are_replaced_wherever_they_stand():
    assert detr_layer_key("layers.1.linear1.weight") == "layers.1.ffn.layers.0.0.weight"
    assert detr_layer_key("layers.1.norm3.bias") == "layers.1.norms.2.bias"
    with pytest.raises(ValueError, match=r"unknown key module\.conv"):
        convert({"module.conv": torch.zeros(1)})
