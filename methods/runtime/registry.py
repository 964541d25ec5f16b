"""Which methods exist. Imports no torch: the workflow asks while it builds its graph."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path
from types import ModuleType

from mindthegap.errors import ConfigError
from mindthegap.names import METHOD_NAMES

METHODS = tuple(METHOD_NAMES)

_ROOT = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(r"^\s*(?:from|import) methods\.(\w+)", re.MULTILINE)


def available() -> tuple[str, ...]:
    """Names of the methods that are present, in the order of ``METHODS``."""
    return tuple(name for name in METHODS if (_ROOT / name / "config.py").is_file())


def method_folder(name: str) -> Path:
    """The folder of a method.

    Raises:
        ConfigError: The name is unknown, or the method is not present in this copy.
    """
    if name not in METHODS:
        raise ConfigError(f"method '{name}': there is no such method; the known ones are {', '.join(METHODS)}.")
    if name not in available():
        raise ConfigError(
            f"method '{name}': {METHOD_NAMES[name]} is known but not implemented here "
            f"(methods/{name}/config.py is missing); choose from {', '.join(available())}."
        )
    return _ROOT / name


def load(name: str, part: str) -> ModuleType:
    """Imports ``methods.<name>.<part>``, e.g. ``config``, ``model`` or ``checkpoint``."""
    method_folder(name)
    return importlib.import_module(f"methods.{name}.{part}")


@cache
def source_folders(name: str) -> tuple[str, ...]:
    """Folders of ``methods/`` that a method's results depend on: its own, the runtime, and those it imports from."""
    found, pending = {"runtime"}, {name}
    while pending:
        found |= pending
        sources = [path.read_text(encoding="utf-8") for folder in pending for path in (_ROOT / folder).glob("*.py")]
        pending = {folder for text in sources for folder in _IMPORT.findall(text)} - found
    return tuple(sorted(found))
