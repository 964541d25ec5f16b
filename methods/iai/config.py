"""IAI's configuration per scale.

``paper`` follows the released configurations (zfonemore/IAI, ``configs/iai``) in mmdet's present terms; ``demo`` and
``smoke`` are thin networks that learn from scratch on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from methods.iai import networks
from methods.iai.variants import variant_settings
from methods.runtime import condinst, recipes
from methods.runtime.configs import Request
from methods.runtime.facts import DatasetFacts
from methods.runtime.recipes import Part
from methods.runtime.settings import SHARED_INFERENCE, SHARED_TRAINING, merge, pick_scale, require_choice, require_least
from mindthegap.errors import ConfigError

NAME = "iai"

# What the ablations vary, and everything about association and identities that the released configurations fix.
_METHOD: Part = {
    "variant": "full",  # a name in variants.VARIANTS; the settings below override it
    "image_model": "condinst",  # condinst, or mask_rcnn: our reconstruction, never released
    "identification": True,  # False: no identity head; identities by mask overlap with the frame before
    "association": ("local", "global"),  # memories attended to; () leaves the association block out
    "class_projector": True,  # keep a projection of the backbone's features beside the associated ones
    "id_loss": "focal",  # focal, or ce (binary cross entropy); mask_rcnn has softmax cross entropy always
    "id_convs": 1,  # convolutions of the identity head in front of its last one
    "identities": None,  # channels N of the identity head; None: 20 for YouTube-VIS 2019, 25 for others (official)
    "association_level": "c5",  # feature level that is associated: c3, c4 or c5
    "association_channels": 256,
    "association_layers": 1,
    "association_hidden": 1024,  # width of the feed-forward part, a multiple of 32
    "association_reach": 7,  # of the local attention, cells
    "self_heads": 4,
    "drop_path": 0.1,
    "projector_channels": None,  # None: as many as keep the level's width (official)
    "memory_interval": 3,  # frames between two appends to the long-term memory
    "append_new_in_training": False,  # True: a new identity appends in training too, as it does at test time
    "shuffle_identities": False,  # True: random numbers for a clip's identities
    "clip_frames": 5,
    "max_gap": 3,  # largest distance of neighbouring frames of a clip, annotated frames
    "draws": 5,  # clips per video and epoch
    "shared_flip": False,  # True: one flip for all frames of a clip; officially each frame draws its own
    "photometric": False,
    "heads_see": "frame",  # clip: neck and heads once for all frames of the clips
}

_CPU: Part = (
    SHARED_TRAINING
    | condinst.CPU
    | _METHOD
    | {
        "image_scale": (160, 96),
        "multi_scale": False,
        "identities": 8,
        "association_level": "c4",
        "association_channels": 32,
        "association_hidden": 128,
        "association_reach": 3,
        "clip_frames": 3,
        "shared_flip": True,
        "class_weight": 2.0,
        "class_gamma": 1.0,
        "center_radius": 2.0,
        "heads_see": "clip",
        "optimizer": "scratch",
        "iou_offset": 0.0,
        "tower_bias": False,
        "workers": 0,
        "checkpoint_seconds": 45.0,
        "log_every": 20,
        "clip_norm": 10.0,
    }
)

TRAINING: dict[str, Part] = {
    "smoke": _CPU | {"steps": 12, "batch_size": 2, "channels": 32, "log_every": 4, "checkpoint_seconds": 5.0},
    "demo": _CPU | {"steps": 650, "batch_size": 6, "lr": 1.5e-3},
    "paper": SHARED_TRAINING
    | condinst.PAPER
    | _METHOD
    | {
        "image_style": "pytorch",
        "tower_bias": False,
        "iou_offset": 0.0,
        "image_scale": (640, 360),
        "multi_scale": True,
        "batch_size": 16,  # clips; the paper's 4 GPUs with 4 each
        "optimizer": "official",
        "lr": 1e-4,
        "clip_norm": None,
    },
}

_OFFICIAL_INFERENCE: Part = {
    **SHARED_INFERENCE,
    "nms_pre": None,  # candidates per level; None: 1000 for r101, 200 for others (official)
    "score_threshold": None,  # None: 0.05 for r101, 0.1 for others (official)
    "id_threshold": 0.1,
    "nms_iou": 0.5,
    "mask_threshold": 0.5,
    "max_per_frame": None,  # detections; None: 10, or 50 where training frames show more than 10 objects (official)
    "max_rows": None,  # rows per video; None: as many as detections per frame (official)
    "min_row_score": 0.05,
    "min_visible": 0.1,
    "min_overlap": 0.1,
    "score_average": "video",  # present: over the frames in which an identity appears
    "overflow": "official",  # discard: capacity N - 1, further objects are discarded
    "max_long_term": None,  # frames in the long-term memory; None: unlimited (official)
}
_BOUNDED = _OFFICIAL_INFERENCE | {"max_long_term": 10}
INFERENCE = {"smoke": dict(_BOUNDED), "demo": dict(_BOUNDED), "paper": _OFFICIAL_INFERENCE}

_CHOICES = {
    "image_model": ("condinst", "mask_rcnn"),
    "id_loss": ("focal", "ce"),
    "association_level": ("c3", "c4", "c5"),
    "heads_see": ("frame", "clip"),
    "optimizer": ("official", "scratch"),
    "score_average": ("video", "present"),
    "overflow": ("official", "discard"),
}
# Ranges of the multi-scale training: longest and shortest side are drawn independently (649 is the official spelling).
_MULTI_SCALE = ((649, 360), (960, 480))


def parts(request: Request) -> Part:
    """The configuration, as ``methods.runtime.configs.build_config`` returns it."""
    training = _training(request)
    testing = _testing(request)
    steps = _steps(training, request.facts)
    scratch = training["optimizer"] == "scratch"
    return {
        "model": networks.model(request.backbone, len(request.facts.classes), request.scale, training, testing),
        "train_pipeline": _clip_pipeline(training),
        "test_pipeline": recipes.frame_pipeline(training["image_scale"]),
        "sampler": {"type": "VideoSampler", "draws": training["draws"]},
        "optim_wrapper": recipes.adamw(training) if scratch else _official_adamw(training),
        "param_scheduler": recipes.cosine_schedule(steps, 50)
        if scratch
        else recipes.step_schedule(steps, 500, 1e-3, (8 / 12, 11 / 12)),
        "steps": steps,
        "settings": training,
        "inference": testing,
    }


def _training(request: Request) -> Part:
    """Defaults of the scale, changed by the variant, changed by the settings."""
    owner, defaults = f"{NAME} ({request.scale})", pick_scale(NAME, TRAINING, request.scale)
    variant = merge(owner, defaults, request.settings)["variant"]
    training = merge(owner, merge(owner, defaults, variant_settings(variant)), request.settings)
    require_choice(owner, training, _CHOICES)
    require_least(owner, training, {"draws": 1})
    if not set(training["association"]) <= {"local", "global"}:
        raise ConfigError(f"{owner}: setting 'association' takes 'local' and 'global', not {training['association']}.")
    if training["identities"] is None:
        training["identities"] = 20 if request.facts.dataset == "youtube_vis_2019" else 25
    if training["identities"] < 3:
        raise ConfigError(f"{owner}: setting 'identities' must be at least 3, one of them for new objects.")
    return training


def _testing(request: Request) -> Part:
    owner = f"{NAME} inference ({request.scale})"
    testing = merge(owner, pick_scale(NAME, INFERENCE, request.scale), request.inference or {})
    require_choice(owner, testing, _CHOICES)
    require_least(owner, testing, dict.fromkeys(("nms_pre", "max_per_frame", "max_rows"), 1))
    deep = request.backbone.name == "r101"
    official = {
        "nms_pre": 1000 if deep else 200,
        "score_threshold": 0.05 if deep else 0.1,
        "max_per_frame": 50 if request.facts.max_objects_per_frame > 10 else 10,
    }
    testing |= {key: value for key, value in official.items() if testing[key] is None}
    if testing["max_rows"] is None:
        testing["max_rows"] = testing["max_per_frame"]
    if testing["max_long_term"] is not None and testing["max_long_term"] < 2:
        raise ConfigError(f"{owner}: setting 'max_long_term' must be at least 2 frames, or null for no limit.")
    return testing


def _steps(training: Mapping[str, Any], facts: DatasetFacts) -> int:
    """Optimiser steps: an epoch is ``draws`` clips of every video."""
    if training["steps"] is not None:
        return int(training["steps"])
    return max(1, math.ceil(training["epochs"] * training["draws"] * facts.videos / training["batch_size"]))


def _clip_pipeline(training: Mapping[str, Any]) -> list[Part]:
    """One size per clip; the flip is drawn per frame unless it is shared."""
    resize: Part = {"type": "Resize", "scale": training["image_scale"], "keep_ratio": True}
    if training["multi_scale"]:
        resize = {"type": "RandomResize", "scale": list(_MULTI_SCALE), "keep_ratio": True}
    load: list[Part] = [{"type": "LoadFrame"}, {"type": "LoadTrackAnnotations", "with_mask": True}, resize]
    distortion = [{"type": "PhotoMetricDistortion"}] if training["photometric"] else []

    def frames(transforms: list[Part], shared: bool) -> Part:
        return {"type": "TransformBroadcaster", "share_random_params": shared, "transforms": transforms}

    return [
        {"type": "IdentityClip", "count": training["clip_frames"], "max_gap": training["max_gap"]},
        frames([*load, *distortion], shared=True),
        frames([{"type": "RandomFlip", "prob": 0.5}], shared=training["shared_flip"]),
        {"type": "PackTrackInputs"},
    ]


def _official_adamw(training: Mapping[str, Any]) -> Part:
    """AdamW, decay 1e-4; every name with "backbone" in it, the projector's too, has a tenth of the rate."""
    clip = training["clip_norm"]
    return {
        "type": "OptimWrapper",
        "optimizer": {"type": "AdamW", "lr": training["lr"], "weight_decay": 1e-4},
        "paramwise_cfg": {"custom_keys": {"backbone": {"lr_mult": 0.1, "decay_mult": 0.9}}},
        "clip_grad": None if clip is None else {"max_norm": clip, "norm_type": 2},
    }
