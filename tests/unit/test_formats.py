"""Reading ground truth and results: what is accepted, and one sentence for everything that is not."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from vis_sets import encode, uncompressed

from mindthegap.errors import InputError
from mindthegap.formats import Problems, check_ground_truth, check_results, read_ground_truth, read_results

SHAPE = (6, 8)
SQUARE = np.zeros(SHAPE, bool)
SQUARE[1:4, 2:6] = True
NOTHING = np.zeros(SHAPE, bool)


def truth(**changes):
    """A small valid ground truth: one video of three frames, one object."""
    annotation = {"id": 1, "video_id": 5, "category_id": 3, "iscrowd": 0}
    annotation |= {"segmentations": [encode(SQUARE), None, encode(SQUARE)], "areas": [12, None, 12]}
    video = {"id": 5, "height": 6, "width": 8, "length": 3, "file_names": ["v/0.jpg", "v/1.jpg", "v/2.jpg"]}
    return {"videos": [video], "categories": [{"id": 3, "name": "dog"}], "annotations": [annotation]} | changes


def row(**changes):
    """A valid result row."""
    masks = [encode(SQUARE), None, encode(NOTHING)]
    return {"video_id": 5, "category_id": 3, "score": 0.5, "segmentations": masks} | changes


def write(path, value):
    """Writes a JSON file and returns its path."""
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def read_both(tmp_path, gt, rows, **options):
    """Reads ground truth and results from files."""
    ground_truth = read_ground_truth(write(tmp_path / "gt.json", gt), **options)
    return ground_truth, read_results(write(tmp_path / "r.json", rows), ground_truth, **options)


def with_mask(mask):
    """A ground truth whose first mask is ``mask``."""
    gt = truth()
    gt["annotations"][0]["segmentations"][0] = mask
    return gt


def test_valid_files_are_read_as_they_stand(tmp_path):
    gt = truth(info={"synthetic": True})
    gt["annotations"][0]["occlusion"] = ["no_occlusion", None, "severe_occlusion"]
    ground_truth, results = read_both(tmp_path, gt, [row(query_id=7, frame_scores=[0.1, 0, 1]), row(query_id="a")])
    assert ground_truth.synthetic
    video, entry = ground_truth.videos[0], ground_truth.objects[0]
    assert (video.name, video.height, video.width, video.length, video.file_names[1]) == ("v", 6, 8, 3, "v/1.jpg")
    assert (entry.id, entry.category_id, entry.iscrowd, entry.areas) == (1, 3, False, (12.0, None, 12.0))
    assert entry.occlusion == ("no_occlusion", None, "severe_occlusion")
    np.testing.assert_array_equal(coco_mask.decode(entry.segmentations[0]), SQUARE)
    first, second = results.rows
    assert (first.index, first.query_id, first.frame_scores, second.query_id) == (0, 7, (0.1, 0.0, 1.0), "a")
    assert first.segmentations[1] is None
    assert coco_mask.area(first.segmentations[2]) == 0


def test_every_form_of_a_mask_gives_the_same_bytes(tmp_path):
    plain = uncompressed(SQUARE)
    padded = {"size": [6, 8], "counts": [0, 0, *plain["counts"][:1], 0, 0, *plain["counts"][1:], 0]}
    corners = [[2, 1, 6, 1, 6, 4, 2, 4]]
    forms = enumerate((encode(SQUARE), plain, padded, corners))
    files = [write(tmp_path / f"gt{i}.json", with_mask(mask)) for i, mask in forms]
    masks = [read_ground_truth(file).objects[0].segmentations[0] for file in files]
    assert masks[0]["counts"] == encode(SQUARE)["counts"].encode()
    assert masks[1:] == [masks[0]] * 3


@pytest.mark.parametrize("absent", [None, {}, []])
def test_absent_masks(tmp_path, absent):
    assert read_ground_truth(write(tmp_path / "gt.json", with_mask(absent))).objects[0].segmentations[0] is None


def test_byte_order_mark_and_empty_results(tmp_path):
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(truth()), encoding="utf-8-sig")
    ground_truth = read_ground_truth(path)
    assert read_results(write(tmp_path / "r.json", []), ground_truth).rows == ()


def changed(value, path, new):
    """``value`` with the entry at ``path`` replaced, or deleted where ``new`` is ``...``."""
    target = value
    for key in path[:-1]:
        target = target[key]
    if new is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = new
    return value


HUGE = {"size": [6, 8], "counts": [2**40, 1]}
BAD_TRUTHS = [
    (("videos",), ..., "videos"),
    (("annotations",), None, "annotations"),
    (("annotations",), {"a": 1}, "annotations"),
    (("videos", 0), [], "videos[0]"),
    (("videos", 0, "height"), "6", "videos[0].height"),
    (("videos", 0, "height"), True, "videos[0].height"),
    (("videos", 0, "width"), 0, "videos[0].width"),
    (("videos", 0, "width"), 10**30, "videos[0].width"),
    (("videos", 0, "height"), 2**40, "videos[0]"),
    (("videos", 0, "length"), 4, "videos[0].length"),
    (("videos", 0, "file_names"), "v", "videos[0].file_names"),
    (("videos", 0, "file_names", 1), 3, "videos[0].file_names[1]"),
    (("videos", 0, "file_names", 1), "\ud800", "videos[0].file_names[1]"),
    (("categories", 0, "name"), None, "categories[0].name"),
    (("annotations", 0, "id"), 0, "annotations[0].id"),
    (("annotations", 0, "id"), ..., "annotations[0].id"),
    (("annotations", 0, "id"), 1.5, "annotations[0].id"),
    (("annotations", 0, "video_id"), 6, "annotations[0].video_id"),
    (("annotations", 0, "category_id"), 9, "annotations[0].category_id"),
    (("annotations", 0, "iscrowd"), ..., "annotations[0].iscrowd"),
    (("annotations", 0, "iscrowd"), 2, "annotations[0].iscrowd"),
    (("annotations", 0, "areas"), ..., "annotations[0].areas"),
    (("annotations", 0, "areas", 2), -1, "annotations[0].areas[2]"),
    (("annotations", 0, "areas", 2), float("nan"), "annotations[0].areas[2]"),
    (("annotations", 0, "areas"), [1, 2], "annotations[0].areas"),
    (("annotations", 0, "segmentations"), {}, "annotations[0].segmentations"),
    (("annotations", 0, "segmentations"), [None], "annotations[0].segmentations"),
    (("annotations", 0, "segmentations", 2), "abc", "annotations[0].segmentations[2]"),
    (("annotations", 0, "segmentations", 2), False, "annotations[0].segmentations[2]"),
    (("annotations", 0, "segmentations", 2, "size"), [8, 6], "annotations[0].segmentations[2].size"),
    (("annotations", 0, "segmentations", 2, "size"), None, "annotations[0].segmentations[2].size"),
    (("annotations", 0, "segmentations", 2, "counts"), "é", "annotations[0].segmentations[2].counts"),
    (("annotations", 0, "segmentations", 2, "counts"), "8o", "annotations[0].segmentations[2].counts"),
    (("annotations", 0, "segmentations", 2, "counts"), "84", "annotations[0].segmentations[2].counts"),
    (("annotations", 0, "segmentations", 2, "counts"), [48.0], "annotations[0].segmentations[2].counts"),
    (("annotations", 0, "segmentations", 2, "counts"), [47, True], "annotations[0].segmentations[2].counts"),
    (("annotations", 0, "segmentations", 2), HUGE, "annotations[0].segmentations[2].counts"),
    (("annotations", 0, "segmentations", 2), [[1, 2, 3, 4]], "annotations[0].segmentations[2][0]"),
    (("annotations", 0, "segmentations", 2), [[1, 2, 3, 4, 5, 1e9]], "annotations[0].segmentations[2][0]"),
    (("annotations", 0, "segmentations", 2), [[1, 2, 3, 4, 5, float("inf")]], "annotations[0].segmentations[2][0]"),
    (("annotations", 0, "segmentations", 2), [1, 2, 3, 4], "annotations[0].segmentations[2][0]"),
    (("annotations", 0, "occlusion"), ["no_occlusion"], "annotations[0].occlusion"),
    (("annotations", 0, "occlusion"), ["much", None, None], "annotations[0].occlusion[0]"),
    (("annotations", 0, "occlusion"), [["no_occlusion"], None, None], "annotations[0].occlusion[0]"),
]
BAD_ROWS = [
    ((0,), 3, "[0]"),
    ((0, "video_id"), 6, "[0].video_id"),
    ((0, "video_id"), "5", "[0].video_id"),
    ((0, "category_id"), 9, "[0].category_id"),
    ((0, "score"), float("nan"), "[0].score"),
    ((0, "score"), float("-inf"), "[0].score"),
    ((0, "score"), 10**400, "[0].score"),
    ((0, "score"), True, "[0].score"),
    ((0, "score"), ..., "[0].score"),
    ((0, "segmentations"), ..., "[0].segmentations"),
    ((0, "segmentations"), [None] * 4, "[0].segmentations"),
    ((0, "segmentations", 0, "size"), [7, 8], "[0].segmentations[0].size"),
    ((0, "segmentations", 0, "counts"), "", "[0].segmentations[0].counts"),
    ((0, "query_id"), 1.5, "[0].query_id"),
    ((0, "frame_scores"), [1], "[0].frame_scores"),
    ((0, "frame_scores"), [1, None, 2], "[0].frame_scores[1]"),
]


@pytest.mark.parametrize(("path", "new", "place"), BAD_TRUTHS)
def test_bad_ground_truth_is_one_sentence_with_its_place(tmp_path, path, new, place):
    file = write(tmp_path / "gt.json", changed(truth(), path, new))
    with pytest.raises(InputError) as caught:
        read_ground_truth(file)
    assert caught.value.place == place
    assert str(caught.value).startswith(f"{file}: {place}: ")
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize(("path", "new", "place"), BAD_ROWS)
def test_bad_results_are_one_sentence_with_their_place(tmp_path, path, new, place):
    with pytest.raises(InputError) as caught:
        read_both(tmp_path, truth(), changed([row()], path, new))
    assert caught.value.place == place
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[", "{} x", "3", "null", '{"videos": 1' + "0" * 5000 + "}", "[" * 100_000])
def test_files_that_are_no_such_json(tmp_path, text):
    ground_truth = read_ground_truth(write(tmp_path / "gt.json", truth()))
    file = write(tmp_path / "bad.json", text)
    with pytest.raises(InputError, match=r"bad\.json"):
        read_ground_truth(file)
    with pytest.raises(InputError, match=r"bad\.json"):
        read_results(file, ground_truth)


def test_duplicate_ids(tmp_path):
    for section in ("videos", "categories", "annotations"):
        gt = truth()
        gt[section].append(gt[section][0])
        with pytest.raises(InputError, match=r"already the id of") as caught:
            read_ground_truth(write(tmp_path / "gt.json", gt))
        assert caught.value.place == f"{section}[1].id"


def test_all_problems_are_collected_each_with_its_place(tmp_path):
    gt = truth()
    for path, new, _ in BAD_TRUTHS[4:]:
        if path[0] == "annotations" and len(path) > 2:
            one = changed(truth(), path, new)["annotations"][0]
            gt["annotations"].append(one if path[2] == "id" else one | {"id": len(gt["annotations"]) + 10})
    problems = Problems("gt.json", collect=True)
    read = check_ground_truth(write(tmp_path / "gt.json", gt), problems)
    assert len(problems.found) == len(gt["annotations"]) - 1
    assert {entry.place.split(".")[0] for entry in problems.found} == {
        f"annotations[{i}]" for i in range(1, len(gt["annotations"]))
    }
    rows = [row(score=float("nan")), row(), row(video_id=8), row(segmentations=[None])]
    problems = Problems("r.json", collect=True)
    found = check_results(write(tmp_path / "r.json", rows), read, problems)
    assert [entry.place for entry in problems.found] == ["[0].score", "[2].video_id", "[3].segmentations"]
    assert 1 in {entry.index for entry in found.rows}


def test_one_problem_of_an_entry_hides_no_other(tmp_path):
    gt = truth()
    entry = gt["annotations"][0]
    entry |= {"category_id": 9, "iscrowd": 5, "areas": [-1, "x", None], "occlusion": ["much", None, "more"]}
    entry["segmentations"] = ["a", None, "b"]
    gt["videos"][0]["file_names"] = ["a", 1, 2]
    gt["videos"].append({**gt["videos"][0], "id": 9})
    gt["videos"][0]["file_names"] = ["a", "b", "c"]
    problems = Problems("gt.json", collect=True)
    read = check_ground_truth(write(tmp_path / "gt.json", gt), problems)
    places = ("category_id", "iscrowd", "areas[0]", "areas[1]", "occlusion[0]", "occlusion[2]")
    places += ("segmentations[0]", "segmentations[2]")
    expected = {f"annotations[0].{place}" for place in places}
    assert {e.place for e in problems.found} == expected | {f"videos[1].file_names[{i}]" for i in (1, 2)}
    bad = row(category_id=8, score="x", frame_scores=[None, 1, "y"], segmentations=[1, None, 2], query_id=[])
    problems = Problems("r.json", collect=True)
    check_results(write(tmp_path / "r.json", [bad]), read, problems)
    places = ("category_id", "score", "query_id", "frame_scores[0]", "frame_scores[2]")
    assert {e.place for e in problems.found} == {
        f"[0].{place}" for place in (*places, "segmentations[0]", "segmentations[2]")
    }


def test_results_on_refused_videos_are_not_reported_twice(tmp_path):
    gt = changed(truth(), ("videos", 0, "length"), 9)
    problems = Problems("gt.json", collect=True)
    read = check_ground_truth(write(tmp_path / "gt.json", gt), problems)
    assert [entry.place for entry in problems.found] == ["videos[0].length"]
    again = Problems("r.json", collect=True)
    check_results(write(tmp_path / "r.json", [row()]), read, again, refused=problems.refused)
    assert again.found == []


def test_official_quirks_accept_what_the_official_evaluator_takes(tmp_path):
    gt = changed(truth(), ("annotations", 0, "id"), 0)
    gt["annotations"][0]["segmentations"].pop()
    other = encode(np.ones((3, 3), bool))
    rows = [row(category_id=77), row(segmentations=[other]), row(segmentations=[None] * 5)]
    ground_truth, results = read_both(tmp_path, gt, rows, official_quirks=True)
    assert ground_truth.objects[0].id == 0
    assert [len(entry.segmentations) for entry in results.rows] == [3, 1, 5]
    assert results.rows[1].segmentations[0]["size"] == [3, 3]
    for wrong in (row(score=float("nan")), row(video_id=1), row(segmentations=[{"size": [3, 3], "counts": "8"}])):
        with pytest.raises(InputError):
            read_both(tmp_path, gt, [wrong], official_quirks=True)
