"""Third parties' MaskTrack R-CNN and Mask R-CNN checkpoints: key mapping, strict in both directions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from methods.runtime.initial import is_own_weights, load_own_weights
from methods.runtime.key_maps import load_completely, load_matching
from methods.runtime.weights import load_tensors
from mindthegap.errors import InputError

if TYPE_CHECKING:
    from methods.masktrack_rcnn.model import GapMaskTrackRCNN

Layout = Literal["openmmlab", "official"]

# Layers whose shape depends on the classes; a COCO detector's do not fit and start fresh (official behaviour).
_CLASS_LAYERS = re.compile(r"roi_head\.(bbox_head\.fc_(cls|reg)|mask_head\.conv_logits)\.")

_OFFICIAL_PREFIXES = (
    ("backbone.", "detector.backbone."),
    ("neck.", "detector.neck."),
    ("rpn_head.", "detector.rpn_head."),
    ("bbox_head.", "detector.roi_head.bbox_head."),
    ("mask_head.", "detector.roi_head.mask_head."),
    ("track_head.fcs.", "track_head.embed_head.fcs."),
)


def layout_of(keys: list[str]) -> Layout:
    """Whose checkpoint it is, by its track head.

    Raises:
        ValueError: There is no track head in either form.
    """
    if any(key.startswith("track_head.embed_head.") for key in keys):
        return "openmmlab"
    if any(key.startswith("track_head.fcs.") for key in keys):
        return "official"
    raise ValueError("has no track head (neither track_head.embed_head.* nor track_head.fcs.*)")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict in this implementation's names and class order.

    OpenMMLab's keys are ours. The official ones lose their flat prefixes, and class 0 is background there: its row
    moves to the end of ``fc_cls`` and is dropped from ``fc_reg`` (4 rows) and ``conv_logits``.

    Args:
        state: Keys and tensors of the released checkpoint.

    Raises:
        ValueError: A key is unknown, or the layout is.
    """
    if layout_of(list(state)) == "openmmlab":
        return dict(state)
    converted: dict[str, Tensor] = {}
    for key, value in state.items():
        prefix = next((pair for pair in _OFFICIAL_PREFIXES if key.startswith(pair[0])), None)
        if prefix is None:
            raise ValueError(f"has the unknown key {key}")
        converted[prefix[1] + key.removeprefix(prefix[0])] = _background_last(key, value)
    return converted


def _background_last(key: str, value: Tensor) -> Tensor:
    if key.startswith("bbox_head.fc_cls."):
        return value.roll(-1, dims=0)
    if key.startswith("bbox_head.fc_reg."):
        return value[4:]
    if key.startswith("mask_head.conv_logits."):
        return value[1:]
    return value


def load_released(model: GapMaskTrackRCNN, path: Path) -> None:
    """Loads a released MaskTrack R-CNN checkpoint, every parameter of it and of the model.

    Args:
        model: A ``GapMaskTrackRCNN`` with as many classes as the checkpoint; ``final_relu`` must be True for
            OpenMMLab's weights and False for the official ones.
        path: Local checkpoint file.

    Raises:
        InputError: A key is unknown, missing or of another shape, or ``final_relu`` contradicts the origin.
    """
    state = load_tensors(path)
    try:
        layout = layout_of(list(state))
        converted = convert(state)
    except ValueError as error:
        raise InputError(path, "state_dict", str(error), "give a MaskTrack R-CNN checkpoint") from None
    expects_relu = layout == "openmmlab"
    if model.track_head.embed_head.final_relu != expects_relu:
        problem = f"these {layout} weights were trained with final_relu={expects_relu}"
        raise InputError(path, "track_head", problem, f"set final_relu to {str(expects_relu).lower()}")
    load_completely(model, converted, path, "give weights of this backbone and this number of classes")


def load_initial(model: GapMaskTrackRCNN, path: Path) -> str:
    """Starts training from a COCO Mask R-CNN, as the official code and mmdet do, or from a training of this project.

    Of a COCO model, every tensor of the detector except the class layers must be present and fit; class layers that do
    not fit and the track head start fresh.

    Args:
        model: A fresh ``GapMaskTrackRCNN``.
        path: Local mmdet Mask R-CNN checkpoint (keys ``backbone.*``, ``neck.*``, ``rpn_head.*``, ``roi_head.*``), or a
            ``weights.pth`` of this project; another method's gives the backbone.

    Returns:
        One line for the log.

    Raises:
        InputError: A key is unknown, missing, or of another shape.
    """
    if is_own_weights(path):
        return load_own_weights(model, path, _of_another_method)
    given, remedy = load_tensors(path), "give a Mask R-CNN of this backbone"
    loaded = load_matching(model.detector, given, path, remedy, may_lack=_CLASS_LAYERS, may_differ=_CLASS_LAYERS)
    fresh = len(model.state_dict()) - loaded
    return f"Started from {path.name}: {loaded} tensors loaded, {fresh} start fresh (class layers, track head)."


def _of_another_method(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The backbone of a method that has it under another name; its pyramid may have levels of other strides."""
    if any(key.startswith("detector.") for key in state):
        return state
    return {f"detector.{key}": value for key, value in state.items() if key.startswith("backbone.")}
