"""The oracle with its second solver; CBC runs as a process of its own for every program, which takes its time."""

import numpy as np
import pytest
from oracle_cases import check_instance, clashing_video

from mindthegap.oracle import Stage, available_solvers


@pytest.mark.skipif("CBC" not in available_solvers(), reason="CBC's binary is not available here")
def test_cbc_equals_brute_force():
    rng = np.random.default_rng(2)
    solved = [check_instance(clashing_video(rng), rng, "CBC", whole=i % 3 == 0, stage=Stage.BOTH) for i in range(30)]
    assert sum(solved) > 8
