"""What weights were trained on, handed from one training to the next and on to whoever measures with them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from methods.runtime.facts import DatasetFacts
from methods.runtime.weights import load_weights
from mindthegap.data.lineage import Seen, read_names, seen
from mindthegap.errors import InputError

_LOG = logging.getLogger("mindthegap.inference")


def trained_videos(facts: DatasetFacts, init_weights: Path | None) -> list[str] | None:
    """Names of all videos behind the weights of a training: its own, and those behind what it started from.

    A third party's initial weights are taken to know no video, since what ``init_weights`` is meant for was trained on
    images (ImageNet, COCO). None if the weights it started from do not say.
    """
    earlier: list[str] | None = []
    if init_weights is not None:
        try:
            earlier = load_weights(Path(init_weights))[1].get("trained_videos")
        except InputError:  # not a file of this project
            earlier = []
    return None if earlier is None else sorted({*facts.video_names, *earlier})


def released_videos(trained_on: Path | None, checkpoint: Path) -> list[str] | None:
    """Names of the videos a released checkpoint was trained on; None, with a warning, if nobody says.

    Args:
        trained_on: The release's training annotations (YouTube-VIS JSON), or a text file with names.
        checkpoint: The release, for the warning.
    """
    if trained_on is not None:
        return read_names(trained_on)
    _LOG.warning(
        "%s: what it was trained on is not known, so every number measured with it will carry a warning; "
        "give the annotations it was trained on with --trained-on.",
        checkpoint,
    )
    return None


def seen_by(meta: dict[str, Any], facts: DatasetFacts) -> Seen:
    """What the weights with this meta data have seen of a split's videos; a warning goes to the log."""
    known = meta.get("trained_videos")
    source = f"weights trained on {meta.get('dataset')}" if known is not None else "the weights do not say"
    result = seen(facts.video_names, known, source)
    if result.sentence:
        _LOG.warning("%s", result.sentence)
    return result
