"""SeqFormer's configuration per scale.

``paper`` follows the official code (``main.py``, ``configs/r50_seqformer.sh``, ``datasets/ytvos.py``); ``demo`` and
``smoke`` are thin networks that learn from scratch on a CPU. With ``clip_frames: 1`` the same network trains on single
frames, which is the authors' pretraining.
"""

from __future__ import annotations

from dataclasses import replace

from methods.runtime import recipes
from methods.runtime.backbones import Backbone, frozen_norms
from methods.runtime.configs import Request
from methods.runtime.facts import DatasetFacts
from methods.runtime.joint import read_stills, stills_part
from methods.runtime.recipes import Part
from methods.runtime.settings import SHARED_INFERENCE, SHARED_TRAINING
from mindthegap.errors import ConfigError

NAME = "seqformer"

_NORM_GROUPS = 32
_ANY_LENGTH = 100_000  # no limit of the longer side

# Weights of the matching costs and losses; official.
_WEIGHTS: Part = {
    "cost_class": 2.0,
    "cost_box": 5.0,
    "cost_giou": 2.0,
    "loss_class": 2.0,
    "loss_box": 5.0,
    "loss_giou": 2.0,
    "loss_mask": 2.0,
    "loss_dice": 5.0,
}

PAPER: Part = {
    **SHARED_TRAINING,
    **_WEIGHTS,
    "clip_frames": 5,  # T; 1 trains on single frames
    "stills": None,  # dataset folder of stills (COCO under the videos' categories) for joint training; None: none
    "image_scales": tuple((768, short) for short in (288, 320, 352, 392, 416, 448, 480, 512)),  # longest, shortest
    "crop": True,  # half of the clips are cropped first
    "photometric": "frame",  # colour distortion: "frame" draws it for each frame, "clip" once, "none" never
    "test_scale": (_ANY_LENGTH, 360),
    "channels": 256,
    "heads": 8,
    "levels": 4,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "encoder_points": 4,
    "decoder_points": 4,
    "ffn": 1024,
    "queries": 300,
    "dropout": 0.1,
    "mask_hidden": 64,  # width before the last convolution of the mask branch
    "mask_features": 8,
    "dynamic_channels": 8,  # of the hidden layers whose weights a query predicts
    "offset_scale": 1.0,  # divides the dynamic head's pixel offsets
    "semantic_aid": 0.0,  # weight of a loss on the classes of encoded pixels; a help from scratch, not in the paper
    "epochs": 12.0,
    "batch_size": 16,
    "lr": 2e-4,
    "backbone_lr": 0.1,  # factors of lr
    "sampling_lr": 0.1,  # of the sampling offsets and the reference points
    "weight_decay": 1e-4,
    "clip_norm": 0.1,
    "schedule": "step",  # "step": a tenth after each of `drops`; "cosine": to a hundredth, after a short warm-up
    "drops": (2 / 12, 10 / 12),  # shares of the steps; joint training with COCO has 4/12, 10/12
}

CPU: Part = {
    **PAPER,
    "clip_frames": 3,
    "image_scales": ((160, 96),),
    "crop": False,
    "photometric": "clip",
    "test_scale": (160, 96),
    "channels": 96,
    "heads": 4,
    "levels": 3,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "ffn": 256,
    "queries": 20,
    "dropout": 0.0,
    "mask_hidden": 32,
    "offset_scale": 16.0,
    "semantic_aid": 2.0,
    "loss_class": 3.0,
    "loss_dice": 3.0,
    "epochs": 1.0,
    "lr": 5e-4,
    "backbone_lr": 1.0,
    "sampling_lr": 1.0,
    "clip_norm": 1.0,
    "schedule": "cosine",
    "workers": 0,
    "checkpoint_seconds": 45.0,
    "log_every": 20,
}

TRAINING: dict[str, Part] = {
    "smoke": {**CPU, "steps": 12, "batch_size": 2, "log_every": 4, "channels": 32, "checkpoint_seconds": 5.0},
    "demo": {**CPU, "steps": 350, "batch_size": 4},
    "paper": PAPER,
}

RULES: Part = {
    **SHARED_INFERENCE,
    "selection": "pairs",  # "queries" is VNext's rule
    "top": 10,
    "min_score": 0.001,
    "class_threshold": 0.05,
    "whole_video_mib": 1024.0,
    "clip_frames": 5,
    "clip_stride": 1,
    "match_threshold": 0.01,
    "frames_per_pass": 2,
}
_CPU_RULES: Part = {**RULES, "whole_video_mib": 0.0, "clip_frames": 4}  # the training videos have 4 frames
INFERENCE: dict[str, Part] = {"smoke": _CPU_RULES, "demo": _CPU_RULES, "paper": RULES}


CHOICES = {"schedule": ("step", "cosine"), "photometric": ("frame", "clip", "none"), "selection": ("pairs", "queries")}
LEAST = dict.fromkeys(("queries", "heads", "levels", "decoder_layers", "top", "clip_stride", "frames_per_pass"), 1)


def check_widths(name: str, training: Part) -> None:
    """Refuses widths that group norm and attention cannot divide."""
    channels, heads = training["channels"], training["heads"]
    if channels % _NORM_GROUPS or channels % heads:
        raise ConfigError(f"{name}: channels {channels} must be a multiple of {_NORM_GROUPS} and of heads ({heads}).")


def parts(request: Request) -> Part:
    """The configuration, as ``methods.runtime.configs.build_config`` returns it."""
    training, testing = request.resolved(NAME, TRAINING, INFERENCE, choices=CHOICES, least=LEAST)
    check_widths(NAME, training)
    stills = joint_stills(training, request.facts) if request.trains else None
    steps = step_count(training, request.facts, stills)
    return {
        "model": network("GapSeqFormer", request.backbone, request.facts.classes, training, testing),
        "stills": stills_part(stills, training["clip_frames"]) if stills else None,
        "train_pipeline": train_pipeline(training),
        "test_pipeline": recipes.frame_pipeline(training["test_scale"]),
        "optim_wrapper": optimizer(training),
        "param_scheduler": schedule(training, steps),
        "steps": steps,
        "settings": training,
        "inference": testing,
    }


def joint_stills(training: Part, facts: DatasetFacts) -> DatasetFacts | None:
    """The stills of a joint training; None without."""
    return read_stills(training["stills"], facts) if training["stills"] else None


def step_count(training: Part, facts: DatasetFacts, stills: DatasetFacts | None) -> int:
    """Optimiser steps; an epoch of a joint training has every annotated frame and every still once."""
    frames = facts.annotated_frames + (stills.annotated_frames if stills else 0)
    return recipes.step_count(training, replace(facts, annotated_frames=frames))


def network(name: str, backbone: Backbone, classes: tuple[str, ...], training: Part, testing: Part) -> Part:
    """The model's configuration.

    Args:
        name: Registered class, ``GapSeqFormer`` or one derived from it.
        backbone: Entry of the table of backbones.
        classes: Class names.
        training: Resolved training settings.
        testing: Resolved inference settings.
    """
    channels = training["channels"]
    return {
        "type": name,
        "data_preprocessor": recipes.PREPROCESSOR,
        "backbone": _three_levels(backbone),
        "encoder": _encoder(backbone, training),
        "decoder": {
            "channels": channels,
            "heads": training["heads"],
            "levels": training["levels"],
            "points": training["decoder_points"],
            "hidden": training["ffn"],
            "layers": training["decoder_layers"],
            "dropout": training["dropout"],
        },
        "queries": training["queries"],
        "classes": classes,
        "masks": {
            "hidden": training["mask_hidden"],
            "out": training["mask_features"],
            "dynamic": training["dynamic_channels"],
            "offset_scale": training["offset_scale"],
        },
        "weights": {key: training[key] for key in _WEIGHTS},
        "semantic_aid": training["semantic_aid"],
        "rules": {key: value for key, value in testing.items() if key not in SHARED_INFERENCE},
    }


def _three_levels(backbone: Backbone) -> Part:
    """Outputs at strides 8, 16, 32; the official backbones freeze every batch norm (``FrozenBatchNorm2d``)."""
    config = backbone.config | {"out_indices": (1, 2, 3)}
    return config | frozen_norms(backbone)


def _encoder(backbone: Backbone, training: Part) -> Part:
    channels, dropout = training["channels"], training["dropout"]
    return {
        "neck": {
            "type": "ChannelMapper",
            "in_channels": list(backbone.channels[1:]),
            "out_channels": channels,
            "kernel_size": 1,
            "bias": True,  # mmdet drops it in front of a norm; the official code has both
            "norm_cfg": {"type": "GN", "num_groups": _NORM_GROUPS},
            "act_cfg": None,
            "num_outs": training["levels"],
        },
        "layers": training["encoder_layers"],
        "layer": {
            "self_attn_cfg": {
                "embed_dims": channels,
                "num_heads": training["heads"],
                "num_levels": training["levels"],
                "num_points": training["encoder_points"],
                "dropout": dropout,
            },
            "ffn_cfg": {"embed_dims": channels, "feedforward_channels": training["ffn"], "ffn_drop": dropout},
        },
        "levels": training["levels"],
        "channels": channels,
    }


def train_pipeline(training: Part) -> list[Part]:
    """Clips with one shared geometry; colours distorted per frame, per clip, or not."""
    crop = {"prob": 0.5, "scales": [(_ANY_LENGTH, short) for short in (400, 500, 600)], "size": (384, 600)}
    pipeline = recipes.clip_pipeline(
        {"type": "SeqFormerClip", "num_frames": training["clip_frames"]},
        training["image_scales"],
        crop=crop if training["crop"] else None,
        photometric=training["photometric"] == "clip",
    )
    if training["photometric"] == "frame":
        each = {"type": "TransformBroadcaster", "transforms": [{"type": "PhotoMetricDistortion"}]}
        pipeline.insert(-1, each)
    return pipeline


def optimizer(training: Part) -> Part:
    """AdamW; the backbone, the sampling offsets and the reference points learn more slowly."""
    factors = {"backbone": training["backbone_lr"]}
    factors |= {"sampling_offsets": training["sampling_lr"], "decoder.reference": training["sampling_lr"]}
    wrapper = recipes.adamw(training)
    wrapper["optimizer"]["weight_decay"] = training["weight_decay"]
    slower = {key: {"lr_mult": factor} for key, factor in factors.items() if factor != 1.0}
    return wrapper | ({"paramwise_cfg": {"custom_keys": slower}} if slower else {})


def schedule(training: Part, steps: int) -> list[Part]:
    """Steps without warm-up (official), or a cosine."""
    if training["schedule"] == "cosine":
        return recipes.cosine_schedule(steps, 50)
    drops = sorted({max(1, round(steps * share)) for share in training["drops"]})
    return [{"type": "MultiStepLR", "by_epoch": False, "begin": 0, "end": steps, "milestones": drops, "gamma": 0.1}]
