"""What a training or inference run depends on, as short texts that can be compared key by key."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from methods.runtime import registry
from methods.runtime.facts import DatasetFacts
from mindthegap.files import sha256_file
from mindthegap.workflow.digests import code_digest


def digest(value: Any) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a JSON value with sorted keys."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def method_code(method: str) -> str:
    """Digest of the sources a method's results depend on, comments aside; see ``registry.source_folders``."""
    return code_digest(registry.method_folder(method).parent, registry.source_folders(method))


def library_versions() -> dict[str, str]:
    """Versions of the libraries whose arithmetic enters the weights."""
    return {name: version(name) for name in ("torch", "torchvision", "onedl-mmdetection", "onedl-mmcv")}


def training_fingerprint(
    *,
    method: str,
    backbone: str,
    scale: str,
    seed: int,
    facts: DatasetFacts,
    config: Any,
    devices: int,
    amp: bool,
    init_weights: Path | None,
) -> dict[str, str]:
    """Everything a training run depends on; equal fingerprints on one machine mean equal weights."""
    return {
        "method": method,
        "backbone": backbone,
        "scale": scale,
        "seed": str(seed),
        "dataset": facts.sha256,
        "config": digest(config),
        "code": method_code(method),
        "devices": str(devices),
        "amp": str(amp),
        "init_weights": sha256_file(init_weights) if init_weights else "none",
        "libraries": json.dumps(library_versions(), sort_keys=True),
    }
