"""Takes over one published file after checking its hash."""

from typing import TYPE_CHECKING

from mindthegap.workflow import door, import_published

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


with door(snakemake):
    import_published(snakemake.params.folder, snakemake.wildcards.name, snakemake.output[0])
