"""Runs a thin notebook with papermill: parameters readable in the result, nothing half-written, one-sentence errors."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mindthegap.errors import InputError, MindTheGapError
from mindthegap.files import atomic_path, disk_errors

KERNEL = "python3"


@contextmanager
def private_kernel() -> Iterator[None]:
    """Makes ``python3`` mean this interpreter, whatever kernels the user has registered or HOME holds.

    Kernels in a home folder shadow the environment's own and may point to another Python. ``JUPYTER_PATH`` comes
    before all of them. The kernel's own folders (IPython profile, connection files, font cache) go to a temporary
    place as well, so that a HOME that is missing or read-only does not matter.
    """
    with tempfile.TemporaryDirectory(prefix="mindthegap-kernel-", ignore_cleanup_errors=True) as folder:
        spec = Path(folder, "kernels", KERNEL, "kernel.json")
        spec.parent.mkdir(parents=True)
        # Quiet: the kernel warns that its messages, signed and on the loopback device, are not encrypted, and a cell's
        # error is in the notebook anyway.
        argv = [sys.executable, "-m", "ipykernel_launcher", "--log-level=CRITICAL", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}), encoding="utf-8")
        added = {
            "JUPYTER_PATH": os.pathsep.join(filter(None, [folder, os.environ.get("JUPYTER_PATH", "")])),
            "JUPYTER_RUNTIME_DIR": str(Path(folder, "runtime")),
            "JUPYTER_PLATFORM_DIRS": "1",  # silences a notice about a coming change of default folders
            "IPYTHONDIR": str(Path(folder, "ipython")),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the debugger's warning about frozen modules
        }
        if "MPLCONFIGDIR" not in os.environ and not os.access(Path.home(), os.W_OK):
            added["MPLCONFIGDIR"] = str(Path(folder, "matplotlib"))
        before = {name: os.environ.get(name) for name in added}
        os.environ.update(added)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def run_notebook(
    notebook: str | Path, out_ipynb: str | Path, parameters: Mapping[str, Any], log_ipynb: str | Path
) -> None:
    """Executes a notebook with papermill; relative paths in ``parameters`` are relative to the working folder.

    Args:
        notebook: Source with a cell tagged ``parameters``.
        out_ipynb: Executed notebook; appears by rename, only after every cell has run.
        parameters: Values for the parameters cell, JSON types; names the cell does not have are refused.
        log_ipynb: Where papermill writes while it runs; after an error the partial notebook stays there.

    Raises:
        InputError: The source is missing or is not a notebook, or a parameter is unknown to it.
        MindTheGapError: A cell failed; the sentence is the cell's own error.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    notebook, log_ipynb = Path(notebook), Path(log_ipynb)
    _check_parameters(notebook, parameters)
    with disk_errors(log_ipynb):
        log_ipynb.parent.mkdir(parents=True, exist_ok=True)
    try:
        with private_kernel():
            papermill.execute_notebook(
                str(notebook), str(log_ipynb), parameters=dict(parameters), kernel_name=KERNEL, progress_bar=False
            )
    except PapermillExecutionError as error:
        said = " ".join(str(error.evalue).split()) or error.ename
        raise MindTheGapError(
            f"{notebook}, In [{error.exec_count}]: {said.rstrip('.')} ({error.ename}); partial notebook: {log_ipynb}."
        ) from None
    with atomic_path(out_ipynb) as temporary:
        temporary.write_text(_without_clock(log_ipynb), encoding="utf-8")


def _without_clock(executed: Path) -> str:
    """The executed notebook without times, durations, random cell ids and places on this machine.

    What remains depends on the notebook, its parameters and its inputs only; the log keeps the rest.
    """
    import nbformat

    notebook = nbformat.read(executed, as_version=4)  # type: ignore[no-untyped-call]
    run = notebook.metadata.pop("papermill", {})
    notebook.metadata["papermill"] = {"parameters": run.get("parameters", {}), "version": run.get("version", "")}
    for cell in notebook.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
    return str(nbformat.writes(notebook)) + "\n"  # type: ignore[no-untyped-call]


def _check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Refuses a file that is no notebook and parameters that it would silently ignore."""
    import papermill

    try:
        known = papermill.inspect_notebook(str(notebook))
    except FileNotFoundError:
        raise InputError(notebook, "", "there is no such notebook", "check the path") from None
    except Exception as error:  # papermill and nbformat have no common base class for a broken file
        reason = str(error).splitlines()[0][:200].rstrip(".") if str(error) else type(error).__name__
        raise InputError(notebook, "", f"is not a notebook that can be run ({reason})", "fetch it again") from None
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise InputError(notebook, "parameters cell", f"has no {', '.join(unknown)}", f"it knows: {names}")
