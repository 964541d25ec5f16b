"""IAI apart from the image model: association over a clip, clip losses, streaming prediction."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from mmdet.registry import MODELS
from mmdet.structures import TrackDataSample
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor, nn

from methods.iai import (
    clips,  # noqa: F401 - registers the clip transform and the sampler
    heads,  # noqa: F401 - registers the head
)
from methods.iai.association import AssociationBlock
from methods.iai.memory import Memory
from methods.iai.selection import SelectionRules
from methods.iai.targets import clip_numbers, identity_targets, mask_stack
from methods.iai.video import FrameDetections, IdentityRules, VideoState
from methods.runtime.frames import VideoFrames
from methods.runtime.tracks import Track

Levels = Sequence[Tensor]
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class ClipTruth:
    """Objects of a batch of B clips of T frames.

    Attributes:
        objects: [B][T] annotated objects whose identity has a number, with ``identity_targets``.
        stacks: [T] one-hot mask stacks [B, N + 1, H, W]; empty when the model has no association.
        opens: [T] whether an identity appears first in that frame of some clip.
    """

    objects: list[list[InstanceData]]
    stacks: list[Tensor]
    opens: list[bool]


class IdentityVideoModel(BaseModel):
    """Base of IAI on any image model with a feature pyramid.

    Args:
        backbone: mmdet configuration, four outputs.
        neck: mmdet configuration; its input at ``level`` has the associated width.
        identities: Identity channels N, the last one for "new".
        level: Index of the backbone's output that is associated (official: 3, C5).
        level_channels: Channels of that output.
        association: Arguments of ``AssociationBlock``; None leaves the association out.
        projector_channels: Width of the projection that keeps the features for classification; 0 leaves it out.
        heads_see: ``frame`` runs neck and heads frame by frame (official), ``clip`` once for all frames of the clips,
            which is faster; batch norm statistics and loss normalisers are then the clips'.
        append_new_in_training: Whether a new identity appends to the long-term memory in training too. Officially the
            test for it looks for a number that never occurs, so that only the interval counts.
        shuffle_identities: Whether a clip's identities get random numbers (officially ascending annotation id).
        rules: Arguments of ``IdentityRules``.
        selection: Arguments of ``SelectionRules``.
        data_preprocessor: mmdet configuration.
    """

    def __init__(
        self,
        *,
        backbone: dict[str, Any],
        neck: dict[str, Any],
        identities: int,
        level: int,
        level_channels: int,
        association: dict[str, Any] | None,
        projector_channels: int,
        heads_see: Literal["frame", "clip"],
        append_new_in_training: bool,
        shuffle_identities: bool,
        rules: dict[str, Any],
        selection: dict[str, Any],
        data_preprocessor: dict[str, Any],
    ) -> None:
        super().__init__(data_preprocessor)
        self.backbone, self.neck = MODELS.build(backbone), MODELS.build(neck)
        self.identities, self.level = identities, level
        self.heads_see, self.append_new_in_training = heads_see, append_new_in_training
        self.shuffle_identities = shuffle_identities
        self.rules, self.selection = IdentityRules(**rules), SelectionRules(**selection)
        self.lstt: AssociationBlock | None = None
        self.backbone_projector: nn.Module | None = None
        if association is not None:
            self.lstt = AssociationBlock(identities=identities, **association)
            self.encoder_projector = nn.Conv2d(level_channels, association["channels"], 1)
            if projector_channels:
                self.backbone_projector = nn.Conv2d(level_channels, projector_channels, 1)

    @abstractmethod
    def image_losses(self, pyramid: Levels, samples: list[Any], objects: list[InstanceData]) -> Losses:
        """Losses of a batch of images, the identity head's included."""

    @abstractmethod
    def detect(self, pyramid: Levels, sample: Any, *, first: bool) -> FrameDetections:
        """Detections of one image."""

    def forward(self, inputs: Tensor, data_samples: list[TrackDataSample], mode: str = "loss") -> Losses:
        """Losses of a batch of clips; prediction has its own way in, ``predict_video``."""
        if mode != "loss":
            raise NotImplementedError(f"IAI has no mode {mode!r}; call predict_video")
        return self.loss(inputs, data_samples)

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> Losses:
        """Losses of a batch of clips, averaged over the frames of the clip (paper equation 3).

        Args:
            inputs: [B, T, 3, H, W], normalised and padded.
            data_samples: One per clip, with its T frames.
        """
        shape = inputs.shape[:2]
        levels = [level.unflatten(0, shape) for level in self.backbone(inputs.flatten(0, 1))]
        truth = self._truth(data_samples, inputs)
        if self.lstt is not None:
            levels[self.level] = self._associate_clip(levels[self.level], truth)
        if self.heads_see == "clip":
            samples = [frame for sample in data_samples for frame in sample.video_data_samples]
            objects = [frame for clip in truth.objects for frame in clip]
            return self.image_losses(self.neck([level.flatten(0, 1) for level in levels]), samples, objects)
        losses = [self._frame_losses(levels, data_samples, truth, frame) for frame in range(shape[1])]
        return {name: torch.stack([part[name] for part in losses]).mean() for name in losses[0]}

    def _frame_losses(
        self, levels: Levels, data_samples: list[TrackDataSample], truth: ClipTruth, frame: int
    ) -> Losses:
        """Losses of one frame of every clip."""
        pyramid = self.neck([level[:, frame].contiguous() for level in levels])
        samples = [sample[frame] for sample in data_samples]
        return self.image_losses(pyramid, samples, [clip[frame] for clip in truth.objects])

    def _truth(self, data_samples: list[TrackDataSample], inputs: Tensor) -> ClipTruth:
        """Numbers the identities of every clip and encodes its masks."""
        clips_objects, opens = [], [False] * inputs.shape[1]
        stacks: list[list[Tensor]] = [[] for _ in opens]
        for sample in data_samples:
            frames = [frame.gt_instances for frame in sample.video_data_samples]
            numbers = clip_numbers(
                [objects.instances_ids for objects in frames], self.identities - 1, shuffle=self.shuffle_identities
            )
            frames = [objects[number >= 0] for objects, number in zip(frames, numbers, strict=True)]
            numbers = [number[number >= 0] for number in numbers]
            targets = identity_targets(numbers, self.identities)
            for index, (objects, number, target) in enumerate(zip(frames, numbers, targets, strict=True)):
                objects.identity_targets = target
                opens[index] = opens[index] or bool((target == self.identities - 1).any())
                if self.lstt is not None:
                    masks = objects.masks.to_tensor(torch.bool, inputs.device)
                    masks = masks.view(len(objects), *inputs.shape[-2:])
                    stacks[index].append(mask_stack(masks, number, self.identities))
            clips_objects.append(frames)
        return ClipTruth(clips_objects, [torch.stack(stack) for stack in stacks if stack], opens)

    def _associate_clip(self, features: Tensor, truth: ClipTruth) -> Tensor:
        """Associated features [B, T, C', h, w] of [B, T, C, h, w]; gradients flow through the memories."""
        memory, associated = None, []
        for frame, stack in enumerate(truth.stacks):
            output, memory = self.associate(features[:, frame], memory)
            associated.append(output)
            self.memorise(memory, stack, self.append_new_in_training and truth.opens[frame])
        return torch.stack(associated, dim=1)

    def associate(self, features: Tensor, memory: Memory | None) -> tuple[Tensor, Memory]:
        """Replaces a frame's features by [projected features, association of every layer, classification part].

        Args:
            features: [B, C, h, w] of the associated level.
            memory: None in the first frame.

        Returns:
            [B, C', h, w], and the memory, which ``memorise`` must complete.
        """
        assert self.lstt is not None
        encoded = self.encoder_projector(features)
        if memory is None:
            outputs, memory = self.lstt.begin(encoded)
        else:
            outputs = self.lstt.attend(encoded, memory)
        parts = [encoded, *outputs]
        if self.backbone_projector is not None:
            parts.append(self.backbone_projector(features))
        return torch.cat(parts, dim=1), memory

    def memorise(self, memory: Memory, stack: Tensor, new_identity: bool) -> None:
        """Completes the memory with a frame's identities, a one-hot stack [B, N + 1, H, W]."""
        assert self.lstt is not None
        if memory.first is not None:
            self.lstt.settle(memory, stack)
        else:
            self.lstt.remember(memory, stack, new_identity=new_identity)

    @torch.no_grad()
    def predict_video(self, frames: VideoFrames) -> list[Track]:
        """Tracks of one video, read frame by frame.

        What is kept of earlier frames is the association memory (``max_long_term`` bounds it), RLEs, and a class vector
        per identity and frame.

        Args:
            frames: The video.
        """
        state = VideoState.start(self.identities, self.rules)
        for batch in frames.batches(1):
            data = self.data_preprocessor(batch, training=False)
            self.step(state, data["inputs"][:, 0].contiguous(), data["data_samples"][0][0])
        return state.tracks.tracks(state.known)

    @torch.no_grad()
    def step(self, state: VideoState, image: Tensor, sample: Any) -> None:
        """Takes up the next frame of a video.

        Args:
            state: The video's state; changed.
            image: [1, 3, H, W], normalised and padded.
            sample: The frame's data sample.
        """
        levels = list(self.backbone(image))
        if self.lstt is not None:
            levels[self.level], state.memory = self.associate(levels[self.level], state.memory)
        found = self.detect(self.neck(levels), sample, first=not state.started)
        stack, new = state.take(found)
        if state.memory is not None:
            self.memorise(state.memory, stack, new)
