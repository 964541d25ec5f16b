"""SeqFormer's costs and losses against hand calculation and torchvision."""

import math

import pytest
import torch
from seqformer_tools import batch
from torchvision.ops import box_convert, generalized_box_iou, sigmoid_focal_loss

from methods.runtime.clips import ClipTargets, clip_targets
from methods.seqformer import losses
from methods.seqformer.losses import Matches, Objects, Weights


def logit(probability):
    return math.log(probability / (1 - probability))


def matches(*rows):
    return Matches(*torch.tensor(rows, dtype=torch.long).unbind(1))


def test_giou_is_torchvisions():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(6, 4, generator=generator) * 0.4 + 0.1 for _ in range(2))
    wanted = generalized_box_iou(*(box_convert(boxes, "cxcywh", "xyxy") for boxes in (first, second)))
    torch.testing.assert_close(losses.giou(first[:, None], second[None]), wanted)
    assert losses.giou(first, first).tolist() == pytest.approx([1.0] * 6)


def test_focal_and_dice():
    generator = torch.Generator().manual_seed(1)
    logits, targets = torch.randn(4, 5, generator=generator), (torch.rand(4, 5, generator=generator) > 0.5).float()
    torch.testing.assert_close(losses.focal(logits, targets), sigmoid_focal_loss(logits, targets, 0.25, 2.0))
    sure = torch.where(targets.bool(), 100.0, -100.0)
    assert losses.dice(sure, targets).tolist() == pytest.approx([0.0] * 4, abs=1e-6)
    # Two of four pixels predicted, one of them right, of three: 1 - (2 * 1 + 1) / (2 + 3 + 1).
    half = torch.tensor([[100.0, 100.0, -100.0, -100.0]])
    assert losses.dice(half, torch.tensor([[1.0, 0.0, 1.0, 1.0]])).item() == pytest.approx(0.5)


def test_targets_are_relative_and_sampled_in_the_cells_middle():
    masks = torch.zeros(1, 2, 8, 16, dtype=torch.bool)
    masks[0, 0, 2, 6] = True  # a pixel that is sampled: offset 2, step 4
    masks[0, 0, 0, 0] = True  # one that is not
    boxes = torch.tensor([[[0.0, 0.0, 8.0, 4.0], [0.0] * 4]])
    targets = ClipTargets(torch.tensor([1]), boxes, masks, masks.flatten(2).any(2), torch.tensor([5]))
    objects = losses.prepare(targets, (8, 10))
    assert objects.boxes[0, 0].tolist() == pytest.approx([0.4, 0.25, 0.8, 0.5])
    assert objects.boxes[0, 1].tolist() == pytest.approx([1e-6] * 4)  # absent
    assert objects.masks[0].tolist() == [[[0, 1, 0, 0], [0, 0, 0, 0]], [[0] * 4] * 2]


def test_costs_by_hand():
    """A perfect box has distance 0 and GIoU 1; the class cost is the focal one."""
    box = torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.4, 0.5, 0.2, 0.2]]])
    moved = box + torch.tensor([0.3, 0.4, 0.0, 0.0])
    objects = Objects(torch.tensor([1]), box, torch.zeros(1, 2, 1, 1))
    logits = torch.tensor([[0.0, logit(0.8)], [0.0, logit(0.3)]])
    costs = losses.match_costs(logits, torch.cat([box, moved]), objects, Weights(2.0, 5.0, 2.0))
    focal = [0.25 * (1 - p) ** 2 * -math.log(p) - 0.75 * p**2 * -math.log(1 - p) for p in (0.8, 0.3)]
    # Two frames, each moved by 0.5: Euclidean over all numbers together. Disjoint: hull .5 x .6, union .08.
    giou = -(0.3 - 0.08) / 0.3
    wanted = [2 * focal[0] - 2, 2 * focal[1] + 5 * math.sqrt(0.5) - 2 * giou]
    assert costs[:, 0].tolist() == pytest.approx(wanted, abs=1e-5)


def test_matching_finds_the_cheapest_pairs_of_every_layer_and_clip():
    boxes = torch.rand(2, 2, 1, 4, 4, generator=torch.Generator().manual_seed(2)) * 0.3 + 0.2
    logits = torch.zeros(2, 2, 4, 3)
    first = Objects(torch.tensor([0, 2]), boxes[1, 0].transpose(0, 1)[[3, 1]], torch.zeros(2, 1, 1, 1))
    none = Objects(torch.zeros(0, dtype=torch.long), torch.zeros(0, 1, 4), torch.zeros(0, 1, 1, 1))
    found = losses.match(logits, boxes, [first, none], Weights())
    assert found.clip.tolist() == [0] * 4
    assert found.layer.tolist() == [0, 0, 1, 1]
    pairs = list(zip(found.query.tolist(), found.target.tolist(), strict=True))
    assert pairs[2:] == [(1, 1), (3, 0)]  # in layer 1 the boxes are exactly these queries'


def test_perfect_boxes_cost_nothing_and_sums_stay_with_their_layer():
    boxes = torch.rand(2, 1, 3, 4, 4, generator=torch.Generator().manual_seed(3)) * 0.3 + 0.2
    objects = [Objects(torch.tensor([0]), boxes[1, 0, :, 2][None], torch.zeros(1, 3, 1, 1))]
    found = matches((0, 0, 1, 0), (1, 0, 2, 0))
    distance, overlap = losses.box_losses(boxes, found, objects)
    assert [distance[1].item(), overlap[1].item()] == pytest.approx([0.0, 0.0], abs=1e-6)
    wrong = (boxes[0, 0, :, 1] - boxes[1, 0, :, 2]).abs().sum().item() / 3
    assert distance[0].item() == pytest.approx(wrong)
    logits = torch.full((2, 1, 4, 2), -100.0)
    logits[1, 0, 2, 0] = 100.0
    loss = losses.class_loss(logits, found, objects)
    assert loss[1].item() == pytest.approx(0.0, abs=1e-6)
    assert loss[0].item() == pytest.approx(0.25 * 100.0)
    mask, dice = losses.mask_losses(torch.full((2, 3, 1, 1), -100.0), torch.zeros(2, 3, 1, 1), found, 2)
    assert mask.tolist() == dice.tolist() == [0.0, 0.0]


def test_pairs_get_their_own_clips_values():
    values = [torch.tensor([1.0, 2.0]), torch.zeros(0), torch.tensor([3.0])]
    found = matches((0, 2, 0, 0), (0, 0, 0, 1), (1, 0, 0, 0))
    assert losses.gather(values, found).tolist() == [3.0, 2.0, 1.0]
    assert losses.per_layer(torch.tensor([1.0, 2.0, 4.0]), found, 3).tolist() == [3.0, 4.0, 0.0]


def test_objects_are_counted_at_least_once():
    _, samples = batch()
    objects = [losses.prepare(clip, (64, 96)) for clip in clip_targets(samples, "cpu")]
    assert losses.object_count(objects, torch.zeros(1)).item() == 3
    assert losses.object_count([], torch.zeros(1)).item() == 1
