"""Attributes by hand, bins at their edges, and strata as ground-truth sets of their own."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from failure_clips import HEIGHT, WIDTH, clip, draw, relink, tables_of
from pycocotools import mask as mask_api

from mindthegap.failures import object_shares
from mindthegap.formats import GroundTruth, ObjectTrack, Video
from mindthegap.strata import (
    BINNINGS,
    Binning,
    boxes_of,
    member_frame,
    object_attributes,
    quantile_binning,
    restrict,
    strata,
    strata_frame,
    video_attributes,
)
from mindthegap.strata.motion import (
    aspect_change,
    crossings,
    frame_overlap_rates,
    hidden_shares,
    motion_iou,
    relative_speed,
    scale_change,
)


def path(*lefts: float, width: float = 4) -> np.ndarray:
    """Boxes ``[T, 4]`` of the given left edges, 4 pixels high; None leaves a frame empty."""
    return np.array([[left, 0, width, 4] if left is not None else [np.nan] * 4 for left in lefts], dtype=float)


def test_object_attributes_by_hand():
    entry = clip(["..A4.A2.A.", "B12", ("C12", 2), "Z12"], ["A12"], severe={0: "..xxnn.nn.n."}, crowd=(3,))
    frame = object_attributes(tables_of(entry.video())).set_index("object_id")
    first = frame.loc[101]
    assert (first.frames_present, first.frames_hull, first.absences) == (7, 9, 2)
    assert (first.mean_area_px, first.relative_area) == (36, 36 / (HEIGHT * WIDTH))
    assert first.occlusion_score == (2 * 0.75 + 4 * 0) / 6  # every one of the twelve frames carries a level here
    assert frame.same_class_neighbours.tolist() == [1.0, 7 / 12, 0.0]  # the crowd object is no neighbour
    assert frame.index.tolist() == [101, 102, 103]
    assert frame.occlusion_score.isna().tolist() == [False, True, True]
    assert frame[["speed", "motion_iou", "crossings", "overlap_rate"]].isna().all(axis=None)
    assert frame.category.tolist() == ["class 1", "class 1", "class 2"]


def test_object_without_a_pixel_has_null_attributes():
    frame = object_attributes(tables_of(clip(["A4", ".4"], ["A4"]).video()))
    empty = frame.iloc[1]
    assert (empty.frames_present, empty.frames_hull, empty.absences) == (0, 0, 0)
    assert frame[["mean_area_px", "relative_area", "same_class_neighbours"]].isna().all(axis=1).tolist() == [
        False,
        True,
    ]


def test_video_attributes_by_hand():
    one = clip(["A4.4", "B8", "Z8"], ["A8"], crowd=(2,))
    two = replace(clip(["A6", "N6"], ["A6"]), video_id=2)
    tables = tables_of(one.video(), two.video())
    frame = video_attributes(tables, {1: one.geometry(), 2: two.geometry()})
    assert frame.video_length.tolist() == [8, 6]
    assert frame.objects.tolist() == [2, 2]
    assert frame.density.tolist() == [12 / 8, 2.0]
    assert frame.overlap_rate.tolist() == [0, pytest.approx(16 / 72)]
    assert video_attributes(tables).overlap_rate.isna().all()


def test_speed_and_motion_of_a_steady_box():
    boxes, area = path(0, 1, None, 5, 6), np.array([16, 16, 0, 16, 16])
    assert relative_speed(boxes, area) == pytest.approx(1 / 4)
    assert motion_iou(boxes) == pytest.approx(12 / 20)
    assert relative_speed(path(0, None, 3), np.array([16, 0, 16])) is None
    assert motion_iou(path(0, None, 3)) is None


def test_crossings_count_changes_of_sides_only():
    passing = np.stack([path(0, 4, 6, 12), path(12, 7, 4, 0)], axis=1)
    turning = np.stack([path(0, 4, 6, 0), path(12, 7, 7, 12)], axis=1)
    vanished = np.stack([path(0, 4, 6, None), path(12, 7, 4, 0)], axis=1)
    assert crossings(passing).tolist() == [1, 1]
    assert crossings(turning).tolist() == [0, 0]
    assert crossings(vanished).tolist() == [0, 0]


def test_overlap_rates_by_hand():
    boxes = np.stack([path(0, 0, 0, None), path(10, 2, 0, None), path(20, 2, 30, None)], axis=1)
    rates = frame_overlap_rates(boxes)
    assert rates[:3].tolist() == pytest.approx([0, 1 - 24 / 48, 1 - 32 / 48])
    assert np.isnan(rates[3])
    assert hidden_shares(boxes[:3]).tolist() == pytest.approx([(0 + 0.5 + 1) / 3, (0 + 1 + 1) / 3, (0 + 1 + 0) / 3])


def test_boxes_come_from_the_masks():
    entry = clip(["A3.3", ".6"], [])
    tracks = []
    for index, (text, category) in enumerate(entry.objects):
        coded = mask_api.encode(np.asfortranarray(draw(text).transpose(1, 2, 0).astype(np.uint8)))
        masks = tuple(mask if letter != "." else None for mask, letter in zip(coded, text, strict=True))
        tracks.append(ObjectTrack(101 + index, 1, category, False, masks, (None,) * 6, None))
    videos = (Video(1, "v", HEIGHT, WIDTH, 6, ()), Video(2, "w", HEIGHT, WIDTH, 3, ()))
    found = boxes_of(GroundTruth("gt.json", videos, (), tuple(tracks), True))
    expected = entry.geometry()
    assert np.array_equal(found[1].boxes, expected.boxes, equal_nan=True)
    assert np.array_equal(found[1].ordered(np.array([102, 101]))[:, 1], expected.boxes[:, 0], equal_nan=True)
    assert found[2].boxes.shape == (3, 0, 4)


def test_values_on_official_edges_belong_to_both_groups():
    groups = next(binning for binning in BINNINGS if binning.attribute == "occlusion_score")
    values = np.array([0, 0.25, 0.3, 0.5, 0.75, np.nan])
    assert [groups.holds(values, place).astype(int).tolist() for place in range(3)] == [
        [1, 1, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 0],
    ]


@pytest.mark.parametrize("binning", [entry for entry in BINNINGS if not entry.inclusive], ids=lambda b: b.attribute)
def test_other_bins_hold_every_value_once(binning):
    values = np.unique([edge + shift for edge in binning.edges[:-1] for shift in (0, 1e-12, 0.1, 1000)])
    held = np.array([binning.holds(values, place) for place in range(len(binning.names))])
    assert (held.sum(axis=0) == 1).all()
    assert binning.source


def test_bad_binnings_are_refused():
    with pytest.raises(ValueError, match="2 bins need 3 edges"):
        Binning("speed", "object", ("a", "b"), (0, 1), "")
    with pytest.raises(ValueError, match="must ascend"):
        Binning("speed", "object", ("a", "b"), (0, 1, 1), "")


def test_quantile_bins_divide_evenly_and_merge_ties():
    bins = quantile_binning("speed", "object", [*range(9), np.nan])
    held = [int(bins.holds(np.arange(9.0), place).sum()) for place in range(3)]
    assert held == [3, 3, 3]
    assert len(quantile_binning("crossings", "object", [0, 0, 0, 0, 5]).names) == 1
    with pytest.raises(ValueError, match="no value"):
        quantile_binning("speed", "object", [np.nan])


def example():
    short = clip(["A10", "B10"], ["A10", "B10"])
    long = replace(clip(["A30", ("B4.26", 2)], ["A20.10", ("B4.26", [(2, 0.5)])]), video_id=2)
    return tables_of(short.video(), long.video())


def test_strata_divide_objects_and_videos():
    tables = example()
    groups = {(group.attribute, group.name): group for group in strata(tables)}
    assert groups["video_length", "short"].object_ids == {101, 102}
    assert groups["video_length", "medium"].video_ids == {2}
    assert groups["frames_present", "brief"].object_ids == {101, 102, 202}
    assert groups["frames_present", "brief"].video_ids == {1, 2}
    assert groups["frames_present", "medium"].object_ids == {201}
    assert not {attribute for attribute, _ in groups} & {"occlusion_score", "motion_iou", "crossings", "overlap_rate"}
    frame = strata_frame(groups.values())
    assert frame.objects.tolist() == [len(group.object_ids) for group in groups.values()]
    assert frame.high.isna().tolist() == [group.high == inf for group in groups.values()]
    members = member_frame(groups.values(), tables)
    assert len(members) == frame.objects.sum()
    assert set(members[members.stratum == "brief"].video_id) == {1, 2}


def test_restricting_videos_drops_them():
    tables = restrict(example(), keep_videos={2})
    assert [video.video_id for video in tables.videos] == [2]
    assert tables.category_ids == example().category_ids


def test_restricting_objects_makes_the_others_crowd():
    tables = example()
    group = next(group for group in strata(tables) if (group.attribute, group.name) == ("frames_present", "medium"))
    kept = group.restrict(tables)
    assert [video.object_crowd.tolist() for video in kept.videos] == [[True, True], [False, True]]
    assert not tables.videos[0].object_crowd.any()
    shares = object_shares(kept, [relink(video) for video in kept.videos])
    # Alone in its ground truth the object is worth the whole scale: 20 of 30 frames reach .50 to .65.
    assert shares.object_id.tolist() == [201]
    assert shares.segmentation_gap_points.tolist() == pytest.approx([60.0])


def test_ignored_objects_never_come_back():
    once = restrict(example(), keep_objects={101, 201})
    twice = restrict(once, keep_objects={101, 102})
    assert [video.object_crowd.tolist() for video in twice.videos] == [[False, True], [True, True]]


def test_scale_and_aspect_change_by_hand():
    boxes = np.array([[0, 0, 4, 4], [0, 0, 8, 8], [np.nan] * 4, [0, 0, 8, 8], [0, 0, 8, 4]], dtype=float)
    lengths, aspects = [4, 32**0.5, 8, 8], [1, 1, 1, 2]
    assert scale_change(boxes) == pytest.approx(np.quantile(lengths, 0.9) / np.quantile(lengths, 0.1))
    assert aspect_change(boxes) == pytest.approx(np.quantile(aspects, 0.9) / np.quantile(aspects, 0.1))
    assert scale_change(boxes[2:3]) is aspect_change(boxes[2:3]) is None
