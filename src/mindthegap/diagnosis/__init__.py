"""Diagnosis: how much AP is lost to tracking, to classification and to segmentation."""

from mindthegap.diagnosis.comparison import Comparison, compare
from mindthegap.diagnosis.diagnose import diagnose, diagnose_tables
from mindthegap.diagnosis.report import Diagnosis

__all__ = ["Comparison", "Diagnosis", "compare", "diagnose", "diagnose_tables"]
