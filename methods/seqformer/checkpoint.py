"""SeqFormer's released checkpoints (official repository and VNext): key mapping, strict in both directions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mmdet.models.backbones.swin import swin_converter
from torch import Tensor

from methods.runtime.initial import is_own_weights, load_own_weights
from methods.runtime.key_maps import detectron2_resnet_key, load_completely
from methods.runtime.weights import load_tensors, load_weights
from mindthegap.errors import InputError

if TYPE_CHECKING:
    from methods.seqformer.model import GapSeqFormer

Tensors = dict[str, Tensor]

# Unused copies: the box heads under a second name, the encoder's second projection, the finest norm of Swin.
_UNUSED = re.compile(
    r"detr\.transformer\.decoder\.bbox_embed\.|detr\.transformer\.encoder\.layers\.\d+\.self_attn\.output_proj_box\."
    r"|detr\.backbone\.0\.(body|backbone)\.norm0\."
)
_CLASS_HEAD = "class_heads."
_REMEDY = "give weights of this backbone, these sizes and this number of classes"

_DECODER_PARTS = {
    "cross_attn.output_proj": "cross_attn.instance_proj",
    "cross_attn.output_proj_box": "cross_attn.box_proj",
    "cross_attn.sampling_offsets": "cross_attn.sampler.sampling_offsets",
    "cross_attn.attention_weights": "cross_attn.sampler.attention_weights",
    "cross_attn.value_proj": "cross_attn.sampler.value_proj",
    # In Deformable DETR norm1 follows the cross-attention and norm2 the self-attention.
    "norm1": "instance_cross_norm",
    "norm1_box": "box_cross_norm",
    "self_attn": "instance_attn.attn",
    "self_attn_box": "box_attn.attn",
    "norm2": "instance_attn.norm",
    "norm2_box": "box_attn.norm",
    "norm3": "instance_ffn.norm",
    "norm3_box": "box_ffn.norm",
    "linear1": "instance_ffn.linear1",
    "linear2": "instance_ffn.linear2",
    "linear1_box": "box_ffn.linear1",
    "linear2_box": "box_ffn.linear2",
    "time_attention_weights": "time_weight",
}
_ENCODER_PARTS = {"norm1": "norms.0", "norm2": "norms.1", "linear1": "ffn.layers.0.0", "linear2": "ffn.layers.1"}
_MASK_CONVS = {"lay3": 0, "lay4": 1, "dcn": 2, "lay1": 3, "lay2": 4}
_PREFIXES = (
    ("detr.query_embed.", "decoder.query_embed."),
    ("detr.class_embed.", _CLASS_HEAD),
    ("detr.bbox_embed.", "decoder.box_heads."),
    ("detr.transformer.level_embed", "encoder.level_embed"),
    ("detr.transformer.reference_points.", "decoder.reference."),
    ("controller.layers.", "controller.layers."),
)


def convert(state: Tensors, classes: int) -> Tensors:
    """A released state dict in this implementation's names, without tensors that the network does not use.

    Args:
        state: Keys and tensors of the checkpoint, official or VNext.
        classes: Number of classes K. A class head of K + 2 rows is the official one, whose first and last row belong
            to no class; one of K rows is VNext's.

    Raises:
        ValueError: A key is unknown.
    """
    if any(key.startswith("detr.detr.") for key in state):  # VNext wraps the whole network once more
        state = {key.removeprefix("detr."): value for key, value in state.items()}
    backbone = {
        key.split(".", 4)[4]: value
        for key, value in state.items()
        if key.startswith("detr.backbone.0.") and not _UNUSED.match(key)
    }
    converted = convert_backbone(backbone)
    for key, value in state.items():
        if _UNUSED.match(key) or key.startswith("detr.backbone.0."):
            continue
        name = _renamed(key)
        if name is None:
            raise ValueError(f"has the unknown key {key}")
        converted[name] = value[1:-1] if name.startswith(_CLASS_HEAD) and len(value) == classes + 2 else value
    return converted


def convert_backbone(state: Tensors) -> Tensors:
    """A backbone's tensors (torchvision, detectron2 or Swin names) under ``backbone.`` in mmdet's names."""
    if any(key.startswith("patch_embed.") for key in state):
        return dict(swin_converter(state))
    return {
        f"backbone.{detectron2_resnet_key(key) or key}": value
        for key, value in state.items()
        if not key.startswith("fc.")
    }


def _renamed(key: str) -> str | None:
    """The name here of an official tensor outside the backbone; None for an unknown one."""
    for official, own in _PREFIXES:
        if key.startswith(official):
            return own + key.removeprefix(official)
    if match := re.fullmatch(r"detr\.input_proj\.(\d)\.([01])\.(\w+)", key):
        level, part, name = int(match[1]), "gn" if match[2] == "1" else "conv", match[3]
        convs = f"convs.{level}" if level < 3 else f"extra_convs.{level - 3}"
        return f"encoder.neck.{convs}.{part}.{name}"
    if match := re.fullmatch(r"mask_head\.(\w+)\.(weight|bias)", key):
        return f"mask_branch.convs.{_MASK_CONVS[match[1]]}.{match[2]}" if match[1] in _MASK_CONVS else None
    if match := re.fullmatch(r"detr\.transformer\.(encoder|decoder)\.layers\.(\d+)\.(.+)\.(\w+)", key):
        stack, layer, part, name = match.groups()
        parts = _ENCODER_PARTS if stack == "encoder" else _DECODER_PARTS
        prefix = "encoder.encoder" if stack == "encoder" else "decoder"
        return f"{prefix}.layers.{layer}.{_renamed_part(part, parts)}.{name}"
    return None


def _renamed_part(part: str, parts: dict[str, str]) -> str:
    """A layer's part; what has a part of its own inside (``self_attn.out_proj``) keeps it."""
    if part in parts:
        return parts[part]
    outer, _, inner = part.partition(".")
    return f"{parts[outer]}.{inner}" if outer in parts and inner else part


def load_released(model: GapSeqFormer, path: Path) -> None:
    """Loads a released SeqFormer, every parameter of it and of the model.

    Args:
        model: A ``GapSeqFormer`` with as many classes as the checkpoint.
        path: Local checkpoint of the official repository or of VNext.

    Raises:
        InputError: A key is unknown, missing, or of another shape.
    """
    load_completely(model, _official(model, path), path, _REMEDY)


def load_initial(model: GapSeqFormer, path: Path) -> str:
    """Starts training from other weights.

    Args:
        model: A fresh ``GapSeqFormer``.
        path: A ``weights.pth`` of this project (every tensor that fits is loaded; class heads only of the same
            classes), a released SeqFormer or its COCO pretraining (all but the class heads, as officially), or an
            ImageNet ResNet or Swin (the backbone).

    Returns:
        One line for the log.

    Raises:
        InputError: The file is none of these, or does not fit.
    """
    return start_from(model, path, fresh=())


def start_from(model: GapSeqFormer, path: Path, fresh: tuple[str, ...]) -> str:
    """``load_initial`` for a network with further modules.

    Args:
        model: A fresh model.
        path: As for ``load_initial``.
        fresh: Parts of the names of tensors that a released SeqFormer does not have.
    """
    if is_own_weights(path):
        return _from_own_weights(model, path)
    given = load_tensors(path)
    if any(key.startswith("detr.") for key in given):
        converted = _official(model, path)
        kept = {key: value for key, value in converted.items() if not key.startswith(_CLASS_HEAD)}
        _load_beside(model, kept, path, fresh=(_CLASS_HEAD, *fresh))
        return f"Started from {path.name}: {len(kept)} tensors loaded, the class heads start fresh."
    backbone = convert_backbone({key: value for key, value in given.items() if not key.startswith(("head.", "norm."))})
    other_parts = {key.split(".")[0] + "." for key in model.state_dict() if not key.startswith("backbone.")}
    _load_beside(model, backbone, path, fresh=("backbone.norm", *other_parts))
    return f"Started from {path.name}: {len(backbone)} tensors of the backbone loaded, all else starts fresh."


def _from_own_weights(model: GapSeqFormer, path: Path) -> str:
    line = load_own_weights(model, path)
    if load_weights(path)[1].get("classes") != list(model.classes):
        model.reset_class_heads()
        line += " The class heads start fresh, because the classes differ."
    return line


def _official(model: GapSeqFormer, path: Path) -> Tensors:
    try:
        return convert(load_tensors(path), len(model.classes))
    except ValueError as error:
        raise InputError(path, "model", str(error), "give a SeqFormer checkpoint") from None


def _load_beside(model: GapSeqFormer, state: Tensors, path: Path, fresh: tuple[str, ...]) -> None:
    """Loads tensors strictly, apart from those of the model whose names contain one of ``fresh``; they stay."""
    kept = {key: value for key, value in model.state_dict().items() if any(part in key for part in fresh)}
    load_completely(model, kept | state, path, _REMEDY)
