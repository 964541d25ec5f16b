"""The oracle's result files, given to mmdet's copy of the official evaluator, have the AP that is reported."""

import json

import pytest
from vis_sets import make_set

from mindthegap.diagnosis import diagnose

HEADLINES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")
SETS = 24


def stats(functional, truth, results):
    gt = functional.YTVIS(str(truth))
    evaluator = functional.YTVISeval(gt, gt.loadRes(str(results)), "segm")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator.stats


@pytest.mark.parametrize("objective", ["tight", "iou"])
def test_oracle_files_by_mmdets_evaluator(objective, tmp_path):
    """Random sets with ties, crowds, empty tracks, exact thresholds, classes, polygons and overlapping objects."""
    functional = pytest.importorskip("mmdet.evaluation.functional", reason="needs mmdet (the methods extra)")
    checked = 0
    for seed in range(SETS):
        truth, results = make_set(seed)
        for name, value in (("gt.json", truth), ("results.json", results)):
            (tmp_path / name).write_text(json.dumps(value))
        diagnosis = diagnose(
            tmp_path / "gt.json", tmp_path / "results.json", objective=objective, out_dir=tmp_path / "o"
        )
        for level, reported in diagnosis.to_dict()["levels"].items():
            given = tmp_path / "results.json" if level == "default" else tmp_path / "o" / f"{level}.json"
            if not json.loads(given.read_text()):
                continue  # the official reader fails on an empty list
            for name, value in zip(HEADLINES, stats(functional, tmp_path / "gt.json", given), strict=False):
                expected = None if value == -1 else pytest.approx(100 * value, abs=1e-9)
                assert reported[name] == expected, (seed, level, name)
            checked += 1
    assert checked > SETS
