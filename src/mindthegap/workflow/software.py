"""Which software produced the results."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "mindthegap-vis",
    "numpy",
    "pandas",
    "pycocotools",
    "pulp",
    "highspy",
    "torch",
    "torchvision",
    "onedl-mmdetection",
    "onedl-mmcv",
    "onedl-mmengine",
    "snakemake",
    "papermill",
    "matplotlib",
)


def software(code: str) -> dict[str, object]:
    """Versions of Python, of the packages that numbers depend on, and of this code.

    Args:
        code: Digest of the sources (``code_digest``); it also tells what an uncommitted change was.
    """
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "code": code,
        "git": _git(),
    }


def _version(package: str) -> str | None:
    """The installed version; None where a package is absent, as torch is in an analysis-only environment."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, object] | None:
    """Commit and whether the working tree differs from it; None outside a checkout."""
    root = Path(__file__).resolve().parents[3]
    commands = {"commit": ["git", "rev-parse", "HEAD"], "changes": ["git", "status", "--porcelain"]}
    answers = {}
    for key, command in commands.items():
        try:
            done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        answers[key] = done.stdout.strip()
    return {"commit": answers["commit"], "dirty": bool(answers["changes"])}
