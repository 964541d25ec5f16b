"""The cells of the experiment matrix."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from mindthegap.config.models import Scale


@dataclass(frozen=True, order=True)
class Experiment:
    """One cell of the matrix; ``path`` is its place in every stage's folder."""

    dataset: str
    method: str
    backbone: str
    seed: int

    @property
    def path(self) -> str:
        """``<dataset>/<method>-<backbone>/<seed>``."""
        return f"{self.dataset}/{self.method}-{self.backbone}/{self.seed}"


def experiments(scale: Scale) -> list[Experiment]:
    """All cells of a scale, in the order of the configuration."""
    cells = product(scale.datasets, scale.methods, scale.backbones, scale.seeds)
    return [Experiment(*cell) for cell in cells]
