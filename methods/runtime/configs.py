"""The way from a method's settings to its whole configuration. Imports no torch until one is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods.runtime import registry
from methods.runtime.backbones import Backbone, get_backbone
from methods.runtime.facts import DatasetFacts
from methods.runtime.recipes import Part
from methods.runtime.settings import require_choice, require_least, resolve
from mindthegap.config import Scale
from mindthegap.errors import ConfigError

if TYPE_CHECKING:
    from mmengine.config import Config

_Defaults = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Request:
    """What a configuration is wanted for; see ``build_config``."""

    scale: str
    facts: DatasetFacts
    backbone: Backbone
    settings: Mapping[str, Any]
    inference: Mapping[str, Any] | None

    @property
    def trains(self) -> bool:
        """Whether it is for a training."""
        return self.inference is None

    def resolved(
        self,
        name: str,
        training: _Defaults,
        inference: _Defaults,
        *,
        choices: Mapping[str, tuple[Any, ...]],
        least: Mapping[str, float],
    ) -> tuple[Part, Part]:
        """The training and inference settings in force.

        Args:
            name: The method, for errors.
            training: Its ``TRAINING``.
            inference: Its ``INFERENCE``.
            choices: Values that some of them are limited to.
            least: Smallest values of some of them.
        """
        both = (
            resolve(name, self.scale, training, self.settings),
            resolve(f"{name} inference", self.scale, inference, self.inference or {}),
        )
        for settings in both:
            require_choice(name, settings, choices)
            require_least(name, settings, least)
        return both


def build_config(
    method: str,
    scale: str,
    facts: DatasetFacts,
    backbone: str,
    settings: Mapping[str, Any],
    inference: Mapping[str, Any] | None = None,
) -> Config:
    """The whole configuration, from the method's ``config.parts``.

    Args:
        method: Name of a folder in ``methods/``.
        scale: ``smoke``, ``demo`` or ``paper``.
        facts: Facts of the training split; inference passes those the weights were trained with.
        backbone: Name of a backbone.
        settings: Overrides of the training settings, as in the method's ``TRAINING``.
        inference: Overrides of the inference settings, as in the method's ``INFERENCE``; None for a training.

    Returns:
        ``model``, ``train_pipeline``, ``test_pipeline``, ``optim_wrapper``, ``param_scheduler``, ``steps`` and the
        resolved ``settings`` and ``inference``; if the method has them, ``sampler``, ``stills`` and ``meta``.

    Raises:
        MindTheGapError: Method, scale, backbone, variant or a setting does not exist, a setting has no such value, or
            the stills of a joint training are unusable.
    """
    from mmengine.config import Config

    parts: Part = registry.load(method, "config").parts(
        Request(scale, facts, get_backbone(backbone), settings, inference)
    )
    return Config(parts)


# Stands in for a training split that is not there yet; no limit of a setting depends on it.
_ANY_DATA = DatasetFacts("any", "train", Path(), Path(), "", ("object",), (1,), 1, 1, 1, 1, 1, (1, 1))


def check_scale(scale: Scale) -> None:
    """Refuses settings that a method of the scale cannot use, before anything has run for it.

    Args:
        scale: One experiment matrix; methods that are not present are passed over.

    Raises:
        ConfigError: The sentence names the method and the setting.
    """
    present = registry.available()
    for backbone in map(get_backbone, scale.backbones):
        for method in (name for name in scale.methods if name in present):
            settings = scale.training.get(method, {})
            for inference in (None, scale.inference.get(method, {})):
                _check(method, Request(scale.preset, _ANY_DATA, backbone, settings, inference))
        for name, stage in scale.pretraining.items():
            try:
                _check(stage.method, Request(scale.preset, _ANY_DATA, backbone, stage.settings, None))
            except ConfigError as error:
                raise ConfigError(f"pretraining '{name}': {error}") from None


def _check(method: str, request: Request) -> None:
    """Makes the configuration, but for the stills of a joint training, which another job may have to prepare."""
    settings = {key: value for key, value in request.settings.items() if key != "stills"}
    registry.load(method, "config").parts(replace(request, settings=settings))
