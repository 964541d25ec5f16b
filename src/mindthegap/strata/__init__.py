"""Strata: subsets of the ground truth by length, crowding, occlusion, size and motion."""

from mindthegap.strata.attributes import object_attributes, video_attributes
from mindthegap.strata.bins import BINNINGS, Binning, quantile_binning
from mindthegap.strata.files import dataset_strata, write_strata
from mindthegap.strata.geometry import VideoGeometry, boxes_of
from mindthegap.strata.groups import Stratum, member_frame, restrict, strata, strata_frame

__all__ = [
    "BINNINGS",
    "Binning",
    "Stratum",
    "VideoGeometry",
    "boxes_of",
    "dataset_strata",
    "member_frame",
    "object_attributes",
    "quantile_binning",
    "restrict",
    "strata",
    "strata_frame",
    "video_attributes",
    "write_strata",
]
