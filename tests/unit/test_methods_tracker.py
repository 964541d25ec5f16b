"""Association of MaskTrack R-CNN and the making of rows."""

import math

import numpy as np
import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from methods.masktrack_rcnn.model import GapRoIEmbedHead  # noqa: E402
from methods.masktrack_rcnn.tracker import AssociationMemory, MatchWeights, match_scores  # noqa: E402
from methods.runtime.memory import resolve  # noqa: E402
from methods.runtime.tracks import Detection, TrackCollector, encode_masks, result_rows  # noqa: E402

BOX = [0.0, 0.0, 10.0, 10.0]
FAR = [50.0, 50.0, 60.0, 60.0]


def step(memory, embeddings, boxes, labels, scores):
    return memory.step(
        torch.as_tensor(embeddings, dtype=torch.float64),
        torch.tensor(boxes, dtype=torch.float64),
        torch.tensor(labels),
        torch.tensor(scores, dtype=torch.float64),
    )


def test_match_score_against_hand_numbers():
    scores = match_scores(
        similarity=torch.tensor([[math.log(3.0), math.log(4.0)]]),
        scores=torch.tensor([0.5]),
        boxes=torch.tensor([BOX]),
        labels=torch.tensor([2]),
        memory_boxes=torch.tensor([[0.0, 0.0, 10.0, 5.0], FAR]),
        memory_labels=torch.tensor([1, 2]),
        weights=MatchWeights(),
    )
    # softmax of (0, log 3, log 4) is (1, 3, 4) / 8; IoUs are 50/100 and 0; log 0.5 is added everywhere.
    expected = [
        math.log(1 / 8) + math.log(0.5) + 0 + 10,
        math.log(3 / 8) + math.log(0.5) + 2 * 0.5 + 0,
        math.log(4 / 8) + math.log(0.5) + 0 + 10,
    ]
    assert scores[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_score_of_zero_stays_finite():
    arguments = torch.zeros(1, 1), torch.zeros(1), torch.tensor([BOX]), torch.tensor([0])
    scores = match_scores(*arguments, torch.tensor([BOX]), torch.tensor([0]), MatchWeights())
    assert torch.isfinite(scores).all()
    assert scores.argmax().item() == 1


def test_two_detections_claiming_one_track_get_unique_ids():
    memory = AssociationMemory()
    assert step(memory, [[1.0, 0.0]], [BOX], [0], [0.9]) == [0]
    # Both look like track 0 and overlap it; the second is more confident and wins although it comes later.
    ids = step(memory, [[4.0, 0.0], [4.0, 0.0]], [BOX, BOX], [0, 0], [0.5, 0.9])
    assert ids == [-1, 0]
    # Order does not decide: the stronger one first gives the mirrored outcome.
    memory.reset()
    step(memory, [[1.0, 0.0]], [BOX], [0], [0.9])
    assert step(memory, [[4.0, 0.0], [4.0, 0.0]], [BOX, BOX], [0, 0], [0.9, 0.5]) == [0, -1]


def test_resolve_keeps_ids_unique_for_any_scores():
    rng = np.random.default_rng(0)
    for _ in range(200):
        detections, tracks = rng.integers(1, 8), rng.integers(1, 6)
        chosen = resolve(torch.tensor(rng.normal(size=(detections, tracks + 1))))
        slots = [slot for slot in chosen if slot >= 0]
        assert len(slots) == len(set(slots))
        assert set(chosen) <= {-1, -2, *range(tracks)}


@pytest.mark.parametrize(("final_relu", "expected"), [(False, [0, 1]), (True, [0, -1])])
def test_second_object_of_a_tracked_class(final_relu, expected):
    """It opens a track with the official head; behind a final ReLU the constant "new" logit cannot win."""
    head = GapRoIEmbedHead(
        num_fcs=2, roi_feat_size=1, in_channels=2, fc_out_channels=2, embed_channels=2, final_relu=final_relu
    )
    for layer in head.fcs:
        torch.nn.init.eye_(layer.weight)
    head.fcs[0].bias.data.zero_()
    head.fcs[1].bias.data.fill_(-1.0)
    # Embeddings (3, -1) and (0.2, 3): similarity -2.4, below the constant 0 of "new"; behind the ReLU (3, 0) and
    # (0.2, 3): similarity 0.6, so the newcomer asks for the track of the first object and loses against it.
    embeddings = head.embed(torch.tensor([[4.0, 0.0], [1.2, 4.0]])[..., None, None]).detach().double()
    memory = AssociationMemory()
    for _ in range(2):
        assert step(memory, embeddings[:1], [BOX], [0], [0.9]) == [0]
    assert step(memory, embeddings, [BOX, FAR], [0, 0], [0.9, 0.8]) == expected


@pytest.mark.parametrize(("label_memory", "expected"), [("first", [0]), ("latest", [1])])
def test_label_memory(label_memory, expected):
    memory = AssociationMemory(label_memory=label_memory)
    step(memory, [[9.0]], [BOX], [0], [0.9])
    # 81 from the embedding outweighs the label term of 10: the track is seen once with another class.
    assert step(memory, [[9.0]], [BOX], [1], [0.9]) == [0]
    # The embedding leans to the old track by 0.9: now the remembered label decides.
    assert step(memory, [[0.1]], [FAR], [0], [0.9]) == expected


@pytest.mark.parametrize(("retain", "expected"), [(None, [0]), (3, [0]), (2, [1])])
def test_expiry(retain, expected):
    memory = AssociationMemory(num_frames_retain=retain)
    step(memory, [[3.0]], [BOX], [0], [0.9])
    for _ in range(2):
        assert step(memory, np.zeros((0, 1)), np.zeros((0, 4)), np.zeros(0, dtype=int), []) == []
    # Unseen in frames 1 and 2: a memory of two frames forgets it after frame 2, one of three keeps it.
    assert step(memory, [[3.0]], [BOX], [0], [0.9]) == expected


def rle(pixel):
    mask = np.zeros((1, 4, 5), dtype=bool)
    mask[0].flat[pixel] = True
    return encode_masks(mask)[0]


def test_track_is_mean_score_majority_class_and_none_where_absent():
    collector = TrackCollector()
    collector.add_frame([0, 7], [Detection(1, 0.9, rle(0)), Detection(3, 0.2, rle(5))])
    collector.add_frame([], [])
    collector.add_frame([0], [Detection(2, 0.6, rle(1))])
    collector.add_frame([0], [Detection(2, 0.3, rle(2))])
    first, second = collector.tracks()
    assert first.score == pytest.approx((0.9 + 0.6 + 0.3) / 3)
    assert first.label == 2
    assert first.segmentations == (rle(0), None, rle(1), rle(2))
    assert first.frame_scores == (0.9, 0.0, 0.6, 0.3)
    assert (second.label, second.segmentations) == (3, (rle(5), None, None, None))
    rows = result_rows(11, [first, second], category_ids=[5, 6, 8, 9])
    assert [(row["video_id"], row["category_id"], row["query_id"]) for row in rows] == [(11, 8, 0), (11, 9, 7)]


def test_empty_masks_and_repeated_ids():
    assert encode_masks(np.zeros((2, 3, 3), dtype=bool)) == [None, None]
    collector = TrackCollector()
    collector.add_frame([4], [Detection(0, 0.5, None)])
    assert collector.tracks() == []
    with pytest.raises(ValueError, match="occurs twice"):
        collector.add_frame([1, 1], [Detection(0, 0.5, None)] * 2)


def test_score_that_is_not_finite_is_refused():
    collector = TrackCollector()
    collector.add_frame([0], [Detection(0, math.nan, rle(0))])
    with pytest.raises(ValueError, match="not finite"):
        result_rows(1, collector.tracks(), [1])
