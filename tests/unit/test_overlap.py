"""Overlap tables equal what decoded masks give, whatever the number of workers."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from vis_sets import encode, make_set

from mindthegap.errors import MindTheGapError
from mindthegap.evaluation import compute_overlaps, intersections, load_tables, overlap, save_tables
from mindthegap.evaluation.cache import cache_key, cached_overlaps
from mindthegap.formats import kernel, masks, read_ground_truth, read_results
from mindthegap.formats.model import DecodedTrack

SEEDS = (1, 2, 5, 8, 13, 21, 40)


@pytest.fixture(autouse=True, params=["kernel", "numpy"])
def way(request, monkeypatch):
    """Every test by the compiled kernel and by numpy."""
    if request.param == "numpy":
        monkeypatch.setattr(kernel, "library", None)
    elif kernel.library is None:
        pytest.skip("the compiled kernel is not built here")


def read_set(folder, truth, results):
    """Writes and reads a set."""
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "r.json").write_text(json.dumps(results))
    ground_truth = read_ground_truth(folder / "gt.json")
    return ground_truth, read_results(folder / "r.json", ground_truth)


def pixels(mask, video):
    """A decoded mask, empty where absent."""
    return coco_mask.decode(mask).astype(bool) if mask else np.zeros((video.height, video.width), bool)


def assert_equal(one, other):
    """All fields of two sets of tables."""
    assert (one.category_ids, one.category_names, one.synthetic) == (
        other.category_ids,
        other.category_names,
        other.synthetic,
    )
    for a, b in zip(one.videos, other.videos, strict=True):
        for name, value in vars(a).items():
            np.testing.assert_array_equal(np.asarray(value), np.asarray(getattr(b, name)), strict=True)


@pytest.mark.parametrize("portion", [10, 200_000])
def test_tables_equal_decoded_masks(tmp_path, monkeypatch, portion):
    monkeypatch.setattr(intersections, "_RUNS_AT_ONCE", portion)
    for seed in SEEDS:
        ground_truth, results = read_set(tmp_path, *make_set(seed, many=seed == 40))
        for table in compute_overlaps(ground_truth, results).videos:
            video = next(v for v in ground_truth.videos if v.id == table.video_id)
            objects = [entry for entry in ground_truth.objects if entry.video_id == video.id]
            rows = [row for row in results.rows if row.video_id == video.id]
            assert table.row_index.tolist() == [row.index for row in rows]
            for i, row in enumerate(rows):
                q = table.row_query[i]
                for t in range(video.length):
                    own = pixels(row.segmentations[t], video)
                    assert table.query_area[t, q] == own.sum()
                    for g, entry in enumerate(objects):
                        other = pixels(entry.segmentations[t], video)
                        assert table.object_area[t, g] == other.sum()
                        assert table.intersection[t, q, g] == (own & other).sum()


def test_rows_with_the_same_masks_are_one_query(tmp_path):
    truth, _ = make_set(3)
    video = truth["videos"][0]
    mask = encode(np.ones((video["height"], video["width"]), bool))
    empty = encode(np.zeros((video["height"], video["width"]), bool))
    row = {"video_id": video["id"], "category_id": truth["categories"][0]["id"], "score": 0.5}
    tracks = [[mask] * video["length"], [None] * video["length"], [empty] * video["length"], [mask] * video["length"]]
    ground_truth, read = read_set(tmp_path, truth, [row | {"segmentations": track} for track in tracks])
    table = next(v for v in compute_overlaps(ground_truth, read).videos if v.video_id == video["id"])
    assert table.row_query.tolist() == [0, 1, 1, 0]
    assert table.query_area.shape == (video["length"], 2)


def test_overlapping_objects_are_each_measured_whole(tmp_path):
    shape = (9, 12)
    rng = np.random.default_rng(0)
    masks = [rng.random(shape) < 0.6 for _ in range(5)]
    video = {"id": 1, "height": 9, "width": 12, "length": 1, "file_names": ["a.jpg"]}
    fields = {"video_id": 1, "category_id": 1, "iscrowd": 0, "areas": [1]}
    annotations = [fields | {"id": i + 1, "segmentations": [encode(mask)]} for i, mask in enumerate(masks)]
    truth = {"videos": [video], "categories": [{"id": 1, "name": "x"}], "annotations": annotations}
    row = {"video_id": 1, "category_id": 1, "score": 1.0, "segmentations": [encode(masks[0])]}
    (table,) = compute_overlaps(*read_set(tmp_path, truth, [row])).videos
    assert table.intersection[0, 0].tolist() == [int((masks[0] & mask).sum()) for mask in masks]


def test_objects_like_interlocking_combs(tmp_path):
    line = np.arange(12 * 15).reshape(15, 12).T  # pixels in the order of run lengths
    combs = [line % 10 < 6, (line % 10 >= 5) | (line % 10 == 0), line % 20 < 13, line >= 0]
    video = {"id": 1, "height": 12, "width": 15, "length": 1, "file_names": ["a.jpg"]}
    fields = {"video_id": 1, "category_id": 1, "iscrowd": 0, "areas": [1]}
    annotations = [fields | {"id": i + 1, "segmentations": [encode(mask)]} for i, mask in enumerate(combs)]
    truth = {"videos": [video], "categories": [{"id": 1, "name": "x"}], "annotations": annotations}
    queries = [*combs, line % 3 == 0, line == 7]
    row = {"video_id": 1, "category_id": 1, "score": 1.0}
    rows = [row | {"segmentations": [encode(mask)]} for mask in queries]
    (table,) = compute_overlaps(*read_set(tmp_path, truth, rows)).videos
    assert table.intersection[0].tolist() == [[int((one & other).sum()) for other in combs] for one in queries]


def test_run_lengths_kept_from_reading_change_nothing(tmp_path, monkeypatch):
    for seed in SEEDS:
        made = make_set(seed, many=seed == 40)
        kept = read_set(tmp_path, *made)
        assert any(isinstance(row.segmentations, DecodedTrack) for row in kept[1].rows)
        with monkeypatch.context() as patch:
            patch.setattr(masks, "_KEPT_RUNS", 0)
            dropped = read_set(tmp_path, *made)
        assert not any(isinstance(row.segmentations, DecodedTrack) for row in dropped[1].rows)
        assert dropped == kept
        assert_equal(compute_overlaps(*dropped), compute_overlaps(*kept))


def test_frames_beyond_32_bits_of_pixels(tmp_path):
    side, length = 2**14, 10
    names = [f"{t}.jpg" for t in range(length)]
    video = {"id": 1, "height": side, "width": side, "length": length, "file_names": names}
    full = {"size": [side, side], "counts": [0, side * side]}
    part = {"size": [side, side], "counts": [7, 3, side * side - 10]}
    fields = {"id": 1, "video_id": 1, "category_id": 1, "iscrowd": 0, "areas": [9] * length}
    truth = {"videos": [video], "categories": [{"id": 1, "name": "x"}]}
    truth["annotations"] = [fields | {"segmentations": [full] * length}]
    row = {"video_id": 1, "category_id": 1, "score": 1.0}
    tracks = [[part] * length, [None] * 9 + [full], [full] * length]
    (table,) = compute_overlaps(*read_set(tmp_path, truth, [row | {"segmentations": track} for track in tracks])).videos
    assert table.intersection[:, 0, 0].tolist() == [3] * length
    assert table.intersection[:, 1, 0].tolist() == [0] * 9 + [side * side]
    assert table.query_area[:, 2].tolist() == [side * side] * length


def test_workers_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(overlap, "_MASKS_PER_PROCESS", 1)
    ground_truth, results = read_set(tmp_path, *make_set(21))
    assert len(ground_truth.videos) > 1
    assert_equal(
        compute_overlaps(ground_truth, results), compute_overlaps(ground_truth, results, workers=2, progress=True)
    )


def test_too_large_tables_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(overlap, "_MAX_CELLS", 3)
    with pytest.raises(MindTheGapError, match="keep the best-scored rows"):
        compute_overlaps(*read_set(tmp_path, *make_set(21)))


def test_tables_are_kept_by_content(tmp_path):
    truth, results = make_set(21)
    for entry in truth["annotations"]:
        entry["occlusion"] = [None] * len(entry["segmentations"])
    tables = compute_overlaps(*read_set(tmp_path, truth, results))
    paths = tmp_path / "gt.json", tmp_path / "r.json"
    first = cached_overlaps(*paths, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    assert_equal(first, tables)
    assert_equal(load_tables(kept), tables)
    assert_equal(cached_overlaps(*paths, tmp_path / "cache"), tables)
    key = cache_key(*paths)
    paths[1].write_text(paths[1].read_text() + " ")
    assert cache_key(*paths) != key


def test_damaged_kept_tables_are_made_anew(tmp_path):
    tables = compute_overlaps(*read_set(tmp_path, *make_set(21)))
    path = tmp_path / f"overlaps-{cache_key(tmp_path / 'gt.json', tmp_path / 'r.json')}.npz"
    save_tables(path, tables)
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:200] + b"xxxx" + whole[204:]):
        path.write_bytes(damaged)
        assert load_tables(path) is None
        assert_equal(cached_overlaps(tmp_path / "gt.json", tmp_path / "r.json", tmp_path), tables)
        assert load_tables(path) is not None
