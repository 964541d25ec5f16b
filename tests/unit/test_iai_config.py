"""IAI's configuration: official values per dataset and backbone, variants, mistakes; and its checkpoints."""

import types

import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from methods.iai import checkpoint  # noqa: E402
from methods.iai.config import TRAINING  # noqa: E402
from methods.iai.variants import VARIANTS  # noqa: E402
from methods.runtime.configs import build_config  # noqa: E402
from mindthegap.errors import ConfigError, InputError  # noqa: E402


def facts(dataset="youtube_vis_2019", objects=6, classes=40):
    return types.SimpleNamespace(
        dataset=dataset,
        classes=tuple(map(str, range(classes))),
        videos=2238,
        annotated_frames=61000,
        max_objects_per_frame=objects,
    )


@pytest.mark.parametrize(
    ("dataset", "objects", "backbone", "expected"),
    [
        ("youtube_vis_2019", 6, "r50", (20, 200, 0.1, 10)),
        ("youtube_vis_2019", 6, "r101", (20, 1000, 0.05, 10)),
        ("youtube_vis_2021", 8, "r50", (25, 200, 0.1, 10)),
        ("ovis", 31, "r50", (25, 200, 0.1, 50)),
    ],
)
def test_released_numbers(dataset, objects, backbone, expected):
    config = build_config("iai", "paper", facts(dataset, objects), backbone, {})
    selection = config.model.selection
    numbers = config.model.identities, selection.nms_pre, selection.score_threshold, selection.max_per_frame
    assert numbers == expected
    assert config.model.rules.max_rows == expected[3]


def test_released_architecture_and_schedule():
    config = build_config("iai", "paper", facts(), "r50", {})
    model = config.model
    assert (model.level, model.level_channels, model.projector_channels) == (3, 2048, 1536)
    assert model.neck.in_channels == [256, 512, 1024, 2048]
    assert model.neck.add_extra_convs == "on_output"
    assert model.association.stride == 32
    assert (model.bbox_head.conv_bias, model.bbox_head.iou_offset) == (False, 0.0)
    assert model.heads_see == "frame"
    assert config.steps == -(-12 * 5 * 2238 // 16)
    warm_up, drops = config.param_scheduler
    assert (warm_up.start_factor, warm_up.end) == (1e-3, 500)
    assert drops.milestones == [round(config.steps * 8 / 12), round(config.steps * 11 / 12)]
    assert config.optim_wrapper.optimizer == {"type": "AdamW", "lr": 1e-4, "weight_decay": 1e-4}
    assert config.optim_wrapper.paramwise_cfg.custom_keys.backbone == {"lr_mult": 0.1, "decay_mult": 0.9}
    assert config.optim_wrapper.clip_grad is None
    broadcasts = [part for part in config.train_pipeline if part["type"] == "TransformBroadcaster"]
    assert [part["share_random_params"] for part in broadcasts] == [True, False]  # one size, own flips


@pytest.mark.parametrize("backbone", ["r50", "r101", "swin_l"])
def test_the_pyramid_takes_what_the_association_gives(backbone):
    config = build_config("iai", "paper", facts(), backbone, {})
    width = 2 * 256 + config.model.projector_channels
    assert config.model.neck.in_channels[3] == width == config.model.level_channels


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_rebuilt_from_its_resolved_settings(name):
    first = build_config("iai", "paper", facts(), "r50", {"variant": name})
    again = build_config("iai", "paper", facts(), "r50", first.settings.to_dict())
    assert again.model == first.model
    for key, value in VARIANTS[name].settings.items():
        assert first.settings[key] == value
    if name not in ("full", "ablation_full"):
        assert first.model != build_config("iai", "paper", facts(), "r50", {"variant": "ablation_full"}).model
    assert VARIANTS[name].table


def test_settings_win_over_the_variant():
    config = build_config("iai", "paper", facts(), "r50", {"variant": "id_4conv", "id_convs": 2})
    assert config.model.bbox_head.id_convs == 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"variant": "nothing"}, "there is no variant 'nothing'; choose from full, "),
        ({"image_model": "yolo"}, "setting 'image_model' must be one of 'condinst', 'mask_rcnn', not 'yolo'"),
        ({"association": ["far"]}, "takes 'local' and 'global'"),
        ({"identities": 2}, "must be at least 3"),
        ({"association_channels": 1024}, "leaves nothing of the 2048 channels of c5"),
        ({"association_depth": 1}, "there is no setting 'association_depth'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build_config("iai", "paper", facts(), "r50", settings)


def test_a_memory_too_short_is_refused():
    with pytest.raises(ConfigError, match="'max_long_term' must be at least 2"):
        build_config("iai", "paper", facts(), "r50", {}, {"max_long_term": 1})


# The model's shape as far as checkpoints are concerned, without its weights.
OURS = (
    "backbone.conv1.weight",
    "neck.lateral_convs.2.conv.weight",
    "bbox_head.conv_cls.weight",
    "bbox_head.id_convs.0.conv.weight",
    "bbox_head.conv_id.weight",
    "encoder_projector.weight",
    "lstt.patch_wise_id_bank.weight",
    "lstt.LSTT.layers.0.linear_Q.weight",
    "mask_head.mask_feature_head.convs_all_levels.1.conv1.conv.weight",
    "mask_head.mask_feature_head.conv_branch.2.bn.weight",
    "mask_head.mask_feature_head.conv_pred.bias",
)
OFFICIAL = (
    *OURS[:8],
    "bbox_head.mask_refine.1.0.weight",
    "bbox_head.mask_head.2.1.weight",
    "bbox_head.mask_head.4.bias",
)
VIDEO_ONLY = (3, 4, 5, 6, 7)


class Shapes(torch.nn.Module):
    """A model whose state has these keys."""

    def __init__(self, keys):
        super().__init__()
        self.values = {key: torch.zeros(2) for key in keys}

    def state_dict(self):
        return self.values

    def load_state_dict(self, state, strict):
        self.values |= state


def saved(tmp_path, keys, **changed):
    state = {key: torch.full((2,), float(number)) for number, key in enumerate(keys)} | changed
    torch.save({"state_dict": state, "meta": {"mmdet_version": "2.11.0"}}, tmp_path / "release.pth")
    return tmp_path / "release.pth"


def test_official_names_are_mapped_and_the_load_is_complete(tmp_path):
    model = Shapes(OURS)
    checkpoint.load_released(model, saved(tmp_path, OFFICIAL))
    assert [float(value[0]) for value in model.values.values()] == list(range(len(OURS)))


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (OFFICIAL[:-1], "has no key mask_head.mask_feature_head.conv_pred.bias"),
        ((*OFFICIAL, "bbox_head.mystery"), "has unknown key bbox_head.mystery"),
        (tuple(key for key in OFFICIAL if not key.startswith("lstt.")), "is not in the official layout"),
    ],
)
def test_an_incomplete_release_is_refused(tmp_path, keys, sentence):
    with pytest.raises(InputError, match=sentence):
        checkpoint.load_released(Shapes(OURS), saved(tmp_path, keys))


@pytest.mark.parametrize("keys", [OFFICIAL, OURS])
def test_training_starts_from_a_coco_model_without_what_video_adds(tmp_path, keys):
    image = [key for number, key in enumerate(keys) if number not in VIDEO_ONLY]
    line = checkpoint.load_initial(
        Shapes(OURS), saved(tmp_path, image, **{"bbox_head.conv_cls.weight": torch.ones(80)})
    )
    assert "5 tensors loaded, 6 start fresh" in line  # the class layer is of other classes


def test_ovis_starts_from_a_video_model_with_other_identities(tmp_path):
    others = {key: torch.ones(3) for key in ("bbox_head.conv_id.weight", "lstt.patch_wise_id_bank.weight")}
    line = checkpoint.load_initial(Shapes(OURS), saved(tmp_path, OFFICIAL, **others))
    assert "(iai): 9 tensors loaded, 2 start fresh" in line


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (("fc.weight",), "is no IAI, CondInst or Mask R-CNN checkpoint"),
        (("neck.x", *OFFICIAL[8:]), "has unknown key neck.x"),
        (OFFICIAL[8:], "has no key backbone.conv1.weight"),
        ((*OFFICIAL, "bbox_head.cls_convs.0.conv.bias"), "set tower_bias to true"),
    ],
)
def test_an_unfit_start_is_refused(tmp_path, keys, sentence):
    with pytest.raises(InputError, match=sentence):
        checkpoint.load_initial(Shapes(OURS), saved(tmp_path, keys))


def test_every_scale_names_the_same_settings():
    assert set(TRAINING["paper"]) - {"optimizer"} <= set(TRAINING["demo"])
    assert set(TRAINING["smoke"]) == set(TRAINING["demo"])
