"""Datasets: preparation of real folders, splits, contact sheets; each is loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "contact_sheet": "sheet",
    "draw_split": "splitting",
    "prepare_folder": "prepare",
    "source_files": "archives",
}
__all__ = ["contact_sheet", "draw_split", "prepare_folder", "source_files"]


def __getattr__(name: str) -> Any:
    """Loads numpy and Pillow only for what needs them."""
    if name in _HOMES:
        return getattr(import_module(f"mindthegap.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
