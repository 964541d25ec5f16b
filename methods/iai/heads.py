"""CondInst's head with the identity branch (IAI ``dense_heads/iai_condinst_head.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from methods.runtime.condinst_heads import Assignment, GapCondInstHead, Locations

IdentityLoss = Literal["focal", "ce"]

_LOSSES: dict[str, dict[str, Any]] = {
    "focal": {"type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25, "loss_weight": 1.0},
    "ce": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
}


@MODELS.register_module()
class IdentityCondInstHead(GapCondInstHead):
    """CondInst's box head that also says which identity each location shows.

    Args:
        identities: Identity channels N, the last one for "new"; 0 leaves the branch out.
        id_convs: Convolutions in front of the last one (official: 1; the paper's table 8 counts both).
        id_loss: ``focal`` or ``ce``, binary cross entropy per channel; both over all locations, divided by the
            positives.
        **kwargs: As for ``GapCondInstHead``.
    """

    def __init__(
        self, *, identities: int = 0, id_convs: int = 1, id_loss: IdentityLoss = "focal", **kwargs: Any
    ) -> None:
        self.identities, self.id_depth = identities, id_convs
        biased = ["conv_cls", *(["conv_id"] if identities else [])]
        prior = [{"type": "Normal", "name": name, "std": 0.01, "bias_prob": 0.01} for name in biased]
        kwargs.setdefault("init_cfg", {"type": "Normal", "layer": "Conv2d", "std": 0.01, "override": prior})
        super().__init__(**kwargs)
        self.loss_id = MODELS.build(_LOSSES[id_loss])

    def _init_layers(self) -> None:
        super()._init_layers()
        if not self.identities:
            return
        self.id_convs = nn.ModuleList(
            ConvModule(
                self.in_channels if index == 0 else self.feat_channels,
                self.feat_channels,
                3,
                padding=1,
                norm_cfg=self.norm_cfg,
                bias=self.conv_bias,
            )
            for index in range(self.id_depth)
        )
        self.conv_id = nn.Conv2d(self.feat_channels, self.identities, 3, padding=1)

    def branch(self, features: Tensor) -> Tensor | None:
        """Identity logits [B, N, h, w] of one level."""
        if not self.identities:
            return None
        for layer in self.id_convs:
            features = layer(features)
        return self.conv_id(features)

    def identity_loss(self, locations: Locations, assignment: Assignment, targets: Sequence[Tensor]) -> Tensor:
        """Loss of the identity branch.

        Args:
            locations: Predictions of B images.
            assignment: Which object each location belongs to.
            targets: Identity target [G] of every object of each image.
        """
        assert locations.extra is not None
        wanted = torch.full_like(assignment.objects, self.identities)
        for image, target in enumerate(targets):
            positive = assignment.positive[image]
            wanted[image, positive] = target[assignment.objects[image, positive]]
        count = reduce_mean(assignment.positive.sum().float()).clamp(min=1.0)
        return self.loss_id(locations.extra.flatten(0, 1), wanted.flatten(), avg_factor=count)
