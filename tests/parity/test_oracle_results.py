"""The oracle's result files, given to the official evaluator and to mmdet's copy, have the AP that is reported."""

import json

import pytest
from test_official_evaluator import OFFICIAL, load_evaluator
from vis_sets import make_set

from mindthegap.diagnosis import diagnose

HEADLINES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")
SETS = 24


def mmdets():
    functional = pytest.importorskip("mmdet.evaluation.functional", reason="needs mmdet (the methods extra)")
    return functional.YTVIS, functional.YTVISeval


def official():
    dataset, evaluator = load_evaluator(OFFICIAL, "ytvos.py", "ytvoseval.py")
    return dataset.YTVOS, evaluator.YTVOSeval


def stats(dataset_class, evaluator_class, truth, results):
    """The evaluator's headline numbers, 0 to 1, -1 where undefined."""
    gt = dataset_class(str(truth))
    evaluator = evaluator_class(gt, gt.loadRes(str(results)), "segm")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator.stats


@pytest.mark.parametrize("objective", ["tight", "iou"])
@pytest.mark.parametrize("load", [official, mmdets])
def test_oracle_files_by_other_evaluators(load, objective, tmp_path):
    """Random sets with ties, crowds, empty tracks, exact thresholds, classes, polygons and overlapping objects."""
    classes = load()
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
            for name, value in zip(HEADLINES, stats(*classes, tmp_path / "gt.json", given), strict=False):
                expected = None if value == -1 else pytest.approx(100 * value, abs=1e-9)
                assert reported[name] == expected, (seed, level, name)
            checked += 1
    assert checked > SETS
