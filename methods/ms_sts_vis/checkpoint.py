"""Weights to start from; no weights of MS-STS VIS have been released."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from methods.seqformer.checkpoint import start_from
from mindthegap.errors import InputError

if TYPE_CHECKING:
    from methods.ms_sts_vis.model import GapMsStsVis

_ADDITIONS = (".msts.", ".temporal_attn.", "discriminator.")


def load_released(model: GapMsStsVis, path: Path) -> None:
    """Refuses: the authors have published result files, but no weights.

    Raises:
        InputError: Always.
    """
    problem = "cannot be weights of MS-STS VIS: its authors have released none"
    raise InputError(path, "", problem, "train the method, starting from a released SeqFormer (init_weights)")


def load_initial(model: GapMsStsVis, path: Path) -> str:
    """Starts training from SeqFormer's weights; the additions start fresh, with an output of zero.

    Args:
        model: A fresh ``GapMsStsVis``.
        path: As for SeqFormer's ``load_initial``.

    Returns:
        One line for the log.

    Raises:
        InputError: The file does not fit.
    """
    return start_from(model, path, fresh=_ADDITIONS)
