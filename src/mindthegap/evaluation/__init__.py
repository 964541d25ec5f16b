"""Evaluation: overlap tables, and the official track AP from them.

Every later stage reads only the integer tables: the rows of a result file and the tracks an oracle makes up are both
turned into ``Candidates`` and go through the same matching and accumulation.
"""

from mindthegap.evaluation.accumulation import accumulate
from mindthegap.evaluation.bootstrap import bootstrap_profiles, resampling_weights
from mindthegap.evaluation.cache import cached_overlaps, load_tables, save_tables
from mindthegap.evaluation.candidates import Candidates, association_candidates, row_candidates
from mindthegap.evaluation.matching import CategoryMatches, Matches, VideoMatches, match, occlusion_score
from mindthegap.evaluation.overlap import compute_overlaps
from mindthegap.evaluation.parameters import IOU_THRESHOLDS, RECALL_POINTS
from mindthegap.evaluation.scoring import evaluate, evaluate_candidates, evaluate_tables
from mindthegap.evaluation.summary import Evaluation
from mindthegap.evaluation.tables import OverlapTables, VideoOverlaps

__all__ = [
    "IOU_THRESHOLDS",
    "RECALL_POINTS",
    "Candidates",
    "CategoryMatches",
    "Evaluation",
    "Matches",
    "OverlapTables",
    "VideoMatches",
    "VideoOverlaps",
    "accumulate",
    "association_candidates",
    "bootstrap_profiles",
    "cached_overlaps",
    "compute_overlaps",
    "evaluate",
    "evaluate_candidates",
    "evaluate_tables",
    "load_tables",
    "match",
    "occlusion_score",
    "resampling_weights",
    "row_candidates",
    "save_tables",
]
