"""A picture of a dataset at one glance: frames of some videos with identities in colour and occlusion levels."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pycocotools import mask as mask_api

from mindthegap.data.staging import FRAMES
from mindthegap.errors import InputError
from mindthegap.files import atomic_path, read_json
from mindthegap.formats.model import video_name

_GAP = 4
_CAPTION = 14
_HEADING = 18
_HALO = 255.0
_LEVELS = {"no_occlusion": "none", "slight_occlusion": "slight", "severe_occlusion": "severe"}


def contact_sheet(
    dataset_dir: str | Path, split: str, out_png: str | Path, *, videos: int = 6, frames: int = 8, height: int = 120
) -> None:
    """Draws evenly spaced frames of evenly spaced videos, one row each, under a line that describes the split.

    Stills stand side by side, as many in a row as videos have columns.

    An object keeps its colour along the row. Its fill gets stronger with the dataset's occlusion level; the caption
    counts the frames with none, slight and severe occlusion. The number in a corner is the frame's, from 0.

    Args:
        dataset_dir: A prepared dataset (``<split>.json`` and ``frames/``).
        split: ``train`` or ``diagnostic``.
        out_png: Picture to write.
        videos: Rows at most.
        frames: Columns at most.
        height: Height of a frame on the sheet in pixels.

    Raises:
        InputError: The split or one of its frames is missing or unreadable.
    """
    folder = Path(dataset_dir)
    content = read_json(folder / f"{split}.json")
    names = {category["id"]: category["name"] for category in content["categories"]}
    tracks: dict[int, list[dict[str, Any]]] = {}
    for annotation in content["annotations"]:
        tracks.setdefault(annotation["video_id"], []).append(annotation)
    across = frames if all(len(video["file_names"]) == 1 for video in content["videos"]) else 1
    chosen = [content["videos"][k] for k in _spread(len(content["videos"]), videos * across)]
    strips = [_row(folder / FRAMES, video, tracks.get(video["id"], []), names, frames, height) for video in chosen]
    rows = [_beside(strips[k : k + across]) for k in range(0, len(strips), across)]
    graded = any(annotation.get("occlusion") for annotation in content["annotations"])
    width = max(row.width for row in rows)
    sheet = Image.new("RGB", (width + 2 * _GAP, _HEADING + sum(row.height + _GAP for row in rows) + _GAP), "white")
    ImageDraw.Draw(sheet).text((_GAP, _GAP), _heading(folder, split, content, len(chosen), graded), fill="black")
    top = _GAP + _HEADING
    for row in rows:
        sheet.paste(row, (_GAP, top))
        top += row.height + _GAP
    with atomic_path(out_png) as temporary:
        sheet.save(temporary, "PNG")


def _beside(strips: list[Image.Image]) -> Image.Image:
    """Strips of one height in a row."""
    row = Image.new("RGB", (sum(strip.width for strip in strips), strips[0].height), "white")
    left = 0
    for strip in strips:
        row.paste(strip, (left, 0))
        left += strip.width
    return row


def _heading(folder: Path, split: str, content: dict[str, Any], shown: int, graded: bool) -> str:
    """What the sheet shows, and how to read it."""
    videos, objects = len(content["videos"]), len(content["annotations"])
    info = content.get("info")
    synthetic = " (synthetic data)" if isinstance(info, dict) and info.get("synthetic") is True else ""
    text = f"{folder.name}, {split}{synthetic}: {shown} of {videos} videos, {objects} objects in all; "
    text += "one colour per object of a video"
    return text + "; stronger fill = more occluded; a/b/c = frames with none/slight/severe occlusion" * graded


def _spread(total: int, wanted: int) -> list[int]:
    """``wanted`` evenly spaced positions (fewer if there are fewer), first and last included."""
    return [int(k) for k in np.linspace(0, total - 1, min(total, wanted)).round()]


def _row(
    folder: Path, video: dict[str, Any], tracks: list[dict[str, Any]], names: dict[int, str], frames: int, height: int
) -> Image.Image:
    """One video: a caption over its frames."""
    width = round(height * video["width"] / video["height"])
    times = _spread(len(video["file_names"]), frames)
    row = Image.new("RGB", (len(times) * (width + _GAP), height + _CAPTION), "white")
    for column, time in enumerate(times):
        picture = _frame(folder / video["file_names"][time], tracks, time, (width, height))
        row.paste(picture, (column * (width + _GAP), _CAPTION))
    labels = [names.get(track["category_id"], "?") + _levels(track) for track in tracks]
    length = len(video["file_names"])
    _caption(row, video_name(video["file_names"]) + (f", {length} frames:" if length > 1 else ""), labels)
    return row


def _caption(row: Image.Image, text: str, labels: list[str]) -> None:
    """Writes the video's name and its objects in their colours; what does not fit is counted."""
    draw = ImageDraw.Draw(row)
    draw.text((0, 0), text, fill="black")
    x = int(draw.textlength(text)) + 6
    for position, label in enumerate(labels):
        rest = f"+{len(labels) - position} more"
        needed = draw.textlength(label) + (draw.textlength(rest) + 8 if position + 1 < len(labels) else 0)
        if x + needed > row.width:
            draw.text((x, 0), rest, fill="black")
            return
        draw.text((x, 0), label, fill=_colour(position))
        x += int(draw.textlength(label)) + 8


def _levels(track: dict[str, Any]) -> str:
    """Number of frames per occlusion level, where the dataset grades it."""
    levels = track.get("occlusion") or []
    counts = [sum(level == key for level in levels) for key in _LEVELS]
    return f" {counts[0]}/{counts[1]}/{counts[2]}" if any(counts) else ""


def _frame(path: Path, tracks: list[dict[str, Any]], time: int, size: tuple[int, int]) -> Image.Image:
    """A frame with all masks, ``size`` (width, height) large; masks are drawn after scaling, so outlines stay fine."""
    try:
        with Image.open(path) as opened:
            original = (opened.height, opened.width)
            scaled = opened.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    except OSError as error:
        raise InputError(path, "", f"cannot be read as a picture ({error})", "prepare the dataset again") from None
    pixels = np.asarray(scaled, dtype=np.float32).copy()
    for position, track in enumerate(tracks):
        mask = _mask(track["segmentations"][time], original, size)
        if mask is None:
            continue
        level = (track.get("occlusion") or [None] * (time + 1))[time]
        fill = {"no_occlusion": 0.12, "severe_occlusion": 0.55}.get(level, 0.3)
        colour = np.array(_colour(position), dtype=np.float32)
        pixels[mask] += (colour - pixels[mask]) * fill
        pixels[_edge(~mask)] = _HALO  # tells the outline from an object of the same colour
        pixels[_edge(mask)] = colour
    picture = Image.fromarray(pixels.round().astype(np.uint8))
    ImageDraw.Draw(picture).text((3, size[1] - 13), str(time), fill="white", stroke_width=1, stroke_fill="black")
    return picture


def _mask(segmentation: Any, original: tuple[int, int], size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Decodes polygons, compressed or uncompressed RLE at ``size``; None where the object is absent."""
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        rle = mask_api.merge(mask_api.frPyObjects(segmentation, *original))
    elif isinstance(segmentation["counts"], list):
        rle = mask_api.frPyObjects(segmentation, *original)
    else:
        rle = segmentation
    mask = Image.fromarray(mask_api.decode(rle) * np.uint8(255))
    return np.asarray(mask.resize(size, Image.Resampling.BILINEAR)) >= 128


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask that have a neighbour outside of it."""
    padded = np.pad(mask, 1, mode="edge")
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def _colour(position: int) -> tuple[int, int, int]:
    """Well separated colours by steps of the golden angle."""
    red, green, blue = colorsys.hsv_to_rgb(position * 0.61803 % 1.0, 0.9, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)
