"""Runs the real workflow in folders of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# Everything that a test changes goes through config.yaml or --config, as a user would do it.
Edit = Callable[[dict], None]


@dataclass(frozen=True)
class Project:
    """A folder with a ``config.yaml``, in which Snakemake runs the checkout's workflow."""

    folder: Path

    @property
    def out(self) -> Path:
        """Results of the smoke scale."""
        return self.folder / "results" / "smoke"

    def command(self, *arguments: str) -> list[str]:
        """The command line, as a user would type it."""
        base = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile")]
        return [*base, *arguments]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs Snakemake; standard error is joined to standard output."""
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if check:
            assert done.returncode == 0, done.stdout[-6000:]
        return done

    def due(self, *arguments: str) -> list[str]:
        """Names of the rules that would run, sorted, one entry per job; target rules are left out."""
        text = self.run(*arguments, "--dry-run", "--quiet", "rules").stdout
        jobs = dict(re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE))
        targets = {"total", "all", "datasets", "train", "predictions", "oracle", "paper", "tracklens"}
        return sorted(name for name, count in jobs.items() if name not in targets for _ in range(int(count)))

    def edit(self, change: Edit) -> None:
        """Changes ``config.yaml``."""
        path = self.folder / "config.yaml"
        config = yaml.safe_load(path.read_text())
        change(config)
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    def kill_when(self, arguments: tuple[str, ...], ready: Callable[[], bool], timeout: float = 300) -> None:
        """Starts Snakemake and kills it with all its children, without warning, once ``ready`` holds."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + timeout
        while not ready():
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline, "it never came to the point where it was to be killed"
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def new_project(folder: Path) -> Project:
    """A project with the checkout's configuration, at the smoke scale."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "config.yaml", folder)
    project = Project(folder)
    project.edit(lambda config: config.update(scale="smoke"))
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    return new_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the whole smoke DAG has run. Tests must leave its results as they are."""
    project = new_project(tmp_path_factory.mktemp("finished") / "project")
    project.run("--cores", "2", "all", "report", "publish")
    return project


@pytest.fixture
def finished_copy(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project that a test may change."""
    target = tmp_path / "copy"
    shutil.copytree(finished.folder, target, symlinks=True)
    return Project(target)
