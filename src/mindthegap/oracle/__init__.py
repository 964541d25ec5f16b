"""The oracle: what a method's masks would be worth if identities, then classes, were repaired perfectly.

Two objectives: ``tight`` re-links the masks so that track AP itself is largest, ``iou`` maximises the sum of frame
IoUs. Exact fast paths (linear assignment per frame, Dinkelbach per object) are used where no integer program is needed;
where objects want the same masks, one integer program per connected component is built with PuLP.
"""

from mindthegap.oracle.clashes import ComponentSolve
from mindthegap.oracle.gates import Stage
from mindthegap.oracle.linking import OBJECTIVES, Linking, Objective, link
from mindthegap.oracle.solving import SOLVERS, SolverName, SolverSettings, available_solvers
from mindthegap.oracle.sums import hits, iou, linked_sums

__all__ = [
    "OBJECTIVES",
    "SOLVERS",
    "ComponentSolve",
    "Linking",
    "Objective",
    "SolverName",
    "SolverSettings",
    "Stage",
    "available_solvers",
    "hits",
    "iou",
    "link",
    "linked_sums",
]
