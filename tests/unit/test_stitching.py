"""The clip stitcher: identities, means, memory, rows."""

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from methods.runtime.clips import clip_ranges
from methods.runtime.stitching import ClipPrediction, ClipStitcher, StitchedTrack, class_rows, soft_iou

HEIGHT, WIDTH = 12, 40


def moving_boxes(length, starts, steps, size=6):
    """Binary masks [objects, length, H, W] of squares that move by ``steps`` columns per frame."""
    masks = np.zeros((len(starts), length, HEIGHT, WIDTH), np.float32)
    for row, (start, step) in enumerate(zip(starts, steps, strict=True)):
        for frame in range(length):
            left = start + step * frame
            masks[row, frame, 2 + row : 2 + row + size, left : left + size] = 1
    return masks


def stitch(masks, window, stride, *, shuffle=0, probs=None, drop=lambda clip, row: False):
    """Stitches exact clips of the masks, in an order that changes from clip to clip."""
    count, length = masks.shape[:2]
    probs = np.eye(count + 1)[:count] if probs is None else probs
    stitcher, ids = ClipStitcher(window, (HEIGHT, WIDTH)), []
    order = np.random.default_rng(shuffle)
    for frames in clip_ranges(length, window, stride):
        rows = [row for row in order.permutation(count) if not drop(frames, row)]
        logits = torch.as_tensor(masks[rows][:, list(frames)] * 8 - 4)
        given = stitcher.add(ClipPrediction(frames, logits, torch.as_tensor(probs[rows], dtype=torch.float32)))
        ids.append({row: given[position] for position, row in enumerate(rows)})
    return stitcher, ids


def decoded(track):
    empty = np.zeros((HEIGHT, WIDTH), np.uint8)
    return np.stack([mask_utils.decode(rle) if rle else empty for rle in track.segmentations])


@pytest.mark.parametrize("stride", [1, 4])
def test_crossing_objects_keep_their_identities(stride):
    masks = moving_boxes(26, [1, 30], [1, -1])  # they pass through each other in the middle
    stitcher, ids = stitch(masks, 5, stride)
    assert all(item == ids[0] for item in ids)
    tracks = list(stitcher.tracks(26))
    assert len(tracks) == 2
    for row in (0, 1):
        track = tracks[ids[0][row]]
        assert np.array_equal(decoded(track), masks[row])
        assert track.class_probs.argmax() == row
        assert track.frame_probs.argmax(axis=1).tolist() == [row] * 26


def test_an_object_out_of_the_window_comes_back_as_a_new_track():
    masks = moving_boxes(20, [2, 30], [0, 0])
    stitcher, ids = stitch(masks, 4, 2, drop=lambda frames, row: row == 1 and 4 <= frames.start <= 10)
    assert {item[0] for item in ids} == {ids[0][0]}
    assert ids[-1][1] == 2
    tracks = list(stitcher.tracks(20))
    assert [rle is not None for rle in tracks[ids[0][1]].segmentations] == [frame < 6 for frame in range(20)]
    assert [rle is not None for rle in tracks[2].segmentations] == [frame >= 12 for frame in range(20)]
    assert not tracks[2].frame_probs[:12].any()


def test_logits_and_probabilities_are_means_over_the_clips_that_cover_a_frame():
    stitcher = ClipStitcher(2, (2, 2))
    base = torch.tensor([[[[4.0, 4.0], [-4.0, -4.0]]] * 2])
    other = base.clone()
    other[0, 0, 0, 1] = -4.5  # frame 1: (4 - 4.5) / 2 < 0
    assert stitcher.add(ClipPrediction(range(2), base, torch.tensor([[0.8, 0.2]]))) == [0]
    assert stitcher.add(ClipPrediction(range(1, 3), other, torch.tensor([[0.4, 0.6]]))) == [0]
    (track,) = stitcher.tracks(3)
    assert np.allclose(track.class_probs, [0.6, 0.4])
    assert np.allclose(track.frame_probs, [[0.8, 0.2], [0.6, 0.4], [0.4, 0.6]])
    pixels = [int(mask_utils.area(rle)) for rle in track.segmentations]
    assert pixels == [2, 1, 2]


def test_soft_iou_by_hand():
    first, second = torch.tensor([[[0.5, 1.0]]]), torch.tensor([[[0.5, 0.0]], [[0.5, 1.0]]])
    value = soft_iou([first], [second])
    assert value.tolist() == [[pytest.approx(0.25 / 1.75, abs=1e-6), pytest.approx(1.25 / 1.75, abs=1e-6)]]
    volume = soft_iou([first, first], [second, second])  # twice the frames: the same ratio
    assert torch.allclose(volume, value, atol=1e-6)


def test_empty_clips_and_a_single_frame():
    stitcher = ClipStitcher(3, (4, 4))
    nothing = ClipPrediction(range(3), torch.zeros(0, 3, 2, 2), torch.zeros(0, 2))
    assert stitcher.add(nothing) == []
    some = ClipPrediction(range(1, 4), torch.ones(2, 3, 2, 2), torch.tensor([[0.9, 0.1], [0.5, 0.5]]))
    assert stitcher.add(some) == [0, 1]
    assert stitcher.add(ClipPrediction(range(2, 5), torch.zeros(0, 3, 2, 2), torch.zeros(0, 2))) == []
    tracks = list(stitcher.tracks(5))
    assert [rle is not None for rle in tracks[0].segmentations] == [False, True, True, True, False]
    single = ClipStitcher(3, (4, 4))
    single.add(ClipPrediction(range(1), torch.ones(1, 1, 2, 2), torch.tensor([[1.0]])))
    assert [len(track.segmentations) for track in single.tracks(1)] == [1]
    assert list(ClipStitcher(3, (4, 4)).tracks(2)) == []


def test_clips_must_come_in_order():
    stitcher = ClipStitcher(2, (4, 4))
    stitcher.add(ClipPrediction(range(3, 5), torch.zeros(0, 2, 2, 2), torch.zeros(0, 1)))
    with pytest.raises(ValueError, match="from frame 2 comes after one from frame 3"):
        stitcher.add(ClipPrediction(range(2, 4), torch.zeros(0, 2, 2, 2), torch.zeros(0, 1)))


def held(stitcher):
    """Frames with running sums, and soft masks of earlier clips, that the stitcher keeps."""
    return len(stitcher._sums), sum(len(clip.masks) for clip in stitcher._clips)


def test_memory_follows_the_window_and_not_the_video():
    window, most = 4, {}
    for length in (20, 60):
        masks = np.ones((2, length, 3, 3), np.float32)
        stitcher, largest = ClipStitcher(window, (3, 3)), (0, 0)
        for frames in clip_ranges(length, window, 1):
            logits = torch.as_tensor(masks[:, list(frames)])
            stitcher.add(ClipPrediction(frames, logits, torch.full((2, 1), 0.5)))
            largest = max(largest, held(stitcher))
        most[length] = largest
    assert most[20] == most[60] == (window, window * (window + 1) // 2)


def row_track(query_id, probs, present):
    rle = mask_utils.encode(np.asfortranarray(np.ones((2, 2), np.uint8)))
    segmentations = tuple({"size": [2, 2], "counts": rle["counts"].decode()} if item else None for item in present)
    frame_probs = np.tile(np.array(probs, np.float32), (len(present), 1))
    return StitchedTrack(query_id, np.array(probs, np.float32), segmentations, frame_probs)


def test_every_class_over_the_threshold_is_a_row():
    tracks = [row_track(0, [0.6, 0.3, 0.1], [1, 0]), row_track(1, [0.0, 0.02, 0.98], [1, 1])]
    tracks.append(row_track(2, [0.9, 0.1, 0.0], [0, 0]))  # no pixel: no row
    rows = class_rows(tracks, 2, 0.01)
    assert [(row.query_id, row.label) for row in rows] == [(0, 0), (0, 1), (1, 1)]
    assert [row.score for row in rows] == pytest.approx([0.6, 0.3, 0.02])
    assert rows[0].frame_scores == (pytest.approx(0.6), 0.0)
    assert [(row.query_id, row.label) for row in class_rows(tracks, 2, 0.01, limit=2)] == [(0, 0), (0, 1)]
