"""CondInst's heads: against mmdet's own where the two mean the same, and against closed forms."""

import numpy as np
import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.models.dense_heads import CondInstBboxHead, CondInstMaskHead  # noqa: E402
from mmdet.models.losses import GIoULoss  # noqa: E402
from mmdet.structures.mask import BitmapMasks  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from methods.runtime import condinst  # noqa: E402
from methods.runtime.backbones import get_backbone  # noqa: E402
from methods.runtime.condinst_heads import GapCondInstHead, GapCondInstMaskHead, giou_loss  # noqa: E402

SMALL = condinst.CPU | {"channels": 8, "tower_groups": 2, "towers": 1, "mask_channels": 4, "mask_convs": 1}
SIZE = 64, 96


def parts(**changes):
    return condinst.network(get_backbone("r18_tiny"), 3, SMALL | changes)


def head(theirs=False, **changes):
    config = dict(parts(**changes)["bbox_head"])
    config.pop("type")
    if theirs:
        offset = config.pop("iou_offset")
        assert offset == 0
        built = CondInstBboxHead(**config, loss_bbox={"type": "GIoULoss", "loss_weight": 1.0})
    else:
        built = GapCondInstHead(**config)
    generator = torch.Generator().manual_seed(0)
    for parameter in built.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return built


def mask_head(kind, **changes):
    config = dict(parts(**changes)["mask_head"])
    config.pop("type")
    built = kind(**config).eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in built.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return built


def features(images=2, seed=3, channels=8):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(images, channels, SIZE[0] // s, SIZE[1] // s, generator=generator) for s in (8, 16, 32)]


def objects(*boxes):
    """Rectangular objects (x1, y1, x2, y2) of one image, labels 0, 1, ..."""
    masks = np.zeros((len(boxes), *SIZE), dtype=np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = 1
    count = len(boxes)
    tensor = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return InstanceData(bboxes=tensor, labels=torch.arange(count) % 3, masks=BitmapMasks(masks, *SIZE))


SCENES = [objects((4, 4, 28, 24), (20, 10, 90, 60)), objects((50, 8, 70, 50))]


@pytest.mark.parametrize("scenes", [SCENES, [SCENES[0], objects()]])
def test_predictions_and_losses_equal_mmdet(scenes):
    ours, theirs = head(iou_offset=0.0), head(theirs=True, iou_offset=0.0)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    given = features()
    locations = ours(given)
    raw = theirs(given)
    expected = theirs.loss_by_feat(*raw, scenes, [{}] * 2)
    assignment = ours.assign(locations, scenes)
    actual = ours.losses(locations, assignment)
    for key, value in expected.items():
        torch.testing.assert_close(actual[key], value, msg=key)
    for image, info in enumerate(theirs.get_positive_infos()):
        chosen = assignment.positive[image]
        assert assignment.objects[image, chosen].tolist() == info.pos_assigned_gt_inds.tolist()
        torch.testing.assert_close(locations.params[image, chosen], info.param_preds)
        torch.testing.assert_close(locations.points[chosen], info.points)
        torch.testing.assert_close(locations.strides[chosen], info.strides)


def test_a_batch_without_objects_has_a_gradient_and_no_nan():
    ours = head()
    locations = ours(features())
    losses = ours.losses(locations, ours.assign(locations, [objects(), objects()]))
    assert losses["loss_bbox"] == losses["loss_centerness"] == 0
    sum(losses.values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in ours.parameters() if parameter.grad is not None)


def test_box_loss_in_closed_form():
    # 4 x 4 against 4 x 2 around one location: intersection 8, union 16, hull 16.
    predicted, wanted = torch.tensor([[2.0, 2.0, 2.0, 2.0]]), torch.tensor([[2.0, 1.0, 2.0, 1.0]])
    assert giou_loss(predicted, wanted, 0.0).item() == pytest.approx(1 - 8 / 16)
    assert giou_loss(predicted, wanted, 1.0).item() == pytest.approx(1 - 9 / 17)
    # Crosswise: intersection 4, union 12, hull 16.
    crossed = torch.tensor([[1.0, 2.0, 1.0, 2.0]])
    assert giou_loss(crossed, wanted, 0.0).item() == pytest.approx(1 - (4 / 12 - 4 / 16))
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 50, 4, generator=generator) * 9
    corners = [torch.cat([-sides[:, :2], sides[:, 2:]], 1) for sides in (first, second)]
    torch.testing.assert_close(giou_loss(first, second, 0.0), GIoULoss(reduction="none")(*corners))


@pytest.mark.parametrize("finest", [8, 4])
def test_masks_equal_mmdet(finest):
    settings = {"finest_stride": finest}
    ours, theirs = mask_head(GapCondInstMaskHead, **settings), mask_head(CondInstMaskHead, **settings)
    generator = torch.Generator().manual_seed(5)
    maps = torch.randn(8, SIZE[0] // finest, SIZE[1] // finest, generator=generator)
    params = torch.randn(5, condinst.FILTER_PARAMETERS, generator=generator)
    points, strides = torch.rand(5, 2, generator=generator) * 64, torch.tensor([8.0, 8, 16, 32, 16])
    expected = theirs.forward_single(maps, InstanceData(param_preds=params, points=points, strides=strides))[0]
    logits = ours.logits(maps, params, points, strides)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)

    meta = {"img_shape": (60, 90), "ori_shape": (120, 180), "scale_factor": (0.5, 0.5)}
    theirs.test_cfg = type("Test", (), {"mask_thr": 0.5})
    pasted = theirs._predict_by_feat_single(expected, torch.zeros(5, 4), meta, rescale=True)
    assert torch.equal(ours.image_masks(expected, meta, 0.5), pasted)
    assert ours.image_masks(logits[:0], meta, 0.5).shape == (0, 120, 180)
    assert ours.logits(maps, params[:0], points[:0], strides[:0]).shape == (
        0,
        SIZE[0] // finest * 2,
        SIZE[1] // finest * 2,
    )


def test_dice_and_its_targets():
    ours = mask_head(GapCondInstMaskHead)
    scene = SCENES[0]
    targets = ours.targets(scene.masks, torch.device("cpu"))
    assert np.array_equal(targets.numpy(), scene.masks.masks[:, 2::4, 2::4])
    logits = torch.randn(2, *targets.shape[1:], generator=torch.Generator().manual_seed(0))
    p, g = logits.sigmoid(), targets
    expected = [1 - 2 * (p[i] * g[i]).sum() / ((p[i] ** 2).sum() + (g[i] ** 2).sum() + 1e-5) for i in range(2)]
    torch.testing.assert_close(ours.dice(logits, targets), torch.stack(expected))
    assert ours.dice(logits[:0], targets[:0]).shape == (0,)


def test_boxes_lie_around_their_location():
    ours = head()
    locations = ours(features(1))
    left, top, right, bottom = (locations.distances[0, 17] * 8).tolist()
    assert locations.points[17].tolist() == [44, 12]
    box = locations.boxes(0, torch.tensor([17]))[0].tolist()
    assert box == pytest.approx([44 - left, 12 - top, 44 + right, 12 + bottom])


def test_configuration_of_the_paper():
    ranges = condinst.regress_ranges(condinst.PAPER)
    assert ranges == ((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8))
    assert condinst.strides(condinst.PAPER) == [8, 16, 32, 64, 128]
    network = condinst.network(get_backbone("r50"), 40, condinst.PAPER)
    assert network["backbone"]["style"] == "caffe"
    assert network["backbone"]["norm_cfg"]["requires_grad"] is False
    assert condinst.preprocessor(condinst.PAPER)["bgr_to_rgb"] is False
    assert "style" not in condinst.network(get_backbone("swin_l"), 40, condinst.PAPER)["backbone"]
