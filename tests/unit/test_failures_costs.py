"""Costs add up; perfect predictions fire nothing; the table has its columns."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from failure_clips import BOXES, clip, relink, table, tables_of

from mindthegap.evaluation.tables import OverlapTables
from mindthegap.failures import (
    GAPS,
    FailureThresholds,
    VideoLinking,
    describe_modes,
    find_failures,
    object_costs,
    object_shares,
    share_by_mode,
    threshold_weights,
    to_frame,
)

CONTRACT = [
    *("dataset", "method", "backbone", "seed", "video_id", "mode", "subtype", "start_frame", "end_frame"),
    *("object_id", "other_object_id", "query", "other_query", "cost_iou", "cost_points"),
]


def random_tracks(generator: np.random.Generator, count: int, frames: int) -> list[np.ndarray]:
    """Moving boxes in lanes of their own, each with an absence, so that they never touch."""
    tracks = []
    for lane in range(count):
        masks = np.zeros((frames, 8 * count, 40), dtype=bool)
        x, speed = generator.integers(0, 20), generator.integers(-1, 2)
        born, died = np.sort(generator.choice(frames + 1, 2, replace=False))
        away = generator.integers(born, died)
        for frame in range(born, died):
            left = int(np.clip(x + speed * frame, 0, 32))
            lines = slice(8 * lane, 8 * lane + generator.integers(3, 8))
            masks[frame, lines, left : left + 6] = frame != away or died - born < 2
        tracks.append(masks)
    return tracks


def random_tables(seed: int, *, videos: int = 3, perfect: bool = False) -> OverlapTables:
    """Objects with a perfect query each, or with pieces, shifts, absences, wrong labels and a query on background."""
    generator = np.random.default_rng(seed)
    built = []
    for video in range(1, videos + 1):
        frames, count = int(generator.integers(4, 16)), int(generator.integers(1, 5))
        objects = random_tracks(generator, count, frames)
        categories = generator.integers(1, 4, count).tolist()
        queries = [masks.copy() for masks in objects]
        rows = [(place, category, float(generator.random())) for place, category in enumerate(categories)]
        if not perfect:
            queries, rows = spoiled(generator, queries, categories)
        crowd = (0,) if not perfect and count > 1 and generator.random() < 0.3 else ()
        built.append(table(objects, queries, categories, rows, video_id=video, crowd=crowd))
    return tables_of(*built)


def spoiled(generator, objects, categories):
    queries, rows = [], []
    for _ in range(int(generator.integers(1, 2 * len(objects) + 2))):
        masks = np.zeros_like(objects[0])
        for frame in range(len(masks)):
            if generator.random() < 0.8:
                masks[frame] = np.roll(
                    objects[generator.integers(len(objects))][frame], generator.integers(-2, 3), axis=1
                )
        sticky = objects[generator.integers(len(objects))]
        keep = generator.random(len(masks)) < 0.7
        masks[keep] = np.roll(sticky[keep], generator.integers(-1, 2), axis=2)
        labels = generator.choice([1, 2, 3, categories[0]], generator.integers(1, 3))
        rows += [(len(queries), int(label), float(generator.random())) for label in set(labels.tolist())]
        queries.append(masks)
    return queries, rows


@pytest.mark.parametrize("seed", range(40))
def test_perfect_predictions_fire_nothing(seed):
    tables = random_tables(seed, perfect=True)
    assert find_failures(tables, [relink(video) for video in tables.videos]) == []


@pytest.mark.parametrize("seed", range(25))
def test_costs_add_up_to_what_each_gap_regains(seed):
    tables = random_tables(seed)
    linking = [relink(video) for video in tables.videos]
    frame = to_frame(find_failures(tables, linking))
    weights = threshold_weights(tables)
    for video, choice in zip(tables.videos, linking, strict=True):
        costs = object_costs(video, choice, weights)
        assert costs.frames.sum(axis=1) == pytest.approx(np.diff(costs.iou, axis=0), abs=1e-12)
        for index in np.flatnonzero(~video.object_crowd):
            events = frame[frame.object_id == video.object_id[index]]
            for place, prefix in enumerate(["", "classification_", "segmentation_"]):
                regained = costs.iou[place + 1, index] - costs.iou[place, index]
                assert events[f"{prefix}cost_iou"].sum() == pytest.approx(regained, abs=1e-9)
                assert events[f"{prefix}cost_points"].sum() == pytest.approx(costs.points[place, index], abs=1e-9)
    shares = object_shares(tables, linking)
    assert len(shares) == sum(int((~video.object_crowd).sum()) for video in tables.videos)
    for gap, column in zip(
        GAPS, ["cost_points", "classification_cost_points", "segmentation_cost_points"], strict=True
    ):
        assert shares[f"{gap}_gap_points"].sum() == pytest.approx(frame[column].sum(), abs=1e-8)


@pytest.mark.parametrize("seed", range(10))
def test_one_headline_per_object_with_an_event(seed):
    tables = random_tables(seed)
    frame = to_frame(find_failures(tables, [relink(video) for video in tables.videos]))
    failures = frame[(frame["mode"] != "other") & frame.object_id.notna()]
    assert (failures.groupby("object_id").headline.sum() == 1).all()
    assert not frame[(frame["mode"] == "other") | frame.object_id.isna()].headline.any()


def test_object_share_in_ap_points_by_hand():
    """r = 9/20 (0 thresholds), repaired 1 (10 thresholds); 2 objects of the class, 2 classes: 100 / (10 2 2) each."""
    entry = clip(["A20", "B20", ("C20", 2)], ["A11.9", ".11A9", "B20", ("C20", [(2, 0.5)])])
    tables = tables_of(entry.video())
    shares = object_shares(tables, [relink(entry.video())])
    assert shares.hits_ranking.tolist() == [2, 10, 10]  # 11/20 = .55 reaches .50 and .55
    assert shares.iou_ranking.tolist() == pytest.approx([0.55, 1, 1])
    assert shares.tracking_gap_points.tolist() == pytest.approx([8 * 2.5, 0, 0])
    events = find_failures(tables, [relink(entry.video())])
    assert [(event.mode, event.tracking.iou, event.tracking.points) for event in events] == [
        ("identity_switch", pytest.approx(0.45), pytest.approx(20.0))
    ]


def test_unexplained_loss_is_kept_as_other():
    """Two queries on one object, each the better one at times: the oracle's choice gains without any failure."""
    entry = clip(["A20"], ["A12S8", "S12A8"])
    tables = tables_of(entry.video())
    events = [event for event in find_failures(tables, [relink(entry.video())]) if event.mode != "duplicate"]
    assert [event.mode for event in events] == ["other"]
    assert events[0].start_frame is None
    assert not events[0].headline
    lost = 1 - (12 * 36 + 8 * 24) / (20 * 36)
    assert events[0].tracking.iou == pytest.approx(lost)
    assert to_frame(events).start_frame.isna().all()


def test_table_starts_with_the_agreed_columns():
    entry = clip(["A20"], ["A11.9", ".11A9", "Z20"])
    events = find_failures(tables_of(entry.video()), [relink(entry.video())])
    frame = to_frame(events, dataset="ovis", method="m", backbone="r50", seed=3)
    assert list(frame.columns)[: len(CONTRACT)] == CONTRACT
    assert frame["mode"].tolist() == ["identity_switch", "background"]
    assert frame.seed.tolist() == [3, 3]
    assert frame.cost_points.isna().tolist() == [False, True]
    assert frame.object_id.isna().tolist() == [False, True]
    assert to_frame([]).dtypes.equals(frame.dtypes)


def test_the_table_keeps_every_digit_of_64_bit_ids():
    ids = {"video_id": -(2**63), "object_id": np.array([2**63 - 1, 2**63 - 2])}
    video = replace(clip(["A9", "B9"], ["A9", "C9"]).video(), **ids)
    frame = to_frame(find_failures(tables_of(video), [relink(video)]))
    assert frame.object_id.isna().any()  # the background track's
    assert 2**63 - 2 in frame.object_id.dropna().tolist()
    assert frame.video_id.tolist() == [-(2**63)] * len(frame)


def test_shares_by_mode_add_up_per_experiment():
    tables = random_tables(7)
    events = find_failures(tables, [relink(video) for video in tables.videos])
    frames = [to_frame(events, method="a", seed=1), to_frame(events[: len(events) // 2], method="b", seed=1)]
    shares = share_by_mode(pd.concat(frames, ignore_index=True))
    names = [*(entry["mode"] for entry in describe_modes()), "other"]
    assert shares["mode"].tolist() == names * 2
    for method, frame in zip("ab", frames, strict=True):
        part = shares[shares.method == method]
        assert part.events.sum() == len(frame)
        assert part.headlines.sum() == frame.headline.sum()
        assert part.tracking_points.sum() == pytest.approx(frame.cost_points.sum())
        assert part.segmentation_points.sum() == pytest.approx(frame.segmentation_cost_points.sum())
    assert share_by_mode(to_frame([])).empty


def test_modes_describe_themselves():
    for entry in describe_modes():
        assert entry["sentence"].endswith(".")
        assert entry["subtypes"]
        assert set(entry["gaps"]) <= set(GAPS)


def test_crowd_objects_fire_nothing_and_cost_nothing():
    entry = clip(["A20", "B20"], ["A20"])
    crowded = replace(entry, crowd=(1,))
    assert [event.mode for event in find_failures(tables_of(entry.video()), [relink(entry.video())])] == ["missed"]
    assert find_failures(tables_of(crowded.video()), [relink(crowded.video())]) == []


def test_video_without_rows_and_video_without_objects():
    empty = clip(["A6", "B6"], [("Z6", [(1, 0.9)])]).video()
    no_rows = replace(
        empty,
        query_area=empty.query_area[:, :0],
        intersection=empty.intersection[:, :0],
        **{name: getattr(empty, name)[:0] for name in ("row_index", "row_query", "row_category", "row_score")},
    )
    events = find_failures(tables_of(no_rows), [relink(no_rows)])
    assert [event.mode for event in events] == ["missed", "missed"]
    assert sum(event.segmentation.points for event in events) == pytest.approx(100)
    no_objects = clip(["A6"], ["Z6"], crowd=(0,)).video()
    assert [event.mode for event in find_failures(tables_of(no_objects), [relink(no_objects)])] == ["background"]


def test_object_without_a_pixel_costs_its_share_as_other():
    entry = clip(["A6", ".6"], ["A6"]).video()
    events = find_failures(tables_of(entry), [relink(entry)])
    assert [(event.mode, event.object) for event in events] == [("other", 102)]
    assert events[0].segmentation.points == pytest.approx(50)


def test_linking_must_fit_the_tables():
    video = clip(["A6"], ["A6"]).video()
    good = relink(video)
    with pytest.raises(ValueError, match="no entry for video 1"):
        find_failures(tables_of(video), [])
    with pytest.raises(ValueError, match=r"tracking_query has shape \(5, 1\)"):
        find_failures(tables_of(video), [replace(good, tracking_query=good.tracking_query[:5])])
    with pytest.raises(ValueError, match=r"ranking_query names a query outside 0\.\.0"):
        find_failures(tables_of(video), {1: VideoLinking(1, np.array([3]), good.tracking_query, good.tracking_query)})


def test_thresholds_are_written_out():
    written = FailureThresholds(window=4).to_dict()
    assert written["window"] == 4
    assert FailureThresholds(**written) == FailureThresholds(window=4)
    assert [FailureThresholds().presence_lag(frames) for frames in (1, 20, 21, 40)] == [2, 2, 3, 4]


def test_boxes_do_not_touch_where_clips_rely_on_it():
    """The clips' letters A, B, C and Z are apart, so every overlap in them is meant."""
    lefts = sorted((BOXES[letter][0], BOXES[letter][0] + BOXES[letter][2]) for letter in "ABCZ")
    assert all(end <= start for (_, end), (start, _) in pairwise(lefts))


def scattered_tables(seed: int) -> OverlapTables:
    """Anything goes: overlapping objects, empty masks, crowds, labels that come and go, tied scores."""
    generator = np.random.default_rng(seed)
    frames, objects, queries = generator.integers(1, 9), generator.integers(1, 5), generator.integers(0, 7)
    masks = np.zeros((objects + queries, frames, 10, 12), dtype=bool)
    for track, frame in np.argwhere(generator.random((objects + queries, frames)) < 0.7):
        y, x = generator.integers(0, 8, 2)
        masks[track, frame, y : y + generator.integers(1, 6), x : x + generator.integers(1, 6)] = True
    masks[generator.random(len(masks)) < 0.15] = False
    levels = np.array(["no_occlusion", "severe_occlusion", None], dtype=object)
    rows = [
        (query, int(generator.integers(1, 4)), float(generator.choice([0.01, 0.5, 0.9]))) for query in range(queries)
    ]
    video = table(
        list(masks[:objects]),
        list(masks[objects:]),
        generator.integers(1, 4, objects).tolist(),
        rows,
        crowd=tuple(np.flatnonzero(generator.random(objects) < 0.2).tolist()),
        occlusion=tuple(None if lane % 2 else tuple(generator.choice(levels, frames)) for lane in range(objects)),
    )
    return tables_of(video)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(60))
def test_any_tables_are_priced_completely(seed):
    tables = scattered_tables(seed)
    linking = [relink(video) for video in tables.videos]
    events = find_failures(tables, linking)
    frame, shares = to_frame(events), object_shares(tables, linking)
    assert frame.cost_points.sum() == pytest.approx(shares.tracking_gap_points.sum())
    assert frame.segmentation_cost_points.sum() == pytest.approx(shares.segmentation_gap_points.sum())
    starts = [event for event in events if event.start_frame is not None]
    assert all(0 <= event.start_frame <= event.end_frame < tables.videos[0].length for event in starts)
