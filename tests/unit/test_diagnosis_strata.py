"""Gaps of strata: what strata share is computed once, and that changes no number."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from diagnosis_case import KEY_COLUMNS
from oracle_cases import clashing_video, tables_of

from mindthegap.diagnosis import diagnose_tables
from mindthegap.diagnosis.gaps import GAPS
from mindthegap.diagnosis.stratified import gap_frame, stratum_gaps
from mindthegap.strata import Stratum, strata


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
    linkings = {name: whole.chain.levels[name].linkings for name in ("ranking", "continued", "tracking", "both")}
    frame = gap_frame(stratum_gaps(tables, groups, objective=objective, linkings=linkings))
    pd.testing.assert_frame_equal(frame, gap_frame(stratum_gaps(tables, groups, objective=objective)))
    assert frame.optimal.all()
    for group, row in zip(groups, frame.itertuples(), strict=True):
        alone = diagnose_tables(group.restrict(tables), objective=objective)
        expected = [alone.chain.levels["default"].evaluation.AP, *(alone.gaps[name] for name in GAPS)]
        assert [row.AP, *(getattr(row, name) for name in GAPS)] == expected
        for part in ("ranking", "association", "selection"):
            assert getattr(row, f"tracking_{part}") == alone.gaps[f"tracking.{part}"]
    if objective == "tight":
        assert sum(linking.clashes > 0 for linking in linkings["both"]) > 5
        assert sum(linking.clashes == 0 for linking in linkings["both"]) > 2


def test_gaps_of_strata_are_those_of_the_restricted_ground_truth(written):

    diagnosis, out = written
    stored = pd.read_parquet(out / "strata.parquet")
    assert stored.synthetic.all()
    assert list(stored.columns[:5]) == [*KEY_COLUMNS, "synthetic"]
    groups = strata(diagnosis.tables)
    assert len(groups) > 3
    by_name = stored.set_index(["attribute", "stratum"])
    for group in groups:
        row = by_name.loc[(group.attribute, group.name)]
        alone = diagnose_tables(group.restrict(diagnosis.tables), objective=diagnosis.objective, bootstrap=100, seed=4)
        assert row.AP == alone.chain.levels["default"].evaluation.AP
        assert (row.objects, row.videos) == (len(group.object_ids), len(group.video_ids))
        intervals = alone.bootstrap.intervals()
        for name in ("tracking", "tracking.association", "tracking.selection", "classification", "segmentation"):
            column = name.replace(".", "_")
            assert row[column] == pytest.approx(alone.gaps[name], abs=1e-9)
            if intervals[name]:
                assert [row[f"{column}_low"], row[f"{column}_high"]] == pytest.approx(intervals[name], abs=1e-9)
            else:
                assert np.isnan(row[f"{column}_low"])
        assert row.AP + row.tracking + row.classification + row.segmentation == pytest.approx(100, abs=1e-9)


def test_the_whole_its_thresholds_and_its_categories_are_strata_too(written):
    diagnosis, out = written
    stored = pd.read_parquet(out / "strata.parquet").set_index(["attribute", "stratum"])
    content = diagnosis.to_dict()
    whole = stored.loc[("all", "all")]
    assert (whole.videos, whole.objects) == (5, 15)
    assert [whole.tracking_low, whole.tracking_high] == content["intervals"]["tracking"]
    for entry in content["per_threshold"]:
        check_row(stored.loc[("iou_threshold", f"{entry['iou']:.2f}")], entry)
    for entry in content["per_category"]:
        row = stored.loc[("category", entry["category"])]
        assert row.objects == entry["objects"]
        check_row(row, entry)


def check_row(row, entry):
    """A row of the table says what an entry of gaps.json says."""
    assert entry["levels"]["default"] == row.AP
    parts = {f"tracking.{part}": value for part, value in entry["splits"]["tracking"].items()}
    for name, value in (entry["gaps"] | parts).items():
        column = name.replace(".", "_")
        assert row[column] == value
        bounds = [row[f"{column}_low"], row[f"{column}_high"]]
        assert (None if np.isnan(bounds).all() else bounds) == entry["intervals"][name]


def test_levels_rise_in_every_stratum_of_the_tight_oracle(written):
    """A stratum is a ground truth of its own, so what holds of the whole holds of it."""
    diagnosis, out = written
    if diagnosis.objective == "iou":
        pytest.skip("gaps of the iou oracle may be negative")
    stored = pd.read_parquet(out / "strata.parquet")
    assert len(stored) > 20
    for gap in ("tracking", "tracking_ranking", "tracking_association", "classification", "segmentation"):
        assert (stored[gap] >= -1e-9).all(), gap


def test_one_video_has_no_interval():
    """Drawn again and again it is always itself, which would look like certainty."""
    video = clashing_video(np.random.default_rng(0))
    diagnosis = diagnose_tables(tables_of(video, classes=1), bootstrap=20)
    assert set(diagnosis.bootstrap.intervals().values()) == {None}
    assert diagnosis.strata().tracking_low.isna().all()
    assert "95 % interval" in repr(diagnosis)
