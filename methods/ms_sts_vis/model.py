"""MS-STS VIS (Thawakar et al., ECCV 2022): SeqFormer with attention over time and a foreground-background adversary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import TrackDataSample
from mmengine.logging import MessageHub
from torch import Tensor
from torch.nn import functional

from methods.ms_sts_vis import optimizer  # noqa: F401 - registers the optimiser of two players
from methods.ms_sts_vis.adversary import STRIDE, Discriminator, Scene, discriminator_loss, network_loss
from methods.ms_sts_vis.attention import AttentionOptions
from methods.ms_sts_vis.layers import MsStsDecoder, MsStsFrameEncoder
from methods.seqformer.decoder import Decoder, DecoderOptions
from methods.seqformer.encoder import FrameEncoder
from methods.seqformer.losses import MASK_STRIDE
from methods.seqformer.model import ClipOutput, GapSeqFormer


@dataclass(frozen=True)
class AdversaryOptions:
    """When and how strongly the network plays against the discriminator.

    Attributes:
        start: First training step with the network's part; the discriminator learns from the beginning.
        weight: Weight of ``-log D`` of the predicted masks.
        difference_weight: Weight of the difference of the discriminator's outputs for both masks; 0 leaves it out.
    """

    start: int = 0
    weight: float = 0.1
    difference_weight: float = 0.0


@MODELS.register_module()
class GapMsStsVis(GapSeqFormer):
    """MS-STS VIS; with both switches off and without a discriminator it is SeqFormer.

    Args:
        encoder_attention: Whether the encoder has the intra- and inter-scale attention over time.
        decoder_attention: Whether the decoder's box queries attend over time.
        temporal: Fields of ``AttentionOptions``.
        discriminator: Arguments of ``Discriminator``; None builds none (prediction needs none).
        adversary: Fields of ``AdversaryOptions``.
        **kwargs: As for ``GapSeqFormer``.
    """

    def __init__(
        self,
        *,
        encoder_attention: bool,
        decoder_attention: bool,
        temporal: dict[str, Any],
        discriminator: dict[str, Any] | None,
        adversary: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        self.encodes_clips, self._mixes_boxes = encoder_attention, decoder_attention
        self._temporal = AttentionOptions(**temporal)
        super().__init__(**kwargs)
        self.adversary = AdversaryOptions(**adversary)
        self.discriminator = Discriminator(**discriminator) if discriminator is not None else None
        self.register_load_state_dict_pre_hook(_without_discriminator)

    def build_encoder(self, arguments: dict[str, Any]) -> FrameEncoder:
        """The frame encoder, with attention over time if that is switched on."""
        if self.encodes_clips:
            return MsStsFrameEncoder(temporal=self._temporal, **arguments)
        return super().build_encoder(arguments)

    def build_decoder(self, options: DecoderOptions, queries: int) -> Decoder:
        """The decoder, with attention over time if that is switched on."""
        if self._mixes_boxes:
            return MsStsDecoder(options, queries, self._temporal)
        return super().build_decoder(options, queries)

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict[str, Tensor]:
        """SeqFormer's losses and those of both players.

        Args:
            inputs: [N, T, 3, H, W], normalised and padded.
            data_samples: One per clip.
        """
        output = self.match_clips(inputs, data_samples)
        result = self.criterion(output)
        if self.discriminator is not None:
            result |= self._play(self.discriminator, scene_of(inputs, output))
        return result

    def _play(self, discriminator: Discriminator, scene: Scene) -> dict[str, Tensor]:
        if not len(scene.images):  # no frame shows an object
            nothing = scene.images.new_zeros(())
            return {"loss_discriminator": nothing, "loss_adversarial": nothing}
        own, accuracy = discriminator_loss(discriminator, scene)
        if training_step() < self.adversary.start:
            adversarial = own.new_zeros(())
        else:
            fooling, difference = network_loss(discriminator, scene)
            adversarial = self.adversary.weight * fooling + self.adversary.difference_weight * difference
        return {"loss_discriminator": own, "loss_adversarial": adversarial, "discriminator_accuracy": accuracy}


def training_step() -> int:
    """Finished steps of the running training, 0 outside one; mmengine keeps it through a resumption."""
    return int(MessageHub.get_current_instance().get_info("iter", 0))


def scene_of(inputs: Tensor, output: ClipOutput) -> Scene:
    """Images, features and masks at stride 8 of the frames that show an object.

    The annotated foreground is the union of the objects' masks, the predicted one the largest probability among the
    queries that the last decoder layer matched.
    """
    last = output.matches.layer == len(output.logits) - 1
    real, fake = [], []
    for clip, objects in enumerate(output.objects):
        matched = last & (output.matches.clip == clip)
        real.append(_union(objects.masks))
        fake.append(_union(output.mask_logits[matched].float().sigmoid()))
    wanted, predicted = torch.stack(real).flatten(0, 1)[:, None], torch.stack(fake).flatten(0, 1)[:, None]
    shown = wanted.flatten(1).any(dim=1)
    factor = STRIDE // MASK_STRIDE
    size = tuple(side // STRIDE for side in inputs.shape[-2:])
    return Scene(
        images=functional.interpolate(inputs.flatten(0, 1)[shown], size=size, mode="area"),
        features=[output.memory.level(level)[shown] for level in range(3)],
        real=functional.avg_pool2d(wanted[shown], factor),
        fake=functional.interpolate(predicted[shown], scale_factor=1 / factor, mode="bilinear", align_corners=False),
    )


def _union(masks: Tensor) -> Tensor:
    """Foreground [T, h, w] of masks [n, T, h, w]; empty without any."""
    return masks.amax(dim=0) if len(masks) else masks.new_zeros(masks.shape[1:])


def _without_discriminator(module: GapMsStsVis, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Weights of a training hold the discriminator, which a model that only predicts does not have."""
    if module.discriminator is None:
        for key in [key for key in state if key.startswith(f"{prefix}discriminator.")]:
            del state[key]
