"""The compiled kernel, numpy and pycocotools give the same numbers, and no library is used that could give others."""

import ctypes
import os
import shutil
from contextlib import nullcontext
from importlib.machinery import EXTENSION_SUFFIXES
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from test_formats_fuzz import run_case

from mindthegap.evaluation import intersections
from mindthegap.evaluation.intersections import MaskSet, overlaps
from mindthegap.formats import kernel, rle

needs_kernel = pytest.mark.skipif(kernel.library is None, reason="the compiled kernel is not built here")
KINDS = ("noise", "empty", "full", "comb", "teeth", "left", "right", "pixel")


def without_kernel():
    """Sends all work to numpy."""
    return patch.object(kernel, "library", None)


def drawn(kind, shape, rng):
    """A mask: sparse or dense noise, nothing, everything, stripes of columns or of rows, halves that touch, a pixel."""
    mask = np.zeros(shape, bool)
    if kind == "noise":
        return rng.random(shape) < rng.choice([0.05, 0.5, 0.9])
    if kind == "comb":
        mask[:, :: rng.integers(1, 4)] = True
    elif kind == "teeth":
        mask[rng.integers(0, 2) :: 2] = True
    elif kind == "left":
        mask[:, : shape[1] // 2] = True
    elif kind == "right":
        mask[:, shape[1] // 2 :] = True
    elif kind == "pixel":
        mask[rng.integers(shape[0]), rng.integers(shape[1])] = True
    return ~mask if kind == "full" else mask


def encoded(mask):
    """Compressed run lengths."""
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]


def mask_set(present, strings, pixels, *, decoded):
    """The tracks, as they come from a file: with their runs, or as strings alone."""
    if not decoded:
        return MaskSet(present, strings, None)
    runs = []
    for texts in strings:
        read, problems, changed = rle.read(texts, np.full(len(texts), pixels))
        assert not problems
        assert not changed
        runs.append(read)
    return MaskSet(present, (), runs)


@needs_kernel
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    length=st.integers(1, 4),
    tracks=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    portion=st.sampled_from([1, 40, 1_000_000]),
)
def test_tables_equal_numpy_and_pycocotools(seed, shape, length, tracks, portion):
    rng = np.random.default_rng(seed)
    masks = [[[drawn(rng.choice(KINDS), shape, rng) for _ in range(length)] for _ in range(n)] for n in tracks]
    present = [rng.random((n, length)) < 0.7 for n in tracks]
    strings = [
        [[encoded(mask) for mask, there in zip(*pair, strict=True) if there] for pair in zip(*each, strict=True)]
        for each in zip(masks, present, strict=True)
    ]
    found = []
    for decoded in (False, True):
        for way in (nullcontext(), without_kernel()):
            with way, patch.object(intersections, "_RUNS_AT_ONCE", portion):
                sides = [
                    mask_set(*each, shape[0] * shape[1], decoded=decoded) for each in zip(present, strings, strict=True)
                ]
                found.append(overlaps(*sides, length, shape[0] * shape[1]))
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same, strict=True)
    query_area, object_area, shared = found[0]
    for t, q in np.ndindex(length, tracks[0]):
        one = {"size": list(shape), "counts": encoded(masks[0][q][t] & present[0][q, t])}
        assert query_area[t, q] == coco_mask.area(one)
        for g in range(tracks[1]):
            other = {"size": list(shape), "counts": encoded(masks[1][g][t] & present[1][g, t])}
            assert object_area[t, g] == coco_mask.area(other)
            assert shared[t, q, g] == coco_mask.area(coco_mask.merge([one, other], intersect=True))


def same_reading(strings, pixels):
    """Reads strings both ways, compares everything that was found, and returns it."""
    found = rle.read(strings, pixels)
    with without_kernel():
        expected = rle.read(strings, pixels)
    np.testing.assert_array_equal(found[0].counts, expected[0].counts, strict=True)
    np.testing.assert_array_equal(found[0].first, expected[0].first, strict=True)
    assert found[1:] == expected[1:]
    return found


TEXT = st.binary(max_size=30) | st.lists(st.integers(48, 111), max_size=30).map(bytes)
SMALL = st.lists(st.sampled_from([*range(48, 56), 63, 64, 80, 95, 111]), max_size=24).map(bytes)


@needs_kernel
@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(TEXT | SMALL, st.integers(0, 40)), max_size=5))
def test_any_bytes_are_read_as_by_numpy(masks):
    same_reading([text for text, _ in masks], np.array([pixels for _, pixels in masks], np.int64))


@needs_kernel
@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**28), min_size=1, max_size=12), st.integers(0, 200))
def test_runs_of_large_frames_are_read_as_by_numpy(counts, cut):
    (text,) = rle.encode(rle.Runs(np.array(counts, np.int32), np.array([0, len(counts)])))
    runs, problems, changed = same_reading([text], np.array([sum(counts)]))
    assert (runs.counts.tolist(), problems, changed) == (counts, {}, [0] if 0 in counts[1:] else [])
    same_reading([text[:cut], text], np.array([sum(counts), sum(counts) + 1]))


@needs_kernel
def test_every_mistake_has_its_sentence():
    strings = [b"", b"8 ", b"8P", b"PPPPPPPP0", b"64", b"64", b"1O", b"T04", b"3031"]
    _, problems, changed = same_reading(strings, np.array([4, 8, 8, 8, 10, 11, 0, 8, 7]))
    assert problems == {
        0: rle.WRONG_SUM.format(found=0, expected=4),
        1: rle.BAD_CHARACTER,
        2: rle.TRUNCATED,
        3: rle.TOO_LONG,
        5: rle.WRONG_SUM.format(found=10, expected=11),
        6: rle.NEGATIVE,
    }
    assert changed == [7, 8]


@needs_kernel
def test_sums_that_wrap_around_are_negative_or_wrong():
    most = 2**29 - 1
    text = rle.encode(rle.Runs(np.array([0, most, 0, 2 * most], np.int32), np.array([0, 4])))[0]
    for repeats in range(1, 12):
        _, problems, _ = same_reading([text + text[-6:] * repeats], np.array([2**28]))
        assert problems


@needs_kernel
def test_runs_that_leave_their_frame_are_refused_by_the_kernel():
    present = np.ones((1, 1), bool)
    for counts in ([3, 2], [3, 9], [3, -1, 8], [2**31 - 1, 2**31 - 1]):
        runs = rle.Runs(np.array(counts, np.int32), np.array([0, len(counts)]))
        with pytest.raises(ValueError, match="leave their frame"):
            overlaps(MaskSet(present, (), [runs]), MaskSet(present[:0], (), []), 1, 10)


def test_without_the_kernel_mutated_files_are_read_or_refused(tmp_path):
    with without_kernel():
        accepted = {seed for seed in (*range(12), 41, 81, 127, 140) if run_case(seed, tmp_path)}
    assert accepted == {41, 81, 127, 140}


@needs_kernel
def test_only_a_library_of_this_source_is_used(tmp_path):
    source, library = tmp_path / "_runs.c", tmp_path / f"_runs{EXTENSION_SUFFIXES[0]}"
    assert kernel.load(tmp_path, source) is None
    library.write_bytes(b"no library")
    assert kernel.load(tmp_path, source) is None
    library.unlink()
    shutil.copy(kernel.library._name, library)
    assert isinstance(kernel.load(tmp_path, source), ctypes.CDLL)
    source.write_text("")
    os.utime(source, ns=(0, library.stat().st_mtime_ns + 1_000_000_000))
    assert kernel.load(tmp_path, source) is None
    source.unlink()
    with patch.object(kernel, "_VERSION", 0):
        assert kernel.load(tmp_path, source) is None
    with without_kernel():
        assert "numpy in use" in kernel.description()
    assert kernel.description() == "compiled kernel in use"
