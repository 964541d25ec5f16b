"""IFC's configuration per scale.

``paper`` follows the official configuration (sukjunhwang/IFC, ``configs/base_ytvis.yaml``); ``demo`` and ``smoke`` are
small networks that learn from scratch on a CPU.
"""

from __future__ import annotations

from methods.runtime import recipes
from methods.runtime.backbones import Backbone, frozen_norms, resnet_stages
from methods.runtime.configs import Request
from methods.runtime.recipes import Part
from methods.runtime.settings import SHARED_INFERENCE, SHARED_TRAINING
from mindthegap.errors import ConfigError

NAME = "ifc"

_OFFICIAL: Part = {
    **SHARED_TRAINING,
    "image_scales": ((1333, 360), (1333, 480)),  # longest and shortest side, one pair drawn per clip
    "test_scale": (1333, 360),
    "crop": None,  # as in recipes.clip_pipeline; COCO pretraining crops every image
    "photometric": False,
    "clip_frames": 5,  # 1 trains on single frames, as the papers' pretraining on images does
    "frame_range": 20,
    "backbone_style": None,  # None: caffe (BGR, stride in the 1x1) for r101, pytorch otherwise
    "memory_stride": 32,  # of what the transformer sees; 16 leaves out a ResNet's last stage, 8 dilates its third too
    "dims": 256,
    "heads": 8,
    "ffn": 2048,
    "dropout": 0.1,
    "encoder_layers": 3,
    "decoder_layers": 3,
    "bus_tokens": 8,
    "queries": 100,
    "norm_groups": 32,
    "mask_stride": 4,  # of the masks in matching and losses
    "weight_class": 1.0,
    "weight_focal": 3.0,
    "weight_dice": 3.0,
    "no_object": 0.1,
    "match_focal": 0.0,
    "semantic_aid": 0.0,  # weight of a loss on the classes of encoded pixels; a help from scratch, not in the paper
    "schedule": "step",
    "steps": 6000,
    "batch_size": 16,
    "lr": 1e-4,
    "backbone_lr_factor": 0.1,
    "weight_decay": 1e-4,
    "clip_norm": 0.01,
}

_CPU: Part = {
    **_OFFICIAL,
    "image_scales": ((160, 96),),
    "test_scale": (160, 96),
    "memory_stride": 8,
    "dims": 64,
    "heads": 4,
    "ffn": 256,
    "dropout": 0.0,
    "encoder_layers": 2,
    "bus_tokens": 4,
    "queries": 10,
    "norm_groups": 8,
    "clip_frames": 3,
    "match_focal": 3.0,
    "semantic_aid": 3.0,
    "weight_class": 2.0,
    "schedule": "cosine",
    "backbone_lr_factor": 1.0,
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "lr": 1e-3,
    "workers": 0,
    "checkpoint_seconds": 45.0,
    "log_every": 20,
}

TRAINING: dict[str, Part] = {
    "smoke": {
        **_CPU,
        "steps": 12,
        "batch_size": 2,
        "log_every": 4,
        "checkpoint_seconds": 5.0,
        "dims": 32,
        "clip_frames": 2,
    },
    # Starts from single frames. At 0.1, queries that waver between classes prefer none and are dropped.
    "demo": {**_CPU, "steps": 700, "batch_size": 8, "no_object": 0.03},
    "paper": _OFFICIAL,
}

_OFFICIAL_INFERENCE: Part = {
    **SHARED_INFERENCE,
    "window": 36,  # frames per clip; 5 is the near-online variant of the paper
    "whole_video": 0,  # videos of at most so many frames are one clip even if the window is shorter
    "clip_stride": 1,
    "match_threshold": 0.05,
    "score_threshold": 0.01,
    "max_rows": None,  # rows per video; None keeps all, which the evaluation expects
}
INFERENCE = {scale: dict(_OFFICIAL_INFERENCE) for scale in TRAINING}


_CHOICES = {
    "schedule": ("step", "cosine"),
    "memory_stride": (8, 16, 32),
    "backbone_style": (None, "pytorch", "caffe"),
}
_LEAST = dict.fromkeys(("heads", "norm_groups", "bus_tokens", "queries", "mask_stride", "window", "clip_stride"), 1)


def parts(request: Request) -> Part:
    """The configuration, as ``methods.runtime.configs.build_config`` returns it."""
    training, testing = request.resolved(NAME, TRAINING, INFERENCE, choices=_CHOICES, least=_LEAST)
    _check(training, request.backbone)
    steps = recipes.step_count(training, request.facts)
    return {
        "model": _model(request.backbone, len(request.facts.classes), training, testing),
        "train_pipeline": recipes.clip_pipeline(
            _sampler(training),
            training["image_scales"],
            crop=training["crop"],
            photometric=training["photometric"],
        ),
        "test_pipeline": recipes.frame_pipeline(training["test_scale"]),
        "optim_wrapper": recipes.detr_adamw(training),
        "param_scheduler": _schedule(training, steps),
        "steps": steps,
        "settings": training,
        "inference": testing,
    }


def _check(training: Part, network: Backbone) -> None:
    """Refuses values that would only fail deep inside the network."""
    dims = training["dims"]
    for key in ("heads", "norm_groups"):
        if dims % training[key] or dims % 2:
            raise ConfigError(f"{NAME}: dims {dims} must be even and a multiple of {key} ({training[key]}).")
    if training["memory_stride"] != 32 and network.config["type"] != "ResNet":
        raise ConfigError(f"{NAME}: only a ResNet has a memory_stride below 32; set 32 for {network.name}.")


def _sampler(training: Part) -> Part:
    if training["clip_frames"] == 1:
        return {"type": "StillFrame"}
    return {"type": "IFCClipSample", "length": training["clip_frames"], "frame_range": training["frame_range"]}


def _schedule(training: Part, steps: int) -> list[Part]:
    if training["schedule"] == "cosine":
        return recipes.cosine_schedule(steps, 50)
    return recipes.step_schedule(steps, 2, 1.0, (2 / 3,))  # no warm-up: it starts at the full rate


def _is_caffe(network: Backbone, training: Part) -> bool:
    style = training["backbone_style"] or ("caffe" if network.name == "r101" else "pytorch")
    return bool(style == "caffe")


def _backbone(network: Backbone, training: Part) -> Part:
    """The backbone with the levels that are used; a pretrained ResNet's norms are frozen (official)."""
    config: Part = dict(network.config)
    if config["type"] != "ResNet":
        return config
    style = "caffe" if _is_caffe(network, training) else "pytorch"
    return config | frozen_norms(network) | resnet_stages(training["memory_stride"]) | {"style": style}


def _preprocessor(network: Backbone, training: Part) -> Part:
    """No padding beyond the batch's largest image, as in the official code; MSRA's ResNet-101 wants BGR, mean only."""
    part = recipes.PREPROCESSOR | {"pad_size_divisor": 1}
    if _is_caffe(network, training):
        part |= {"mean": [103.53, 116.28, 123.675], "std": [1.0, 1.0, 1.0], "bgr_to_rgb": False}
    return part


def _model(network: Backbone, classes: int, training: Part, testing: Part) -> Part:
    levels = (1, 2, 3) if training["memory_stride"] == 32 else (0, 1, 2)
    return {
        "type": "GapIFC",
        "data_preprocessor": _preprocessor(network, training),
        "backbone": _backbone(network, training),
        "levels": levels,
        "stride": training["memory_stride"],
        "head": {
            "classes": classes,
            "queries": training["queries"],
            "channels": [network.channels[index] for index in levels],
            "groups": training["norm_groups"],
            "transformer": {
                key: training[key]
                for key in ("dims", "heads", "ffn", "dropout", "encoder_layers", "decoder_layers", "bus_tokens")
            },
        },
        "losses": {
            "classes": training["weight_class"],
            "focal": training["weight_focal"],
            "dice": training["weight_dice"],
            "no_object": training["no_object"],
            "match_focal": training["match_focal"],
        },
        "mask_stride": training["mask_stride"],
        "semantic_aid": training["semantic_aid"],
        "inference": testing,
    }
