"""Digests of code, so that a rule re-runs when the code behind it changes, but not when a comment does.

Snakemake itself watches a rule's script, never the modules that the script imports; the digest is given to the
rule as a parameter instead.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def code_digest(root: str | Path, places: Iterable[str]) -> str:
    """SHA-256 over the meaning of Python sources: comments, docstrings and formatting do not count.

    Args:
        root: Folder that ``places`` are relative to.
        places: Files or folders; folders are searched for ``*.py`` recursively. Other files count by content.

    Returns:
        The first 16 hexadecimal digits.
    """
    return _digest(Path(root), tuple(sorted(places)))


@cache
def _digest(root: Path, places: tuple[str, ...]) -> str:
    """Hundreds of jobs ask for the digest of the same places."""
    digest = hashlib.sha256()
    for place in places:
        for path in _sources(root / place):
            digest.update(f"{path.relative_to(root)}\0{_meaning(path)}\0".encode())
    return digest.hexdigest()[:16]


def _sources(path: Path) -> list[Path]:
    """All Python files below a folder in a fixed order, or the file itself; nothing for what is not there (yet)."""
    if path.is_dir():
        return sorted(path.rglob("*.py"))
    return [path] if path.is_file() else []


@cache
def _meaning(path: Path) -> str:
    """The syntax tree of a Python file without docstrings, as text; the bytes of anything else as a hash."""
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    _drop_docstrings(tree)
    return ast.dump(tree, annotate_fields=False)


def _drop_docstrings(node: ast.AST) -> None:
    """Only statements can hold docstrings; leaving expressions alone keeps the start of Snakemake quick."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _has_docstring(node):
        node.body = node.body[1:]
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        inner = getattr(node, block, None)
        for statement in inner if isinstance(inner, list) else ():
            _drop_docstrings(statement)


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the first statement is a text literal."""
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
