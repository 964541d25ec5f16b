"""Gaps of strata: what strata share is computed once, and that changes no number."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from oracle_cases import clashing_video, tables_of

from mindthegap.diagnosis import diagnose_tables
from mindthegap.diagnosis.gaps import GAPS
from mindthegap.diagnosis.stratified import stratum_gaps
from mindthegap.strata import Stratum


@pytest.mark.parametrize("objective", ["tight", "iou"])
def test_shared_work_does_not_change_the_gaps_of_strata(objective):
    """Object strata of videos in which objects of several classes want the same masks, each against a fresh start."""
    rng = np.random.default_rng(21)
    videos = [replace(clashing_video(rng, classes=2), video_id=v) for v in range(1, 25)]
    every = [tuple(video.object_id + 100 * video.video_id) for video in videos]
    tables = tables_of(*(replace(v, object_id=np.array(ids)) for v, ids in zip(videos, every, strict=True)), classes=2)
    groups = []
    for place in range(8):
        kept = frozenset(int(i) for ids in every for i in ids if rng.random() < 0.7)
        groups.append(Stratum("random", str(place), 0.0, 1.0, "object", frozenset(), kept))
    whole = diagnose_tables(tables, objective=objective)
    linkings = {name: whole.chain.levels[name].linkings for name in ("tracking", "both")}
    frame = stratum_gaps(tables, groups, objective=objective, linkings=linkings)
    pd.testing.assert_frame_equal(frame, stratum_gaps(tables, groups, objective=objective))
    for group, row in zip(groups, frame.itertuples(), strict=True):
        alone = diagnose_tables(group.restrict(tables), objective=objective)
        expected = [alone.chain.levels["default"].evaluation.AP, *(alone.gaps[name] for name in GAPS)]
        assert [row.AP, *(getattr(row, name) for name in GAPS)] == expected
        assert row.tracking_ranking == alone.gaps["tracking.ranking"]
    if objective == "tight":
        assert sum(linking.clashes > 0 for linking in linkings["both"]) > 5
        assert sum(linking.clashes == 0 for linking in linkings["both"]) > 2
