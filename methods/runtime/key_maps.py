"""Names of third parties' tensors in this project's terms, and loading that leaves nothing out and nothing over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from mindthegap.errors import InputError

NOTHING = re.compile(r"(?!)")
BATCH_COUNTER = ".num_batches_tracked"  # a buffer of batch norm that older PyTorch and frozen norms do not have

_DETR = (
    (re.compile(r"\bself_attn\."), "self_attn.attn."),
    (re.compile(r"\bmultihead_attn\."), "cross_attn.attn."),
    (re.compile(r"\blinear1\."), "ffn.layers.0.0."),
    (re.compile(r"\blinear2\."), "ffn.layers.1."),
)
_NORM = re.compile(r"\bnorm([123])\.")

_STAGE = re.compile(r"res([2-5])\.(\d+)\.(conv([123])|shortcut)\.(norm\.)?(.+)")


def detr_layer_key(key: str) -> str:
    """A key of facebookresearch/detr's transformer layers as mmdet names it, e.g. ``norm2.bias`` as ``norms.1.bias``.

    The words are replaced wherever they stand, so keys of whole encoders and decoders can be given.
    """
    for pattern, name in _DETR:
        key = pattern.sub(name, key)
    return _NORM.sub(lambda found: f"norms.{int(found[1]) - 1}.", key)


def detectron2_resnet_key(key: str) -> str | None:
    """A key of detectron2's ResNet in torchvision's and mmdet's names; None if it is none.

    ``stem.conv1.norm.bias`` is ``bn1.bias`` there, ``res3.0.shortcut.weight`` is ``layer2.0.downsample.0.weight``.
    """
    if key.startswith("stem.conv1."):
        rest = key.removeprefix("stem.conv1.")
        return f"bn1.{rest.removeprefix('norm.')}" if rest.startswith("norm.") else f"conv1.{rest}"
    found = _STAGE.fullmatch(key)
    if found is None:
        return None
    stage, block, _, index, norm, rest = found.groups()
    name = f"{'bn' if norm else 'conv'}{index}" if index else f"downsample.{1 if norm else 0}"
    return f"layer{int(stage) - 1}.{block}.{name}.{rest}"


def load_completely(model: nn.Module, state: Mapping[str, Tensor], path: Path, remedy: str) -> None:
    """Loads a converted state dict, every tensor of it and of the model.

    Args:
        model: Takes the tensors; batch counters may be absent.
        state: Tensors under the model's names.
        path: Where they come from, for errors.
        remedy: What to do if they do not fit.

    Raises:
        InputError: A tensor is unknown, missing, or of another shape; the model is unchanged.
    """
    load_matching(model, state, path, remedy, may_lack=NOTHING, may_differ=NOTHING)


def load_matching(
    model: nn.Module,
    state: Mapping[str, Tensor],
    path: Path,
    remedy: str,
    *,
    may_lack: re.Pattern[str],
    may_differ: re.Pattern[str],
) -> int:
    """Loads a converted state dict whose gaps are all expected.

    Args:
        model: Takes the tensors; batch counters may be absent.
        state: Tensors under the model's names.
        path: Where they come from, for errors.
        remedy: What to do if they do not fit.
        may_lack: Matches the start of the model's keys that the file need not have.
        may_differ: Matches the start of keys that may have another shape; such tensors are not loaded.

    Returns:
        Number of tensors loaded.

    Raises:
        InputError: A tensor is unknown, missing or of another shape against expectation; the model is unchanged.
    """
    own = model.state_dict()
    _require_none(path, "unknown key", state.keys() - own.keys(), remedy)
    missing = (key for key in own.keys() - state.keys() if not (key.endswith(BATCH_COUNTER) or may_lack.match(key)))
    _require_none(path, "no key", missing, remedy)
    shaped = {key for key in own.keys() & state.keys() if own[key].shape != state[key].shape}
    _require_none(path, "another shape at", (key for key in shaped if not may_differ.match(key)), remedy)
    fitting = {key: value for key, value in state.items() if key not in shaped}
    model.load_state_dict(fitting, strict=False)  # complete apart from what may lack or differ, checked above
    return len(fitting)


def _require_none(path: Path, problem: str, keys: Iterable[str], remedy: str) -> None:
    found = sorted(keys)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise InputError(path, "state_dict", f"has {problem} {found[0]}{more}", remedy)
