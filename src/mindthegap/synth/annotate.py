"""Exact ground truth of a rendered video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from mindthegap.synth.render import Frame

NO_OCCLUSION, SLIGHT_OCCLUSION, SEVERE_OCCLUSION = "no_occlusion", "slight_occlusion", "severe_occlusion"
FULLY_VISIBLE = 0.98
HALF_VISIBLE = 0.5
MIN_VISIBLE_PX = 8


def occlusion_level(visibility: float) -> str:
    """OVIS's grade of a visible share (0-1) of the part of an object that lies inside the frame.

    Qi et al. (IJCV 2022, section 3.2) weigh the grades 0, 0.25 and 0.75, the middles of a hidden share of none, up to a
    half, and more than a half; so these are the bounds here. Two percent are left for outlines that merely touch.
    """
    if visibility >= FULLY_VISIBLE:
        return NO_OCCLUSION
    return SLIGHT_OCCLUSION if visibility >= HALF_VISIBLE else SEVERE_OCCLUSION


class TrackWriter:
    """Collects one object's entries frame by frame."""

    def __init__(self, size: tuple[int, int], *, amodal: bool) -> None:
        self.size, self.amodal = size, amodal
        self.columns: dict[str, list[Any]] = {
            key: [] for key in ("segmentations", "bboxes", "areas", "occlusion", "visibility")
        }
        if amodal:
            self.columns["amodal_segmentations"] = []

    def add(self, entry: dict[str, Any] | None, whole: dict[str, Any] | None) -> None:
        """Appends a frame; ``entry`` is None where the object cannot be seen."""
        for key, values in self.columns.items():
            if key == "amodal_segmentations":
                values.append(whole)
            else:
                values.append(None if entry is None else entry[key])

    @property
    def seen(self) -> bool:
        """Whether the object is visible in any frame."""
        return any(area is not None for area in self.columns["areas"])

    def record(self, category_id: int) -> dict[str, Any]:
        """The annotation without ids."""
        height, width = self.size
        length = len(self.columns["areas"])
        return {"category_id": category_id, "iscrowd": 0, "height": height, "width": width, "length": length,
                **self.columns}  # fmt: skip


def add_frame(tracks: Sequence[TrackWriter], frame: Frame) -> None:
    """Reads the visible masks of all objects off a frame."""
    in_view = [k for k, area in enumerate(frame.full_area) if area >= MIN_VISIBLE_PX]
    stack = np.empty((*frame.owner.shape, len(in_view)), dtype=np.uint8, order="F")
    for position, k in enumerate(in_view):
        np.equal(frame.owner, k + 1, out=stack[:, :, position].view(np.bool_))
    encoded = mask_api.encode(stack)
    areas, boxes = mask_api.area(encoded).tolist(), mask_api.toBbox(encoded).tolist()
    entries = {
        k: _entry(encoded[i], areas[i], boxes[i], frame.full_area[k])
        for i, k in enumerate(in_view)
        if areas[i] >= MIN_VISIBLE_PX
    }
    for k, track in enumerate(tracks):
        track.add(entries.get(k), _whole(frame.full_masks[k]) if track.amodal else None)


def _entry(rle: dict[str, Any], area: int, box: list[float], full_area: int) -> dict[str, Any]:
    """One object in one frame; the visible share is kept to four digits."""
    visibility = round(area / full_area, 4)
    return {
        "segmentations": {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")},
        "bboxes": [int(value) for value in box],
        "areas": area,
        "occlusion": occlusion_level(visibility),
        "visibility": visibility,
    }


def _whole(mask: NDArray[np.bool_]) -> dict[str, Any] | None:
    """The mask that nothing covers; None outside the frame."""
    if not mask.any():
        return None
    rle = mask_api.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}
