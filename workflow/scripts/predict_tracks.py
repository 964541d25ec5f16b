"""Runs one trained method over the videos of a split."""

from pathlib import Path
from typing import TYPE_CHECKING

from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """Hands the rule's values to the runtime."""
    from methods.runtime.inference import infer
    from methods.runtime.jobs import InferenceJob

    params = snakemake.params
    infer(
        InferenceJob(
            method=snakemake.wildcards.method,
            backbone=snakemake.wildcards.backbone,
            scale=params.preset,
            dataset_dir=Path(snakemake.input.manifest).parent,
            split="diagnostic",
            weights=Path(snakemake.input.weights),
            predictions=Path(snakemake.output.predictions),
            speed=Path(snakemake.output.speed),
            settings={"cpu_threads": params.cpu_threads, **params.settings},
            devices=params.gpus,
            save_queries=snakemake.output.get("queries") is not None,
            seen=Path(snakemake.output.seen),
        )
    )


with door(snakemake):
    main()
