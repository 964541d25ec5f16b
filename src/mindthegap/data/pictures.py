"""What is wrong with one frame file, told from its header and its last bytes: nothing is decoded."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import IO, NamedTuple

from PIL import Image, UnidentifiedImageError

_TAIL_BYTES = 4096
# A picture that was cut off lacks the mark that closes its format. Entropy-coded JPEG data never holds FF D9 (every FF
# is followed by 00 there, ITU-T T.81 B.1.1.5), so finding it near the end is enough; some cameras append padding.
_CLOSING_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_MODES = {
    "1": "black and white",
    "L": "greyscale",
    "LA": "greyscale with alpha",
    "P": "colours from a palette",
    "RGBA": "RGB with alpha",
    "CMYK": "inks of a printer",
    "I;16": "16-bit greyscale",
    "I": "32-bit greyscale",
    "F": "floating point",
}
_REMEDY_CONVERT = "convert it to 8-bit RGB, e.g. mogrify -colorspace sRGB -depth 8 -type TrueColor -alpha off FILE"
_REMEDY_FETCH = "fetch or unpack it again"


class Fault(NamedTuple):
    """Faults of one ``kind`` are counted together; ``problem`` (without its subject) and ``remedy`` are clauses."""

    kind: str
    problem: str
    remedy: str


def picture_fault(file: Path | IO[bytes], width: int, height: int) -> Fault | None:
    """Checks that a file is a whole 8-bit RGB picture of ``width`` x ``height`` pixels; None if all is well.

    Greyscale and CMYK are refused rather than converted: every method promises to see the same three channels, and
    the conversion of CMYK depends on the reader.
    """
    try:
        with file.open("rb") if isinstance(file, Path) else nullcontext(file) as stream:
            size, mode, depth, kind = _header(stream)
            whole = _is_whole(stream, kind)
    except UnidentifiedImageError:
        return Fault("corrupt", "is not a picture, or its header is damaged", _REMEDY_FETCH)
    except (FileNotFoundError, NotADirectoryError):
        return Fault("missing", "does not exist", "unpack all frames, or correct 'frames'")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Fault("corrupt", f"cannot be read ({error})", _REMEDY_FETCH)
    if size != (width, height):
        problem = f"is {size[0]}x{size[1]} (width x height), but its video is {width}x{height}"
        return Fault("size", problem, "use the frames that belong to these annotations")
    if mode != "RGB":
        words = f" ({_MODES[mode]})" if mode in _MODES else ""
        return Fault("mode", f"is of mode {mode}, not RGB{words}", _REMEDY_CONVERT)
    if "16" in depth:
        return Fault("mode", "has 16 bits per channel, not 8", _REMEDY_CONVERT)
    if not whole:
        return Fault("truncated", f"is cut off: its {kind} data has no end", _REMEDY_FETCH)
    return None


def _header(stream: IO[bytes]) -> tuple[tuple[int, int], str, str, str | None]:
    """Size, mode, how pixels are stored, and format; Pillow calls 16-bit RGB just ``RGB`` and would drop half of it."""
    with Image.open(stream) as picture:
        tiles = getattr(picture, "tile", None)
        details = tiles[0][3] if tiles else ""
        stored = str(details[0] if isinstance(details, tuple) else details)
        return picture.size, picture.mode, stored, picture.format


def _is_whole(stream: IO[bytes], kind: str | None) -> bool:
    """Whether the closing mark of the format stands near the end; formats without one pass."""
    mark = _CLOSING_MARKS.get(kind or "")
    if mark is None:
        return True
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
    return mark in stream.read()
