"""Our precision, recall and IoU arrays are, bit for bit, those of the official evaluator and of mmdet's copy."""

import copy
import importlib.util
import json
import os
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from vis_sets import make_set

from mindthegap.evaluation import compute_overlaps, evaluate_tables
from mindthegap.evaluation.matching import ious
from mindthegap.formats import read_ground_truth, read_results

OFFICIAL = "MINDTHEGAP_OFFICIAL_EVALUATOR"
OVIS = "MINDTHEGAP_OVIS_EVALUATOR"
SETS = 220


def ours(tmp_path, truth, results):
    """Our evaluation of JSON values, through files."""
    for name, value in (("gt.json", truth), ("results.json", results)):
        (tmp_path / name).write_text(json.dumps(value))
    ground_truth = read_ground_truth(tmp_path / "gt.json")
    return evaluate_tables(compute_overlaps(ground_truth, read_results(tmp_path / "results.json", ground_truth)))


def theirs(dataset_class, evaluator_class, truth, results):
    """Another evaluator's state after accumulate; inputs are copied because they are changed in place."""
    gt = dataset_class(copy.deepcopy(truth))
    evaluator = evaluator_class(gt, gt.loadRes(copy.deepcopy(results)), "segm")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator


def assert_same(evaluation, evaluator):
    """All three arrays and the twelve headline numbers."""
    np.testing.assert_array_equal(evaluation.precision[:, :, :, :4], evaluator.eval["precision"], strict=True)
    np.testing.assert_array_equal(evaluation.recall[:, :, :4], evaluator.eval["recall"], strict=True)
    found = ious(evaluation.matches)
    for key, expected in evaluator.ious.items():
        if np.size(expected):
            np.testing.assert_array_equal(found[tuple(int(i) for i in key)], expected)
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")
    for name, expected in zip(names, evaluator.stats, strict=False):
        value = getattr(evaluation, name)
        assert (value is None and expected == -1) or value == 100 * expected


def sets():
    """Random sets with at least one row, which the official reader needs."""
    seeds = range(SETS + 40)
    made = ((seed, *make_set(seed, many=seed % 40 == 0)) for seed in seeds)
    return [entry for entry in made if entry[2]][:SETS]


def test_equals_mmdet(tmp_path):
    functional = pytest.importorskip("mmdet.evaluation.functional", reason="needs mmdet (the methods extra)")
    cases = sets()
    assert len(cases) == SETS
    for _, truth, results in cases:
        assert_same(ours(tmp_path, truth, results), theirs(functional.YTVIS, functional.YTVISeval, truth, results))


def load_evaluator(variable, dataset_file, evaluator_file):
    """Imports an evaluator from the folder in an environment variable, with what NumPy has dropped put back.

    The files are read where they lie and changed in memory only.
    """
    if not os.environ.get(variable):
        pytest.skip(f"{variable} does not name the folder of the evaluator's {dataset_file} and {evaluator_file}")
    package = types.ModuleType("official_evaluator")
    package.__path__ = []
    sys.modules["official_evaluator"] = package
    loaded = []
    for file in (dataset_file, evaluator_file):
        source = (Path(os.environ[variable]) / file).read_text()
        source = re.sub(r"\bnp\.float\b", "float", source)
        source = re.sub(r"np\.linspace\(([^,]+),([^,]+), np\.round\(([^)]*\) / [^)]+)\) \+ 1", r"np.linspace(\1,\2, int(np.round(\3)) + 1", source)
        source = source.replace("unicode", "str").replace("from . import mask", "from pycocotools import mask")
        name = f"official_evaluator.{file[:-3]}"
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader=None))
        sys.modules[name] = module
        exec(compile(source, file, "exec"), module.__dict__)
        loaded.append(module)
    return loaded


def test_equals_the_official_evaluator(tmp_path):
    dataset, evaluator = load_evaluator(OFFICIAL, "ytvos.py", "ytvoseval.py")
    for _, truth, results in sets():
        assert_same(ours(tmp_path, truth, results), theirs(dataset.YTVOS, evaluator.YTVOSeval, truth, results))


def test_occlusion_groups_equal_the_official_ovis_evaluator(tmp_path):
    dataset, evaluator = load_evaluator(OVIS, "ovis.py", "oviseval.py")
    levels = ("no_occlusion", "slight_occlusion", "severe_occlusion")
    for seed, truth, results in sets():
        rng = np.random.default_rng(seed)
        for entry in truth["annotations"]:
            entry["occlusion"] = [levels[rng.integers(3)] for _ in entry["segmentations"]]
        if not truth["annotations"]:
            continue
        evaluation = ours(tmp_path, truth, results)
        expected = theirs(dataset.OVIS, evaluator.OVISeval, truth, results).eval
        np.testing.assert_array_equal(evaluation.precision[:, :, :, :4], expected["precision"][:, :, :, :, 0])
        np.testing.assert_array_equal(evaluation.precision[:, :, :, 4:], expected["precision"][:, :, :, 0, 1:])
        np.testing.assert_array_equal(evaluation.recall[:, :, 4:], expected["recall"][:, :, 0, 1:])
