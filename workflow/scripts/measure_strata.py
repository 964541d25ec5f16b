"""Writes what the videos and objects of a dataset are like."""

from pathlib import Path
from typing import TYPE_CHECKING

from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """One table each, of the diagnostic split."""
    from mindthegap.strata import write_strata

    tables = Path(snakemake.output.videos), Path(snakemake.output.objects)
    write_strata(snakemake.input.diagnostic, *tables, snakemake.wildcards.dataset, workers=snakemake.threads)


with door(snakemake):
    main()
