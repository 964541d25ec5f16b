"""Builds the page that shows the failures behind the gaps."""

from pathlib import Path
from typing import TYPE_CHECKING

from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """One experiment per line of the matrix."""
    from mindthegap.tracklens import ExperimentFiles, build

    rows = zip(
        snakemake.params.labels,
        snakemake.input.ground_truths,
        snakemake.input.predictions,
        snakemake.input.gaps,
        strict=True,
    )
    experiments = [
        ExperimentFiles(label, Path(truth), Path(predictions), Path(gaps).parent)
        for label, truth, predictions, gaps in rows
    ]
    build(Path(snakemake.output.index).parent, experiments, title=snakemake.params.title)


with door(snakemake):
    main()
