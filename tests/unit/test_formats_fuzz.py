"""Mutated files: read, or refused in one sentence; never a traceback, a hang or a wrong number.

The number of mutations is modest by default; ``MINDTHEGAP_FUZZ=10000`` sets it.
"""

import copy
import json
import os
import random
import signal
import string

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from vis_sets import make_set

from mindthegap.errors import InputError
from mindthegap.evaluation import compute_overlaps, evaluate_tables
from mindthegap.formats import Problems, check_ground_truth, check_results, read_ground_truth, read_results

COUNT = int(os.environ.get("MINDTHEGAP_FUZZ", "400"))
SECONDS = 10
VALUES = [
    *(None, True, False, 0, -1, 1, 2, 0.5, 1e308, 10**30, -(10**400), 2**31, 2**63),
    *(float("nan"), float("inf"), "", "0", "\ud800", "a\nb", [], {}, [[]], [None], [1, 2, 3, 4], {"counts": "1"}),
    *({"size": [2, 2], "counts": [4]}, {"size": [1, 1], "counts": "P"}, [[0, 0, 1, 0, 1, 1]], [0] * 50),
]


def places(value, path=()):
    """Paths of all values inside a JSON value."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from places(entry, (*path, key))


def get(value, path):
    """The entry at ``path``."""
    for key in path:
        value = value[key]
    return value


def mutate(value, rng):
    """Changes one to three places of a JSON value: replaced, deleted, copied, or a text or number disturbed."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        every = list(places(value))[1:]
        if not every:
            return value
        path = rng.choice(every)
        holder, key = get(value, path[:-1]), path[-1]
        kind = rng.randrange(5)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif kind == 2:
            holder[key] = copy.deepcopy(get(value, rng.choice(every)))
        elif kind == 3 and isinstance(holder[key], str | int | float) and not isinstance(holder[key], bool):
            holder[key] = disturb(holder[key], rng)
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return value


def disturb(value, rng):
    """A slightly different text or number."""
    if not isinstance(value, str):
        return value + rng.choice([-1, 1, 0.5, -value, value])
    at = rng.randrange(len(value) + 1)
    letter = rng.choice(string.printable + "ü\x00")
    return value[:at] + rng.choice(["", letter, letter + value[at : at + 1]]) + value[at + 1 :]


def damage(text, rng):
    """Damages the bytes of a file: cut off, a byte flipped, a slice repeated."""
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    at = rng.randrange(len(data))
    kind = rng.randrange(3)
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        data[at] ^= 1 << rng.randrange(8)
        return bytes(data)
    return bytes(data[:at] + data[max(0, at - rng.randrange(1, 60)) :])


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
