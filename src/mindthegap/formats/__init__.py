"""Ground truth and result files: reading, checking, and what they say once checked."""

from mindthegap.formats.ground_truth import OCCLUSION_LEVELS, check_ground_truth, read_ground_truth
from mindthegap.formats.model import RLE, Category, GroundTruth, ObjectTrack, ResultRow, Results, Video
from mindthegap.formats.problems import Problem, Problems
from mindthegap.formats.results import check_results, read_results

__all__ = [
    "OCCLUSION_LEVELS",
    "RLE",
    "Category",
    "GroundTruth",
    "ObjectTrack",
    "Problem",
    "Problems",
    "ResultRow",
    "Results",
    "Video",
    "check_ground_truth",
    "check_results",
    "read_ground_truth",
    "read_results",
]
