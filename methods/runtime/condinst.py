"""CondInst (Tian, Shen and Chen, ECCV 2020) as a part of video methods: configuration. Imports no torch.

A method merges ``PAPER`` or ``CPU`` into its training settings, builds its network from ``network``, and names its own
subclass of the head::

    parts = condinst.network(get_backbone(name), classes, settings)
    parts["bbox_head"] |= {"type": "MyHead", ...}  # a subclass of condinst_heads.GapCondInstHead
    model = {"type": "MyMethod", "data_preprocessor": condinst.preprocessor(settings), **parts, ...}

The modules are in ``condinst_heads``: ``GapCondInstHead`` gives ``Locations`` (everything the network says at every
location of every level, flattened), ``assign`` and ``losses`` train it, ``branch`` is where a subclass adds one;
``GapCondInstMaskHead`` turns the filters of chosen locations into masks. Parameter names are those of mmdet's CondInst.
"""

from __future__ import annotations

from typing import Any

from methods.runtime import recipes
from methods.runtime.backbones import Backbone, frozen_norms

Part = dict[str, Any]

FILTER_CHANNELS = 8  # channels of the mask features and of the dynamic convolutions
FILTER_PARAMETERS = 169  # (8 + 2) x 8 + 8 x 8 + 8 weights and 8 + 8 + 1 biases
_UNBOUNDED = 1e8

# What the official configurations of CondInst, CrossVIS and IAI share.
PAPER: Part = {
    "image_style": "caffe",  # caffe: BGR minus mean, stride in the 1x1 convolutions; pytorch: RGB / std, in the 3x3
    "channels": 256,  # of the pyramid and the towers
    "levels": 5,  # of the pyramid that the heads see
    "finest_stride": 8,  # of the finest level and of the mask features; masks are predicted at half of it
    "first_range": 64,  # largest box side distance of the finest level, pixels; doubles from level to level
    "towers": 4,  # convolutions per tower
    "tower_groups": 32,  # of the towers' group norm
    "tower_bias": True,  # bias in the towers' convolutions
    "neck_norm": False,  # batch norm in the pyramid, for training from scratch
    "mask_channels": 128,
    "mask_convs": 4,
    "center_radius": 1.5,  # strides around an object's mask centroid that are positive
    "class_weight": 1.0,  # of the class loss
    "class_gamma": 2.0,  # exponent of its focal factor; less tells classes apart sooner when learning from scratch
    "iou_offset": 1.0,  # added to intersection and union in the box loss; 0 is the GIoU of its paper
}

# A thin network that learns small frames from scratch. Coarser levels would be a cell or two.
CPU: Part = PAPER | {
    "image_style": "pytorch",
    "channels": 64,
    "levels": 3,
    "first_range": 32,
    "towers": 2,
    "tower_groups": 8,
    "neck_norm": True,
    "mask_channels": 32,
    "mask_convs": 2,
}


def preprocessor(settings: Part) -> Part:
    """Normalisation and padding; ``caffe`` is the one of detectron2's MSRA weights."""
    if settings["image_style"] == "pytorch":
        return dict(recipes.PREPROCESSOR)
    return recipes.PREPROCESSOR | {"mean": [103.53, 116.28, 123.675], "std": [1.0, 1.0, 1.0], "bgr_to_rgb": False}


def regress_ranges(settings: Part) -> tuple[tuple[float, float], ...]:
    """Interval of the largest side distance, in pixels, that each level is responsible for."""
    edges = [settings["first_range"] * 2**level for level in range(settings["levels"] - 1)]
    return tuple(zip([-1, *edges], [*edges, _UNBOUNDED], strict=True))


def strides(settings: Part) -> list[int]:
    """Strides of the levels in pixels."""
    return [settings["finest_stride"] * 2**level for level in range(settings["levels"])]


def network(backbone: Backbone, classes: int, settings: Part) -> Part:
    """Backbone, neck, box head and mask head.

    Args:
        backbone: Entry of the table of backbones.
        classes: Number of classes.
        settings: The keys of ``PAPER``.

    Returns:
        ``backbone``, ``neck``, ``bbox_head`` and ``mask_head`` as mmdet configurations.
    """
    return {
        "backbone": _backbone(backbone, settings),
        "neck": {
            "type": "FPN",
            "in_channels": list(backbone.channels),
            "out_channels": settings["channels"],
            "start_level": {4: 0, 8: 1}[settings["finest_stride"]],
            "num_outs": settings["levels"],
            "add_extra_convs": "on_output",
            "relu_before_extra_convs": True,
            "norm_cfg": {"type": "BN"} if settings["neck_norm"] else None,
        },
        "bbox_head": _box_head(classes, settings),
        "mask_head": _mask_head(settings),
    }


def _backbone(backbone: Backbone, settings: Part) -> Part:
    """The table's entry; detectron2's ResNets also freeze every batch norm (``FrozenBatchNorm2d``)."""
    config = dict(backbone.config)
    if config["type"] == "ResNet":
        config["style"] = settings["image_style"]
        if settings["image_style"] == "caffe":
            config |= frozen_norms(backbone)
    return config


def _box_head(classes: int, settings: Part) -> Part:
    return {
        "type": "GapCondInstHead",
        "num_classes": classes,
        "in_channels": settings["channels"],
        "feat_channels": settings["channels"],
        "stacked_convs": settings["towers"],
        "num_params": FILTER_PARAMETERS,
        "strides": strides(settings),
        "regress_ranges": regress_ranges(settings),
        "norm_on_bbox": True,
        "centerness_on_reg": True,
        "center_sampling": True,
        "center_sample_radius": settings["center_radius"],
        "conv_bias": settings["tower_bias"],
        "norm_cfg": {"type": "GN", "num_groups": settings["tower_groups"], "requires_grad": True},
        "loss_cls": {
            "type": "FocalLoss",
            "use_sigmoid": True,
            "gamma": settings["class_gamma"],
            "alpha": 0.25,
            "loss_weight": settings["class_weight"],
        },
        "iou_offset": settings["iou_offset"],
    }


def _mask_head(settings: Part) -> Part:
    return {
        "type": "GapCondInstMaskHead",
        "num_layers": 3,
        "feat_channels": FILTER_CHANNELS,
        "size_of_interest": 8,
        "mask_out_stride": settings["finest_stride"] // 2,
        "mask_feature_head": {
            "in_channels": settings["channels"],
            "feat_channels": settings["mask_channels"],
            "start_level": 0,
            "end_level": 2,
            "out_channels": FILTER_CHANNELS,
            "mask_stride": settings["finest_stride"],
            "num_stacked_convs": settings["mask_convs"],
            "norm_cfg": {"type": "BN", "requires_grad": True},
        },
        "loss_mask": {"type": "DiceLoss", "use_sigmoid": True, "activate": True, "eps": 5e-6, "loss_weight": 1.0},
    }
