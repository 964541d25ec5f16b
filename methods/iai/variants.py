"""The paper's ablations (tables 4 to 8) by name: changes to the training settings. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mindthegap.errors import ConfigError


@dataclass(frozen=True)
class Variant:
    """One row of a table of the paper.

    Attributes:
        settings: Changes to the full model.
        table: Where the paper reports it.
        published: AP, AP50, AP75 on YouTube-VIS 2019 val, ResNet-50.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    table: str = ""
    published: tuple[float, float, float] | None = None


def _ablation(table: str, published: tuple[float, float, float], **changes: Any) -> Variant:
    """The paper's ablations are trained without multi-scale augmentation."""
    return Variant({"multi_scale": False, **changes}, table, published)


VARIANTS: dict[str, Variant] = {
    "full": Variant(table="1", published=(39.9, 62.3, 43.9)),
    "ablation_full": _ablation("4, 5, 6, 7, 8", (37.9, 58.8, 42.1)),
    "image_only": _ablation("4", (24.0, 40.4, 23.0), identification=False, association=()),
    "identification_only": _ablation("4, 5", (12.6, 19.5, 13.3), association=()),
    "association_only": _ablation("4", (24.5, 40.9, 25.0), identification=False),
    "local_class": _ablation("5", (32.9, 50.0, 36.7), association=("local",)),
    "global_class": _ablation("5", (34.9, 53.1, 38.2), association=("global",)),
    "local_global": _ablation("5", (36.9, 56.7, 40.1), class_projector=False),
    "mask_rcnn": _ablation("6", (31.7, 49.9, 34.6), image_model="mask_rcnn"),
    "id_cross_entropy": _ablation("7", (36.4, 53.8, 40.9), id_loss="ce"),
    "id_3conv": _ablation("8", (38.1, 61.3, 40.9), id_convs=2),
    "id_4conv": _ablation("8", (35.3, 53.6, 37.9), id_convs=3),
}


def variant_settings(name: str) -> Mapping[str, Any]:
    """Changes that a variant makes to the full model.

    Raises:
        ConfigError: There is no such variant.
    """
    if name not in VARIANTS:
        raise ConfigError(f"iai: there is no variant '{name}'; choose from {', '.join(VARIANTS)}.")
    return VARIANTS[name].settings
