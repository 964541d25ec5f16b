"""Third parties' weights for IFC: the official releases, and ImageNet backbones; nothing is left out or over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from methods.runtime.initial import is_own_weights, load_own_weights
from methods.runtime.key_maps import BATCH_COUNTER, detectron2_resnet_key, detr_layer_key, load_completely
from methods.runtime.weights import load_tensors
from mindthegap.errors import InputError

_BACKBONE = "detr.backbone.0.backbone."
_BUFFERS = ("criterion.empty_weight",)  # follows from the settings
_HEAD = re.compile(
    r"(input_proj|query_embed|class_embed\.layers\.\d+|mask_head\..+"
    r"|transformer\.(encoder\.(enc|bus)_layers|clip_decoder\.layers)\.\d+\..+|transformer\.clip_decoder\.norm)\.\w+"
    r"|transformer\.memory_(bus|pos)"
)
_CLASS_LAYER = "head.class_embed.layers.1."
_TRANSFORMER_ONLY = "transformer."


def convert_head(key: str) -> str | None:
    """A key of the official model behind ``detr.`` in this implementation's names; None if it is unknown."""
    if not _HEAD.fullmatch(key):
        return None
    if key.startswith(_TRANSFORMER_ONLY):
        key = detr_layer_key(key).replace("clip_decoder.norm.", "clip_decoder.post_norm.")
    return "head." + key.replace("mask_head.out_lay.", "mask_head.")


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An official state dict in this implementation's names.

    Args:
        state: Keys and tensors of the released checkpoint.

    Raises:
        ValueError: A key is unknown.
    """
    converted = {}
    for key, value in state.items():
        if key in _BUFFERS:
            continue
        if key.startswith(_BACKBONE):
            name = detectron2_resnet_key(key.removeprefix(_BACKBONE))
            target = name and f"backbone.{name}"
        else:
            target = convert_head(key.removeprefix("detr.")) if key.startswith("detr.") else None
        if target is None:
            raise ValueError(f"has the unknown key {key}")
        converted[target] = value
    return converted


def _official(path: Path) -> dict[str, Tensor]:
    try:
        return convert(load_tensors(path))
    except ValueError as error:
        raise InputError(path, "model", str(error), "give a checkpoint of sukjunhwang/IFC") from None


def load_released(model: nn.Module, path: Path) -> None:
    """Loads a released IFC checkpoint, every tensor of it and of the model.

    Args:
        model: A ``GapIFC`` of the ``paper`` scale with as many classes as the checkpoint. The ResNet-101 release
            needs the style ``caffe``, which is the default of that backbone.
        path: Local checkpoint file.

    Raises:
        InputError: A key is unknown, missing or of another shape.
    """
    load_completely(model, _official(path), path, "give weights of this backbone and this number of classes")


def load_initial(model: nn.Module, path: Path) -> str:
    """Starts training from this project's weights, an official checkpoint (COCO or YouTube-VIS), or a backbone.

    Args:
        model: A fresh ``GapIFC``.
        path: A ``weights.pth`` of this project; a release of sukjunhwang/IFC, whose class layer starts fresh if the
            classes differ; or a ResNet in torchvision's names (``conv1.weight``, ``layer1.0.conv1.weight``, ...).

    Returns:
        One line for the log.

    Raises:
        InputError: A tensor of the backbone, or of an official checkpoint, does not fit.
    """
    if is_own_weights(path):
        return load_own_weights(model, path)
    tensors = load_tensors(path)
    if "conv1.weight" in tensors:
        return load_backbone(model, tensors, path)
    return _load_official(model, _official(path), path)


def _load_official(model: nn.Module, state: dict[str, Tensor], path: Path) -> str:
    own = model.state_dict()
    fresh = [key for key in state if key.startswith(_CLASS_LAYER) and state[key].shape != own[key].shape]
    for key in fresh:
        state[key] = own[key]
    load_completely(model, state, path, "give an IFC checkpoint of this backbone")
    return f"Started from {path.name}: {len(state) - len(fresh)} tensors loaded, {len(fresh)} start fresh (classes)."


def load_backbone(model: Any, tensors: dict[str, Tensor], path: Path) -> str:
    """Fills the backbone alone, from a ResNet in torchvision's names; stages that the model leaves out are not read.

    Args:
        model: Has a ``backbone``.
        tensors: Content of the file.
        path: Where they come from, for errors.

    Returns:
        One line for the log.

    Raises:
        InputError: The model's backbone is none of torchvision's, or of another depth.
    """
    style = getattr(model.backbone, "style", None)
    if style != "pytorch":
        problem = "is a torchvision ResNet (RGB, stride in the 3x3), but the model's backbone is not"
        remedy = "set backbone_style to pytorch" if style else "give weights of this backbone"
        raise InputError(path, "", problem, remedy)
    own = model.backbone.state_dict()
    unused = ("fc.", *(f"layer{stage}." for stage in range(2, 5) if not hasattr(model.backbone, f"layer{stage}")))
    state = {key: value for key, value in tensors.items() if not key.startswith(unused)}
    counters = {key: own[key] for key in own.keys() - state.keys() if key.endswith(BATCH_COUNTER)}
    load_completely(model.backbone, state | counters, path, "give a ResNet of this depth")
    return f"Started from {path.name}: {len(state)} tensors of the backbone loaded, the rest starts fresh."
