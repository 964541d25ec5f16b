"""SeqFormer (Wu et al., ECCV 2022) on mmdet's deformable encoder: whole clips in, one query per object out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from mmdet.models.layers import MLP
from mmdet.registry import MODELS
from mmdet.structures import TrackDataSample
from mmengine.model import BaseModel
from torch import Tensor, nn

from methods.runtime.clips import ClipTargets, clip_targets, padding_mask
from methods.runtime.frames import VideoFrames
from methods.runtime.semantic import SemanticAid
from methods.runtime.tracks import Track
from methods.seqformer import losses, sampling  # noqa: F401 - sampling registers the frame sampler
from methods.seqformer.decoder import Decoded, Decoder, DecoderOptions
from methods.seqformer.encoder import FrameEncoder, Memory
from methods.seqformer.inference import Rules, predict_video
from methods.seqformer.masks import DynamicMaskHead, MaskBranch


@dataclass(frozen=True)
class ClipOutput:
    """What a training step makes of a batch of N clips, before the losses.

    Attributes:
        memory: Encoded frames.
        decoded: Output of the decoder's D layers.
        logits: [D, N, Q, classes].
        targets: Annotations of each clip.
        objects: The same in the losses' units.
        matches: Matched pairs of all layers.
        mask_logits: [M, T, H/4, W/4] of the matched pairs.
        mask_targets: [M, T, H/4, W/4] of the matched pairs.
    """

    memory: Memory
    decoded: Decoded
    logits: Tensor
    targets: list[ClipTargets]
    objects: list[losses.Objects]
    matches: losses.Matches
    mask_logits: Tensor
    mask_targets: Tensor


@MODELS.register_module()
class GapSeqFormer(BaseModel):
    """SeqFormer.

    Args:
        backbone: mmdet configuration; outputs at strides 8, 16, 32.
        encoder: Arguments of ``FrameEncoder``.
        decoder: Fields of ``DecoderOptions``.
        queries: Number of instance queries.
        classes: Class names; weights of a class head are only taken from a training with the same ones.
        masks: ``hidden`` and ``out`` of ``MaskBranch``, ``dynamic`` and ``offset_scale`` of ``DynamicMaskHead``.
        weights: Fields of ``losses.Weights``.
        rules: Fields of ``inference.Rules``.
        semantic_aid: Weight of a loss on the classes of encoded pixels, a help from random weights; 0: none.
        data_preprocessor: mmdet's ``TrackDataPreprocessor``.
    """

    records_queries = True
    encodes_clips = False  # whether the encoder looks across the frames of a clip

    def __init__(
        self,
        *,
        backbone: dict[str, Any],
        encoder: dict[str, Any],
        decoder: dict[str, Any],
        queries: int,
        classes: Sequence[str],
        masks: dict[str, Any],
        weights: dict[str, Any],
        rules: dict[str, Any],
        semantic_aid: float,
        data_preprocessor: dict[str, Any],
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        options = DecoderOptions(**decoder)
        channels = options.channels
        self.classes = tuple(classes)
        self.backbone = MODELS.build(backbone)
        with warnings.catch_warnings():  # a hint about CUDA kernels for every attention whose heads are narrow
            warnings.filterwarnings("ignore", message="You'd better set embed_dims")
            self.encoder = self.build_encoder(encoder)
            self.decoder = self.build_decoder(options, queries)
        self.class_heads = nn.ModuleList([nn.Linear(channels, len(self.classes)) for _ in range(options.layers)])
        self.mask_branch = MaskBranch(channels, masks["hidden"], masks["out"])
        self.mask_head = DynamicMaskHead(masks["out"], masks["dynamic"], masks["offset_scale"])
        self.controller = MLP(channels, channels, self.mask_head.parameter_count, 3)
        self.semantic_aid = SemanticAid(channels, len(self.classes), semantic_aid) if semantic_aid else None
        self.weights = losses.Weights(**weights)
        self.rules = Rules(**rules)

    def build_encoder(self, arguments: dict[str, Any]) -> FrameEncoder:
        """The frame encoder; a method with another one overrides this."""
        return FrameEncoder(**arguments)

    def build_decoder(self, options: DecoderOptions, queries: int) -> Decoder:
        """The decoder; a method with another one overrides this."""
        return Decoder(options, queries)

    def init_weights(self) -> None:
        """Random start of everything but a pretrained backbone; mmengine's runner calls it."""
        self.backbone.init_weights()
        for part in (self.encoder, self.decoder, self.mask_branch):
            part.reset_parameters()
        for layer in self.controller.layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.reset_class_heads()

    def reset_class_heads(self) -> None:
        """Lets every class begin with a probability of 0.01; the layers' heads start alike."""
        first, *others = cast("list[nn.Linear]", list(self.class_heads))
        first.reset_parameters()
        nn.init.constant_(first.bias, -math.log(99))
        for head in others:
            head.load_state_dict(first.state_dict())

    def forward(self, inputs: Tensor, data_samples: list[TrackDataSample] | None = None, mode: str = "loss") -> Any:
        """Entry of mmengine's runner.

        Args:
            inputs: [N, T, 3, H, W], normalised and padded.
            data_samples: One per clip, with annotations; needed for the losses.
            mode: ``loss``, or ``tensor`` for class logits, boxes and mask features of unpadded clips.
        """
        if mode == "loss" and data_samples is not None:
            return self.loss(inputs, data_samples)
        if mode == "tensor":
            memory = self.encode(inputs, _no_padding(inputs))
            decoded = self.decoder(memory)
            return self.class_heads[-1](decoded.instances[-1]), decoded.boxes[-1], self.mask_branch(memory)
        raise ValueError(f"mode {mode!r} needs annotations or is unknown; videos are predicted by predict_video")

    def encode(self, inputs: Tensor, padding: Tensor) -> Memory:
        """Encoded frames of clips [N, T, 3, H, W] with their padding [N, T, H, W]."""
        memory: Memory = self.encoder(self.backbone(inputs.flatten(0, 1)), padding)
        return memory

    def class_logits(self, decoded: Decoded) -> Tensor:
        """Class logits of every decoder layer, [D, N, Q, classes]."""
        return torch.stack([head(layer) for head, layer in zip(self.class_heads, decoded.instances, strict=True)])

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict[str, Tensor]:
        """Losses of a batch of clips; those of the last decoder layer, and the sum over the others as ``aux``.

        Args:
            inputs: [N, T, 3, H, W], normalised and padded.
            data_samples: One per clip.
        """
        return self.criterion(self.match_clips(inputs, data_samples))

    def match_clips(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> ClipOutput:
        """Runs the network on a batch and matches its queries to the objects."""
        sizes = [sample[0].img_shape[:2] for sample in data_samples]
        targets = clip_targets(data_samples, inputs.device)
        objects = [losses.prepare(clip, size) for clip, size in zip(targets, sizes, strict=True)]
        padding = padding_mask(data_samples, 1, (inputs.shape[-2], inputs.shape[-1]), inputs.device)
        memory = self.encode(inputs, padding)
        decoded = self.decoder(memory)
        logits = self.class_logits(decoded)
        matches = losses.match(logits, decoded.boxes, objects, self.weights)
        mask_logits = self._matched_masks(memory, decoded, matches, inputs.new_tensor(sizes).flip(1))
        mask_targets = losses.gather([clip.masks for clip in objects], matches)
        return ClipOutput(memory, decoded, logits, targets, objects, matches, mask_logits, mask_targets)

    def _matched_masks(self, memory: Memory, decoded: Decoded, matches: losses.Matches, sizes: Tensor) -> Tensor:
        """Mask logits [M, T, H/4, W/4] of the matched pairs; ``sizes`` [N, 2] is width, height of the frames."""
        features = self.mask_branch(memory).unflatten(0, memory.tokens.shape[:2])[matches.clip]
        parameters = self.controller(decoded.instances[matches.layer, matches.clip, matches.query])
        centres = decoded.centres[matches.layer, matches.clip, :, matches.query] * sizes[matches.clip][:, None]
        masks: Tensor = self.mask_head(features, centres, parameters)
        return masks

    def criterion(self, output: ClipOutput) -> dict[str, Tensor]:
        """Weighted losses, divided by the number of objects."""
        weights, matches, objects = self.weights, output.matches, output.objects
        layers = len(output.logits)
        box, overlap = losses.box_losses(output.decoded.boxes, matches, objects)
        mask, dice = losses.mask_losses(output.mask_logits, output.mask_targets, matches, layers)
        classes = losses.class_loss(output.logits, matches, objects)
        weighted = {
            "loss_class": weights.loss_class * classes,
            "loss_box": weights.loss_box * box,
            "loss_giou": weights.loss_giou * overlap,
            "loss_mask": weights.loss_mask * mask,
            "loss_dice": weights.loss_dice * dice,
        }
        count = losses.object_count(objects, output.logits)
        result = {name: value[-1] / count for name, value in weighted.items()}
        if layers > 1:
            result |= {f"aux_{name}": value[:-1].sum() / count for name, value in weighted.items()}
        if self.semantic_aid is not None:
            finest = output.memory.level(0).unflatten(0, output.memory.tokens.shape[:2])
            result |= self.semantic_aid.loss(finest, output.targets)
        return result

    @torch.no_grad()
    def predict_video(self, frames: VideoFrames) -> list[Track]:
        """Tracks of one video, in one pass or clip by clip; see ``inference``.

        Args:
            frames: The video.
        """
        return predict_video(self, frames, self.rules)


def _no_padding(inputs: Tensor) -> Tensor:
    return torch.zeros(*inputs.shape[:2], *inputs.shape[-2:], dtype=torch.bool, device=inputs.device)
