"""CrossVIS's checkpoint mapping against the official names, and against mmdet's own CondInst and FCOS."""

import copy
from pathlib import Path

import mmdet
import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.registry import MODELS  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.config import Config  # noqa: E402

from methods.crossvis import checkpoint  # noqa: E402
from methods.runtime.backbones import BACKBONES, Backbone  # noqa: E402
from methods.runtime.configs import build_config  # noqa: E402
from methods.runtime.facts import DatasetFacts  # noqa: E402
from methods.runtime.registry import load  # noqa: E402
from methods.runtime.weights import save_weights  # noqa: E402
from mindthegap.errors import InputError  # noqa: E402

ZOO = Path(mmdet.__file__).parent / ".mim/configs"


def facts(classes, identities=50):
    names = tuple(f"c{k}" for k in range(classes))
    ids = tuple(range(1, classes + 1))
    return DatasetFacts("d", "train", None, None, "0", names, ids, 1, 1, 1, identities, 3, (360, 640))


def model(classes=40, backbone="r50", **settings):
    register_all_modules(init_default_scope=True)
    load("crossvis", "model")
    return MODELS.build(build_config("crossvis", "paper", facts(classes), backbone, settings).model)


@pytest.fixture(scope="module")
def caffe():
    return model()


def norm(prefix, channels, *, counted=False):
    shapes = {f"{prefix}.{leaf}": (channels,) for leaf in ("weight", "bias", "running_mean", "running_var")}
    return shapes | ({f"{prefix}.num_batches_tracked": ()} if counted else {})


def conv(prefix, outputs, inputs, size):
    return {f"{prefix}.weight": (outputs, inputs, size, size), f"{prefix}.bias": (outputs,)}


def unbiased(prefix, outputs, inputs, size):
    return {f"{prefix}.weight": (outputs, inputs, size, size)}


def official_resnet():
    shapes = unbiased("backbone.bottom_up.stem.conv1", 64, 3, 7) | norm("backbone.bottom_up.stem.conv1.norm", 64)
    width = 64
    for stage, (blocks, out) in enumerate(zip((3, 4, 6, 3), (256, 512, 1024, 2048), strict=True), start=2):
        for block in range(blocks):
            prefix, inner = f"backbone.bottom_up.res{stage}.{block}", out // 4
            layers = [("conv1", inner, width, 1), ("conv2", inner, inner, 3), ("conv3", out, inner, 1)]
            if block == 0:
                layers.append(("shortcut", out, width, 1))
            for name, outputs, inputs, size in layers:
                shapes |= unbiased(f"{prefix}.{name}", outputs, inputs, size)
                shapes |= norm(f"{prefix}.{name}.norm", outputs)
            width = out
    return shapes


def official(classes=40, identities=3774, *, reid=True):
    """Names and shapes of a released checkpoint (R-50); without ``reid`` of a COCO CondInst of AdelaiDet."""
    shapes = official_resnet()
    for level, channels in zip((3, 4, 5), (512, 1024, 2048), strict=True):
        shapes |= conv(f"backbone.fpn_lateral{level}", 256, channels, 1)
        shapes |= conv(f"backbone.fpn_output{level}", 256, 256, 3)
    shapes |= conv("backbone.top_block.p6", 256, 256, 3) | conv("backbone.top_block.p7", 256, 256, 3)
    head = "proposal_generator.fcos_head."
    for tower in ("cls", "bbox", *(["reid"] if reid else [])):
        for layer in range(4):
            shapes |= conv(f"{head}{tower}_tower.{3 * layer}", 256, 256, 3)
            shapes |= {f"{head}{tower}_tower.{3 * layer + 1}.{leaf}": (256,) for leaf in ("weight", "bias")}
    for name, outputs in (("cls_logits", classes), ("bbox_pred", 4), ("ctrness", 1)):
        shapes |= conv(head + name, outputs, 256, 3)
    shapes |= {f"{head}scales.{level}.scale": (1,) for level in range(5)} | conv("controller", 169, 256, 3)
    if reid:
        shapes |= conv(head + "reid_pred", 256, 256, 1) | norm(head + "reid_pred_bn", 256, counted=True)
        shapes |= {"cls.weight": (identities, 256), "cls.bias": (identities,)}
    for level in range(3):
        shapes |= unbiased(f"mask_branch.refine.{level}.0", 128, 256, 3)
        shapes |= norm(f"mask_branch.refine.{level}.1", 128, counted=True)
    for layer in range(4):
        shapes |= unbiased(f"mask_branch.tower.{layer}.0", 128, 128, 3)
        shapes |= norm(f"mask_branch.tower.{layer}.1", 128, counted=True)
    shapes |= conv("mask_branch.tower.4", 8, 128, 1)
    return shapes | {"mask_head.sizes_of_interest": (5,), "mask_head._iter": (1,)}


def filled(shapes):
    generator = torch.Generator().manual_seed(0)
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def saved(path, state, name="model"):
    torch.save({name: state, "iteration": 5}, path)
    return path


def test_release_fills_every_tensor_of_the_model(caffe, tmp_path):
    state = filled(official())
    target = copy.deepcopy(caffe)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    checkpoint.load_released(target, saved(tmp_path / "crossvis.pth", state))
    after = target.state_dict()
    kept = {key for key in after if torch.equal(after[key], before[key])}
    assert all(key.startswith("identity_classifier.") or key.endswith("num_batches_tracked") for key in kept)
    head = "proposal_generator.fcos_head."
    for ours, theirs in {
        "backbone.bn1.running_var": "backbone.bottom_up.stem.conv1.norm.running_var",
        "backbone.layer2.3.conv1.weight": "backbone.bottom_up.res3.3.conv1.weight",
        "backbone.layer4.0.downsample.0.weight": "backbone.bottom_up.res5.0.shortcut.weight",
        "backbone.layer1.0.downsample.1.bias": "backbone.bottom_up.res2.0.shortcut.norm.bias",
        "neck.lateral_convs.2.conv.weight": "backbone.fpn_lateral5.weight",
        "neck.fpn_convs.0.conv.bias": "backbone.fpn_output3.bias",
        "neck.fpn_convs.4.conv.weight": "backbone.top_block.p7.weight",
        "bbox_head.cls_convs.3.conv.weight": head + "cls_tower.9.weight",
        "bbox_head.reid_convs.1.gn.bias": head + "reid_tower.4.bias",
        "bbox_head.reg_convs.2.conv.bias": head + "bbox_tower.6.bias",
        "bbox_head.conv_reg.weight": head + "bbox_pred.weight",
        "bbox_head.reid_bn.running_mean": head + "reid_pred_bn.running_mean",
        "bbox_head.controller.bias": "controller.bias",
        "mask_head.mask_feature_head.convs_all_levels.2.conv2.bn.weight": "mask_branch.refine.2.1.weight",
        "mask_head.mask_feature_head.conv_branch.3.conv.weight": "mask_branch.tower.3.0.weight",
        "mask_head.mask_feature_head.conv_pred.bias": "mask_branch.tower.4.bias",
    }.items():
        assert torch.equal(after[ours], state[theirs]), ours
    assert after["bbox_head.scales.3.scale"] == state[head + "scales.3.scale"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.update({"backbone.bottom_up.res6.0.conv1.weight": torch.zeros(1)}), "unknown key backbone.*res6"),
        (lambda s: s.pop("controller.bias"), r"no key bbox_head\.controller\.bias"),
        (lambda s: s.update({"controller.bias": torch.zeros(7)}), r"another shape at bbox_head\.controller\.bias"),
        (lambda s: [s.pop(k) for k in list(s) if "reid_tower" in k], r"no key bbox_head\.reid_convs.* and 15 more"),
        (lambda s: [s.pop(k) for k in list(s) if "bottom_up" in k], "not in the official layout"),
    ],
)
def test_release_is_strict_both_ways(caffe, tmp_path, change, words):
    state = filled(official())
    change(state)
    with pytest.raises(InputError, match=words) as caught:
        checkpoint.load_released(caffe, saved(tmp_path / "x.pth", state))
    assert "\n" not in str(caught.value)


def test_the_way_images_are_read_must_be_the_one_of_the_weights(tmp_path):
    with pytest.raises(InputError, match="image_style caffe, not pytorch"):
        checkpoint.load_released(model(image_style="pytorch"), saved(tmp_path / "x.pth", filled(official())))


def test_training_starts_from_adelaidet(caffe, tmp_path):
    state = filled(official(classes=80, reid=False))
    target = copy.deepcopy(caffe)
    line = checkpoint.load_initial(target, saved(tmp_path / "MS_R_50_1x.pth", state))
    own, fresh = target.state_dict(), caffe.state_dict()
    assert torch.equal(own["bbox_head.controller.weight"], state["controller.weight"])
    assert torch.equal(own["bbox_head.conv_cls.weight"], fresh["bbox_head.conv_cls.weight"])
    assert "adelaidet" in line
    del state["controller.weight"]
    with pytest.raises(InputError, match=r"no key bbox_head\.controller\.weight"):
        checkpoint.load_initial(target, saved(tmp_path / "y.pth", state))


def zoo(name):
    register_all_modules(init_default_scope=True)
    config = Config.fromfile(ZOO / name).model
    config.backbone.init_cfg = None
    shapes = {key: tuple(value.shape) for key, value in MODELS.build(config).state_dict().items()}
    return filled({key: shape for key, shape in shapes.items() if not key.endswith("num_batches_tracked")})


def test_training_starts_from_mmdets_condinst(caffe, tmp_path):
    state = zoo("condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py")
    path = saved(tmp_path / "condinst.pth", state, "state_dict")
    target = model(image_style="pytorch")
    line = checkpoint.load_initial(target, path)
    loaded = [key for key, value in target.state_dict().items() if key in state and torch.equal(value, state[key])]
    assert len(state) - len(loaded) == 2  # the class layer
    assert f"{len(loaded)} tensors loaded" in line
    with pytest.raises(InputError, match="image_style pytorch, not caffe"):
        checkpoint.load_initial(caffe, path)


def test_training_starts_from_mmdets_fcos(caffe, tmp_path):
    state = zoo("fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py")
    state["backbone.bn1.running_mean"].zero_()
    target = copy.deepcopy(caffe)
    line = checkpoint.load_initial(target, saved(tmp_path / "fcos.pth", state, "state_dict"))
    own, fresh = target.state_dict(), caffe.state_dict()
    for key in ("backbone.layer3.5.bn3.bias", "neck.fpn_convs.4.conv.weight", "bbox_head.reg_convs.3.gn.weight"):
        assert torch.equal(own[key], state[key]), key
    assert torch.equal(own["bbox_head.conv_reg.weight"], fresh["bbox_head.conv_reg.weight"])
    assert "fcos" in line
    del state["neck.lateral_convs.1.conv.weight"]
    with pytest.raises(InputError, match=r"no key neck\.lateral_convs\.1"):
        checkpoint.load_initial(target, saved(tmp_path / "y.pth", state, "state_dict"))
    state["backbone.bn1.running_mean"].fill_(0.1)
    with pytest.raises(InputError, match="fcos weights were trained with image_style pytorch, not caffe"):
        checkpoint.load_initial(target, saved(tmp_path / "y.pth", state, "state_dict"))


def test_a_detector_gives_its_swin_but_not_its_resnet(caffe, tmp_path, monkeypatch):
    config = BACKBONES["swin_l"].config | {"embed_dims": 32, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}
    monkeypatch.setitem(BACKBONES, "swin_thin", Backbone("swin_thin", config, (32, 64, 128, 256), True))
    swin = model(backbone="swin_thin")
    state = {key: torch.full_like(value, 2) for key, value in swin.state_dict().items() if key.startswith("backbone.")}
    path = saved(tmp_path / "detector.pth", state | {"rpn_head.rpn_conv.weight": torch.zeros(1)}, "state_dict")
    assert "detector" in checkpoint.load_initial(swin, path)
    assert (swin.state_dict()["backbone.patch_embed.projection.bias"] == 2).all()
    with pytest.raises(InputError, match="neither CondInst nor FCOS"):
        checkpoint.load_initial(caffe, path)
    with pytest.raises(InputError, match=r"there is no backbone\.\* key"):
        checkpoint.load_initial(swin, saved(tmp_path / "z.pth", {"w": torch.zeros(1)}))


def test_training_starts_from_an_own_training(caffe, tmp_path):
    state = {key: value + 1 for key, value in model(classes=7).state_dict().items()}
    meta = {"method": "crossvis", "backbone": "r50", "fingerprint": "f"}
    save_weights(tmp_path / "weights.pth", state, meta)
    target = copy.deepcopy(caffe)
    checkpoint.load_initial(target, tmp_path / "weights.pth")
    own = target.state_dict()
    assert torch.equal(own["bbox_head.reid_pred.weight"], state["bbox_head.reid_pred.weight"])
    assert own["bbox_head.conv_cls.bias"].shape == (40,)
