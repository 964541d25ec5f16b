"""Writes the effective configuration and the software beside the results."""

from typing import TYPE_CHECKING

from mindthegap.files import write_json
from mindthegap.workflow import door, software

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


with door(snakemake):
    write_json(snakemake.output.config, snakemake.params.config, indent=2)
    write_json(snakemake.output.software, software(snakemake.params.code), indent=2)
