"""Failure modes of video instance segmentation: what went wrong in which frames, and what it cost."""

from mindthegap.failures.costs import GAPS, object_costs, threshold_weights
from mindthegap.failures.events import Cost, Event, to_frame
from mindthegap.failures.families import exact_pair_iou, query_families
from mindthegap.failures.finder import find_failures, object_shares
from mindthegap.failures.identity_metrics import IdentityMetrics, identity_metrics
from mindthegap.failures.linking import VideoLinking
from mindthegap.failures.modes import MODES, OTHER, Mode
from mindthegap.failures.ranking import ranking_points
from mindthegap.failures.scene import Scene, build_scene
from mindthegap.failures.summary import describe_modes, share_by_mode
from mindthegap.failures.thresholds import FailureThresholds

__all__ = [
    "GAPS",
    "MODES",
    "OTHER",
    "Cost",
    "Event",
    "FailureThresholds",
    "IdentityMetrics",
    "Mode",
    "Scene",
    "VideoLinking",
    "build_scene",
    "describe_modes",
    "exact_pair_iou",
    "find_failures",
    "identity_metrics",
    "object_costs",
    "object_shares",
    "query_families",
    "ranking_points",
    "share_by_mode",
    "threshold_weights",
    "to_frame",
]
