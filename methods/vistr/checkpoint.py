"""Third parties' weights for VisTR: the official releases, and ImageNet backbones; nothing is left out or over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from methods.ifc.checkpoint import load_backbone
from methods.runtime.initial import is_own_weights, load_own_weights
from methods.runtime.key_maps import detr_layer_key, load_completely
from methods.runtime.weights import load_tensors
from mindthegap.errors import InputError

if TYPE_CHECKING:
    from methods.vistr.model import GapVisTR

_BACKBONE = "vistr.backbone.0.body."
_PARTS = re.compile(
    r"(vistr\.(input_proj|query_embed|class_embed|bbox_embed\.layers\.\d+|transformer\..+)"
    r"|bbox_attention\.[qk]_linear|mask_head\.\w+|insmask_head\.\d+)\.\w+"
)
_CLASSES = "head.class_embed."
_FRESH = (_CLASSES, "head.query_embed.")  # the official code drops them when it starts a training (main.py)
_QUERIES = "head.query_embed.weight"
_MASKS = ("head.bbox_attention.", "head.mask_head.", "head.insmask_head.")


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An official state dict in this implementation's names and classes.

    The official head has YouTube-VIS' category ids as classes, 0 for frames without the object, and no object last.
    Row 0 is dropped: here such frames are "no object".

    Args:
        state: Keys and tensors of the released checkpoint.

    Raises:
        ValueError: A key is unknown.
    """
    converted = {}
    for key, value in state.items():
        if key.startswith(_BACKBONE):
            converted[f"backbone.{key.removeprefix(_BACKBONE)}"] = value
            continue
        if not _PARTS.fullmatch(key):
            raise ValueError(f"has the unknown key {key}")
        name = key.removeprefix("vistr.")
        if name.startswith("transformer."):
            name = detr_layer_key(name.removeprefix("transformer.")).replace("decoder.norm.", "decoder.post_norm.")
        name = f"head.{name}"
        converted[name] = value[1:] if name.startswith(_CLASSES) else value
    return converted


def _official(path: Path) -> dict[str, Tensor]:
    try:
        return convert(load_tensors(path))
    except ValueError as error:
        raise InputError(path, "model", str(error), "give a checkpoint of Epiphqny/VisTR") from None


def load_released(model: GapVisTR, path: Path) -> None:
    """Loads a released VisTR checkpoint, every tensor of it and of the model.

    Args:
        model: A ``GapVisTR`` of the ``paper`` scale with as many classes as the checkpoint (40).
        path: Local checkpoint file.

    Raises:
        InputError: A key is unknown, missing or of another shape.
    """
    load_completely(model, _official(path), path, "give weights of this backbone and this number of classes")


def load_initial(model: GapVisTR, path: Path) -> str:
    """Starts training from this project's weights, an official checkpoint (COCO or YouTube-VIS), or a backbone.

    Of an official checkpoint the classes and the queries are dropped, as the official code does. A model of single
    images may lack the mask branch or have layers in it that VisTR has not; all the rest must be there and fit.

    Args:
        model: A fresh ``GapVisTR``.
        path: A ``weights.pth`` of this project (queries of single frames are repeated for every frame); the authors'
            DETR of 384 channels or a release; or a ResNet in torchvision's names (``conv1.weight``, ...).

    Returns:
        One line for the log.

    Raises:
        InputError: A tensor of the backbone, or of an official checkpoint, does not fit.
    """
    if is_own_weights(path):
        return load_own_weights(model, path, lambda state: _for_every_frame(model, state))
    tensors = load_tensors(path)
    if "conv1.weight" in tensors:
        return load_backbone(model, tensors, path)
    return _load_official(model, _official(path), path)


def _for_every_frame(model: GapVisTR, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Repeats the slots' queries of a training on single frames for every frame of the clip (own decision)."""
    queries = state.get(_QUERIES)
    if queries is None or len(queries) != model.head.slots:
        return state
    return state | {_QUERIES: queries.repeat(model.head.frames, 1)}


def _load_official(model: GapVisTR, state: dict[str, Tensor], path: Path) -> str:
    own = model.state_dict()
    fresh = {key for key in own if key.startswith(_FRESH) or (key.startswith(_MASKS) and key not in state)}
    unused = {key for key in state if key.startswith(_MASKS) and key not in own}
    loaded = {key: value for key, value in state.items() if key not in fresh | unused}
    load_completely(model, loaded | {key: own[key] for key in fresh}, path, "give a VisTR checkpoint of this backbone")
    return f"Started from {path.name}: {len(loaded)} tensors loaded, {len(fresh)} start fresh, {len(unused)} not used."
