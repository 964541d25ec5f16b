"""CrossVIS's inference: which locations become detections, and how detections become tracks."""

import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from methods.crossvis.detection import DetectionRule, detect  # noqa: E402
from methods.crossvis.tracker import CrossVISMemory, association_scores, box_overlap  # noqa: E402
from methods.runtime.condinst_heads import Locations  # noqa: E402

BOX, SHIFTED, FAR = [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0], [50.0, 50.0, 60.0, 60.0]
RULE = DetectionRule(score_threshold=0.05, candidates_per_level=1000, nms_iou=0.6, max_per_frame=100)


def logit(probabilities):
    return torch.logit(torch.tensor(probabilities, dtype=torch.float64))


def locations(classes, centerness, points=None, level_sizes=None):
    """Predictions with boxes of 20 x 20 pixels around the points, on a level of stride 8."""
    count = len(classes)
    points = torch.tensor(points or [[20.0 + 40 * i, 30.0] for i in range(count)], dtype=torch.float64)
    return Locations(
        points=points,
        strides=torch.full((count,), 8.0, dtype=torch.float64),
        level_sizes=level_sizes or (count,),
        cls_logits=logit(classes)[None],
        distances=torch.full((1, count, 4), 10 / 8, dtype=torch.float64),
        centerness=logit(centerness)[None],
        params=torch.zeros(1, count, 169),
    )


def found(given, rule=RULE, scale_factor=(1.0, 1.0), original=(100, 200)):
    return detect(given, rule, scale_factor, original)


def test_score_is_the_root_of_a_product_that_is_thresholded_itself():
    # 0.5 x 0.32 = 0.16 stays with score 0.4; 0.9 x 0.05 = 0.045 goes although its root is 0.21.
    objects = found(locations([[0.5], [0.9]], [0.32, 0.05]))
    assert objects.locations.tolist() == [0]
    assert objects.scores.tolist() == pytest.approx([0.4])


def test_one_location_may_be_two_classes_and_nms_stays_within_a_class():
    given = locations([[0.9, 0.4], [0.8, 0.02]], [1 - 1e-9] * 2, points=[[50.0, 50.0], [51.0, 50.0]])
    objects = found(given)
    # The neighbour overlaps by 19/21 and is the same class; class 1 of the first location is another object.
    assert list(zip(objects.locations.tolist(), objects.labels.tolist(), strict=True)) == [(0, 0), (0, 1)]


def test_levels_and_frames_are_capped():
    given = locations([[0.9], [0.8], [0.7], [0.6]], [0.999] * 4, level_sizes=(3, 1))
    few = DetectionRule(0.05, candidates_per_level=2, nms_iou=0.6, max_per_frame=100)
    assert found(given, few).locations.tolist() == [0, 1, 3]
    fewer = DetectionRule(0.05, candidates_per_level=2, nms_iou=0.6, max_per_frame=1)
    assert found(given, fewer).locations.tolist() == [0]
    nothing = found(locations([[0.01]], [0.5]))
    assert nothing.boxes.shape == (0, 4)


def test_boxes_come_in_original_pixels_clipped_and_solid():
    given = locations([[0.9], [0.8], [0.7]], [0.9] * 3, points=[[20.0, 30.0], [4.0, 5.0], [150.0, 30.0]])
    objects = found(given, scale_factor=(0.5, 0.25), original=(120, 260))
    assert objects.locations.tolist() == [0, 1]  # the third lies right of the frame: 280..320 of 260
    assert objects.boxes.tolist() == [[20.0, 80.0, 60.0, 120.0], [0.0, 0.0, 28.0, 60.0]]


def test_association_score_in_closed_form():
    a, b = torch.tensor([[3.0, 4.0]]), torch.tensor([[5.0, 0.0], [0.0, 2.0], [-3.0, -4.0]])
    boxes = torch.tensor([BOX])
    scores = association_scores(
        a, boxes, torch.tensor([1]), b, torch.tensor([SHIFTED, FAR, BOX]), torch.tensor([1, 1, 2])
    )
    assert scores[0].tolist() == pytest.approx([0.6 + 50 / 100, 0.8, -1.0], abs=1e-6)
    assert box_overlap(boxes.double(), boxes.double()).item() == pytest.approx(100 / (100 + 1e-5), abs=1e-12)
    point = torch.zeros(1, 4)
    assert box_overlap(point, point).item() == 0  # officially too: 0 / 1e-5


def step(memory, *rows):
    """rows: (embedding, box, label) in the order of the detector."""
    if not rows:
        return memory.step(torch.zeros(0, 2), torch.zeros(0, 4), torch.zeros(0), torch.zeros(0))
    embeddings, boxes, labels = zip(*rows, strict=True)
    return memory.step(
        torch.tensor(embeddings, dtype=torch.float64),
        torch.tensor(boxes, dtype=torch.float64),
        torch.tensor(labels),
        torch.linspace(0.9, 0.5, len(rows)),
    )


def test_three_tracks_with_a_replaced_and_a_discarded_detection():
    memory = CrossVISMemory()
    east, north = [1.0, 0.0], [0.0, 1.0]
    assert step(memory, (east, BOX, 0), (north, FAR, 0), (east, FAR, 1)) == [0, 1, 2]
    ids = step(
        memory,
        ([1.0, 1.0], SHIFTED, 0),  # asks for track 0 with 0.71 + 0.5
        (east, BOX, 0),  # asks for it with 1 + 1 and replaces the stronger detection
        ([1.0, 0.1], BOX, 0),  # asks for it with less and is discarded
        (north, FAR, 1),  # class 1: cosine 0 + overlap 1 with track 2
        (north, BOX, 2),  # no track of class 2
    )
    assert ids == [-1, 0, -1, 2, 3]
    assert step(memory) == []
    # Only the last appearance counts: track 2 now looks north. Track 1 was not seen and still answers.
    assert step(memory, (east, BOX, 1), (north, BOX, 1), (north, FAR, 0)) == [4, 2, 1]


@pytest.mark.parametrize(("cosine", "expected"), [(0.4, 0), (0.399, 1)])
def test_threshold_belongs_to_the_track(cosine, expected):
    memory = CrossVISMemory(match_threshold=0.4)
    step(memory, ([1.0, 0.0], BOX, 0))
    assert step(memory, ([cosine, (1 - cosine**2) ** 0.5], FAR, 0)) == [expected]


@pytest.mark.parametrize(("retain", "expected"), [(None, [0]), (3, [0]), (2, [1])])
def test_forgetting_is_an_option(retain, expected):
    memory = CrossVISMemory(num_frames_retain=retain)
    step(memory, ([1.0], BOX, 0))
    for _ in range(2):
        step(memory)
    assert step(memory, ([1.0], BOX, 0)) == expected
    assert len(memory) == 1


def test_memory_holds_no_frame_alive():
    memory = CrossVISMemory()
    embeddings = torch.randn(50, 256)
    boxes = torch.tensor([BOX]).repeat(50, 1) + torch.arange(50)[:, None] * 100
    memory.step(embeddings, boxes, torch.arange(50), torch.ones(50))
    known = memory._embeddings[3]
    assert known.untyped_storage().nbytes() == 256 * 4
