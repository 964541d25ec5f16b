"""Our precision, recall and IoU arrays are, bit for bit, those of the official evaluator and of mmdet's copy."""

import importlib.util
import json
import os
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from vis_sets import encode, make_set, rectangle

from mindthegap.evaluation import evaluate
from mindthegap.evaluation.matching import ious

OFFICIAL = "MINDTHEGAP_OFFICIAL_EVALUATOR"
OVIS = "MINDTHEGAP_OVIS_EVALUATOR"
SETS = 220
SPOILED_SHAPE = (25, 30)


def ours(tmp_path, truth, results, *, official_quirks=False):
    """Our evaluation of JSON values, through files."""
    for name, value in (("gt.json", truth), ("results.json", results)):
        (tmp_path / name).write_text(json.dumps(value))
    return evaluate(tmp_path / "gt.json", tmp_path / "results.json", official_quirks=official_quirks)


def theirs(dataset_class, evaluator_class, tmp_path):
    """Another evaluator's state after accumulate, on the files that ``ours`` wrote."""
    gt = dataset_class(str(tmp_path / "gt.json"))
    evaluator = evaluator_class(gt, gt.loadRes(str(tmp_path / "results.json")), "segm")
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
        evaluation = ours(tmp_path, truth, results)
        assert_same(evaluation, theirs(functional.YTVIS, functional.YTVISeval, tmp_path))


def spoil(truth, results, seed):
    """Puts in what the strict reader refuses and the official evaluator takes."""
    rng = np.random.default_rng(seed)
    for entry in [*truth["annotations"], *results]:
        masks = entry["segmentations"]
        if rng.random() < 0.4:
            masks[rng.integers(len(masks)) :] = []
        if rng.random() < 0.3:
            masks += [encode(np.ones(SPOILED_SHAPE, bool))] * rng.integers(1, 3)
        for t in range(len(masks)):
            if rng.random() < 0.2:
                masks[t] = encode(rectangle(SPOILED_SHAPE, rng))
        if rng.random() < 0.1:
            entry["category_id"] = entry["category_id"] if "iscrowd" in entry else 99
    for entry in truth["annotations"]:
        entry["id"] -= 1


def test_quirks_equal_mmdet(tmp_path):
    functional = pytest.importorskip("mmdet.evaluation.functional", reason="needs mmdet (the methods extra)")
    changed = set()
    for seed, truth, results in sets()[:150]:
        spoil(truth, results, seed)
        evaluation = ours(tmp_path, truth, results, official_quirks=True)
        assert_same(evaluation, theirs(functional.YTVIS, functional.YTVISeval, tmp_path))
        changed |= {note["quirk"] for note in evaluation.notes if note["AP_change"]}
    assert changed == {"length", "size", "id"}


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
        source = re.sub(r"(, )(np\.round\([^,]+\)) \+ 1,", r"\1int(\2) + 1,", source)
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
        evaluation = ours(tmp_path, truth, results)
        assert_same(evaluation, theirs(dataset.YTVOS, evaluator.YTVOSeval, tmp_path))


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
        expected = theirs(dataset.OVIS, evaluator.OVISeval, tmp_path).eval
        np.testing.assert_array_equal(evaluation.precision[:, :, :, :4], expected["precision"][:, :, :, :, 0])
        np.testing.assert_array_equal(evaluation.precision[:, :, :, 4:], expected["precision"][:, :, :, 0, 1:])
        np.testing.assert_array_equal(evaluation.recall[:, :, 4:], expected["recall"][:, :, 0, 1:])
