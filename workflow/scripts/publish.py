"""Writes the checksums that let others enter at any level."""

from typing import TYPE_CHECKING

from mindthegap.workflow import door, write_checksums

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


with door(snakemake):
    names = [path.removeprefix(f"{snakemake.params.folder}/") for path in snakemake.input]
    write_checksums(snakemake.params.folder, names, snakemake.output[0])
