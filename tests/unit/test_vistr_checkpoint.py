"""VisTR's way in for other weights: official releases, the authors' DETR, ImageNet backbones, this project's own."""

import re

import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.utils import register_all_modules  # noqa: E402

from methods.runtime.configs import build_config  # noqa: E402
from methods.runtime.facts import DatasetFacts  # noqa: E402
from methods.runtime.weights import save_weights  # noqa: E402
from methods.vistr.checkpoint import convert, load_initial, load_released  # noqa: E402
from methods.vistr.model import GapVisTR  # noqa: E402
from mindthegap.errors import InputError  # noqa: E402

SMALL = {"dims": 24, "heads": 2, "ffn": 16, "clip_frames": 3, "slots": 2, "mask_channels": (16, 8, 8, 8)}
SMALL |= {"encoder_layers": 1, "decoder_layers": 1, "instance_channels": 4}

# Our names to the official ones, written down independently of the converter.
INVERSE = (
    (r"^backbone\.", "vistr.backbone.0.body."),
    (r"^head\.(encoder|decoder)\.", r"vistr.transformer.\1."),
    (r"^head\.(input_proj|query_embed|class_embed|bbox_embed)\.", r"vistr.\1."),
    (r"^head\.", ""),
    (r"self_attn\.attn\.", "self_attn."),
    (r"cross_attn\.attn\.", "multihead_attn."),
    (r"ffn\.layers\.0\.0\.", "linear1."),
    (r"ffn\.layers\.1\.", "linear2."),
    (r"norms\.(\d)\.", lambda found: f"norm{int(found[1]) + 1}."),
    (r"post_norm\.", "norm."),
)


def official_name(key):
    for pattern, name in INVERSE:
        key = re.sub(pattern, name, key)
    return key


def small(tmp_path, backbone="r18_tiny", classes=3, **settings):
    register_all_modules(init_default_scope=True)
    names = tuple(f"class {index}" for index in range(classes))
    ids = tuple(range(1, classes + 1))
    facts = DatasetFacts("tiny", "train", tmp_path, tmp_path, "0", names, ids, 2, 8, 8, 3, 2, (96, 160))
    config = build_config("vistr", "paper", facts, backbone, {**SMALL, **settings}, {"clip_stride": 1}).model.to_dict()
    config.pop("type")
    torch.manual_seed(0)
    return GapVisTR(**config)


def official(model):
    """Random tensors under the official names, with the official head's additional first class."""
    state = {
        official_name(key): torch.rand(value.shape)
        for key, value in model.state_dict().items()
        if "num_batches" not in key
    }
    for part in ("weight", "bias"):
        name = f"vistr.class_embed.{part}"
        state[name] = torch.cat([torch.full_like(state[name][:1], 9.0), state[name]])
    return state


@pytest.fixture
def release(tmp_path):
    state = official(small(tmp_path))
    torch.save({"model": state, "epoch": 17}, tmp_path / "release.pth")
    return tmp_path / "release.pth", state


def equal(model, state):
    """Own keys (without counters) and whether they hold the official tensor."""
    own = {key: value for key, value in model.state_dict().items() if "num_batches" not in key}
    theirs = {key: state.get(official_name(key)) for key in own}
    cut = {key: value[1:] if "class_embed" in key else value for key, value in theirs.items() if value is not None}
    return {key: key in cut and torch.equal(own[key], cut[key]) for key in own}


def test_a_release_fills_every_tensor_without_the_class_of_absent_frames(tmp_path, release):
    path, state = release
    model = small(tmp_path)
    load_released(model, path)
    assert all(equal(model, state).values())
    assert model.head.class_embed.bias.shape == (4,)
    assert not (model.head.class_embed.bias == 9.0).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.update({"vistr.level_embed": torch.ones(1)}), r"unknown key vistr\.level_embed"),
        (lambda state: state.pop("vistr.input_proj.bias"), r"has no key head\.input_proj\.bias"),
        (
            lambda state: state.update({"vistr.query_embed.weight": torch.ones(9, 24)}),
            r"another shape at head\.query_embed\.weight",
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


def test_training_starts_with_queries_and_classes_of_its_own(tmp_path, release):
    path, state = release
    model = small(tmp_path, classes=5, clip_frames=4)
    log = load_initial(model, path)
    assert "3 start fresh, 0 not used" in log
    kept = equal(model, state)
    assert sorted(key for key, same in kept.items() if not same) == [
        "head.class_embed.bias",
        "head.class_embed.weight",
        "head.query_embed.weight",
    ]


def test_a_model_of_images_lacks_the_3d_convolutions_but_nothing_else(tmp_path, release):
    path, state = release
    image = {key: value for key, value in state.items() if not key.startswith("insmask_head")}
    image["mask_head.out_lay.weight"] = torch.ones(1)
    torch.save({"model": image}, path)
    model = small(tmp_path)
    assert load_initial(model, path).endswith(f"{len(image) - 4} tensors loaded, 17 start fresh, 1 not used.")
    assert equal(model, image)["head.mask_head.dcn.weight"]
    del image["vistr.bbox_embed.layers.0.weight"]
    torch.save({"model": image}, path)
    with pytest.raises(InputError, match=r"has no key head\.bbox_embed\.layers\.0\.weight"):
        load_initial(model, path)


def test_a_torchvision_backbone_is_loaded_and_swin_refused(tmp_path):
    donor = {key: torch.rand(value.shape) for key, value in small(tmp_path).backbone.state_dict().items()}
    torch.save(donor | {"fc.weight": torch.ones(2, 2)}, tmp_path / "resnet.pth")
    model = small(tmp_path)
    assert "of the backbone loaded" in load_initial(model, tmp_path / "resnet.pth")
    own = model.backbone.state_dict()
    assert all(torch.equal(value, donor[key].to(value.dtype)) for key, value in own.items())
    model.backbone = torch.nn.Identity()
    with pytest.raises(InputError, match="give weights of this backbone"):
        load_initial(model, tmp_path / "resnet.pth")


def test_own_weights_of_another_method_give_the_backbone(tmp_path):
    donor = {key: torch.rand_like(value) for key, value in small(tmp_path).state_dict().items() if "running" in key}
    whole = {key: value for key, value in small(tmp_path).state_dict().items() if "backbone" in key} | donor
    meta = {"method": "other", "backbone": "r18_tiny", "fingerprint": "0"}
    save_weights(tmp_path / "weights.pth", whole, meta)
    model = small(tmp_path)
    assert load_initial(model, tmp_path / "weights.pth").startswith("Started from other (weights.pth)")
    assert all(torch.equal(model.state_dict()[key], value) for key, value in whole.items())
    with pytest.raises(InputError, match="give weights that were trained with the same backbone"):
        load_initial(small(tmp_path, backbone="r18"), tmp_path / "weights.pth")


def test_a_foreign_key_is_named():
    with pytest.raises(ValueError, match=r"unknown key module\.conv"):
        convert({"module.conv": torch.zeros(1)})


def test_queries_of_single_frames_serve_every_frame_of_a_clip(tmp_path):
    stills = small(tmp_path, clip_frames=1)
    save_weights(tmp_path / "weights.pth", stills.state_dict(), {"method": "vistr", "fingerprint": "0"})
    model = small(tmp_path)
    assert load_initial(model, tmp_path / "weights.pth").endswith("0 start fresh.")
    expected = stills.head.query_embed.weight.detach()
    for frame in range(3):  # queries are ordered by frame, then slot
        assert torch.equal(model.head.query_embed.weight[frame * 2 : frame * 2 + 2], expected)
