"""Evaluation: overlap tables, and the official track AP from them."""

from mindthegap.evaluation.overlap import compute_overlaps
from mindthegap.evaluation.tables import OverlapTables, VideoOverlaps

__all__ = ["OverlapTables", "VideoOverlaps", "compute_overlaps"]
