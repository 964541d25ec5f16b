"""SeqFormer against numbers that the official code computed (``tests/data/seqformer/make.py``) with equal weights."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.utils import register_all_modules  # noqa: E402

from methods.runtime.clips import ClipTargets  # noqa: E402
from methods.seqformer import losses  # noqa: E402
from methods.seqformer.checkpoint import convert, load_released  # noqa: E402
from methods.seqformer.inference import ClipReader  # noqa: E402
from methods.seqformer.model import ClipOutput, GapSeqFormer  # noqa: E402

DATA = Path(__file__).resolve().parents[1] / "data" / "seqformer"
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


def _seeds():
    spec = importlib.util.spec_from_file_location("seqformer_seeds", DATA / "seeds.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


seeds = _seeds()


class GivenFeatures(torch.nn.Module):
    """A backbone whose maps are given."""

    def __init__(self, features):
        super().__init__()
        self.features = features

    def forward(self, images):
        assert len(images) <= len(self.features[0])
        return tuple(level[: len(images)] for level in self.features)


@pytest.fixture(scope="module")
def reference():
    with np.load(DATA / "reference.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    keys = json.loads(str(arrays.pop("keys")))
    return {name: torch.from_numpy(value) for name, value in arrays.items()} | {"keys": keys}


@pytest.fixture(scope="module")
def official_weights(reference):
    return {key: torch.from_numpy(value) for key, value in seeds.weights(reference["keys"]).items()}


def build(features, weights=None):
    from mmdet.registry import MODELS

    register_all_modules(init_default_scope=True)
    MODELS.register_module(name="GivenFeatures", module=GivenFeatures, force=True)
    channels = seeds.WIDTH
    attention = {"embed_dims": channels, "num_heads": seeds.HEADS, "num_levels": seeds.LEVELS}
    attention |= {"num_points": seeds.POINTS, "dropout": 0.0}
    neck = {"type": "ChannelMapper", "in_channels": list(seeds.CHANNELS), "out_channels": channels, "kernel_size": 1}
    neck |= {"bias": True, "norm_cfg": {"type": "GN", "num_groups": 32}, "act_cfg": None, "num_outs": seeds.LEVELS}
    ffn = {"embed_dims": channels, "feedforward_channels": seeds.FFN, "ffn_drop": 0.0}
    decoder = {"channels": channels, "heads": seeds.HEADS, "levels": seeds.LEVELS, "points": seeds.POINTS}
    decoder |= {"hidden": seeds.FFN, "layers": seeds.LAYERS, "dropout": 0.0, "frame_chunk": 2}
    layer = {"self_attn_cfg": attention, "ffn_cfg": ffn}
    encoder = {"neck": neck, "layers": seeds.LAYERS, "layer": layer, "levels": seeds.LEVELS, "channels": channels}
    model = GapSeqFormer(
        backbone={"type": "GivenFeatures", "features": features},
        encoder=encoder,
        decoder=decoder,
        queries=seeds.QUERIES,
        classes=[f"class {index}" for index in range(seeds.CLASSES)],
        masks={"hidden": channels // 4, "out": channels // 32, "dynamic": 8, "offset_scale": 1.0},
        weights={},
        rules={},
        semantic_aid=0.0,
        data_preprocessor={"type": "TrackDataPreprocessor"},
    )
    if weights is not None:
        model.load_state_dict(convert(weights, seeds.CLASSES), strict=True)
    return model


@pytest.fixture(scope="module")
def run(official_weights):
    """A training pass over the stored clips: model, what it computed, and the losses."""
    clips = seeds.clips()
    model = build([torch.from_numpy(level) for level in clips["features"]], official_weights).train()
    objects = [
        losses.prepare(
            ClipTargets(
                labels=torch.from_numpy(clip["labels"]),
                boxes=torch.from_numpy(clip["corners"]),
                masks=torch.from_numpy(clip["masks"]),
                visible=torch.from_numpy(clip["masks"]).flatten(2).any(2),
                identities=torch.arange(len(clip["labels"])),
            ),
            clip["size"],
        )
        for clip in clips["targets"]
    ]
    images = torch.zeros(seeds.CLIPS, seeds.FRAMES, 3, seeds.HEIGHT, seeds.BREADTH)
    memory = model.encode(images, torch.from_numpy(clips["padding"]))
    decoded = model.decoder(memory)
    logits = model.class_logits(decoded)
    matches = losses.match(logits, decoded.boxes, objects, model.weights)
    sizes = torch.tensor(seeds.SIZES, dtype=torch.float32).flip(1)
    masks = model._matched_masks(memory, decoded, matches, sizes)
    wanted = losses.gather([clip.masks for clip in objects], matches)
    output = ClipOutput(memory, decoded, logits, [], objects, matches, masks, wanted)
    result = model.criterion(output)
    sum(result.values()).backward()
    return model, output, result


def test_every_released_tensor_has_its_place(official_weights, tmp_path):
    features = [torch.from_numpy(level) for level in seeds.clips()["features"]]
    torch.save({"model": official_weights}, tmp_path / "released.pth")
    model = build(features)
    load_released(model, tmp_path / "released.pth")
    converted = convert(official_weights, seeds.CLASSES)
    assert converted.keys() == model.state_dict().keys()
    wrapped = {f"detr.{key}": value for key, value in official_weights.items()}  # as VNext saves it
    assert convert(wrapped, seeds.CLASSES).keys() == converted.keys()
    # The official class heads have two rows without a class.
    widened = official_weights | {
        key: torch.cat([value[:1], value, value[:1]]) for key, value in official_weights.items() if "class_embed" in key
    }
    for key, value in convert(widened, seeds.CLASSES).items():
        assert torch.equal(value, converted[key]), key


@pytest.mark.parametrize("name", ["memory", "instances", "box_queries", "references", "logits", "boxes", "masks"])
def test_outputs(reference, run, name):
    _, output, _ = run
    decoded = output.decoded
    mine = {
        "memory": output.memory.tokens,
        "instances": decoded.instances,
        "box_queries": decoded.box_queries,
        "references": decoded.boxes,  # what leaves a layer is the reference that enters the next
        "logits": output.logits,
        "boxes": decoded.boxes,
        "masks": output.mask_logits,
    }[name]
    wanted = reference[name]
    scale = max(1.0, float(wanted.abs().max()))
    torch.testing.assert_close(mine.detach() / scale, wanted / scale, **TOLERANCE)


def test_references_that_enter_the_layers(reference, run):
    centres = run[1].decoded.centres.detach()
    torch.testing.assert_close(centres[0], reference["start"], **TOLERANCE)
    torch.testing.assert_close(centres[1:], reference["references"][:-1, ..., :2], **TOLERANCE)


def test_matches(reference, run):
    assert torch.stack(run[1].matches, dim=1).tolist() == reference["matches"].tolist()


@pytest.mark.parametrize(
    ("mine", "official"),
    [
        ("loss_class", "loss_ce"),
        ("loss_box", "loss_bbox"),
        ("loss_giou", "loss_giou"),
        ("loss_mask", "loss_mask"),
        ("loss_dice", "loss_dice"),
    ],
)
def test_losses(reference, run, mine, official):
    result, wanted = run[2], reference[official]
    torch.testing.assert_close(result[mine].detach(), wanted[-1], **TOLERANCE)
    torch.testing.assert_close(result[f"aux_{mine}"].detach(), wanted[:-1].sum(), **TOLERANCE)


@pytest.mark.parametrize("key", seeds.GRADIENTS)
def test_gradients(reference, run, key):
    """The same numbers flow back: references are cut between the layers, and only there."""
    (name,) = convert({key: torch.empty(2)}, seeds.CLASSES)
    gradient = dict(run[0].named_parameters())[name].grad
    wanted = reference[f"gradient/{key}"]
    torch.testing.assert_close(gradient / wanted.abs().max(), wanted / wanted.abs().max(), **TOLERANCE)


def test_masks_at_test_time(reference, official_weights):
    features = [torch.from_numpy(level)[: seeds.FRAMES] for level in seeds.clips()["features"]]
    model = build(features, official_weights).eval()
    reader = ClipReader(model)
    reader.size = (seeds.HEIGHT, seeds.BREADTH)
    with torch.no_grad():
        tokens, maps = reader.finish(model.backbone(torch.zeros(seeds.FRAMES)))
        decoded = reader.decode(tokens)
        masks = torch.stack(list(reader.masks(maps, decoded, seeds.SHOWN)), dim=1)
    wanted = reference["inference_masks"]
    torch.testing.assert_close(masks / wanted.abs().max(), wanted / wanted.abs().max(), **TOLERANCE)


def test_released_backbones_have_their_place():
    """torchvision's ResNet-50, which the official code wraps, and detectron2's names of it, which VNext uses."""
    import torchvision
    from mmdet.registry import MODELS

    from methods.runtime.backbones import get_backbone

    register_all_modules(init_default_scope=True)
    theirs = {key: value for key, value in torchvision.models.resnet50().state_dict().items() if "fc." not in key}
    own = {
        f"backbone.{key}": value.shape for key, value in MODELS.build(get_backbone("r50").config).state_dict().items()
    }
    converted = convert({f"detr.backbone.0.body.{key}": value for key, value in theirs.items()}, 40)
    assert {key: value.shape for key, value in converted.items()} == own
    renamed = {
        "stem.conv1.weight": "conv1.weight",
        "stem.conv1.norm.running_var": "bn1.running_var",
        "res4.5.conv3.norm.bias": "layer3.5.bn3.bias",
        "res2.0.shortcut.weight": "layer1.0.downsample.0.weight",
    }
    given = {f"detr.detr.backbone.0.backbone.{key}": torch.zeros(1) for key in renamed}
    assert set(convert(given, 40)) == {f"backbone.{key}" for key in renamed.values()}
    with pytest.raises(ValueError, match=r"unknown key detr\.backbone_2"):
        convert({"detr.backbone_2.weight": torch.zeros(1)}, 40)
