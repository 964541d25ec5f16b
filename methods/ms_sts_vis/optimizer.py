"""One optimiser for two players: the discriminator's gradient neither clips the network's nor is clipped by it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PlayersConstructor:
    """Parameter groups by player and learning rate, few enough for the fused kernel.

    Args:
        optim_wrapper_cfg: ``type``, ``optimizer`` and ``clip_grad``.
        paramwise_cfg: ``factors`` maps parts of parameter names to factors of the learning rate (the first part that
            a name contains counts); ``second_player`` is the part of a name that marks the second player's parameters.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any]) -> None:
        self.wrapper = dict(optim_wrapper_cfg)
        self.optimizer = dict(self.wrapper.pop("optimizer"))
        self.factors, self.second = paramwise_cfg["factors"], paramwise_cfg["second_player"]

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """The optimiser of a model."""
        grouped: dict[tuple[bool, float], list[nn.Parameter]] = defaultdict(list)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                factor = next((value for part, value in self.factors.items() if part in name), 1.0)
                grouped[self.second in name, float(factor)].append(parameter)
        groups = [
            {"params": parameters, "lr": self.optimizer["lr"] * factor, "second_player": second}
            # The main rate first, because records show the first group's.
            for (second, factor), parameters in sorted(grouped.items(), key=lambda item: (item[0][1] != 1.0, item[0]))
        ]
        optimizer = OPTIMIZERS.build({**self.optimizer, "params": groups})
        wrapper: OptimWrapper = OPTIM_WRAPPERS.build({**self.wrapper, "optimizer": optimizer})
        return wrapper


class _ClipsByPlayer:
    """Clips the gradient norm of each player on its own."""

    def _clip_grad(self) -> None:
        for second in (False, True):
            parameters = [
                parameter
                for group in self.optimizer.param_groups  # type: ignore[attr-defined]
                if group["second_player"] is second
                for parameter in group["params"]
                if parameter.grad is not None
            ]
            if parameters:
                norm = torch.nn.utils.clip_grad_norm_(parameters, **self.clip_grad_kwargs)  # type: ignore[attr-defined]
                name = "discriminator_grad_norm" if second else "grad_norm"
                self.message_hub.update_scalar(f"train/{name}", float(norm))  # type: ignore[attr-defined]


@OPTIM_WRAPPERS.register_module()
class PlayersOptimWrapper(_ClipsByPlayer, OptimWrapper):
    """``OptimWrapper`` that clips by player."""


@OPTIM_WRAPPERS.register_module()
class AmpPlayersOptimWrapper(_ClipsByPlayer, AmpOptimWrapper):
    """The same under automatic mixed precision, where the trainer puts ``Amp`` in front of the name."""
