"""IFC's way in for other weights: official releases, ImageNet backbones, this project's own."""

import logging
import re

import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.utils import register_all_modules  # noqa: E402

from methods.ifc.checkpoint import load_initial, load_released  # noqa: E402
from methods.ifc.model import GapIFC  # noqa: E402
from methods.runtime.configs import build_config  # noqa: E402
from methods.runtime.facts import DatasetFacts  # noqa: E402
from methods.runtime.weights import save_weights  # noqa: E402
from mindthegap.errors import InputError  # noqa: E402

SMALL = {"dims": 32, "heads": 2, "ffn": 16, "queries": 4, "norm_groups": 8}
SMALL |= {"encoder_layers": 1, "decoder_layers": 1, "bus_tokens": 2}

# Our names to the official ones, written down independently of the converter.
INVERSE = (
    (r"^backbone\.conv1\.", "detr.backbone.0.backbone.stem.conv1."),
    (r"^backbone\.bn1\.", "detr.backbone.0.backbone.stem.conv1.norm."),
    (r"^backbone\.layer(\d)\.", lambda found: f"detr.backbone.0.backbone.res{int(found[1]) + 1}."),
    (r"(res\d\.\d+)\.bn(\d)\.", r"\1.conv\2.norm."),
    (r"downsample\.0\.", "shortcut."),
    (r"downsample\.1\.", "shortcut.norm."),
    (r"^head\.", "detr."),
    (r"self_attn\.attn\.", "self_attn."),
    (r"cross_attn\.attn\.", "multihead_attn."),
    (r"ffn\.layers\.0\.0\.", "linear1."),
    (r"ffn\.layers\.1\.", "linear2."),
    (r"norms\.(\d)\.", lambda found: f"norm{int(found[1]) + 1}."),
    (r"post_norm\.", "norm."),
    (r"mask_head\.(depthwise|pointwise)\.", r"mask_head.out_lay.\1."),
)


def official_name(key):
    for pattern, name in INVERSE:
        key = re.sub(pattern, name, key)
    return key


def random_like(state):
    return {key: torch.rand(value.shape) if value.is_floating_point() else value for key, value in state.items()}


def small(tmp_path, classes=3, backbone="r18_tiny", **settings):
    register_all_modules(init_default_scope=True)
    logging.getLogger("mmengine").setLevel(logging.WARNING)
    names = tuple(f"class {index}" for index in range(classes))
    ids = tuple(range(1, classes + 1))
    facts = DatasetFacts("tiny", "train", tmp_path, tmp_path, "0", names, ids, 2, 8, 8, 3, 2, (96, 160))
    config = build_config("ifc", "paper", facts, backbone, {**SMALL, **settings}).model.to_dict()
    assert config.pop("type") == "GapIFC"
    torch.manual_seed(0)
    return GapIFC(**config)


def official(model):
    state = {official_name(key): value for key, value in model.state_dict().items() if "num_batches" not in key}
    return state | {"criterion.empty_weight": torch.ones(4)}


@pytest.fixture
def release(tmp_path):
    state = random_like(official(small(tmp_path)))
    torch.save({"model": state, "iteration": 7}, tmp_path / "release.pth")
    return tmp_path / "release.pth", state


def same(model, state):
    own = model.state_dict()
    return {key: torch.equal(own[key], state[official_name(key)]) for key in own if "num_batches" not in key}


def test_a_release_fills_every_tensor(tmp_path, release):
    path, state = release
    model = small(tmp_path)
    load_released(model, path)
    assert all(same(model, state).values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.update({"detr.bbox_embed.weight": torch.ones(1)}), "unknown key detr.bbox_embed.weight"),
        (lambda state: state.pop("detr.input_proj.bias"), "has no key head.input_proj.bias"),
        (
            lambda state: state.update({"detr.query_embed.weight": torch.ones(9, 32)}),
            "another shape at head.query_embed.weight",
        ),
    ],
)
def test_a_release_that_does_not_fit_is_refused(tmp_path, release, change, message):
    path, state = release
    change(state)
    torch.save({"model": state}, path)
    model = small(tmp_path)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(InputError, match=message):
        load_released(model, path)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_other_classes_start_fresh(tmp_path, release):
    path, state = release
    model = small(tmp_path, classes=5)
    log = load_initial(model, path)
    assert "2 start fresh (classes)" in log
    kept = same(model, {**state, **{key: torch.ones(0) for key in state if "class_embed.layers.1" in key}})
    assert [key for key, equal in kept.items() if not equal] == [
        "head.class_embed.layers.1.weight",
        "head.class_embed.layers.1.bias",
    ]


@pytest.mark.parametrize("settings", [{}, {"memory_stride": 16}])
def test_a_torchvision_backbone_is_loaded_and_the_style_checked(tmp_path, settings):
    donor = random_like(small(tmp_path).backbone.state_dict())
    torch.save(donor | {"fc.weight": torch.ones(2, 2), "fc.bias": torch.ones(2)}, tmp_path / "resnet.pth")
    model = small(tmp_path, **settings)
    assert "of the backbone loaded" in load_initial(model, tmp_path / "resnet.pth")
    own = model.backbone.state_dict()
    assert all(torch.equal(value, donor[key]) for key, value in own.items())
    with pytest.raises(InputError, match="set backbone_style to pytorch"):
        load_initial(small(tmp_path, backbone_style="caffe"), tmp_path / "resnet.pth")
    del donor["layer1.0.conv1.weight"]
    torch.save(donor, tmp_path / "resnet.pth")
    with pytest.raises(InputError, match=r"no key layer1\.0\.conv1\.weight"):
        load_initial(model, tmp_path / "resnet.pth")


def test_own_weights_of_another_method_give_the_backbone(tmp_path):
    donor = {key: value for key, value in random_like(small(tmp_path).state_dict()).items() if "backbone" in key}
    meta = {"method": "other", "backbone": "r18_tiny", "fingerprint": "0"}
    save_weights(tmp_path / "weights.pth", donor, meta)
    model = small(tmp_path)
    assert load_initial(model, tmp_path / "weights.pth").startswith("Started from other (weights.pth)")
    assert all(torch.equal(model.state_dict()[key], value) for key, value in donor.items())
    with pytest.raises(InputError, match="give weights that were trained with the same backbone"):
        load_initial(small(tmp_path, backbone="r18"), tmp_path / "weights.pth")
