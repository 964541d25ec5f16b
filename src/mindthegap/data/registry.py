"""The real benchmark datasets: where they come from, what must be in them, what may be done with them.

Nothing is downloaded: all three ask for an account. Ground truth of the validation and test videos is kept by the
evaluation servers, so only the train part can be prepared. Every fact names where it was looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


UNVERIFIED = "not verified"
_VIS_PAGE = "https://youtube-vos.org/dataset/vis/"
_OVIS_PAGE = "https://songbai.site/ovis/"
_LAYOUT = "open-mmlab/mmtracking@0e5d146 docs/en/dataset.md"


@dataclass(frozen=True)
class Registered:
    """One published dataset.

    Attributes:
        name: Key, also used by ``expect`` in ``config.yaml``.
        title: Name in tables.
        version: Edition, as the owners call it.
        page: The owners' page; the files are handed out from there after signing in.
        annotations: Name of the file with the train annotations.
        frames: Name of the archive with the train frames.
        example: A frame below the folder with frames, to recognise the right folder by.
        videos: Number of videos of the train, validation and test parts.
        objects: Number of annotated objects in all parts.
        masks: Number of masks in all parts, as the owners round it.
        categories: Names by id, from 1.
        terms: What the owners allow.
        citation: Whom to cite.
        sha256: Checksums of the files by name, as far as the owners publish any (none does).
        note: What else a user should know.
        sources: Where each of the facts above was looked up; ``UNVERIFIED`` where that was not possible.
    """

    name: str
    title: str
    version: str
    page: str
    annotations: str
    frames: str
    example: str
    videos: tuple[int, int, int]
    objects: int
    masks: int
    categories: tuple[str, ...]
    terms: str
    citation: str
    sha256: Mapping[str, str]
    note: str
    sources: Mapping[str, str]

    @property
    def train_videos(self) -> int:
        """Number of videos whose ground truth is public."""
        return self.videos[0]

    def fact(self, name: str) -> str:
        """A fact as text, with a word of warning if nobody verified it."""
        doubt = f" ({UNVERIFIED}: ask the owners)" if self.sources[name] == UNVERIFIED else ""
        return f"{getattr(self, name)}{doubt}"


_ENTRIES = (
    Registered(
        name="youtube_vis_2019",
        title="YouTube-VIS 2019",
        version="2019",
        page=_VIS_PAGE,
        annotations="train.json",
        frames="train.zip",
        example="<10 hexadecimal digits>/00000.jpg",
        videos=(2238, 302, 343),
        objects=4883,
        masks=131_000,
        categories=tuple(_YTVIS19.split()),
        terms="annotations CC BY 4.0, for research; the videos belong to their authors",
        citation="Yang, Fan, Xu: Video instance segmentation, ICCV 2019",
        sha256={},
        note="every fifth frame is annotated; masks are uncompressed run lengths",
        sources={
            "videos": _VIS_PAGE,
            "objects": _VIS_PAGE,
            "masks": _VIS_PAGE,
            "citation": _VIS_PAGE,
            "annotations": f"{_LAYOUT}; youtubevos/MaskTrackRCNN issue 8 (answer of the owner)",
            "frames": UNVERIFIED,
            "categories": "open-mmlab/mmdetection mmdet/datasets/youtube_vis_dataset.py",
            "terms": UNVERIFIED,
        },
    ),
    Registered(
        name="youtube_vis_2021",
        title="YouTube-VIS 2021",
        version="2021",
        page=_VIS_PAGE,
        annotations="instances.json (in train.zip)",
        frames="train.zip",
        example="<10 hexadecimal digits>/00000.jpg",
        videos=(2985, 421, 453),
        objects=8171,
        masks=232_000,
        categories=tuple(_YTVIS21.split()),
        terms="annotations CC BY 4.0, for research; the videos belong to their authors",
        citation="Yang, Fan, Fu, Xu: The 3rd Large-scale Video Object Segmentation Challenge - video instance "
        "segmentation track, 2021",
        sha256={},
        note="the categories and their ids differ from those of 2019",
        sources={
            "videos": _VIS_PAGE,
            "objects": _VIS_PAGE,
            "masks": _VIS_PAGE,
            "citation": f"{_VIS_PAGE} (the end of the title is cut off in the copy that was read)",
            "annotations": f"{_LAYOUT}; zhang-tao-whu/DVIS issue 20",
            "frames": "zhang-tao-whu/DVIS issue 20",
            "categories": "open-mmlab/mmdetection mmdet/datasets/youtube_vis_dataset.py",
            "terms": UNVERIFIED,
        },
    ),
    Registered(
        name="ovis",
        title="OVIS",
        version="2021",
        page=_OVIS_PAGE,
        annotations="annotations_train.json",
        frames="train.zip",
        example="<8 hexadecimal digits>/img_0000001.jpg",
        videos=(607, 140, 154),
        objects=5223,
        masks=296_000,
        categories=tuple(_OVIS.split()),
        terms="CC BY-NC-SA 4.0, for research that is not commercial",
        citation="Qi et al.: Occluded Video Instance Segmentation: A Benchmark, IJCV 2022",
        sha256={},
        note="every fifth frame is annotated; occlusion is graded; stored areas are those of boxes, not of masks",
        sources={
            "videos": f"{UNVERIFIED}; they add up to the 901 of {_OVIS_PAGE}",
            "objects": _OVIS_PAGE,
            "masks": _OVIS_PAGE,
            "citation": _OVIS_PAGE,
            "annotations": "sennnnn/OpenVIS datasets/README.md; lightly-ai/labelformat tests/fixtures",
            "frames": UNVERIFIED,
            "categories": f"{_OVIS_PAGE}, in the spelling of the file (Vehical for Vehicle)",
            "terms": UNVERIFIED,
        },
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
    remedy = f"fetch {entry.annotations} from {entry.page} again, or leave out expect: {name}"
    count = sum(len(part.videos) for part in parts)
    if count != entry.train_videos:
        raise InputError(
            path, "videos", f"has {count} videos, but {entry.title} (train) has {entry.train_videos}", remedy
        )
    for part in parts:
        found = {category.id: category.name for category in part.categories}
        for number, wanted in enumerate(entry.categories, start=1):
            if _plain(found.pop(number, "")) != _plain(wanted):
                own = next((repr(item.name) for item in part.categories if item.id == number), "missing")
                problem = f"category {number} is {own}, not {wanted!r} as in {entry.title}"
                raise InputError(part.path, "categories", problem, remedy)
        if found:
            problem = f"category {min(found)} ({found[min(found)]!r}) does not belong to {entry.title}"
            raise InputError(part.path, "categories", problem, remedy)


def _plain(name: str) -> str:
    """Editions differ in capitals, blanks and underscores, and in how OVIS spells vehicles."""
    plain = name.lower().replace(" ", "_")
    return "vehical" if plain == "vehicle" else plain
