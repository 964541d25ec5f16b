"""Draws frames of a dataset with masks, identities and occlusion levels."""

from pathlib import Path
from typing import TYPE_CHECKING

from mindthegap.workflow import door

if TYPE_CHECKING:
    from snakemake.script import Snakemake

    snakemake: Snakemake


def main() -> None:
    """One sheet of the diagnostic split."""
    from mindthegap.data import contact_sheet

    contact_sheet(Path(snakemake.input.manifest).parent, "diagnostic", Path(snakemake.output[0]))


with door(snakemake):
    main()
