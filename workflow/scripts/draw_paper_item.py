"""Executes the notebook of one figure or table."""

from pathlib import Path
from typing import TYPE_CHECKING

from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """Gives the notebook its input and output paths as parameters."""
    from mindthegap.plots.notebook import run_notebook

    executed = next(path for path in snakemake.output if path.endswith(".ipynb"))
    parameters = {
        "gaps": list(snakemake.input.gaps),
        "tracks": list(snakemake.input.tracks),
        "output": str(Path(executed).with_suffix("")),
        "title": snakemake.params.title,
    }
    if snakemake.params.points:
        parameters |= {"points": dict(snakemake.params.points), "manifests": list(snakemake.input.manifests)}
    run_notebook(Path(snakemake.input.notebook), Path(executed), parameters, Path(snakemake.log.notebook))


with door(snakemake):
    main()
