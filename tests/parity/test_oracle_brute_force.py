"""Fast paths, component programs and whole-video programs reach the optimum of brute force, with both solvers.

CBC runs as a process of its own for every program, so its 500 videos are taken at one stage each.
"""

import numpy as np
import pytest
from oracle_cases import check_instance, clashing_video, contested_video

from mindthegap.oracle import SOLVERS, Stage, available_solvers

VIDEOS = 500
STAGES = {
    "HiGHS": lambda i: (Stage.TRACKING, Stage.BOTH),
    "CBC": lambda i: (Stage.TRACKING if i % 4 < 2 else Stage.BOTH,),
}


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_optimum_equals_brute_force(solver):
    """Every video is also solved as one program without any reduction."""
    if solver not in available_solvers():
        pytest.skip(f"{solver} is not available here")
    rng = np.random.default_rng(3)
    programs = 0
    for i in range(VIDEOS):
        video = (contested_video if i % 2 else clashing_video)(rng, classes=1 + i % 3)
        for stage in STAGES[solver](i):
            programs += check_instance(video, rng, solver, whole=True, stage=stage)
    assert programs > VIDEOS // 10  # beside the 500 whole ones: components that needed one
