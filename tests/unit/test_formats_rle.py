"""Run-length encodings: equal to pycocotools, and safe where pycocotools is not."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from mindthegap.formats import rle


def random_masks(count, seed=0):
    """Masks of many shapes and densities, with their compressed strings."""
    rng = np.random.default_rng(seed)
    masks = [rng.random(rng.integers(1, 60, 2)) < rng.choice([0, 0.05, 0.5, 1]) for _ in range(count)]
    masks.append(np.zeros((400, 700), bool))
    masks.append(np.kron(rng.random((20, 30)) < 0.3, np.ones((17, 19))) > 0)
    return masks, [coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] for mask in masks]


def runs_of(counts):
    """Runs of one mask."""
    return rle.Runs(np.array(counts, np.int32), np.array([0, len(counts)]))


def test_decoding_and_encoding_equal_pycocotools():
    masks, strings = random_masks(300)
    runs, problems = rle.decode(strings)
    assert problems == {}
    assert rle.check(runs, np.array([mask.size for mask in masks])) == {}
    assert [int(runs.only(i).counts[1::2].sum()) for i in range(runs.masks)] == [int(mask.sum()) for mask in masks]
    assert rle.encode(runs) == strings
    assert rle.not_canonical(runs, strings) == []


def test_decoding_does_not_depend_on_neighbours():
    _, strings = random_masks(40, seed=3)
    together, _ = rle.decode(strings)
    for i, text in enumerate(strings):
        np.testing.assert_array_equal(rle.decode([text])[0].counts, together.only(i).counts)


def test_malformed_strings_are_named_and_the_others_decoded():
    good = coco_mask.encode(np.asfortranarray(np.eye(9, dtype=np.uint8)))["counts"]
    strings = [good, b"P", b"\x00", good, b"PPPPPPPP0", b"", b"1\xff"]
    runs, problems = rle.decode(strings)
    assert problems == {1: rle.TRUNCATED, 2: rle.BAD_CHARACTER, 4: rle.TOO_LONG, 6: rle.BAD_CHARACTER}
    for i in (0, 3):
        np.testing.assert_array_equal(runs.only(i).counts, rle.decode([good])[0].counts)
    assert all(runs.only(i).counts.size == 0 for i in (1, 2, 4, 5, 6))


def test_check_finds_runs_that_do_not_fill_the_frame_and_negative_runs():
    runs, problems = rle.decode([rle.encode(runs_of([3, 2]))[0], rle.encode(runs_of([3, 3, 4, -1]))[0], b""])
    assert problems == {}
    short, empty = (rle.WRONG_SUM.format(found=found, expected=expected) for found, expected in ((5, 6), (0, 4)))
    assert rle.check(runs, np.array([6, 9, 4])) == {0: short, 1: rle.NEGATIVE, 2: empty}


def test_equal_masks_get_equal_runs():
    for counts in ([0, 2, 0, 3, 4], [0, 5, 4, 0], [0, 5, 4, 0, 0], [0, 1, 0, 1, 0, 3, 4]):
        runs = runs_of(counts)
        assert rle.not_canonical(runs, rle.encode(runs)) == [0]
        assert rle.canonical(runs).counts.tolist() == [0, 5, 4]
    assert rle.canonical(runs_of([2, 0, 3, 4])).counts.tolist() == [5, 4]
    assert rle.canonical(runs_of([0, 0, 9])).counts.tolist() == [9]


def test_needlessly_long_numbers_are_found():
    text = rle.encode(runs_of([5, 4]))[0]
    longer = bytes([text[0] + 32, 48]) + text[1:]  # 5 in two groups
    runs, problems = rle.decode([longer])
    assert problems == {}
    assert runs.counts.tolist() == [5, 4]
    assert rle.not_canonical(runs, [longer]) == [0]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**28), min_size=1, max_size=12), min_size=1, max_size=6))
def test_any_runs_survive_encoding(lists):
    first = np.concatenate([[0], np.cumsum([len(counts) for counts in lists])])
    runs = rle.Runs(np.array([n for counts in lists for n in counts], np.int32), first)
    decoded, problems = rle.decode(rle.encode(runs))
    assert problems == {}
    np.testing.assert_array_equal(decoded.counts, runs.counts)
    np.testing.assert_array_equal(decoded.first, runs.first)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_any_bytes_are_decoded_or_refused(strings):
    runs, problems = rle.decode(strings)
    assert runs.masks == len(strings)
    for i, text in enumerate(strings):
        if i in problems:
            assert runs.only(i).counts.size == 0
        else:
            again = rle.encode(runs.only(i))[0]
            assert rle.decode([again])[0].counts.tolist() == runs.only(i).counts.tolist()
            assert len(again) <= len(text)
