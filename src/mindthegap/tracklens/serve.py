"""Shows a page over HTTP on this machine only; opening ``index.html`` from disk shows the same."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mindthegap.errors import InputError, MindTheGapError
from mindthegap.tracklens.payload import decode_payload

HOST = "127.0.0.1"


def _linked_frames(page: Path) -> list[Path]:
    """Frame folders that a page links to, as the browser will ask for them."""
    site = decode_payload((page / "data" / "site.js").read_text(encoding="ascii"))
    return [page / unquote(truth["frames"]) for truth in site["truths"] if truth["frames"]]


def _common_root(page: Path, folders: list[Path]) -> Path:
    """Lowest folder that holds the page and all its frames."""
    return Path(os.path.commonpath([page, *(os.path.abspath(folder) for folder in folders)]))


class _Handler(SimpleHTTPRequestHandler):
    """Answers requests of this machine for the page and its frames, and nothing else."""

    def __init__(self, *args: object, allowed: tuple[str, ...], **kwargs: object) -> None:
        self.allowed = allowed
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def send_head(self) -> Any:
        """Opens a file of the page or its frames; everything else is refused."""
        # Another site's script may reach 127.0.0.1 under a name of its own (DNS rebinding).
        if not re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d+)?", self.headers.get("Host", "")):
            self.send_error(403, "Only this machine may ask")
            return None
        path = self.translate_path(self.path)
        if not path.startswith(self.allowed) or Path(path).is_dir():
            self.send_error(404, "Not part of the page")
            return None
        return super().send_head()

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing: a line per frame would bury the address."""


def make_server(page: str | Path, port: int = 0) -> tuple[ThreadingHTTPServer, str]:
    """A server for a page, not yet running, and the address to open.

    Args:
        page: Folder written by :func:`mindthegap.tracklens.build`.
        port: TCP port, 0 for a free one.

    Raises:
        InputError: The folder is not a page.
        MindTheGapError: The port is taken.
    """
    page = Path(page).absolute()
    if not (page / "index.html").is_file() or not (page / "data" / "site.js").is_file():
        raise InputError(page, "", "is not a TrackLens page", "build one with `mindthegap tracklens build`")
    folders = [page, *_linked_frames(page)]
    root = _common_root(page, folders)
    allowed = tuple(os.path.abspath(folder) + os.sep for folder in folders)
    handler = partial(_Handler, directory=str(root), allowed=allowed)
    try:
        server = ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise MindTheGapError(f"Port {port} cannot be used ({error.strerror}); choose another with --port.") from error
    relative = page.relative_to(root).as_posix()
    prefix = "" if relative == "." else f"{relative}/"
    return server, f"http://{HOST}:{server.server_address[1]}/{prefix}index.html"


def serve(page: str | Path, port: int = 0, announce: Callable[[str], None] = print) -> None:
    """Serves a page until interrupted (Ctrl-C)."""
    server, address = make_server(page, port)
    announce(f"TrackLens: {address}  (Ctrl-C ends)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
