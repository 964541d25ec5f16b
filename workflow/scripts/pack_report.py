"""Packs Snakemake's report. Snakemake builds it in a run of its own, here as a child of the running one."""

import subprocess
import sys
from typing import TYPE_CHECKING

from mindthegap.files import atomic_path
from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """The lock is held by the parent, which waits; nothing else writes."""
    with atomic_path(snakemake.output[0]) as temporary:
        command = [
            sys.executable,
            "-m",
            "snakemake",
            *snakemake.params.targets,
            "--snakefile",
            snakemake.params.snakefile,
        ]
        command += ["--configfile", snakemake.input.config, "--nolock", "--report", str(temporary)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        print(done.stdout)
        if done.returncode != 0:
            raise RuntimeError(f"snakemake --report ended with exit code {done.returncode}; its output is above")


with door(snakemake):
    main()
