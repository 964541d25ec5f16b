"""MaskTrack R-CNN's configuration per scale.

``paper`` follows the official configuration (youtubevos/MaskTrackRCNN, ``masktrack_rcnn_r50_fpn_1x_youtubevos.py``) in
mmdet's terms; ``demo`` and ``smoke`` are thin networks that learn from scratch on a CPU.
"""

from __future__ import annotations

from methods.runtime import recipes
from methods.runtime.backbones import Backbone
from methods.runtime.configs import Request
from methods.runtime.recipes import Part
from methods.runtime.settings import SHARED_INFERENCE, SHARED_TRAINING

NAME = "masktrack_rcnn"
ANY_FRAME = 1_000_000  # the official code draws the reference from the whole video; mmdet within 100 frames

_CPU: Part = {
    **SHARED_TRAINING,
    "image_scale": (160, 96),
    "channels": 64,
    "anchor_scale": 4.0,
    "strides": 4,
    "rpn_samples": 64,
    "proposals": 64,
    "roi_samples": 16,
    "positive_fraction": 0.5,
    "finest_scale": 56,
    "box_convs": 2,
    "box_fc": 128,
    "mask_convs": 2,
    "mask_channels": 32,
    "roi_sampling": 1,
    "head_norm": True,
    "embed_fc": 128,
    "embed_channels": 64,
    "frame_range": ANY_FRAME,
    "photometric": True,
    "final_relu": False,
    "normalise_by": "positives",
    "symmetric_pairs": True,
    "optimizer": "adamw",
    "workers": 0,
    "checkpoint_seconds": 45.0,
    "log_every": 20,
    "clip_norm": 10.0,
}

TRAINING: dict[str, Part] = {
    "smoke": {**_CPU, "steps": 12, "batch_size": 2, "log_every": 4, "channels": 32, "checkpoint_seconds": 5.0},
    "demo": {**_CPU, "steps": 1080, "batch_size": 8, "lr": 1e-3},
    "paper": {
        **SHARED_TRAINING,
        "image_scale": (640, 360),
        "channels": 256,
        "anchor_scale": 8.0,
        "strides": 5,
        "rpn_samples": 64,
        "proposals": 200,
        "roi_samples": 128,
        "positive_fraction": 0.25,
        "finest_scale": 56,
        "box_convs": 0,
        "box_fc": 1024,
        "mask_convs": 4,
        "mask_channels": 256,
        "roi_sampling": 0,
        "head_norm": False,
        "embed_fc": 1024,
        "embed_channels": 1024,
        "frame_range": ANY_FRAME,
        "photometric": False,
        "final_relu": False,
        "normalise_by": "positives",
        "symmetric_pairs": False,
        "optimizer": "sgd",
        "lr": 0.00125,
    },
}

_OFFICIAL_INFERENCE: Part = {
    **SHARED_INFERENCE,
    "score_threshold": 0.05,
    "nms_iou": 0.5,
    "max_per_frame": None,  # None: 10, or the largest number of objects in a training frame if that is more
    "mask_threshold": 0.5,
    "match_det_score": 1.0,
    "match_iou": 2.0,
    "match_label": 10.0,
    "label_memory": "first",
    "num_frames_retain": None,  # None: tracks are never forgotten
}
INFERENCE = {scale: dict(_OFFICIAL_INFERENCE) for scale in TRAINING}


_CHOICES = {"optimizer": ("adamw", "sgd"), "normalise_by": ("positives", "matched")}
_LEAST = dict.fromkeys(("channels", "strides", "proposals", "roi_samples", "rpn_samples", "max_per_frame"), 1)


def parts(request: Request) -> Part:
    """The configuration, as ``methods.runtime.configs.build_config`` returns it."""
    training, testing = request.resolved(NAME, TRAINING, INFERENCE, choices=_CHOICES, least=_LEAST)
    if testing["max_per_frame"] is None:
        testing["max_per_frame"] = max(10, request.facts.max_objects_per_frame)
    steps = recipes.step_count(training, request.facts)
    scheduler = recipes.step_schedule(steps, 500, 1 / 3, (8 / 12, 11 / 12))
    if training["optimizer"] == "adamw":
        scheduler = recipes.cosine_schedule(steps, 50)
    return {
        "model": _model(request.backbone, len(request.facts.classes), training, testing),
        "train_pipeline": recipes.pair_pipeline(
            training["image_scale"], training["frame_range"], photometric=training["photometric"]
        ),
        "test_pipeline": recipes.frame_pipeline(training["image_scale"]),
        "optim_wrapper": (recipes.adamw if training["optimizer"] == "adamw" else recipes.sgd)(training),
        "param_scheduler": scheduler,
        "steps": steps,
        "settings": training,
        "inference": testing,
        "meta": {"final_relu": training["final_relu"]},
    }


def _model(backbone: Backbone, classes: int, training: Part, testing: Part) -> Part:
    return {
        "type": "GapMaskTrackRCNN",
        "data_preprocessor": recipes.PREPROCESSOR,
        "detector": detector(backbone, classes, training, testing),
        "track_head": _track_head(training),
        "symmetric_pairs": training["symmetric_pairs"],
        "association": {
            "weights": {
                "det_score": testing["match_det_score"],
                "iou": testing["match_iou"],
                "det_label": testing["match_label"],
            },
            "label_memory": testing["label_memory"],
            "num_frames_retain": testing["num_frames_retain"],
        },
    }


def _roi_extractor(training: Part, size: int) -> Part:
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": {"type": "RoIAlign", "output_size": size, "sampling_ratio": training["roi_sampling"]},
        "out_channels": training["channels"],
        "featmap_strides": [4, 8, 16, 32],
        "finest_scale": training["finest_scale"],
    }


def _head_norm(training: Part) -> Part | None:
    """Batch norm behind the pyramid's and the mask head's convolutions, which training from scratch needs."""
    return {"type": "BN"} if training["head_norm"] else None


def detector(backbone: Backbone, classes: int, training: Part, testing: Part) -> Part:
    """Mask R-CNN as in mmdet's ``mask-rcnn_r50_fpn.py``, with MaskTrack R-CNN's sample counts."""
    channels = training["channels"]
    return {
        "type": "MaskRCNN",
        "backbone": backbone.config,
        "neck": {
            "type": "FPN",
            "in_channels": list(backbone.channels),
            "out_channels": channels,
            "num_outs": training["strides"],
            "norm_cfg": _head_norm(training),
        },
        "rpn_head": _rpn_head(channels, training),
        "roi_head": _roi_head(channels, classes, training),
        "train_cfg": _detector_training(training),
        "test_cfg": {
            "rpn": _proposals(training["proposals"]),
            "rcnn": {
                "score_thr": testing["score_threshold"],
                "nms": {"type": "nms", "iou_threshold": testing["nms_iou"]},
                "max_per_img": testing["max_per_frame"],
                "mask_thr_binary": testing["mask_threshold"],
            },
        },
    }


def _rpn_head(channels: int, training: Part) -> Part:
    return {
        "type": "RPNHead",
        "in_channels": channels,
        "feat_channels": channels,
        "anchor_generator": {
            "type": "AnchorGenerator",
            "scales": [training["anchor_scale"]],
            "ratios": [0.5, 1.0, 2.0],
            "strides": [4 * 2**level for level in range(training["strides"])],
        },
        "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": [1.0, 1.0, 1.0, 1.0]},
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
        "loss_bbox": {"type": "L1Loss", "loss_weight": 1.0},
    }


def _roi_head(channels: int, classes: int, training: Part) -> Part:
    return {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": _roi_extractor(training, 7),
        "bbox_head": {
            "type": "ConvFCBBoxHead",
            "num_shared_convs": training["box_convs"],
            "num_shared_fcs": 2,
            "in_channels": channels,
            "conv_out_channels": channels,
            "norm_cfg": _head_norm(training),
            "fc_out_channels": training["box_fc"],
            "roi_feat_size": 7,
            "num_classes": classes,
            "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": [0.1, 0.1, 0.2, 0.2]},
            "reg_class_agnostic": False,
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
            "loss_bbox": {"type": "L1Loss", "loss_weight": 1.0},
        },
        "mask_roi_extractor": _roi_extractor(training, 14),
        "mask_head": {
            "type": "FCNMaskHead",
            "num_convs": training["mask_convs"],
            "in_channels": channels,
            "conv_out_channels": training["mask_channels"],
            "num_classes": classes,
            "norm_cfg": _head_norm(training),
            "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},
        },
    }


def _assigner(positive: float, negative: float, minimum: float) -> Part:
    return {
        "type": "MaxIoUAssigner",
        "pos_iou_thr": positive,
        "neg_iou_thr": negative,
        "min_pos_iou": minimum,
        "match_low_quality": True,
        "ignore_iof_thr": -1,
    }


def _sampler(number: int, fraction: float, *, add_objects: bool) -> Part:
    return {
        "type": "RandomSampler",
        "num": number,
        "pos_fraction": fraction,
        "neg_pos_ub": -1,
        "add_gt_as_proposals": add_objects,
    }


def _proposals(number: int) -> Part:
    return {
        "nms_pre": number,
        "max_per_img": number,
        "nms": {"type": "nms", "iou_threshold": 0.7},
        "min_bbox_size": 0,
    }


def _detector_training(training: Part) -> Part:
    return {
        "rpn": {
            "assigner": _assigner(0.7, 0.3, 0.3),
            "sampler": _sampler(training["rpn_samples"], 0.5, add_objects=False),
            "allowed_border": -1,
            "pos_weight": -1,
            "debug": False,
        },
        "rpn_proposal": _proposals(training["proposals"]),
        "rcnn": {
            "assigner": _assigner(0.5, 0.5, 0.5),
            "sampler": _sampler(training["roi_samples"], training["positive_fraction"], add_objects=True),
            "mask_size": 28,
            "pos_weight": -1,
            "debug": False,
        },
    }


def _track_head(training: Part) -> Part:
    channels = training["channels"]
    return {
        "type": "RoITrackHead",
        "roi_extractor": _roi_extractor(training, 7),
        "embed_head": {
            "type": "GapRoIEmbedHead",
            "num_fcs": 2,
            "roi_feat_size": 7,
            "in_channels": channels,
            "fc_out_channels": training["embed_fc"],
            "embed_channels": training["embed_channels"],
            "final_relu": training["final_relu"],
            "normalise_by": training["normalise_by"],
        },
        "train_cfg": {
            "assigner": _assigner(0.5, 0.5, 0.5),
            # Negatives have weight 0 in the matching loss, so none are drawn: the same loss for a third of the work.
            "sampler": {
                **_sampler(round(training["roi_samples"] * training["positive_fraction"]), 1.0, add_objects=True),
                "neg_pos_ub": 0,
            },
            "pos_weight": -1,
            "debug": False,
        },
    }
