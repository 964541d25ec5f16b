"""Detections of one frame from CondInst's locations, by the official score rule."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from methods.runtime.condinst_heads import Locations


@dataclass(frozen=True)
class DetectionRule:
    """Thresholds of the detector.

    Attributes:
        score_threshold: Smallest class probability x centerness of a candidate, exclusive.
        candidates_per_level: Best candidates of each level that are kept.
        nms_iou: IoU above which the lower-scoring box of a class is dropped.
        max_per_frame: Detections kept per frame.
    """

    score_threshold: float
    candidates_per_level: int
    nms_iou: float
    max_per_frame: int


@dataclass(frozen=True)
class FrameObjects:
    """Detections of one frame by descending score.

    Attributes:
        locations: [n] index of each one's location.
        labels: [n].
        scores: [n] square root of class probability x centerness.
        boxes: [n, 4] in pixels of the original frame.
    """

    locations: Tensor
    labels: Tensor
    scores: Tensor
    boxes: Tensor


def detect(
    locations: Locations, rule: DetectionRule, scale_factor: tuple[float, float], original: tuple[int, int]
) -> FrameObjects:
    """Detections of the first image of a batch.

    A candidate is a pair of location and class. The threshold is on the product of class probability and centerness,
    the reported score is its square root (mmdet does neither).

    Args:
        locations: Predictions.
        rule: Thresholds.
        scale_factor: Network pixels per original pixel, horizontally and vertically.
        original: Height and width of the original frame.
    """
    products = locations.cls_logits[0].sigmoid() * locations.centerness[0].sigmoid()[:, None]
    indices, labels, scores = _candidates(products, locations.level_sizes, rule)
    boxes = locations.boxes(0, indices) / products.new_tensor(scale_factor).repeat(2)
    kept = batched_nms(boxes, scores, labels, rule.nms_iou)[: rule.max_per_frame]
    height, width = original
    boxes = torch.minimum(boxes[kept].clamp(min=0), boxes.new_tensor([width, height, width, height]))
    solid = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(dim=1)
    kept = kept[solid]
    return FrameObjects(indices[kept], labels[kept], scores[kept].sqrt(), boxes[solid])


def _candidates(products: Tensor, level_sizes: tuple[int, ...], rule: DetectionRule) -> tuple[Tensor, Tensor, Tensor]:
    """Locations, classes and products of the best candidates of every level."""
    indices, labels, scores, start = [], [], [], 0
    for level in products.split(list(level_sizes)):
        above = (level > rule.score_threshold).nonzero()
        values = level[above[:, 0], above[:, 1]]
        values, order = values.sort(descending=True, stable=True)
        best = order[: rule.candidates_per_level]
        indices.append(above[best, 0] + start)
        labels.append(above[best, 1])
        scores.append(values[: rule.candidates_per_level])
        start += len(level)
    return torch.cat(indices), torch.cat(labels), torch.cat(scores)
