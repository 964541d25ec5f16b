"""Writes the checksums that let others enter at any level."""

from pathlib import Path
from typing import TYPE_CHECKING

from mindthegap.workflow import door, write_checksums

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


with door(snakemake):
    folder = Path(snakemake.output[0]).parent
    names = [str(Path(path).relative_to(folder)) for path in snakemake.input]
    write_checksums(folder, names, snakemake.output[0])
