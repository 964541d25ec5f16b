"""IAI's networks as mmdet configurations, from the settings. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from methods.masktrack_rcnn import config as masktrack
from methods.runtime import condinst, recipes
from methods.runtime.backbones import Backbone
from mindthegap.errors import ConfigError

Part = dict[str, Any]
Settings = Mapping[str, Any]

_LEVELS = {"c3": 1, "c4": 2, "c5": 3}


def model(backbone: Backbone, classes: int, scale: str, training: Settings, testing: Settings) -> Part:
    """The model of the settings' image model.

    Args:
        backbone: Entry of the table of backbones.
        classes: Number of classes.
        scale: ``smoke``, ``demo`` or ``paper``.
        training: Resolved training settings.
        testing: Resolved inference settings.
    """
    level = _LEVELS[training["association_level"]]
    shared = {
        "identities": training["identities"],
        "level": level,
        "level_channels": backbone.channels[level],
        "association": _association(training, testing, level),
        "projector_channels": projector_channels(backbone, training),
        "rules": _rules(testing),
        "selection": _selection(testing),
        "data_preprocessor": _preprocessor(),
    } | {key: training[key] for key in ("heads_see", "append_new_in_training", "shuffle_identities")}
    build = _condinst if training["image_model"] == "condinst" else _mask_rcnn
    parts = build(backbone, classes, scale, training, testing)
    parts["neck"]["in_channels"][level] = associated_channels(backbone, training)
    return shared | parts


def _condinst(backbone: Backbone, classes: int, scale: str, training: Settings, testing: Settings) -> Part:
    parts = condinst.network(backbone, classes, dict(training))
    parts["bbox_head"] |= {
        "type": "IdentityCondInstHead",
        "identities": training["identities"] if training["identification"] else 0,
        "id_convs": training["id_convs"],
        "id_loss": training["id_loss"],
    }
    return {"type": "GapIAICondInst", "mask_threshold": testing["mask_threshold"]} | parts


def _mask_rcnn(backbone: Backbone, classes: int, scale: str, training: Settings, testing: Settings) -> Part:
    """The detector of MaskTrack R-CNN at the same scale, with the identity head."""
    numbers = masktrack.TRAINING[scale] | {"channels": training["channels"]}
    parts = masktrack.detector(backbone, classes, numbers, dict(testing))
    parts["roi_head"]["type"] = "IdentityRoIHead"
    identities = training["identities"] if training["identification"] else 0
    parts["roi_head"]["bbox_head"] |= {"type": "IdentityBoxHead", "identities": identities}
    return parts | {"type": "GapIAIMaskRCNN"}


def _preprocessor() -> Part:
    """The released configurations' statistics, which differ from mmdet's behind the decimal point."""
    return recipes.PREPROCESSOR | {"mean": [123.68, 116.779, 103.939], "std": [58.393, 57.12, 57.375]}


def projector_channels(backbone: Backbone, training: Settings) -> int:
    """Width of the class projection: what is left of the level's width, so that the pyramid's input stays as wide.

    Raises:
        ConfigError: Nothing is left.
    """
    if not training["class_projector"] or not training["association"]:
        return 0
    if training["projector_channels"] is not None:
        return int(training["projector_channels"])
    width = backbone.channels[_LEVELS[training["association_level"]]]
    rest = width - _association_width(training)
    if rest <= 0:
        raise ConfigError(
            f"iai: association_channels x (1 + association_layers) = {_association_width(training)} leaves nothing of "
            f"the {width} channels of {training['association_level']}; set projector_channels or lower them."
        )
    return rest


def associated_channels(backbone: Backbone, training: Settings) -> int:
    """Width of the level behind the association block."""
    if not training["association"]:
        return backbone.channels[_LEVELS[training["association_level"]]]
    return _association_width(training) + projector_channels(backbone, training)


def _association_width(training: Settings) -> int:
    return training["association_channels"] * (1 + training["association_layers"])


def _association(training: Settings, testing: Settings, level: int) -> Part | None:
    if not training["association"]:
        return None
    return {
        "channels": training["association_channels"],
        "stride": 4 * 2**level,
        "layers": training["association_layers"],
        "self_heads": training["self_heads"],
        "memory_heads": 2,
        "hidden": training["association_hidden"],
        "reach": training["association_reach"],
        "drop_path": training["drop_path"],
        "parts": tuple(training["association"]),
        "interval": training["memory_interval"],
        "max_long_term": testing["max_long_term"],
    }


def _rules(testing: Settings) -> Part:
    names = ("overflow", "min_visible", "min_overlap", "max_rows", "min_row_score")
    return {name: testing[name] for name in names} | {"average": testing["score_average"]}


def _selection(testing: Settings) -> Part:
    return {name: testing[name] for name in ("nms_pre", "score_threshold", "id_threshold", "nms_iou", "max_per_frame")}
