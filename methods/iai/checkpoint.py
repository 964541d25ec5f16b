"""Official IAI and COCO checkpoints: key mapping, strict in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from torch import nn

from methods.runtime.initial import is_own_weights, load_own_weights
from methods.runtime.key_maps import load_completely, load_matching
from methods.runtime.weights import load_tensors
from mindthegap.errors import InputError

Layout = Literal["iai", "condinst (official)", "condinst (mmdet)", "mask_rcnn (mmdet)", "detector"]

# The official names are ours except for the mask branch, which lies in the box head there.
_MASKS = "mask_head.mask_feature_head."
_RENAMED = (
    (re.compile(r"bbox_head\.mask_refine\.(\d)\.0\."), _MASKS + r"convs_all_levels.\1.conv\1.conv."),
    (re.compile(r"bbox_head\.mask_refine\.(\d)\.1\."), _MASKS + r"convs_all_levels.\1.conv\1.bn."),
    (re.compile(r"bbox_head\.mask_head\.([0-3])\.0\."), _MASKS + r"conv_branch.\1.conv."),
    (re.compile(r"bbox_head\.mask_head\.([0-3])\.1\."), _MASKS + r"conv_branch.\1.bn."),
    (re.compile(r"bbox_head\.mask_head\.4\."), _MASKS + "conv_pred."),
)

# What no image detector has: association, projectors, identity heads.
_VIDEO = r"lstt\.|encoder_projector\.|backbone_projector\.|bbox_head\.(id_convs|conv_id)\.|roi_head\.bbox_head\.id_"
_MAY_LACK = {
    "iai": re.compile(r"(?!)"),
    "condinst (official)": re.compile(_VIDEO),
    "condinst (mmdet)": re.compile(_VIDEO),
    "mask_rcnn (mmdet)": re.compile(_VIDEO),
    "detector": re.compile(r"(?!backbone\.)"),
}
# What depends on the classes or on the number of identities, and the pyramid's input where it has another width.
_MAY_DIFFER = re.compile(
    r"bbox_head\.conv_(cls|id)\.|lstt\.patch_wise_id_bank\.|neck\.lateral_convs\.\d\.conv\.weight|"
    r"roi_head\.bbox_head\.(fc_(cls|reg)|id_out)\.|roi_head\.mask_head\.conv_logits\."
)
_TOWER_BIAS = re.compile(r"bbox_head\.(cls|reg)_convs\.\d\.conv\.bias")


def layout_of(keys: Iterable[str]) -> Layout:
    """Whose checkpoint it is.

    Raises:
        ValueError: None that is known.
    """
    keys = set(keys)
    if any(key.startswith("lstt.") for key in keys):
        return "iai"
    if any(key.startswith("bbox_head.mask_refine.") for key in keys):
        return "condinst (official)"
    if any(key.startswith(_MASKS) for key in keys):
        return "condinst (mmdet)"
    if any(key.startswith("roi_head.mask_head.") for key in keys):
        return "mask_rcnn (mmdet)"
    if any(key.startswith("backbone.") for key in keys):
        return "detector"
    raise ValueError("is no IAI, CondInst or Mask R-CNN checkpoint (there is no backbone.* key)")


def our_name(key: str) -> str:
    """Our name of an official tensor; names of ours stay."""
    for pattern, template in _RENAMED:
        renamed, found = pattern.subn(template, key)
        if found:
            return renamed
    return key


def load_released(model: nn.Module, path: Path) -> None:
    """Loads an official IAI checkpoint, every tensor of it and of the model.

    Args:
        model: A ``GapIAICondInst`` with the checkpoint's classes, identities and backbone.
        path: Local checkpoint file.

    Raises:
        InputError: A key is unknown, missing or of another shape.
    """
    state = load_tensors(path)
    if not any(key.startswith("lstt.") for key in state):
        problem = "is not in the official layout (there is no lstt.* key)"
        raise InputError(path, "state_dict", problem, "give an official IAI checkpoint")
    remedy = "give weights of this backbone, these classes and this number of identities"
    load_completely(model, {our_name(key): value for key, value in state.items()}, path, remedy)


def load_initial(model: nn.Module, path: Path) -> str:
    """Starts training from a COCO model, from an official IAI model, or from a training of this project.

    The official COCO CondInst, mmdet's CondInst (its towers have biases: ``tower_bias: true``) and, for the Mask R-CNN
    image model, mmdet's Mask R-CNN give everything but what video adds; an official IAI model (officially the start for
    OVIS) gives everything. Layers of other classes or another number of identities start fresh. Any mmdet detector
    gives a backbone.

    Args:
        model: A fresh IAI model.
        path: Local checkpoint.

    Returns:
        One line for the log.

    Raises:
        InputError: A key is unknown, missing or of another shape.
    """
    if is_own_weights(path):
        return load_own_weights(model, path)
    state = load_tensors(path)
    try:
        layout = layout_of(state)
    except ValueError as error:
        raise InputError(path, "state_dict", str(error), "give a CondInst trained on COCO") from None
    given = {our_name(key): value for key, value in state.items()}
    if layout == "detector":
        given = {key: value for key, value in given.items() if key.startswith("backbone.")}
    own = model.state_dict().keys()
    if any(_TOWER_BIAS.fullmatch(key) for key in given.keys() - own):
        problem = "has biases in the towers, which the model does not"
        raise InputError(path, "state_dict", problem, "set tower_bias to true in the settings")
    remedy = f"this is a {layout} checkpoint; give weights of this image model and this backbone"
    loaded = load_matching(model, given, path, remedy, may_lack=_MAY_LACK[layout], may_differ=_MAY_DIFFER)
    return f"Started from {path.name} ({layout}): {loaded} tensors loaded, {len(own) - loaded} start fresh."
