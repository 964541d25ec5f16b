"""Stand-in for ``mmcv._ext``: the few compiled operators that the methods need, provided by torchvision and PyTorch.

A plain install of mmcv carries no compiled extension, and building one needs minutes of compiler time and, for GPUs,
a toolkit that cluster nodes rarely have. ``ensure_ops`` puts a module in its place before mmdet is imported. A
compiled mmcv is left as it is. An operator that is missing here raises ``MissingOpError`` when it is called, never
at import, because mmcv looks up about two hundred names while it is imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

MODULE_NAME = "mmcv._ext"


class MissingOpError(NotImplementedError):
    """A compiled operator of mmcv was called that neither mmcv nor the stand-in provides."""


def _accumulation_dtype(tensor: Tensor) -> torch.dtype:
    """float32 for half precisions (torchvision's CPU kernels lack them), otherwise the tensor's own type."""
    return torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else tensor.dtype


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: [N, 4] as x1, y1, x2, y2 in pixels.
        scores: [N].
        iou_threshold: A box is dropped when its IoU with a kept, higher-scoring box exceeds this.
        offset: 0 or 1; with 1 widths count as ``x2 - x1 + 1`` (the convention of early Mask R-CNN code).

    Returns:
        Indices of the kept boxes by descending score, int64.
    """
    boxes = boxes.to(_accumulation_dtype(boxes))
    if offset:
        # (x2 - x1 + 1) and the intersection's "+1" are both what moving the far corner by one pixel gives.
        boxes = boxes + boxes.new_tensor([0.0, 0.0, offset, offset])
    return torch.ops.torchvision.nms(boxes, scores.to(boxes.dtype), float(iou_threshold))


def roi_align_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Average RoIAlign, written into ``output`` [R, C, aligned_height, aligned_width].

    Args:
        features: [B, C, H, W].
        rois: [R, 5] as batch index, x1, y1, x2, y2 in input pixels.
        output: Filled in place.
        argmax_y: Unused, only max pooling needs it.
        argmax_x: Unused, only max pooling needs it.
        aligned_height: Bins vertically.
        aligned_width: Bins horizontally.
        spatial_scale: Feature pixels per input pixel.
        sampling_ratio: Samples per bin side; 0 takes ceil(roi / bins).
        pool_mode: 1 for average; 0 (max) is not provided.
        aligned: Whether to shift by half a pixel.
    """
    if pool_mode != 1:
        raise MissingOpError("mmcv operator 'roi_align_forward' with max pooling is not provided; use pool_mode='avg'.")
    dtype = _accumulation_dtype(features)
    pooled = torch.ops.torchvision.roi_align(
        features.to(dtype),
        rois.to(dtype),
        float(spatial_scale),
        aligned_height,
        aligned_width,
        sampling_ratio,
        bool(aligned),
    )
    output.copy_(pooled)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of ``roi_align_forward`` with respect to the features, written into ``grad_input`` [B, C, H, W]."""
    if pool_mode != 1:
        raise MissingOpError("mmcv operator 'roi_align_backward' with max pooling is not provided.")
    dtype = _accumulation_dtype(grad_output)
    gradient = torch.ops.torchvision._roi_align_backward(
        grad_output.to(dtype),
        rois.to(dtype),
        float(spatial_scale),
        aligned_height,
        aligned_width,
        *grad_input.shape,
        sampling_ratio,
        bool(aligned),
    )
    grad_input.copy_(gradient)


def ms_deform_attn_forward(
    value: Tensor, shapes: Tensor, level_start: Tensor, locations: Tensor, weights: Tensor, *, im2col_step: int
) -> Tensor:
    """Multi-scale deformable attention by mmcv's own pure PyTorch sampling.

    mmcv takes that path by itself on a CPU and calls the compiled operator on a GPU; this serves the GPU.

    Args:
        value: [B, S, heads, channels].
        shapes: [levels, 2] as height, width.
        level_start: Unused, it follows from ``shapes``.
        locations: [B, Q, heads, levels, points, 2] in 0..1.
        weights: [B, Q, heads, levels, points].
        im2col_step: Unused, a batching hint of the CUDA kernel.

    Returns:
        [B, Q, heads * channels].
    """
    sampler = importlib.import_module("mmcv.ops.multi_scale_deform_attn").multi_scale_deformable_attn_pytorch
    return sampler(value, shapes, locations, weights)


def ms_deform_attn_backward(
    value: Tensor,
    shapes: Tensor,
    level_start: Tensor,
    locations: Tensor,
    weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_locations: Tensor,
    grad_weights: Tensor,
    *,
    im2col_step: int,
) -> None:
    """Gradients of ``ms_deform_attn_forward`` by recomputation, written into the three ``grad_*`` tensors."""
    with torch.enable_grad():
        inputs = [tensor.detach().requires_grad_() for tensor in (value, locations, weights)]
        output = ms_deform_attn_forward(inputs[0], shapes, level_start, inputs[1], inputs[2], im2col_step=im2col_step)
        gradients = torch.autograd.grad(output, inputs, grad_output)
    for target, gradient in zip((grad_value, grad_locations, grad_weights), gradients, strict=True):
        target.copy_(gradient)


def _sigmoid_focal(logits: Tensor, target: Tensor, class_weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """Element-wise sigmoid focal loss (Lin et al. 2017, eq. 5); ``target`` [N] holds class indices, C = background."""
    one_hot = F.one_hot(target, logits.shape[1] + 1)[:, :-1].to(logits.dtype)
    probability = logits.sigmoid()
    miss = (1 - probability) * one_hot + probability * (1 - one_hot)
    balance = alpha * one_hot + (1 - alpha) * (1 - one_hot)
    loss = F.binary_cross_entropy_with_logits(logits, one_hot, reduction="none") * balance * miss.pow(gamma)
    return loss * class_weight[None] if class_weight.numel() else loss


def sigmoid_focal_loss_forward(
    logits: Tensor, target: Tensor, class_weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    """Sigmoid focal loss per element into ``output`` [N, C]; mmdet calls the operator only on a GPU."""
    output.copy_(_sigmoid_focal(logits, target, class_weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    logits: Tensor, target: Tensor, class_weight: Tensor, grad_input: Tensor, *, gamma: float, alpha: float
) -> None:
    """d(sum of element losses)/d(logits) into ``grad_input`` [N, C]; the caller multiplies by the incoming gradient."""
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_sigmoid_focal(leaf, target, class_weight, gamma, alpha).sum(), leaf)
    grad_input.copy_(gradient)


PROVIDED: dict[str, Callable[..., Any]] = {
    "nms": nms,
    "roi_align_forward": roi_align_forward,
    "roi_align_backward": roi_align_backward,
    "ms_deform_attn_forward": ms_deform_attn_forward,
    "ms_deform_attn_backward": ms_deform_attn_backward,
    "sigmoid_focal_loss_forward": sigmoid_focal_loss_forward,
    "sigmoid_focal_loss_backward": sigmoid_focal_loss_backward,
}


class StandInModule(ModuleType):
    """The module found under ``mmcv._ext``; any unknown name is a function that says it is missing."""

    def __init__(self) -> None:
        super().__init__(MODULE_NAME, "Operators from torchvision, in place of mmcv's compiled extension.")
        # importlib.util.find_spec raises on a module without a spec.
        self.__spec__ = ModuleSpec(MODULE_NAME, loader=None, origin="torchvision")
        vars(self).update(PROVIDED)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: Any, **__: Any) -> Any:
            raise MissingOpError(
                f"mmcv operator '{name}' is not available: this mmcv has no compiled extension and torchvision has no "
                f"equivalent; install an mmcv built with its operators, or use a configuration without '{name}'."
            )

        missing.__name__ = name
        return missing


def ensure_ops() -> Literal["compiled", "torchvision"]:
    """Makes ``import mmcv.ops`` possible; call it before mmdet is imported. May be called any number of times.

    Returns:
        ``"compiled"`` when mmcv has its own extension (left untouched), ``"torchvision"`` when the stand-in serves.
    """
    present = sys.modules.get(MODULE_NAME)
    if present is not None:
        return "torchvision" if isinstance(present, StandInModule) else "compiled"
    if importlib.util.find_spec(MODULE_NAME) is not None:
        return "compiled"
    importlib.import_module("torchvision")  # registers torch.ops.torchvision
    module = StandInModule()
    sys.modules[MODULE_NAME] = module
    vars(importlib.import_module("mmcv"))["_ext"] = module
    return "torchvision"
