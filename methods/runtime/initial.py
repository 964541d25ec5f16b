"""Starting a training from another training of this project: its pretraining, or an earlier run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from methods.runtime.weights import load_weights
from mindthegap.errors import InputError

State = dict[str, Tensor]


def load_own_weights(model: nn.Module, path: Path, adapt: Callable[[State], State] | None = None) -> str:
    """Loads every tensor of a ``weights.pth`` of this project whose name and shape fit the model.

    Methods that share modules share their names, so one pretraining serves several of them. What a method has
    beside it (other heads, other classes) starts fresh; the backbone may not.

    Args:
        model: A fresh model.
        path: File that ``methods.runtime.weights.save_weights`` wrote.
        adapt: Turns the file's tensors by name into those that the model takes; None takes them as they are.

    Returns:
        One line for the log.

    Raises:
        InputError: The file is unusable, or a tensor of the model's backbone is missing or of another shape.
    """
    state, meta = load_weights(path)
    if adapt is not None:
        state = adapt(state)
    own = model.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    lacking = sorted(key for key in own.keys() - fitting.keys() if "backbone." in key)
    if lacking:
        origin = f"{meta.get('method')}-{meta.get('backbone')}"
        problem = f"the weights of {origin} have no tensor {lacking[0]} of this shape"
        raise InputError(path, "state_dict", problem, "give weights that were trained with the same backbone")
    model.load_state_dict(fitting, strict=False)
    fresh = len(own) - len(fitting)
    return f"Started from {meta.get('method')} ({path.name}): {len(fitting)} tensors loaded, {fresh} start fresh."


def is_own_weights(path: Path) -> bool:
    """Whether a checkpoint was written by this project's training, by the meta data in it.

    False also for what cannot be read: whoever takes it for a third party's checkpoint says why.

    Raises:
        InputError: There is no such file.
    """
    if not Path(path).is_file():
        raise InputError(path, "", "there is no such file", "train the method first or give the right path")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:
        return False
    return isinstance(content, dict) and isinstance(content.get("meta"), dict) and "fingerprint" in content["meta"]
