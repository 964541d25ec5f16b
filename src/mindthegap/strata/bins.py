"""Where one stratum ends and the next begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np

from mindthegap.evaluation.parameters import AREA_GROUPS, OCCLUSION_GROUPS

Unit = Literal["video", "object"]


@dataclass(frozen=True)
class Binning:
    """Bins of one attribute.

    Attributes:
        attribute: Column of `object_attributes` or `video_attributes`.
        unit: Whether whole videos or single objects are sorted.
        names: Bin names, low to high.
        edges: Lower edges of the bins, then the last upper edge; ascending.
        source: Where the edges come from.
        inclusive: Whether a value on an edge belongs to both neighbours (as in the official groups) or only to the
            upper one.
    """

    attribute: str
    unit: Unit
    names: tuple[str, ...]
    edges: tuple[float, ...]
    source: str
    inclusive: bool = False

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.names) + 1:
            raise ValueError(f"{self.attribute}: {len(self.names)} bins need {len(self.names) + 1} edges")
        if any(low >= high for low, high in zip(self.edges[:-1], self.edges[1:], strict=True)):
            raise ValueError(f"{self.attribute}: edges must ascend, got {self.edges}")

    def holds(self, values: np.ndarray, place: int) -> np.ndarray:
        """Which of ``values [N]`` are in bin ``place``; NaN is in none, the last edge is in the last bin."""
        low, high = self.edges[place], self.edges[place + 1]
        closed = self.inclusive or place == len(self.names) - 1
        return np.asarray((values >= low) & ((values <= high) if closed else (values < high)))


def _edges(groups: Mapping[str, tuple[float, float]]) -> tuple[float, ...]:
    """Edges of adjoining ranges."""
    bounds = list(groups.values())
    return (*(low for low, _ in bounds), bounds[-1][1])


BINNINGS: tuple[Binning, ...] = (
    Binning(
        "video_length",
        "video",
        ("short", "medium", "long", "very_long"),
        (0, 20, 40, 80, inf),
        "own, annotated frames; YouTube-VIS 2019 and 2021 have at most 36",
    ),
    Binning(
        "density",
        "video",
        ("sparse", "few", "many", "crowded"),
        (0, 1.5, 3, 5, inf),
        "own, visible objects per frame; means of YouTube-VIS 2019, 2021 and OVIS: 1.57, 1.95, 4.72 (Qi et al., IJCV "
        "2022, table 1)",
    ),
    Binning(
        "occlusion_score",
        "object",
        tuple(OCCLUSION_GROUPS),
        _edges(OCCLUSION_GROUPS),
        "the OVIS evaluator (oviseval.py), both ends included",
        inclusive=True,
    ),
    Binning("overlap_rate", "object", ("free", "touched", "covered"), (0, 0.1, 0.3, inf), "own, share of the box"),
    Binning("frames_present", "object", ("brief", "medium", "lasting"), (0, 16, 32, inf), "own, frames with a pixel"),
    Binning("absences", "object", ("never", "once", "repeatedly"), (0, 1, 2, inf), "own, runs of absent frames"),
    Binning(
        "mean_area_px",
        "object",
        ("small", "medium", "large"),
        _edges({name: AREA_GROUPS[name] for name in ("small", "medium", "large")}),
        "the YouTube-VIS evaluator (ytvoseval.py), both ends included; areas of masks, not the stored ones",
        inclusive=True,
    ),
    Binning(
        "relative_area",
        "object",
        ("tiny", "small", "medium", "large"),
        (0, 0.01, 0.05, 0.2, inf),
        "own, share of the frame",
    ),
    Binning(
        "motion_iou",
        "object",
        ("fast", "medium", "slow"),
        (0, 0.7, 0.9, inf),
        "motion groups of Zhu et al., ICCV 2017 (there over +-10 video frames)",
    ),
    Binning(
        "same_class_neighbours",
        "object",
        ("none", "one", "several"),
        (0, 1e-9, 1.5, inf),
        "own, mean number of visible objects of the same class",
    ),
    Binning("crossings", "object", ("none", "one", "several"), (0, 1, 2, inf), "own, see `crossings`"),
)


def quantile_binning(attribute: str, unit: Unit, values: Sequence[float], parts: int = 3) -> Binning:
    """Bins that hold about equally many of ``values``, for data that the stated edges do not divide.

    Edges that coincide are merged, so there may be fewer bins than ``parts``.

    Raises:
        ValueError: There is no finite value.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        raise ValueError(f"{attribute}: there is no value to divide")
    inner = np.unique(np.quantile(known, np.arange(1, parts) / parts))
    inner = inner[(inner > known.min()) & (inner <= known.max())]
    edges = (float(known.min()), *inner.tolist(), inf)
    names = tuple(f"q{place + 1}" for place in range(len(edges) - 1))
    return Binning(attribute, unit, names, edges, f"quantiles of {known.size} values")
