"""Mutated files: read, or refused in one sentence; never a traceback, a hang or a wrong number.

The number of mutations is modest by default; ``MINDTHEGAP_FUZZ=10000`` sets it.
"""

import json
import os
import random
import signal

import numpy as np
import pytest
from mutations import damage, mutate
from pycocotools import mask as coco_mask
from vis_sets import make_set

from mindthegap.errors import InputError
from mindthegap.evaluation import compute_overlaps, evaluate_tables
from mindthegap.formats import Problems, check_ground_truth, check_results, read_ground_truth, read_results

COUNT = int(os.environ.get("MINDTHEGAP_FUZZ", "400"))
SECONDS = 10


def reference_iou(row, entry):
    """Track IoU of decoded masks."""
    shared = union = 0
    for one, other in zip(row.segmentations, entry.segmentations, strict=True):
        a, b = (np.zeros(1, bool) if mask is None else coco_mask.decode(mask).astype(bool) for mask in (one, other))
        shared, union = shared + int((a & b).sum()), union + int((a | b).sum())
    return shared / union if union else 0.0


def check_numbers(ground_truth, results):
    """Compares the IoU of every row and object with that of decoded masks, and the AP's range."""
    tables = compute_overlaps(ground_truth, results)
    rows = {row.index: row for row in results.rows}
    objects = {entry.id: entry for entry in ground_truth.objects}
    for video in tables.videos:
        shared = video.intersection.sum(axis=0)
        union = video.query_area.sum(axis=0)[:, None] + video.object_area.sum(axis=0) - shared
        for index, query in zip(video.row_index.tolist(), video.row_query.tolist(), strict=True):
            for g, number in enumerate(video.object_id.tolist()):
                expected = reference_iou(rows[index], objects[number])
                assert (shared[query, g] / union[query, g] if union[query, g] else 0.0) == expected
    evaluation = evaluate_tables(tables)
    assert evaluation.AP is None or 0 <= evaluation.AP <= 100
    json.dumps(evaluation.to_dict(), allow_nan=False).encode("utf-8")


def run_case(seed, folder):
    """Reads one mutated pair of files strictly, collecting, and with quirks; returns whether it was accepted."""
    rng = random.Random(seed)
    truth, results = make_set(rng.randrange(12))
    if rng.random() < 0.5:
        truth = mutate(truth, rng)
    else:
        results = mutate(results, rng)
    for name, value in (("gt.json", truth), ("r.json", results)):
        text = json.dumps(value)
        broken = rng.random() < 0.1
        (folder / name).write_bytes(damage(text, rng) if broken else text.encode())
    problems = Problems("gt.json", collect=True)
    try:
        partial = check_ground_truth(folder / "gt.json", problems)
        check_results(folder / "r.json", partial, problems, refused=problems.refused)
    except InputError as error:
        str(error).encode()
        problems.add("file", "", "cannot be read", "")
    sentence = strict(folder)
    assert bool(sentence) == bool(problems.found), "the strict and the collecting reader disagree"
    assert "\n" not in sentence
    sentence.encode()
    if sentence:
        quirky(folder)
    return not sentence


def strict(folder):
    """Reads strictly and checks the numbers, or returns the sentence that refuses the files."""
    try:
        ground_truth = read_ground_truth(folder / "gt.json")
        read = read_results(folder / "r.json", ground_truth)
    except InputError as error:
        return str(error)
    check_numbers(ground_truth, read)
    return ""


def quirky(folder):
    """Evaluates refused files with official quirks, which take some of them."""
    try:
        ground_truth = read_ground_truth(folder / "gt.json", official_quirks=True)
        read = read_results(folder / "r.json", ground_truth, official_quirks=True)
    except InputError:
        return
    evaluation = evaluate_tables(compute_overlaps(ground_truth, read, official_quirks=True))
    assert evaluation.AP is None or 0 <= evaluation.AP <= 100


@pytest.mark.timeout(60 + COUNT)
def test_mutated_files_are_read_or_refused(tmp_path):
    def late(*_):
        raise TimeoutError

    accepted = 0
    before = signal.signal(signal.SIGALRM, late)
    try:
        for seed in range(COUNT):
            signal.alarm(SECONDS)
            try:
                accepted += run_case(seed, tmp_path)
            except BaseException as error:
                raise AssertionError(f"mutation {seed}: {error!r}") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert COUNT // 50 < accepted < COUNT, "the mutations should leave some files valid and spoil others"
