"""Puts all datasets of a scale into one table, beside the published numbers of the real ones."""

from pathlib import Path
from typing import TYPE_CHECKING

from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """Counts and means from the manifests; how hard the diagnosed videos are to link."""
    from mindthegap.data.described import write_statistics

    write_statistics(snakemake.input.manifests, snakemake.input.diagnostics, Path(snakemake.output[0]))


with door(snakemake):
    main()
