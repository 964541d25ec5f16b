"""Renders a synthetic dataset, checks and splits a real one, or makes videos of stills."""

from pathlib import Path
from typing import TYPE_CHECKING

from mindthegap.config import parse_dataset
from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """Chooses by the kind of the dataset."""
    spec = parse_dataset(snakemake.params.spec)
    folder = Path(snakemake.output.manifest).parent
    if spec.kind == "synthetic":
        from mindthegap.synth import render_dataset

        render_dataset(spec, folder, snakemake.wildcards.dataset, workers=snakemake.threads)
    elif spec.kind == "coco":
        from mindthegap.data.stills import prepare_stills

        prepare_stills(spec, folder, snakemake.wildcards.dataset, workers=snakemake.threads)
    else:
        from mindthegap.data import prepare_folder

        prepare_folder(spec, folder, snakemake.wildcards.dataset, workers=snakemake.threads)


with door(snakemake):
    main()
