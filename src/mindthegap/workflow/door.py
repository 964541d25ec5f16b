"""The frame around every script of the workflow: its log, and one sentence instead of a traceback."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from mindthegap.errors import EXIT_USER_ERROR, MindTheGapError
from mindthegap.files import disk_errors


class _Tee:
    """Writes to the terminal and to the rule's log; anything else is the terminal's business."""

    def __init__(self, terminal: TextIO, log: TextIO) -> None:
        self._terminal, self._log = terminal, log

    def write(self, text: str) -> int:
        self._log.write(text)
        return self._terminal.write(text)

    def flush(self) -> None:
        self._log.flush()
        self._terminal.flush()

    def isatty(self) -> bool:
        """Never: jobs run side by side, so progress comes as lines and not as a bar."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)


@contextmanager
def door(snakemake: Any) -> Iterator[None]:
    """Runs a script's body with output copied to ``snakemake.log[0]``.

    A mistake of the user's (``MindTheGapError``, a full or forbidden disk) ends the job with one sentence and exit
    code 2; anything else is our mistake and shows its traceback, exit code 1.
    """
    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    outputs = sys.stdout, sys.stderr
    with path.open("w", encoding="utf-8", buffering=1) as log:
        sys.stdout = sys.stderr = _Tee(outputs[1], log)  # type: ignore[assignment]
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s", force=True)
        try:
            with disk_errors(_first_output(snakemake)):
                yield
        except MindTheGapError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(EXIT_USER_ERROR)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
        finally:
            sys.stdout, sys.stderr = outputs


def _first_output(snakemake: Any) -> str:
    """What a disk error is about, as far as is known here."""
    return str(snakemake.output[0]) if len(snakemake.output) else "the output"
