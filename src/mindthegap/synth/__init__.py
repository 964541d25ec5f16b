"""Synthetic video with exact ground truth.

``presets`` may be imported without numpy; the renderer is loaded when first asked for.
"""

from __future__ import annotations

from typing import Any

__all__ = ["render_dataset"]


def __getattr__(name: str) -> Any:
    """Loads the renderer (numpy, Pillow) only when it is used: the configuration needs the presets alone."""
    if name == "render_dataset":
        from mindthegap.synth.dataset import render_dataset

        return render_dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
