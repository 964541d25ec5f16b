"""The real benchmark datasets: where they come from, what must be in them, what may be done with them.

Nothing is downloaded: all three ask for an account. Counts are those of the papers and of the owners' pages; ground
truth of the validation and test videos is kept by the evaluation servers, so everything here is about the train part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mindthegap.errors import InputError
from mindthegap.formats import GroundTruth

_YTVIS19 = """person giant_panda lizard parrot skateboard sedan ape dog snake monkey hand rabbit duck cat cow fish train
horse turtle bear motorbike giraffe leopard fox deer owl surfboard airplane truck zebra tiger elephant snowboard boat
shark mouse frog eagle earless_seal tennis_racket"""
_YTVIS21 = """airplane bear bird boat car cat cow deer dog duck earless_seal elephant fish flying_disc fox frog
giant_panda giraffe horse leopard lizard monkey motorbike mouse parrot person rabbit shark skateboard snake snowboard
squirrel surfboard tennis_racket tiger train truck turtle whale zebra"""
_OVIS = """Person Bird Cat Dog Horse Sheep Cow Elephant Bear Zebra Giraffe Poultry Giant_panda Lizard Parrot Monkey
Rabbit Tiger Fish Turtle Bicycle Motorcycle Airplane Boat Vehical"""


@dataclass(frozen=True)
class Registered:
    """One published dataset.

    Attributes:
        name: Key, also used by ``expect`` in ``config.yaml``.
        title: Name in tables.
        page: The owners' page; the files are handed out from there after signing in.
        files: What to fetch, as named there.
        annotations: Usual place of the train annotations below the unpacked folder.
        frames: Usual place of the train frames below the unpacked folder.
        videos: Number of train videos.
        categories: Names by id, from 1.
        terms: What the owners allow.
        citation: Whom to cite.
        note: What else a user should know.
    """

    name: str
    title: str
    page: str
    files: tuple[str, ...]
    annotations: str
    frames: str
    videos: int
    categories: tuple[str, ...]
    terms: str
    citation: str
    note: str


_ENTRIES = (
    Registered(
        name="youtube_vis_2019",
        title="YouTube-VIS 2019",
        page="https://youtube-vos.org/dataset/vis/",
        files=("train.zip (frames)", "train.json (annotations)"),
        annotations="train.json",
        frames="train/JPEGImages",
        videos=2238,
        categories=tuple(_YTVIS19.split()),
        terms="annotations CC BY 4.0, for research; the videos belong to their authors",
        citation="Yang, Fan, Xu: Video Instance Segmentation, ICCV 2019",
        note="every fifth frame is annotated; masks are uncompressed run lengths",
    ),
    Registered(
        name="youtube_vis_2021",
        title="YouTube-VIS 2021",
        page="https://youtube-vos.org/dataset/vis/",
        files=("train.zip (frames and instances.json)",),
        annotations="train/instances.json",
        frames="train/JPEGImages",
        videos=2985,
        categories=tuple(_YTVIS21.split()),
        terms="annotations CC BY 4.0, for research; the videos belong to their authors",
        citation="Yang, Fan, Xu: The 3rd Large-scale Video Object Segmentation Challenge, 2021",
        note="the categories and their ids differ from those of 2019",
    ),
    Registered(
        name="ovis",
        title="OVIS",
        page="http://songbai.site/ovis/",
        files=("train.zip (frames)", "annotations_train.json"),
        annotations="annotations_train.json",
        frames="train",
        videos=607,
        categories=tuple(_OVIS.split()),
        terms="CC BY-NC-SA 4.0, for research that is not commercial",
        citation="Qi et al.: Occluded Video Instance Segmentation: A Benchmark, IJCV 2022",
        note="stored areas are areas of boxes, not of masks; occlusion is graded per frame",
    ),
)
REGISTRY = {entry.name: entry for entry in _ENTRIES}


def require_registered(name: str, ground_truths: Iterable[GroundTruth]) -> None:
    """Checks that files are what the registry says: number of videos, ids and names of categories.

    Args:
        name: Key of the registry.
        ground_truths: The train annotations, in one file or several.

    Raises:
        InputError: Names the first count or category that differs.
    """
    entry, parts = REGISTRY[name], list(ground_truths)
    path = parts[0].path
    remedy = f"fetch {' and '.join(entry.files)} from {entry.page} again, or leave out expect: {name}"
    count = sum(len(part.videos) for part in parts)
    if count != entry.videos:
        raise InputError(path, "videos", f"has {count} videos, but {entry.title} (train) has {entry.videos}", remedy)
    for part in parts:
        found = {category.id: category.name for category in part.categories}
        for number, wanted in enumerate(entry.categories, start=1):
            if _plain(found.pop(number, "")) != _plain(wanted):
                problem = f"category {number} is not {wanted!r} as in {entry.title}"
                raise InputError(part.path, "categories", problem, remedy)
        if found:
            problem = f"category {min(found)} ({found[min(found)]!r}) does not belong to {entry.title}"
            raise InputError(part.path, "categories", problem, remedy)


def _plain(name: str) -> str:
    """Editions differ in capitals, blanks and underscores."""
    return name.lower().replace(" ", "_")
