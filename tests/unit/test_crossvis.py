"""CrossVIS's training: pairs, crossover learning, identity loss, and how they come together."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.registry import MODELS  # noqa: E402
from mmdet.structures import DetDataSample, TrackDataSample  # noqa: E402
from mmdet.structures.mask import BitmapMasks  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from methods.crossvis.losses import IdentityClassifier, crossover_partners, embedding_scale  # noqa: E402
from methods.crossvis.model import FramePass  # noqa: E402
from methods.crossvis.sampling import NeighbourPair, neighbours  # noqa: E402
from methods.runtime.condinst_heads import Assignment, Locations  # noqa: E402
from methods.runtime.configs import build_config  # noqa: E402
from methods.runtime.facts import DatasetFacts  # noqa: E402
from methods.runtime.registry import load  # noqa: E402
from mindthegap.errors import ConfigError  # noqa: E402

SIZE = 64, 96
THIN = {"channels": 8, "tower_groups": 2, "towers": 1, "mask_channels": 4, "mask_convs": 1, "reid_channels": 4}


def facts(classes=3, identities=5):
    names, ids = tuple("abcdefgh"[:classes]), tuple(range(1, classes + 1))
    return DatasetFacts("d", "train", None, None, "0", names, ids, 2, 8, 8, identities, 3, SIZE)


def config(scale="smoke", backbone="r18_tiny", settings=None, inference=None, **kwargs):
    return build_config("crossvis", scale, facts(**kwargs), backbone, settings or {}, inference)


def model(**settings):
    register_all_modules(init_default_scope=True)
    load("crossvis", "model")
    torch.manual_seed(0)
    return MODELS.build(config(settings=THIN | settings).model)


@pytest.mark.parametrize(
    ("key", "frame_range", "expected"),
    [
        (0, 20, [1, 2]),  # frame 0 reaches frames 5 and 20, not 21
        (2, 20, [0, 1, 3]),
        (3, 1, [2]),
        (4, 20, [4]),  # nothing near: the key frame itself
    ],
)
def test_partners_are_annotated_frames_in_reach(key, frame_range, expected):
    assert neighbours([0, 5, 20, 21, 99], key, frame_range) == expected


def test_sampled_pair_starts_with_the_key_frame():
    images = [{"frame_id": frame, "img_path": str(frame)} for frame in (0, 3, 60)]
    video = {"images": images, "video_id": 7, "video_length": 3}
    pair = NeighbourPair(frame_range=20).transform(video | {"key_frame_id": 1})
    assert (pair["img_path"], pair["key_frame_flags"]) == (["3", "0"], [True, False])
    alone = NeighbourPair(frame_range=20).transform(video | {"key_frame_id": 2})
    assert alone["img_path"] == ["60", "60"]


def test_every_location_finds_a_partner_of_its_identity():
    source, target = torch.tensor([7, 3, 9, 7]), torch.tensor([3, 7, 8, 7, 7])
    drawn = {7: set(), 3: set()}
    for seed in range(60):
        torch.manual_seed(seed)
        own, partners = crossover_partners(source, target)
        assert own.tolist() == [0, 1, 3]  # identity 9 is not in the other frame
        for i, j in zip(own.tolist(), partners.tolist(), strict=True):
            drawn[int(source[i])].add(j)
    assert drawn == {7: {1, 3, 4}, 3: {0}}
    assert [len(part) for part in crossover_partners(source, torch.tensor([1]))] == [0, 0]
    assert [len(part) for part in crossover_partners(source, target[:0])] == [0, 0]


def explicit_mask(features, params, point, stride):
    """The dynamic head as the paper describes it: relative coordinates, three 1x1 convolutions, aligned upsampling."""
    _, height, width = features.shape
    ys, xs = torch.meshgrid(torch.arange(height) * 8.0 + 4, torch.arange(width) * 8.0 + 4, indexing="ij")
    x = torch.cat([((point[0] - xs) / (8 * stride))[None], ((point[1] - ys) / (8 * stride))[None], features])[None]
    weights, biases = params[:152].split([80, 64, 8]), params[152:].split([8, 8, 1])
    for i, (weight, bias, shape) in enumerate(zip(weights, biases, [(8, 10), (8, 8), (1, 8)], strict=True)):
        x = functional.conv2d(x, weight.view(*shape, 1, 1), bias)
        x = x.relu() if i < 2 else x
    padded = functional.pad(x, (0, 1, 0, 1), mode="replicate")
    large = functional.interpolate(padded, (2 * height + 1, 2 * width + 1), mode="bilinear", align_corners=True)
    return functional.pad(large, (1, 0, 1, 0), mode="replicate")[0, 0, : 2 * height, : 2 * width]


def frame_pass(seed, objects, identities):
    """One image; location i is positive for object objects[i] (-1: background), random predictions."""
    generator = torch.Generator().manual_seed(seed)
    count = len(objects)
    locations = Locations(
        points=torch.rand(count, 2, generator=generator) * 60,
        strides=torch.tensor([8.0, 16.0, 32.0])[torch.arange(count) % 3],
        level_sizes=(count,),
        cls_logits=torch.zeros(1, count, 3),
        distances=torch.ones(1, count, 4),
        centerness=torch.zeros(1, count),
        params=torch.randn(1, count, 169, generator=generator).requires_grad_(),
    )
    objects = torch.tensor([objects])
    masks = (torch.rand(len(identities), 16, 24, generator=generator) > 0.6).float()
    features = torch.randn(1, 8, 8, 12, generator=generator).requires_grad_()
    assignment = Assignment(objects.clamp(min=0), torch.ones(1, count, 4), objects)
    return FramePass(locations, assignment, features, [masks], [torch.tensor(identities)], objects >= 0)


def explicit_crossover(source, target, pairs):
    """Mean dice of source filters at target locations; pairs of (source location, target location, target object)."""
    dices = []
    for i, j, k in pairs:
        location = target.locations.points[j], target.locations.strides[j]
        p = explicit_mask(target.mask_features[0], source.locations.params[0, i], *location).sigmoid()
        g = target.masks[0][k]
        dices.append(1 - 2 * (p * g).sum() / ((p * p).sum() + (g * g).sum() + 1e-5))
    return sum(dices) / len(dices)


def test_crossover_applies_each_frames_filters_to_the_other_frame():
    # Identities 11 and 4 are in both frames, at one location each in the second; 2 and 30 in one frame only.
    first = frame_pass(0, [-1, 0, 0, 1, 2], [4, 11, 2])
    second = frame_pass(1, [1, -1, 0, 2], [11, 4, 30])
    crossvis = model()
    there = crossvis._crossover(first, second)
    torch.testing.assert_close(there, explicit_crossover(first, second, [(1, 0, 1), (2, 0, 1), (3, 2, 0)]))
    for frame, used in ((first, "params"), (second, "mask_features")):
        leaf = frame.locations.params if used == "params" else frame.mask_features
        assert torch.autograd.grad(there, leaf, retain_graph=True)[0].abs().sum() > 0
    # Back again, identity 4 may meet either of its two locations in the first frame.
    options = [explicit_crossover(second, first, [(0, location, 0), (2, 3, 1)]).item() for location in (1, 2)]
    drawn = set()
    for seed in range(12):
        torch.manual_seed(seed)
        back = crossvis._crossover(second, first).item()
        drawn |= {index for index, option in enumerate(options) if option == pytest.approx(back, abs=1e-5)}
    assert drawn == {0, 1}


def test_own_filters_give_the_mask_loss():
    frame = frame_pass(2, [0, -1, 1, 1], [5, 8])
    expected = explicit_crossover(frame, frame, [(0, 0, 0), (2, 2, 1), (3, 3, 1)])
    torch.testing.assert_close(model()._mask_loss(frame), expected)


def test_no_common_identity_is_a_zero_that_can_be_differentiated():
    first, second = frame_pass(0, [0, -1], [1]), frame_pass(1, [0, 0], [2])
    loss = model()._crossover(first, second)
    assert loss.item() == 0
    gradients = torch.autograd.grad(loss, [first.locations.params, second.mask_features], allow_unused=True)
    assert all(gradient is None or (gradient == 0).all() for gradient in gradients)


@pytest.mark.parametrize(("identities", "scale"), [(3774, 11.647), (3, math.sqrt(2) * math.log(2)), (1, 0.980258)])
def test_embedding_scale(identities, scale):
    assert embedding_scale(identities) == pytest.approx(scale, rel=1e-4)


def test_identity_loss_in_closed_form():
    torch.manual_seed(0)
    classifier = IdentityClassifier(4, 6)
    assert classifier.fc.bias.tolist() == pytest.approx([-4.595] * 6, abs=1e-3)
    torch.nn.init.normal_(classifier.fc.weight)
    embeddings, identities = torch.randn(3, 4), torch.tensor([5, 0, 5])
    total = 0.0
    for row, identity in zip(embeddings, identities.tolist(), strict=True):
        logits = classifier.fc(row / row.norm() * math.sqrt(2) * math.log(5))
        for k, p in enumerate(logits.sigmoid()):
            total += -0.25 * (1 - p) ** 2 * p.log() if k == identity else -0.75 * p**2 * (1 - p).log()
    torch.testing.assert_close(classifier.loss(embeddings, identities), total / 3)
    nothing = classifier.loss(embeddings[:0].requires_grad_(), identities[:0])
    nothing.backward()
    assert nothing.item() == 0


def pairs(count=2, seed=0):
    """Inputs and samples of pairs whose two frames show the same two objects at different places."""
    rng = np.random.default_rng(seed)
    inputs = torch.tensor(rng.normal(size=(count, 2, 3, *SIZE)), dtype=torch.float32)
    samples = []
    for item in range(count):
        frames = []
        for frame in range(2):
            masks = np.zeros((2, *SIZE), dtype=np.uint8)
            corners = [(4 + 9 * frame, 6, 34 + 9 * frame, 30), (50, 20 + 7 * frame, 90, 50 + 7 * frame)]
            for mask, (x1, y1, x2, y2) in zip(masks, corners, strict=True):
                mask[y1:y2, x1:x2] = 1
            order = [0, 1] if frame == 0 else [1, 0]
            instances = InstanceData(
                bboxes=torch.tensor([corners[k] for k in order], dtype=torch.float32),
                labels=torch.tensor(order),
                masks=BitmapMasks(masks[order], *SIZE),
                instances_ids=torch.tensor([1 + 2 * item + k for k in order]),
            )
            frames.append(DetDataSample(gt_instances=instances))
        sample = TrackDataSample()
        sample.video_data_samples = frames
        samples.append(sample)
    return inputs, samples


def test_losses_are_the_mean_of_the_frames_plus_the_two_new_ones():
    crossvis = model().train()
    inputs, samples = pairs()
    losses = crossvis.loss(inputs, samples)
    assert set(losses) == {f"loss_{part}" for part in ("cls", "bbox", "centerness", "mask", "crossover", "identity")}
    features = crossvis.extract_feat(inputs.transpose(0, 1).flatten(0, 1))
    expected = dict.fromkeys(("loss_cls", "loss_bbox", "loss_centerness"), 0.0)
    for frame in range(2):
        levels = [level[2 * frame : 2 * frame + 2] for level in features]
        _, detection = crossvis._frame_pass(levels, [sample[frame].gt_instances for sample in samples])
        expected = {key: expected[key] + detection[key].item() / 2 for key in expected}
    assert {key: losses[key].item() for key in expected} == pytest.approx(expected, rel=1e-4)

    weighted = model(crossover_weight=2.0, identity_weight=3.0).train()
    plain = model(identity_weight=1.0).train()
    torch.manual_seed(1)
    weighted = weighted.loss(inputs, samples)
    torch.manual_seed(1)
    plain = plain.loss(inputs, samples)
    torch.testing.assert_close(weighted["loss_crossover"], 2 * plain["loss_crossover"])
    torch.testing.assert_close(weighted["loss_identity"], 3 * plain["loss_identity"])


def test_frames_of_a_pair_can_change_places():
    crossvis = model().train()
    inputs, samples = pairs()
    there = crossvis.loss(inputs, samples)
    for sample in samples:
        sample.video_data_samples = sample.video_data_samples[::-1]
    back = crossvis.loss(inputs.flip(1), samples)
    for key in there.keys() - {"loss_crossover"}:  # that one draws locations
        torch.testing.assert_close(there[key], back[key], msg=key)


def test_pyramid_and_backbone_receive_a_tenth_of_the_gradient():
    gradients = {}
    for scale in (1.0, 0.1):
        crossvis = model(gradient_scale=scale).train()
        torch.manual_seed(3)
        losses = crossvis.loss(*pairs())
        sum(losses.values()).backward()
        gradients[scale] = {name: parameter.grad for name, parameter in crossvis.named_parameters()}
    for name in ("backbone.layer3.0.conv1.weight", "neck.lateral_convs.0.conv.weight"):
        torch.testing.assert_close(gradients[0.1][name], 0.1 * gradients[1.0][name], rtol=1e-3, atol=1e-7)
    name = "bbox_head.controller.weight"
    torch.testing.assert_close(gradients[0.1][name], gradients[1.0][name], rtol=1e-3, atol=1e-7)


def test_mask_losses_use_at_most_so_many_positives():
    crossvis = model(max_positives=3)
    positive = torch.rand(2, 50, generator=torch.Generator().manual_seed(0)) < 0.3
    chosen = crossvis._chosen(positive)
    assert chosen.sum() == 3
    assert (chosen <= positive).all()
    few = torch.zeros(2, 50, dtype=torch.bool)
    few[1, 7] = True
    assert torch.equal(crossvis._chosen(few), few)


def test_nothing_to_normalise_is_named():
    head = model().train().bbox_head
    with pytest.raises(ConfigError, match="batch of one pair"):
        head.branch(torch.zeros(1, 8, 1, 1))


def test_paper_configuration():
    built = config("paper", "r50", classes=40, identities=3774)
    assert (built.steps, built.settings.batch_size, built.settings.lr) == (23_000, 16, 0.005)
    assert built.optim_wrapper.clip_grad is None
    assert built.optim_wrapper.paramwise_cfg.norm_decay_mult == 0
    warmup, steps = built.param_scheduler
    assert (warmup.start_factor, warmup.end, list(steps.milestones)) == (0.001, 1000, [15_000, 21_000])
    assert built.train_pipeline[0] == {"type": "NeighbourPair", "frame_range": 20}
    assert built.model.gradient_scale == 0.1
    assert built.model.detection == {
        "score_threshold": 0.05, "candidates_per_level": 1000, "nms_iou": 0.6, "max_per_frame": 100
    }  # fmt: skip
    ranged = config("paper", "r50", settings={"image_scales": [[640, 360], [852, 480]]})
    assert ranged.test_pipeline[0].transforms[1].scale == (640, 360)
