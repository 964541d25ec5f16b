"""Trains one method on one dataset; continues a killed training."""

from pathlib import Path
from typing import TYPE_CHECKING

from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """Hands the rule's values to the runtime."""
    from methods.runtime.jobs import TrainingJob
    from methods.runtime.training import train

    params = snakemake.params
    initial = snakemake.input.get("initial") or params.init_weights
    train(
        TrainingJob(
            method=params.method,
            backbone=snakemake.wildcards.backbone,
            scale=params.preset,
            dataset_dir=Path(snakemake.input.manifest).parent,
            seed=int(params.seed),
            work_dir=Path(params.work),
            weights=Path(snakemake.output.weights),
            history=Path(snakemake.output.history),
            settings={"cpu_threads": params.cpu_threads, **params.settings},
            devices=params.gpus,
            amp=params.amp,
            init_weights=Path(initial) if initial else None,
        )
    )


with door(snakemake):
    main()
