"""Strata: subsets of the ground truth by length, crowding, occlusion, size and motion."""

from mindthegap.strata.geometry import VideoGeometry, boxes_of

__all__ = ["VideoGeometry", "boxes_of"]
