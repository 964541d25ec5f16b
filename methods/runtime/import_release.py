"""Turns a released checkpoint into a weights file: ``python -m methods.runtime.import_release --help``.

The way in for anyone who wants to diagnose published weights instead of training: inference then runs on them as on
its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from methods.runtime import registry
from methods.runtime.configs import build_config
from methods.runtime.facts import read_facts
from mindthegap.errors import EXIT_USER_ERROR, ConfigError, MindTheGapError
from mindthegap.files import sha256_file


def import_release(
    *,
    method: str,
    backbone: str,
    scale: str,
    dataset_dir: Path,
    checkpoint: Path,
    weights: Path,
    settings: dict[str, Any],
    trained_on: Path | None = None,
) -> None:
    """Maps a released checkpoint, strictly, and writes ``weights``.

    Args:
        method: Name of a folder in ``methods/``.
        backbone: The checkpoint's backbone.
        scale: Scale whose architecture the checkpoint has, usually ``paper``.
        dataset_dir: Dataset folder with the classes, in the order the checkpoint was trained with.
        checkpoint: The released file.
        weights: Output.
        settings: Overrides of the architecture, e.g. ``{"final_relu": True}``.
        trained_on: Annotations (or a list of names) of the videos that the release was trained on, usually the
            dataset's whole train part; None if that is not known, and every number will say so.

    Raises:
        MindTheGapError: The checkpoint does not fit the method, the backbone or the classes.
    """
    facts = read_facts(dataset_dir, "train")
    config = build_config(method, scale, facts, backbone, settings)
    from methods.runtime.mmcv_ops import ensure_ops

    ensure_ops()
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    from methods.runtime.exposure import released_videos
    from methods.runtime.weights import save_weights

    register_all_modules(init_default_scope=True)
    registry.load(method, "model")
    model = MODELS.build(config.model)
    registry.load(method, "checkpoint").load_released(model, checkpoint)
    meta = {
        "method": method,
        "backbone": backbone,
        "scale": scale,
        "seed": None,
        "dataset": facts.dataset if trained_on is None else Path(trained_on).name,
        "trained_videos": released_videos(trained_on, checkpoint),
        "classes": list(facts.classes),
        "category_ids": list(facts.category_ids),
        "identities": facts.identities,
        "max_objects_per_frame": facts.max_objects_per_frame,
        "settings": config.settings.to_dict(),
        "imported_from": {"file": checkpoint.name, "sha256": sha256_file(checkpoint)},
        **config.get("meta", {}),
    }
    save_weights(weights, model.state_dict(), meta)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name in ("method", "backbone"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--scale", default="paper")
    for name in ("dataset-dir", "checkpoint", "weights"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--trained-on", type=Path, help="annotations or names of the videos the release has seen")
    parser.add_argument("--settings", default="{}", help="JSON, e.g. '{\"final_relu\": true}'")
    values = vars(parser.parse_args())
    try:
        try:
            values["settings"] = dict(json.loads(values["settings"]))
        except (ValueError, TypeError):
            raise ConfigError('--settings: is not a JSON object; write for example {"final_relu": true}.') from None
        import_release(**values)
    except MindTheGapError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
