"""Mind the Gap: why Video Instance Segmentation methods lose AP.

The public functions are imported on first use, so that ``import mindthegap`` (and with it the command line's
start) stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "compare": "mindthegap.diagnosis",
    "diagnose": "mindthegap.diagnosis",
    "evaluate": "mindthegap.evaluation",
    "read_ground_truth": "mindthegap.formats",
    "read_results": "mindthegap.formats",
}

__all__ = ["__version__", "compare", "diagnose", "evaluate", "read_ground_truth", "read_results"]


def __getattr__(name: str) -> Any:
    """Imports a public function when it is first asked for (PEP 562)."""
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
