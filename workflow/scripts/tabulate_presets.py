"""Puts the synthetic presets beside the published numbers of the datasets that they imitate."""

from pathlib import Path
from typing import TYPE_CHECKING

from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """Renders some videos of each, writing none."""
    from mindthegap.data.described import save_described
    from mindthegap.synth.describe import describe_presets

    table = describe_presets(snakemake.params.videos, workers=snakemake.threads)
    save_described(table, Path(snakemake.output[0]))


with door(snakemake):
    main()
