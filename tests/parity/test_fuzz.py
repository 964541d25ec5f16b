"""Mutated files through the whole pipeline, found by hypothesis: refused in one sentence, or the right numbers.

What is accepted is checked by paths that share no code with ours: masks by pycocotools from the raw JSON, precision and
recall by mmdet's evaluator; and by ours on other terms: the same content written anew, and the oracle's result files.
The number of cases is modest by default; ``MINDTHEGAP_FUZZ=10000`` sets it, and ``MINDTHEGAP_FUZZ_SEED`` draws others.
"""

import contextlib
import io
import json
import os
import signal
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from mutations import damage, mutate, reshape
from pycocotools import mask as coco_mask
from vis_sets import make_set

from mindthegap.diagnosis import diagnose_tables
from mindthegap.diagnosis.export import result_entries
from mindthegap.errors import InputError
from mindthegap.evaluation import compute_overlaps, evaluate_tables
from mindthegap.formats import read_ground_truth, read_results

COUNT = int(os.environ.get("MINDTHEGAP_FUZZ", "80"))
SECONDS = 20
SEEN = Counter()


def late(*_):
    raise TimeoutError(f"more than {SECONDS} s")


@pytest.fixture(scope="module", autouse=True)
def alarm():
    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@seed(int(os.environ.get("MINDTHEGAP_FUZZ_SEED", "0")))
@settings(max_examples=COUNT, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 199), rng=st.randoms(use_true_random=False))
def check_case(folder, evaluators, number, rng):
    """One mutated pair of files."""
    truth, results = make_set(number)
    if rng.random() < 0.7:
        truth, results = reshape(truth, results, rng)
    if rng.random() < 0.4:
        truth, results = (mutate(truth, rng), results) if rng.random() < 0.5 else (truth, mutate(results, rng))
    for name, value in (("gt.json", truth), ("results.json", results)):
        text = json.dumps(value)
        (folder / name).write_bytes(damage(text, rng) if rng.random() < 0.05 else text.encode())
    SEEN["cases"] += 1
    signal.alarm(SECONDS)
    try:
        found = read_pair(folder)
        if isinstance(found, str):
            SEEN["refused"] += 1
            assert "\n" not in found
            found.encode()
        else:
            check_accepted(folder, evaluators, *found)
    finally:
        signal.alarm(0)


def read_pair(folder):
    """Ground truth and results, or the sentence that refuses them."""
    try:
        ground_truth = read_ground_truth(folder / "gt.json")
        return ground_truth, read_results(folder / "results.json", ground_truth)
    except InputError as error:
        return str(error)


def check_accepted(folder, evaluators, ground_truth, read):
    """All numbers of an accepted pair, each by a second path."""
    raw_truth, raw_rows = (json.loads((folder / name).read_text()) for name in ("gt.json", "results.json"))
    raw = {entry["id"]: entry for entry in raw_truth["annotations"]}
    for entry in ground_truth.objects:
        check_masks(entry, raw[entry.id], ground_truth)
    for row in read.rows:
        check_masks(row, raw_rows[row.index], ground_truth)
    tables = compute_overlaps(ground_truth, read)
    evaluation = evaluate_tables(tables)
    written = rewrite(folder, ground_truth, read)
    again = evaluate_tables(compute_overlaps(*written))
    np.testing.assert_array_equal(again.precision, evaluation.precision)
    np.testing.assert_array_equal(again.recall, evaluation.recall)
    if read.rows:
        SEEN["with rows"] += 1
        check_against_mmdet(folder, evaluators, evaluation)
    for objective in ("tight", "iou"):
        check_diagnosis(tables, read, ground_truth, objective)
    SEEN["with a defined AP"] += evaluation.AP is not None


def check_masks(entry, raw, ground_truth):
    """Masks as read are those pycocotools makes of the file's own."""
    (video,) = [video for video in ground_truth.videos if video.id == entry.video_id]
    for mask, given_mask in zip(entry.segmentations, raw["segmentations"], strict=True):
        if not given_mask:
            assert mask is None
        else:
            expected = decoded(given_mask, video)
            np.testing.assert_array_equal(coco_mask.decode(mask), expected)


def decoded(mask, video):
    """A mask of any form as pixels."""
    if isinstance(mask, list):
        return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(mask, video.height, video.width)))
    if isinstance(mask["counts"], list):
        return coco_mask.decode(coco_mask.frPyObjects(mask, *mask["size"]))
    return coco_mask.decode({"size": mask["size"], "counts": mask["counts"].encode()})


def rewrite(folder, ground_truth, read):
    """The same content as new files, canonical and with videos and categories in another order, and read again."""
    truth = {
        "videos": [
            {"id": v.id, "height": v.height, "width": v.width, "file_names": list(v.file_names)}
            for v in reversed(ground_truth.videos)
        ],
        "categories": [{"id": c.id, "name": c.name} for c in reversed(ground_truth.categories)],
        "annotations": [
            {
                "id": o.id,
                "video_id": o.video_id,
                "category_id": o.category_id,
                "iscrowd": int(o.iscrowd),
                "segmentations": [plain(mask) for mask in o.segmentations],
                "areas": list(o.areas),
                "bboxes": [None] * len(o.areas),
                **({} if o.occlusion is None else {"occlusion": list(o.occlusion)}),
            }
            for o in ground_truth.objects
        ],
    }
    rows = [
        {
            "video_id": row.video_id,
            "category_id": row.category_id,
            "score": row.score,
            "segmentations": [plain(mask) for mask in row.segmentations],
        }
        for row in read.rows
    ]
    (folder / "gt2.json").write_text(json.dumps(truth))
    (folder / "results2.json").write_text(json.dumps(rows))
    again = read_ground_truth(folder / "gt2.json")
    return again, read_results(folder / "results2.json", again)


def plain(mask):
    return None if mask is None else {"size": list(mask["size"]), "counts": mask["counts"].decode()}


def check_against_mmdet(folder, evaluators, evaluation):
    """Precision and recall, bit for bit, on the rewritten files (mmdet reads fewer forms of masks than we do)."""
    dataset_class, evaluator_class = evaluators
    with contextlib.redirect_stdout(io.StringIO()):
        gt = dataset_class(str(folder / "gt2.json"))
        evaluator = evaluator_class(gt, gt.loadRes(str(folder / "results2.json")), "segm")
        evaluator.evaluate()
        evaluator.accumulate()
    np.testing.assert_array_equal(evaluation.precision[:, :, :, :4], evaluator.eval["precision"])
    np.testing.assert_array_equal(evaluation.recall[:, :, :4], evaluator.eval["recall"])


def check_diagnosis(tables, read, ground_truth, objective):
    """Gaps add up, the oracle's tracks evaluate to its AP, and everything can be written as JSON."""
    diagnosis = diagnose_tables(tables, objective=objective, time_limit=5, bootstrap=3)
    content = json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))
    levels = {name: level["AP"] for name, level in content["levels"].items()}
    if levels["default"] is None:
        assert set(content["gaps"].values()) == {None}
    else:
        assert levels["default"] + sum(content["gaps"].values()) == pytest.approx(100, abs=1e-6)
    for name, level in (("oracle_tracking", "tracking"), ("oracle_classification", "both")):
        entries = result_entries(tables, diagnosis.chain.levels[level], read)
        tracks = read_rows(entries, ground_truth)
        again = evaluate_tables(compute_overlaps(ground_truth, tracks)).AP
        assert again == (None if levels[name] is None else pytest.approx(levels[name], abs=1e-9))
    for event in diagnosis.failures():
        length = next(video.length for video in tables.videos if video.video_id == event.video)
        if event.start_frame is not None:
            assert 0 <= event.start_frame <= event.end_frame < length
    repr(diagnosis).encode()


def read_rows(entries, ground_truth):
    """Result entries as read results."""
    from mindthegap.formats import ResultRow, Results

    def encoded(mask):
        return None if mask is None else {"size": mask["size"], "counts": mask["counts"].encode()}

    rows = [
        ResultRow(
            i, e["video_id"], e["category_id"], e["score"], tuple(encoded(m) for m in e["segmentations"]), None, None
        )
        for i, e in enumerate(entries)
    ]
    return Results("oracle", tuple(rows))


@pytest.mark.timeout(120 + 2 * COUNT)
def test_mutated_files_are_refused_or_have_the_right_numbers(tmp_path, capsys):
    functional = pytest.importorskip("mmdet.evaluation.functional", reason="needs mmdet (the methods extra)")
    SEEN.clear()
    check_case(tmp_path, (functional.YTVIS, functional.YTVISeval))
    with capsys.disabled():
        print(f"\nfuzz: {dict(SEEN)}")
    assert SEEN["cases"] >= COUNT
    assert SEEN["with rows"] > COUNT // 10
    assert SEEN["with a defined AP"] > COUNT // 10
    assert SEEN["refused"] > COUNT // 20
