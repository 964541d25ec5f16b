"""MS-STS VIS's configuration per scale: SeqFormer's, the additions' sizes, and the ablation's variants by name."""

from __future__ import annotations

from typing import NamedTuple

from methods.runtime import recipes
from methods.runtime.configs import Request
from methods.runtime.joint import stills_part
from methods.runtime.recipes import Part
from methods.seqformer import config as seqformer

NAME = "ms_sts_vis"


class Switches(NamedTuple):
    """The three contributions."""

    encoder_attention: bool
    decoder_attention: bool
    adversary: bool


VARIANTS = {
    "baseline": Switches(False, False, False),
    "encoder": Switches(True, False, False),
    "encoder_decoder": Switches(True, True, False),
    "full": Switches(True, True, True),
    "decoder": Switches(False, True, False),
    "adversary": Switches(False, False, True),
}

_ADDITIONS: Part = {
    "variant": "full",
    "temporal_width": 64,  # channels of the bottleneck in which frames attend to each other
    "temporal_heads": 8,
    "temporal_ffn": 256,
    "fuse": "time",  # how neighbouring scales meet: attention over both ("time") or joined channels ("channel")
    "discriminator_narrow": 64,
    "discriminator_blocks": (128, 256, 512),
    "adversarial_weight": 0.1,
    "difference_weight": 0.0,  # of the difference between the discriminator's outputs for both masks
    "adversarial_start": 0.1,  # share of the steps after which the network plays against the discriminator
    "discriminator_lr": 1.0,  # factors of lr
    "addition_lr": 2.0,  # of the attention over time, which starts from nothing
    "lr": 1e-4,
    "drops": (4 / 12, 10 / 12),
}

_SMALL: Part = {
    "temporal_width": 32,
    "temporal_heads": 4,
    "temporal_ffn": 64,
    "discriminator_narrow": 16,
    "discriminator_blocks": (32, 64),
    "addition_lr": 1.0,
}

TRAINING: dict[str, Part] = {
    "smoke": {**seqformer.TRAINING["smoke"], **_ADDITIONS, **_SMALL, "lr": 5e-4, "adversarial_start": 0.5},
    "demo": {**seqformer.TRAINING["demo"], **_ADDITIONS, **_SMALL, "lr": 5e-4, "steps": 350},
    "paper": {**seqformer.TRAINING["paper"], **_ADDITIONS},
}

_RULES: Part = {**seqformer.RULES, "context_frames": 36, "whole_video_mib": 512.0}
# Frames attend to each other, and the training videos have 4 of them; more at once cost 8 points of AP50 at the demo.
_CPU_RULES: Part = {**seqformer.INFERENCE["demo"], "context_frames": 36}
INFERENCE: dict[str, Part] = {"smoke": _CPU_RULES, "demo": _CPU_RULES, "paper": _RULES}


_CHOICES = {**seqformer.CHOICES, "variant": tuple(VARIANTS), "fuse": ("time", "channel")}
_LEAST = {**seqformer.LEAST, "temporal_heads": 1, "context_frames": 1}


def parts(request: Request) -> Part:
    """The configuration, as ``methods.runtime.configs.build_config`` returns it."""
    training, testing = request.resolved(NAME, TRAINING, INFERENCE, choices=_CHOICES, least=_LEAST)
    seqformer.check_widths(NAME, training)
    stills = seqformer.joint_stills(training, request.facts) if request.trains else None
    steps = seqformer.step_count(training, request.facts, stills)
    switches = VARIANTS[training["variant"]]
    model = seqformer.network("GapMsStsVis", request.backbone, request.facts.classes, training, testing)
    if switches.encoder_attention:
        model["encoder"]["layer"]["frame_chunk"] = testing["frames_per_pass"]
    return {
        "model": model | _additions(training, switches, steps, predicts=not request.trains),
        "stills": stills_part(stills, training["clip_frames"]) if stills else None,
        "train_pipeline": seqformer.train_pipeline(training),
        "test_pipeline": recipes.frame_pipeline(training["test_scale"]),
        "optim_wrapper": _optimizer(training),
        "param_scheduler": seqformer.schedule(training, steps),
        "steps": steps,
        "settings": training,
        "inference": testing,
    }


def _additions(training: Part, switches: Switches, steps: int, *, predicts: bool) -> Part:
    """The model's further arguments; a model that only predicts has no discriminator."""
    discriminator = {
        "channels": training["channels"],
        "narrow": training["discriminator_narrow"],
        "blocks": tuple(training["discriminator_blocks"]),
    }
    return {
        "encoder_attention": switches.encoder_attention,
        "decoder_attention": switches.decoder_attention,
        "temporal": {
            "width": training["temporal_width"],
            "heads": training["temporal_heads"],
            "hidden": training["temporal_ffn"],
            "dropout": training["dropout"],
            "fuse": training["fuse"],
        },
        "discriminator": discriminator if switches.adversary and not predicts else None,
        "adversary": {
            "start": round(steps * training["adversarial_start"]),
            "weight": training["adversarial_weight"],
            "difference_weight": training["difference_weight"],
        },
    }


def _optimizer(training: Part) -> Part:
    """One AdamW for both players, with few parameter groups and gradients clipped by player."""
    factors = {
        "discriminator": training["discriminator_lr"],
        "msts": training["addition_lr"],
        "temporal_attn": training["addition_lr"],
        "backbone": training["backbone_lr"],
        "sampling_offsets": training["sampling_lr"],
        "decoder.reference": training["sampling_lr"],
    }
    wrapper = seqformer.optimizer(training)
    wrapper |= {"type": "PlayersOptimWrapper", "constructor": "PlayersConstructor"}
    return wrapper | {"paramwise_cfg": {"factors": factors, "second_player": "discriminator"}}
