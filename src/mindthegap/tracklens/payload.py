"""Data files of the page: scripts that hand over compressed JSON, because a page opened from disk may not fetch.

A browser gives every file of a ``file://`` page its own opaque origin, so ``fetch``, module imports and workers fail;
classic scripts and images work. A data file is therefore a script ``TL.put("key", "<base64 of gzip of JSON>")``.
"""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any


def encode_payload(value: Any) -> str:
    """JSON, gzip (time stamp 0: equal data gives equal bytes) and base64, which holds no character special in HTML."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0)).decode("ascii")


def decode_payload(script: str) -> Any:
    """The value inside a data file; the inverse of :func:`write_payload`, for tests and tools."""
    encoded = script.split('"')[3]
    return json.loads(gzip.decompress(base64.b64decode(encoded)))


def write_payload(folder: Path, key: str, value: Any) -> None:
    """Writes ``<folder>/<key>.js``; ``key`` consists of letters, digits, ``/``, ``-`` and is checked.

    Raises:
        ValueError: The key could leave the folder or break the script.
    """
    if not key.replace("/", "").replace("-", "").isalnum() or key.startswith("/"):
        raise ValueError(f"not a payload key: {key!r}")
    path = folder / f"{key}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'TL.put("{key}","{encode_payload(value)}");\n', encoding="ascii")
