"""Parts of an mmengine configuration that several methods share: pipelines, optimisers, schedules. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from methods.runtime.facts import DatasetFacts

Part = dict[str, Any]

# ImageNet statistics in RGB order, 0..255 (torchvision's weights were trained with them).
PREPROCESSOR: Part = {
    "type": "TrackDataPreprocessor",
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
    "bgr_to_rgb": True,
    "pad_mask": True,
    "pad_size_divisor": 32,
}


def pair_pipeline(image_scale: tuple[int, int], frame_range: int, *, photometric: bool = False) -> list[Part]:
    """Training pipeline of the online methods: a key frame and one reference frame with one shared flip.

    Args:
        image_scale: Longest and shortest side in pixels, aspect ratio kept.
        frame_range: Largest distance of the reference frame, in annotated frames.
        photometric: Whether to distort brightness, contrast, saturation, hue and channel order, alike in both frames.
    """
    distortion: list[Part] = [{"type": "PhotoMetricDistortion"}] if photometric else []
    return [
        {"type": "UniformRefFrameSample", "num_ref_imgs": 1, "frame_range": frame_range, "filter_key_img": True},
        {
            "type": "TransformBroadcaster",
            "share_random_params": True,
            "transforms": [
                {"type": "LoadFrame"},
                {"type": "LoadTrackAnnotations", "with_mask": True},
                {"type": "Resize", "scale": image_scale, "keep_ratio": True},
                {"type": "RandomFlip", "prob": 0.5},
                *distortion,
            ],
        },
        {"type": "PackTrackInputs"},
    ]


def clip_pipeline(
    sampler: Part,
    image_scales: Sequence[tuple[int, int]],
    *,
    crop: Part | None = None,
    photometric: bool = False,
) -> list[Part]:
    """Training pipeline of the clip methods: T frames with one shared geometry.

    Args:
        sampler: Transform that chooses the clip's frames, e.g. ``{"type": "StillFrame"}``.
        image_scales: Longest and shortest side in pixels to draw from, aspect ratio kept.
        crop: ``{"prob", "scales", "size"}``: how often a clip is first resized to one of ``scales`` and cropped to
            sides drawn from ``size`` (shortest, longest); None never crops.
        photometric: Whether to distort brightness, contrast, saturation, hue and channel order, alike in all frames.
    """
    distortion: list[Part] = [{"type": "PhotoMetricDistortion"}] if photometric else []
    return [
        sampler,
        {
            "type": "TransformBroadcaster",
            "share_random_params": True,
            "transforms": [
                {"type": "LoadFrame"},
                {"type": "LoadTrackAnnotations", "with_mask": True},
                {"type": "RandomFlip", "prob": 0.5},
                *([_random_crop(crop)] if crop else []),
                _resize(image_scales),
                *distortion,
            ],
        },
        {"type": "PackTrackInputs"},
    ]


def _resize(scales: Sequence[tuple[int, int]]) -> Part:
    choice: Part = {"type": "RandomChoiceResize", "scales": [tuple(scale) for scale in scales]}
    return choice | {"resize_type": "Resize", "keep_ratio": True}


def _random_crop(crop: Part) -> Part:
    """Resize and crop with a probability; instances that are cropped away count as absent."""
    cut: Part = {"type": "RandomCrop", "crop_size": tuple(crop["size"]), "crop_type": "absolute_range"}
    cut |= {"allow_negative_crop": True, "recompute_bbox": True}
    return {"type": "RandomApply", "transforms": [_resize(crop["scales"]), cut], "prob": crop["prob"]}


def frame_pipeline(image_scale: tuple[int, int]) -> list[Part]:
    """Test pipeline: read, resize, pack."""
    resize = {"type": "Resize", "scale": image_scale, "keep_ratio": True}
    return [
        {"type": "TransformBroadcaster", "transforms": [{"type": "LoadFrame"}, resize]},
        {"type": "PackTrackInputs"},
    ]


def step_count(settings: Part, facts: DatasetFacts) -> int:
    """Optimiser steps: ``steps`` if given, otherwise ``epochs`` passes over the annotated frames."""
    if settings["steps"] is not None:
        return int(settings["steps"])
    return max(1, math.ceil(settings["epochs"] * facts.annotated_frames / settings["batch_size"]))


def sgd(settings: Part) -> Part:
    """SGD with momentum 0.9 and weight decay 1e-4, the official optimiser of the Mask R-CNN family."""
    return {
        "type": "OptimWrapper",
        "optimizer": {"type": "SGD", "lr": settings["lr"], "momentum": 0.9, "weight_decay": 1e-4},
        "clip_grad": _clipping(settings),
    }


def adamw(settings: Part) -> Part:
    """AdamW with weight decay 0.01 on everything; learns from scratch in far fewer steps than SGD.

    One parameter group and the fused kernel: mmengine's per-parameter groups cost a tenth of a small network's step.
    """
    return {
        "type": "OptimWrapper",
        "optimizer": {"type": "AdamW", "lr": settings["lr"], "weight_decay": 0.01, "fused": True},
        "clip_grad": _clipping(settings),
    }


def _clipping(settings: Part) -> Part | None:
    """Largest L2 norm of the gradient; None does not clip."""
    return None if settings["clip_norm"] is None else {"max_norm": settings["clip_norm"], "norm_type": 2}


def detr_adamw(settings: Part) -> Part:
    """AdamW of the DETR family: ``weight_decay`` on everything, the backbone at ``backbone_lr_factor`` of the rate.

    With a factor of 1 there is one parameter group and the fused kernel, as in ``adamw``.
    """
    optimizer: Part = {"type": "AdamW", "lr": settings["lr"], "weight_decay": settings["weight_decay"]}
    wrapper: Part = {
        "type": "OptimWrapper",
        "optimizer": optimizer,
        "clip_grad": _clipping(settings),
    }
    if settings["backbone_lr_factor"] == 1:
        optimizer["fused"] = True
        return wrapper
    return wrapper | {"paramwise_cfg": {"custom_keys": {"backbone": {"lr_mult": settings["backbone_lr_factor"]}}}}


def step_schedule(steps: int, warmup: int, start_factor: float, milestones: tuple[float, ...]) -> list[Part]:
    """Linear warm-up, then a tenth at each milestone.

    Args:
        steps: Total steps.
        warmup: Warm-up steps (at most a tenth of all, at least 2 because the first one has the start factor).
        start_factor: Learning rate factor at step 0.
        milestones: Fractions of the total, e.g. 8/12 and 11/12.
    """
    warmup = min(warmup, max(2, steps // 10))
    drops = sorted({max(1, round(steps * fraction)) for fraction in milestones})
    return [
        {"type": "LinearLR", "start_factor": start_factor, "by_epoch": False, "begin": 0, "end": warmup},
        {"type": "MultiStepLR", "by_epoch": False, "begin": 0, "end": steps, "milestones": drops, "gamma": 0.1},
    ]


def cosine_schedule(steps: int, warmup: int) -> list[Part]:
    """Linear warm-up from a hundredth, then half a cosine down to a hundredth.

    Args:
        steps: Total steps; with one or two there is nothing but the warm-up.
        warmup: Warm-up steps (at most a tenth of all, at least 2 because the first one has the start factor).
    """
    warmup = min(warmup, max(2, steps // 10))
    rise: Part = {"type": "LinearLR", "start_factor": 0.01, "by_epoch": False, "begin": 0, "end": warmup}
    if steps <= warmup:
        return [rise]
    fall = {"type": "CosineAnnealingLR", "by_epoch": False, "begin": warmup, "end": steps, "eta_min_ratio": 0.01}
    return [rise, fall]
