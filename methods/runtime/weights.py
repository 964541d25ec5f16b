"""The weights file that passes from training to inference."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mindthegap.errors import InputError
from mindthegap.files import atomic_path


def save_weights(path: Path, state_dict: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Writes ``{"state_dict", "meta"}``, atomically and the same bytes for the same content.

    Args:
        path: Output file.
        state_dict: Parameters and buffers.
        meta: JSON values only.
    """
    content = {
        "state_dict": {str(key): value.detach().cpu().contiguous().clone() for key, value in state_dict.items()},
        # A round trip through JSON gives equal texts the same identity, which the pickle inside the file records.
        "meta": json.loads(json.dumps(meta, sort_keys=True)),
    }
    buffer = io.BytesIO()  # torch.save to a path would write the (temporary) file name into the archive
    torch.save(content, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads a weights file on the CPU without running any code from it.

    Returns:
        The state dict and the meta data.

    Raises:
        InputError: The file is missing, truncated, or not one that ``save_weights`` wrote.
    """
    if not Path(path).is_file():
        raise InputError(path, "", "there is no such file", "train the method first or give the right path")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return content["state_dict"], dict(content["meta"])
    except Exception as error:
        reason = _first_line(error)
        raise InputError(path, "", f"is not a usable weights file ({reason})", "train the method again") from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """State dict of a third party's checkpoint: under ``state_dict``, ``model``, or the file's own top level.

    Raises:
        InputError: The file is missing, unreadable without running code, or holds no tensors.
    """
    if not Path(path).is_file():
        raise InputError(path, "", "there is no such file", "download the checkpoint first and give its local path")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = _first_line(error)
        raise InputError(path, "", f"cannot be read as weights only ({reason})", "use a plain state dict") from None
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)} if content else {}
    if not tensors:
        raise InputError(path, "", "holds no tensors", "give a checkpoint with a state dict")
    return tensors


def require_meta(path: Path, meta: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compares the meta data with what the caller is going to use the weights for.

    Raises:
        InputError: A key differs; the sentence names the first one with both values.
    """
    for key, value in expected.items():
        if meta.get(key) != value:
            problem = f"the weights are of {key} {_shown(meta.get(key))}, not {_shown(value)}"
            raise InputError(path, f"meta.{key}", problem, "give the weights that were trained for this experiment")


def _first_line(error: Exception) -> str:
    """PyTorch's messages are paragraphs with instructions; their first line names the cause."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
