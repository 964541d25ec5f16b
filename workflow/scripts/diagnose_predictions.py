"""Measures the gaps of one result file."""

from pathlib import Path
from typing import TYPE_CHECKING

from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """Writes the oracle folder and prints the gap table."""
    from mindthegap import diagnose
    from mindthegap.data.lineage import Seen
    from mindthegap.files import read_json

    told = snakemake.input.get("seen")
    seen = Seen.from_dict(read_json(told)) if told else Seen(None, 0, "the published predictions do not say")
    settings = snakemake.params.settings
    diagnosis = diagnose(
        snakemake.input.ground_truth,
        snakemake.input.predictions,
        keys=dict(snakemake.wildcards.items()),
        objective=settings["objective"],
        solver=settings["solver"],
        time_limit=settings["time_limit_s"],
        bootstrap=settings["bootstrap"],
        seed=settings["seed"],
        workers=snakemake.threads,
        trained_on=seen,
    )
    diagnosis.write(Path(snakemake.output.gaps).parent)
    print(diagnosis)


with door(snakemake):
    main()
