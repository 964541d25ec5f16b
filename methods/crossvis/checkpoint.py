"""Third parties' CrossVIS, CondInst and FCOS checkpoints: key mapping, strict in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from methods.runtime.initial import is_own_weights, load_own_weights
from methods.runtime.key_maps import NOTHING, load_matching
from methods.runtime.weights import load_tensors
from mindthegap.errors import InputError

Layout = Literal["adelaidet", "condinst", "fcos", "detector"]

_HEAD = r"proposal_generator\.fcos_head\."
_BLOCK = r"backbone\.bottom_up\.res([2-5])\.(\d+)\."
_MASKS = "mask_head.mask_feature_head."
_STAGE = {"2": "1", "3": "2", "4": "3", "5": "4"}
_LEVEL = {"3": "0", "4": "1", "5": "2"}
_TOWER = {"cls": "cls_convs", "bbox": "reg_convs", "reid": "reid_convs"}
_PREDICTOR = {"cls_logits": "conv_cls", "bbox_pred": "conv_reg", "ctrness": "conv_centerness"}

# Buffers that follow from the configuration, and the identity classifier, whose rows are the annotation ids of the
# release's own training file; it is not needed for inference.
_DROPPED = re.compile(r"mask_head\.(sizes_of_interest|_iter)|pixel_(mean|std)|cls\.(weight|bias)")

# AdelaiDet's names (detectron2), in the order in which they are tried.
_RENAMED = tuple(
    (re.compile(pattern + r"\.([a-z_]+)"), template)
    for pattern, template in (
        (r"backbone\.bottom_up\.stem\.conv1\.norm", "backbone.bn1"),
        (r"backbone\.bottom_up\.stem\.conv1", "backbone.conv1"),
        (_BLOCK + r"conv([123])\.norm", "backbone.layer{stage}.{1}.bn{2}"),
        (_BLOCK + r"conv([123])", "backbone.layer{stage}.{1}.conv{2}"),
        (_BLOCK + r"shortcut\.norm", "backbone.layer{stage}.{1}.downsample.1"),
        (_BLOCK + r"shortcut", "backbone.layer{stage}.{1}.downsample.0"),
        (r"backbone\.fpn_lateral([345])", "neck.lateral_convs.{level}.conv"),
        (r"backbone\.fpn_output([345])", "neck.fpn_convs.{level}.conv"),
        (r"backbone\.top_block\.p6", "neck.fpn_convs.3.conv"),
        (r"backbone\.top_block\.p7", "neck.fpn_convs.4.conv"),
        (_HEAD + r"(cls|bbox|reid)_tower\.(\d+)", "bbox_head.{tower}"),
        (_HEAD + r"(cls_logits|bbox_pred|ctrness)", "bbox_head.{predictor}"),
        (_HEAD + r"scales\.(\d)", "bbox_head.scales.{0}"),
        (_HEAD + r"reid_pred_bn", "bbox_head.reid_bn"),
        (_HEAD + r"reid_pred", "bbox_head.reid_pred"),
        (r"controller", "bbox_head.controller"),
        (r"mask_branch\.refine\.(\d)\.0", _MASKS + "convs_all_levels.{0}.conv{0}.conv"),
        (r"mask_branch\.refine\.(\d)\.1", _MASKS + "convs_all_levels.{0}.conv{0}.bn"),
        (r"mask_branch\.tower\.([0-3])\.0", _MASKS + "conv_branch.{0}.conv"),
        (r"mask_branch\.tower\.([0-3])\.1", _MASKS + "conv_branch.{0}.bn"),
        (r"mask_branch\.tower\.4", _MASKS + "conv_pred"),
    )
)

# What no image detector has, and what depends on the classes.
_FRESH = r"identity_classifier\.|bbox_head\.reid_"
_CLASS_LAYER = re.compile(r"bbox_head\.conv_cls\.")
_MAY_LACK = {
    "adelaidet": re.compile(_FRESH),
    "condinst": re.compile(_FRESH),
    # FCOS has no masks, its towers may have no bias (ours starts at 0), and its distances are exponentials of pixels.
    "fcos": re.compile(_FRESH + r"|mask_head\.|bbox_head\.(controller|conv_|scales)|.*_convs\.\d\.conv\.bias"),
    "detector": re.compile(r"(?!backbone\.)"),
}


def layout_of(keys: Iterable[str]) -> Layout:
    """Whose checkpoint it is.

    Raises:
        ValueError: None that is known.
    """
    keys = set(keys)
    if any(key.startswith("backbone.bottom_up.") for key in keys):
        return "adelaidet"
    if "bbox_head.controller.weight" in keys:
        return "condinst"
    if "bbox_head.conv_centerness.weight" in keys:
        return "fcos"
    if any(key.startswith("backbone.") for key in keys):
        return "detector"
    raise ValueError("is no CrossVIS, CondInst or FCOS checkpoint (there is no backbone.* key)")


def _tower(kind: str, index: str, leaf: str) -> str:
    """The towers are sequences of convolution, norm and ReLU."""
    layer, part = divmod(int(index), 3)
    return f"{_TOWER[kind]}.{layer}.{'conv' if part == 0 else 'gn'}.{leaf}"


def renamed(key: str) -> str | None:
    """Our name of a tensor of AdelaiDet's; None for one that is not needed.

    Raises:
        ValueError: The key is unknown.
    """
    if _DROPPED.fullmatch(key):
        return None
    for pattern, template in _RENAMED:
        match = pattern.fullmatch(key)
        if match is None:
            continue
        *groups, leaf = match.groups()
        if template.endswith("{tower}"):
            return template.format(tower=_tower(groups[0], groups[1], leaf))
        first = groups[0] if groups else ""
        named = {"stage": _STAGE.get(first), "level": _LEVEL.get(first), "predictor": _PREDICTOR.get(first)}
        return f"{template.format(*groups, **named)}.{leaf}"
    raise ValueError(f"has the unknown key {key}")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of AdelaiDet's in this implementation's names.

    Args:
        state: Keys and tensors of the released checkpoint.

    Raises:
        ValueError: A key is unknown.
    """
    converted = {}
    for key, value in state.items():
        name = renamed(key)
        if name is not None:
            converted[name] = value.reshape(()) if name.endswith(".scale") else value
    return converted


def load_released(model: nn.Module, path: Path) -> None:
    """Loads the official CrossVIS checkpoint: every tensor of it and of the model but the identity classifier.

    Args:
        model: A ``GapCrossVIS`` with the classes of the checkpoint and ``image_style`` ``caffe``.
        path: Local checkpoint file.

    Raises:
        InputError: A key is unknown, missing or of another shape, or the model reads images in another way.
    """
    state = load_tensors(path)
    try:
        layout = layout_of(state)
        if layout != "adelaidet":
            raise ValueError("is not in the official layout (there is no backbone.bottom_up.* key)")
        converted = convert(state)
    except ValueError as error:
        raise InputError(path, "state_dict", str(error), "give an official CrossVIS checkpoint") from None
    _check_style(model, path, layout, converted)
    remedy = "give weights of this backbone and this number of classes"
    classifier = re.compile(r"identity_classifier\.")
    load_matching(model, converted, path, remedy, may_lack=classifier, may_differ=NOTHING)


def load_initial(model: nn.Module, path: Path) -> str:
    """Starts training from a COCO model, as the official code does, or from a training of this project.

    AdelaiDet's or mmdet's CondInst gives everything but the class layer (unless it fits), the re-identification branch
    and the identity classifier; mmdet's FCOS gives backbone, pyramid and the two towers; any mmdet detector gives a
    backbone that is no ResNet.

    Args:
        model: A fresh ``GapCrossVIS``.
        path: Local checkpoint.

    Returns:
        One line for the log.

    Raises:
        InputError: A key is unknown, missing or of another shape, or the model reads images in another way.
    """
    if is_own_weights(path):
        return load_own_weights(model, path)
    state = load_tensors(path)
    try:
        layout = layout_of(state)
        given = convert(state) if layout == "adelaidet" else dict(state)
    except ValueError as error:
        raise InputError(path, "state_dict", str(error), "give a CondInst trained on COCO") from None
    _check_style(model, path, layout, given)
    if layout in ("fcos", "detector"):
        given = {key: value for key, value in given.items() if not _MAY_LACK[layout].match(key)}
    remedy = "give weights of this backbone"
    loaded = load_matching(model, given, path, remedy, may_lack=_MAY_LACK[layout], may_differ=_CLASS_LAYER)
    fresh = len(model.state_dict()) - loaded
    return f"Started from {path.name} ({layout}): {loaded} tensors loaded, {fresh} start fresh."


def _check_style(model: nn.Module, path: Path, layout: Layout, given: dict[str, Tensor]) -> None:
    """Refuses a ResNet whose strides and colours are not those it was trained with; no shape would tell.

    AdelaiDet trains detectron2's MSRA models and mmdet's CondInst torchvision's. mmdet's FCOS does either; the norms of
    MSRA's models have no statistics of their own, because they were folded into weight and bias.
    """
    style = getattr(model.backbone, "style", None)
    if style is None:
        return
    if layout == "detector":
        problem = "holds neither CondInst nor FCOS; of a ResNet it does not say how images are read"
        raise InputError(path, "state_dict", problem, "give a CondInst of this backbone")
    expected = {"adelaidet": "caffe", "condinst": "pytorch"}.get(layout)
    if expected is None:
        mean = given.get("backbone.bn1.running_mean")
        expected = "pytorch" if mean is not None and mean.any() else "caffe"
    if style != expected:
        problem = f"these {layout} weights were trained with image_style {expected}, not {style}"
        raise InputError(path, "backbone", problem, f"set image_style to {expected}")
