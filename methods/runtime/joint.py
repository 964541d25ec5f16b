"""Joint training: videos and pseudo clips of stills in one random order, as SeqFormer does with COCO.

A method gives ``stills`` in its configuration (``stills_part``), the trainer joins both data sets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from methods.runtime.facts import DatasetFacts, read_facts
from mindthegap.errors import InputError

Part = dict[str, Any]


def read_stills(folder: str | Path, facts: DatasetFacts) -> DatasetFacts:
    """Facts of a dataset folder of stills that has the videos' categories.

    Args:
        folder: Dataset folder, e.g. COCO prepared with ``kind: coco`` and ``categories: youtube_vis_2019``.
        facts: Facts of the videos.

    Raises:
        InputError: The folder is unusable, or its categories differ from the videos'.
    """
    stills = read_facts(Path(folder), "train")
    if (stills.classes, stills.category_ids) != (facts.classes, facts.category_ids):
        problem = f"has other categories than {facts.dataset}"
        remedy = "prepare the stills under the ids and names of the videos' categories"
        raise InputError(stills.annotations, "categories", problem, remedy)
    return stills


def stills_part(stills: DatasetFacts, copies: int) -> Part:
    """What a method's configuration holds as ``stills``.

    Args:
        stills: As ``read_stills`` gives them.
        copies: Frames of a pseudo clip.
    """
    files = {"ann_file": str(stills.annotations), "frames_dir": str(stills.frames_dir)}
    return {"folder": files, "copies": copies, "sha256": stills.sha256}
