"""Packs Snakemake's report. Snakemake builds it in a run of its own, here as a child of the running one."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """The lock is held by the parent, which waits; nothing else writes. The archive's folder is named by its file."""
    target = Path(snakemake.output[0])
    with TemporaryDirectory(dir=target.parent, prefix=".report-") as folder:
        archive = Path(folder) / target.name
        command = [sys.executable, "-m", "snakemake", "--snakefile", snakemake.params.snakefile, "--nolock"]
        command += ["--configfile", snakemake.input.config, "--report", str(archive), "--", *snakemake.params.targets]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        print(done.stdout)
        if done.returncode != 0:
            raise RuntimeError(f"snakemake --report ended with exit code {done.returncode}; its output is above")
        archive.replace(target)


with door(snakemake):
    main()
