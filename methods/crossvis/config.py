"""CrossVIS's configuration per scale.

``paper`` follows the official configuration (``Base-CrossVIS.yaml`` and the defaults of detectron2); ``demo``
and ``smoke`` are thin networks that learn from scratch on a CPU.
"""

from __future__ import annotations

from methods.runtime import condinst, recipes
from methods.runtime.backbones import Backbone
from methods.runtime.configs import Request
from methods.runtime.facts import DatasetFacts
from methods.runtime.recipes import Part
from methods.runtime.settings import SHARED_INFERENCE, SHARED_TRAINING

NAME = "crossvis"

_OWN: Part = {
    "image_scales": ((640, 360),),  # longest and shortest side in pixels; one is drawn per pair
    "frame_range": 20,  # largest distance of the pair's frames
    "photometric": False,
    "reid_channels": 256,
    "gradient_scale": 0.1,  # of what the heads pass to pyramid and backbone
    "max_positives": 500,  # locations per process and frame in the mask and crossover losses
    "crossover_weight": 1.0,
    "identity_weight": 1.0,
    "optimizer": "sgd",
}

_CPU: Part = {
    **SHARED_TRAINING,
    **condinst.CPU,
    **_OWN,
    "image_scales": ((160, 96),),
    "photometric": True,
    "reid_channels": 64,
    "gradient_scale": 1.0,
    "class_weight": 2.0,
    "identity_weight": 0.5,
    "optimizer": "adamw",
    "workers": 0,
    "checkpoint_seconds": 45.0,
    "log_every": 20,
    "clip_norm": 10.0,
}

TRAINING: dict[str, Part] = {
    "smoke": {**_CPU, "steps": 12, "batch_size": 2, "log_every": 4, "channels": 32, "checkpoint_seconds": 5.0},
    "demo": {**_CPU, "steps": 500, "batch_size": 8, "lr": 1e-3},
    "paper": {
        **SHARED_TRAINING,
        **condinst.PAPER,
        **_OWN,
        "steps": 23_000,
        "batch_size": 16,
        "lr": 0.005,
        "clip_norm": None,
    },
}

_OFFICIAL_INFERENCE: Part = {
    **SHARED_INFERENCE,
    "score_threshold": 0.05,  # on class probability x centerness
    "candidates_per_level": 1000,
    "nms_iou": 0.6,
    "max_per_frame": 100,
    "mask_threshold": 0.5,
    "match_threshold": 0.4,
    "num_frames_retain": None,  # None: tracks are never forgotten
}
INFERENCE = {scale: dict(_OFFICIAL_INFERENCE) for scale in TRAINING}


_CHOICES = {"optimizer": ("adamw", "sgd")}
_LEAST = dict.fromkeys(("reid_channels", "max_positives", "candidates_per_level", "max_per_frame"), 1)


def parts(request: Request) -> Part:
    """The configuration, as ``methods.runtime.configs.build_config`` returns it."""
    training, testing = request.resolved(NAME, TRAINING, INFERENCE, choices=_CHOICES, least=_LEAST)
    steps = recipes.step_count(training, request.facts)
    pair = {"type": "NeighbourPair", "frame_range": training["frame_range"]}
    scales = [tuple(scale) for scale in training["image_scales"]]
    return {
        "model": _model(request.backbone, request.facts, training, testing),
        "train_pipeline": recipes.clip_pipeline(pair, scales, photometric=training["photometric"]),
        "test_pipeline": recipes.frame_pipeline(scales[0]),
        "optim_wrapper": _optimizer(training),
        "param_scheduler": _schedule(training, steps),
        "steps": steps,
        "settings": training,
        "inference": testing,
    }


def _optimizer(training: Part) -> Part:
    """AdamW from scratch; officially SGD, which in detectron2 does not decay the norms' parameters."""
    if training["optimizer"] == "adamw":
        return recipes.adamw(training)
    return recipes.sgd(training) | {"paramwise_cfg": {"norm_decay_mult": 0.0}}


def _schedule(training: Part, steps: int) -> list[Part]:
    if training["optimizer"] == "adamw":
        return recipes.cosine_schedule(steps, 50)
    return recipes.step_schedule(steps, 1000, 1 / 1000, (15 / 23, 21 / 23))


def _model(backbone: Backbone, facts: DatasetFacts, training: Part, testing: Part) -> Part:
    network = condinst.network(backbone, len(facts.classes), training)
    network["bbox_head"] |= {"type": "CrossVISHead", "reid_channels": training["reid_channels"]}
    own = ("reid_channels", "gradient_scale", "max_positives", "crossover_weight", "identity_weight")
    return {
        "type": "GapCrossVIS",
        "data_preprocessor": condinst.preprocessor(training),
        **network,
        **{key: training[key] for key in own},
        "identities": facts.identities,
        "mask_threshold": testing["mask_threshold"],
        "detection": {
            key: testing[key] for key in ("score_threshold", "candidates_per_level", "nms_iou", "max_per_frame")
        },
        "association": {key: testing[key] for key in ("match_threshold", "num_frames_retain")},
    }
