"""VisTR's configuration per scale.

``paper`` follows the official configuration (Epiphqny/VisTR, ``main.py``, ``datasets/ytvos.py``); ``demo`` and
``smoke`` are small networks that learn from scratch on a CPU.
"""

from __future__ import annotations

from methods.runtime import recipes
from methods.runtime.backbones import Backbone, frozen_norms, resnet_stages
from methods.runtime.configs import Request
from methods.runtime.recipes import Part
from methods.runtime.settings import SHARED_INFERENCE, SHARED_TRAINING
from mindthegap.errors import ConfigError

NAME = "vistr"

_OFFICIAL: Part = {
    **SHARED_TRAINING,
    "image_scales": ((540, 300),),  # longest and shortest side, one pair drawn per clip
    "test_scale": (1333, 300),
    "crop": {"prob": 1.0, "scales": ((2000, 400), (2000, 500), (2000, 600)), "size": (384, 600)},
    "photometric": True,
    "clip_frames": 36,  # the queries fit this length only
    "slots": 10,  # instances per clip
    "memory_stride": 32,  # of what the transformer sees; 16 leaves out a ResNet's last stage, 8 dilates its third too
    "dims": 384,
    "heads": 8,
    "ffn": 2048,
    "dropout": 0.1,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "mask_channels": (192, 96, 48, 24),  # of the frame mask head, one per backbone level
    "instance_channels": 12,  # of the 3D convolutions
    "deformable": True,  # whether the frame mask head ends in a deformable convolution
    "mask_stride": 1,  # of the masks in the losses
    "weight_class": 1.0,
    "weight_l1": 5.0,
    "weight_iou": 2.0,
    "weight_focal": 1.0,
    "weight_dice": 1.0,
    "no_object": 0.1,
    "placed_pixels": False,  # True: positions are in the pixels too; boxes are learnt sooner; not in the paper
    "scaled_maps": False,  # True: attention maps are as large as the pixels beside them; likewise
    "attention_aid": 0.0,  # weight of a loss on where queries look for their masks; likewise
    "semantic_aid": 0.0,  # weight of a loss on the classes of encoded pixels; a help from scratch, not in the paper
    "schedule": "step",
    "epochs": 18.0,
    "batch_size": 8,
    "lr": 1e-4,
    "backbone_lr_factor": 0.1,
    "weight_decay": 1e-4,
    "clip_norm": 0.1,
}

_CPU: Part = {
    **_OFFICIAL,
    "image_scales": ((160, 96),),
    "test_scale": (160, 96),
    "crop": None,
    "photometric": False,
    "clip_frames": 4,
    "slots": 5,
    "memory_stride": 16,
    "dims": 96,
    "heads": 4,
    "ffn": 256,
    "dropout": 0.0,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "mask_channels": (32, 32, 32),
    "instance_channels": 32,
    "deformable": False,
    "mask_stride": 4,
    "weight_class": 3.0,
    "weight_focal": 3.0,
    "weight_dice": 3.0,
    "no_object": 0.2,
    "placed_pixels": True,
    "scaled_maps": True,
    "semantic_aid": 3.0,
    "attention_aid": 1.0,
    "schedule": "cosine",
    "backbone_lr_factor": 1.0,
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "lr": 6e-4,
    "workers": 0,
    "checkpoint_seconds": 45.0,
    "log_every": 20,
}

TRAINING: dict[str, Part] = {
    "smoke": {
        **_CPU,
        "steps": 12,
        "batch_size": 2,
        "image_scales": ((96, 64),),
        "test_scale": (96, 64),
        "log_every": 4,
        "checkpoint_seconds": 5.0,
        "clip_frames": 3,
        "slots": 4,
        "dims": 48,
        "ffn": 64,
        "decoder_layers": 2,
        "mask_channels": (16, 8, 8),
        "instance_channels": 8,
        "deformable": True,
    },
    "demo": {**_CPU, "steps": 250},  # starts from single frames
    "paper": _OFFICIAL,
}

_OFFICIAL_INFERENCE: Part = {
    **SHARED_INFERENCE,
    "clip_stride": 18,  # distance of clip starts in videos longer than a clip
    "match_threshold": 0.05,
    "slot_threshold": 0.05,  # mean probability of any object that a slot needs to be stitched
    "frame_threshold": 0.001,  # a slot is absent from frames whose best class has less
}
INFERENCE: dict[str, Part] = {
    "smoke": {**_OFFICIAL_INFERENCE, "clip_stride": 2},
    "demo": {**_OFFICIAL_INFERENCE, "clip_stride": 2},
    "paper": _OFFICIAL_INFERENCE,
}


_CHOICES = {"schedule": ("step", "cosine"), "memory_stride": (8, 16, 32)}
_LEAST = dict.fromkeys(("slots", "heads", "instance_channels", "mask_stride"), 1)


def parts(request: Request) -> Part:
    """The configuration, as ``methods.runtime.configs.build_config`` returns it."""
    training, testing = request.resolved(NAME, TRAINING, INFERENCE, choices=_CHOICES, least=_LEAST)
    _check(training, request.backbone)
    if not request.trains:
        _check_overlap(training, testing)
    steps = recipes.step_count(training, request.facts)
    return {
        "model": _model(request.backbone, len(request.facts.classes), training, testing),
        "train_pipeline": recipes.clip_pipeline(
            {"type": "VisTRClipSample", "length": training["clip_frames"]},
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
    if training["dims"] % 6 or training["dims"] % training["heads"]:
        raise ConfigError(
            f"{NAME}: dims {training['dims']} must be a multiple of 6 and of heads ({training['heads']})."
        )
    if training["instance_channels"] % 4:
        raise ConfigError(f"{NAME}: instance_channels must be a multiple of 4, not {training['instance_channels']}.")
    if training["memory_stride"] != 32 and network.config["type"] != "ResNet":
        raise ConfigError(f"{NAME}: only a ResNet has a memory_stride below 32; set 32 for {network.name}.")
    levels = _levels(training)
    if len(training["mask_channels"]) != levels:
        stride = training["memory_stride"]
        raise ConfigError(f"{NAME}: memory_stride {stride} needs {levels} mask_channels, one per level.")


def _check_overlap(training: Part, testing: Part) -> None:
    """Clips that are stitched share frames."""
    largest = max(1, training["clip_frames"] - 1)
    if not 1 <= testing["clip_stride"] <= largest:
        problem = f"must be from 1 to {largest}, so that clips of {training['clip_frames']} frames overlap"
        raise ConfigError(f"{NAME}: setting 'clip_stride' {problem}, not {testing['clip_stride']}.")


def _levels(training: Part) -> int:
    """How many levels of the backbone are used; the coarsest one feeds the transformer."""
    return 4 if training["memory_stride"] == 32 else 3


def _schedule(training: Part, steps: int) -> list[Part]:
    if training["schedule"] == "cosine":
        return recipes.cosine_schedule(steps, 200)
    return recipes.step_schedule(steps, 2, 1.0, (12 / 18,))  # no warm-up: it starts at the full rate


def _backbone(network: Backbone, training: Part) -> Part:
    """The backbone with the levels that are used; a pretrained ResNet's norms are frozen (official)."""
    config: Part = dict(network.config)
    if config["type"] != "ResNet":
        return config
    return config | frozen_norms(network) | resnet_stages(training["memory_stride"])


def _model(network: Backbone, classes: int, training: Part, testing: Part) -> Part:
    sizes = ("slots", "dims", "heads", "ffn", "dropout", "encoder_layers", "decoder_layers")
    others = ("mask_channels", "instance_channels", "deformable", "placed_pixels", "scaled_maps")
    return {
        "type": "GapVisTR",
        "data_preprocessor": recipes.PREPROCESSOR | {"pad_size_divisor": 1},
        "backbone": _backbone(network, training),
        "stride": training["memory_stride"],
        "head": {
            "classes": classes,
            "frames": training["clip_frames"],
            "channels": network.channels[: _levels(training)],
            **{key: training[key] for key in sizes + others},
        },
        "losses": {
            "classes": training["weight_class"],
            "l1": training["weight_l1"],
            "iou": training["weight_iou"],
            "focal": training["weight_focal"],
            "dice": training["weight_dice"],
            "no_object": training["no_object"],
            "attention": training["attention_aid"],
        },
        "mask_stride": training["mask_stride"],
        "semantic_aid": training["semantic_aid"],
        "inference": testing,
    }
