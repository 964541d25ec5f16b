"""The stand-in for mmcv's compiled operators against torchvision and against slow references."""

import importlib.util
import math
import sys
import types

import numpy as np
import pytest
import torch
import torchvision

from methods.runtime import mmcv_ops

mmcv_ops.ensure_ops()


def slow_iou(a, b, offset):
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    shared = max(width, 0.0) * max(height, 0.0)
    area_a = (a[2] - a[0] + offset) * (a[3] - a[1] + offset)
    area_b = (b[2] - b[0] + offset) * (b[3] - b[1] + offset)
    return shared / (area_a + area_b - shared)


def slow_nms(boxes, scores, threshold, offset):
    kept = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(slow_iou(boxes[index], boxes[other], offset) <= threshold for other in kept):
            kept.append(index)
    return kept


def bilinear(plane, y, x):
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = max(y, 0.0), max(x, 0.0)
    top, left = min(int(y), height - 1), min(int(x), width - 1)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy = 0.0 if top == height - 1 else y - top
    dx = 0.0 if left == width - 1 else x - left
    upper = plane[top, left] * (1 - dx) + plane[top, right] * dx
    lower = plane[bottom, left] * (1 - dx) + plane[bottom, right] * dx
    return upper * (1 - dy) + lower * dy


def slow_roi_align(features, rois, size, scale, ratio, aligned):
    """RoIAlign from its definition (He et al. 2017, section 3): mean of bilinear samples in each bin."""
    output = np.zeros((len(rois), features.shape[1], size, size))
    for r, (batch, *box) in enumerate(rois):
        shift = 0.5 if aligned else 0.0
        x1, y1, x2, y2 = (value * scale - shift for value in box)
        width, height = x2 - x1, y2 - y1
        if not aligned:
            width, height = max(width, 1.0), max(height, 1.0)
        ny = ratio if ratio > 0 else math.ceil(height / size)
        nx = ratio if ratio > 0 else math.ceil(width / size)
        for c in range(features.shape[1]):
            for i in range(size):
                for j in range(size):
                    samples = [
                        bilinear(
                            features[int(batch), c],
                            y1 + height / size * (i + (sy + 0.5) / ny),
                            x1 + width / size * (j + (sx + 0.5) / nx),
                        )
                        for sy in range(ny)
                        for sx in range(nx)
                    ]
                    output[r, c, i, j] = sum(samples) / max(len(samples), 1)
    return output


def random_boxes(rng, count, extent):
    corners = rng.uniform(0, extent * 0.7, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(2, extent * 0.4, (count, 2))], axis=1)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_nms_equals_reference(offset, threshold):
    from mmcv.ops import nms

    rng = np.random.default_rng(3)
    boxes, scores = random_boxes(rng, 60, 40), rng.permutation(60) / 60
    tensors = torch.tensor(boxes), torch.tensor(scores)
    _, kept = nms(*tensors, threshold, offset=offset)
    expected = slow_nms(boxes, scores, threshold, offset)
    assert kept.tolist() == expected
    assert 1 < len(expected) < 60
    if offset == 0:
        assert kept.tolist() == torchvision.ops.nms(*tensors, threshold).tolist()


def test_nms_edge_cases():
    from mmcv.ops import batched_nms, nms

    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5)[1].tolist() == []
    boxes, scores = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]]), torch.tensor([0.4, 0.9])
    assert nms(boxes, scores, 0.5)[1].tolist() == [1]
    _, kept = batched_nms(boxes, scores, torch.tensor([0, 1]), {"type": "nms", "iou_threshold": 0.5})
    assert sorted(kept.tolist()) == [0, 1]  # other classes do not suppress each other


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_equals_references(aligned, ratio):
    from mmcv.ops import RoIAlign

    rng = np.random.default_rng(5)
    features = torch.tensor(rng.normal(size=(2, 3, 9, 11)), dtype=torch.float64, requires_grad=True)
    rois = torch.tensor(np.column_stack([rng.integers(0, 2, 6), random_boxes(rng, 6, 40)]), dtype=torch.float64)
    rois[0, 1:] = torch.tensor([-6.0, -6.0, 60.0, 50.0])  # reaches over every border
    pooled = RoIAlign(4, spatial_scale=0.25, sampling_ratio=ratio, aligned=aligned)(features, rois)
    expected = slow_roi_align(features.detach().numpy(), rois.numpy(), 4, 0.25, ratio, aligned)
    np.testing.assert_allclose(pooled.detach().numpy(), expected, atol=1e-12)

    weights = torch.tensor(rng.normal(size=pooled.shape))
    (gradient,) = torch.autograd.grad((pooled * weights).sum(), features)
    library = torchvision.ops.roi_align(features, rois, 4, 0.25, ratio, aligned)
    (library_gradient,) = torch.autograd.grad((library * weights).sum(), features)
    assert torch.equal(pooled, library)
    assert torch.equal(gradient, library_gradient)
    # The operator is linear, so a difference quotient of any step is its exact derivative.
    for index in [(0, 0, 0, 0), (1, 2, 4, 5), (0, 1, 8, 10)]:
        moved = features.detach().numpy().copy()
        moved[index] += 1.0
        change = slow_roi_align(moved, rois.numpy(), 4, 0.25, ratio, aligned) - expected
        assert gradient[index].item() == pytest.approx((change * weights.numpy()).sum(), abs=1e-10)


def test_roi_align_in_half_precision():
    from mmcv.ops import RoIAlign

    features = torch.arange(64.0).reshape(1, 1, 8, 8)
    rois = torch.tensor([[0.0, 1, 1, 6, 6]])
    layer = RoIAlign(2, aligned=True)
    half = layer(features.bfloat16(), rois.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), layer(features, rois), rtol=0.01, atol=0.2)


def test_max_pooling_is_refused():
    from mmcv.ops import RoIAlign

    with pytest.raises(mmcv_ops.MissingOpError, match="max pooling"):
        RoIAlign(2, pool_mode="max")(torch.zeros(1, 1, 8, 8), torch.tensor([[0.0, 1, 1, 6, 6]]))


def test_missing_operator_speaks_when_called_not_before():
    from mmcv.ops import soft_nms  # importing it is fine

    with pytest.raises(mmcv_ops.MissingOpError, match="'softnms' is not available"):
        soft_nms(torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([0.5]))
    assert not hasattr(sys.modules["mmcv._ext"], "__path__")  # dunder names are not operators


def test_stand_in_can_be_found_like_a_module():
    assert mmcv_ops.ensure_ops() == "torchvision"
    assert mmcv_ops.ensure_ops() == "torchvision"
    assert importlib.util.find_spec("mmcv._ext") is sys.modules["mmcv._ext"].__spec__


def test_compiled_mmcv_is_left_untouched(monkeypatch):
    compiled = types.ModuleType("mmcv._ext")
    monkeypatch.setitem(sys.modules, "mmcv._ext", compiled)
    assert mmcv_ops.ensure_ops() == "compiled"
    assert sys.modules["mmcv._ext"] is compiled
    assert not hasattr(compiled, "nms")


def test_compiled_mmcv_that_is_not_imported_yet_is_left_alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "mmcv._ext")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: types.SimpleNamespace(name=name))
    assert mmcv_ops.ensure_ops() == "compiled"
    assert "mmcv._ext" not in sys.modules


def attention_inputs():
    generator = torch.Generator().manual_seed(0)
    shapes = torch.tensor([[6, 5], [3, 2]])
    value = torch.randn(2, 36, 4, 8, generator=generator, dtype=torch.float64)
    locations = torch.rand(2, 7, 4, 2, 3, 2, generator=generator, dtype=torch.float64)
    weights = torch.rand(2, 7, 4, 2, 3, generator=generator, dtype=torch.float64)
    return value, shapes, locations, weights


def slow_attention(value, shapes, locations, weights):
    """Deformable attention from its definition (Zhu et al. 2021, equation 3)."""
    batch, queries, heads, levels, points, _ = locations.shape
    output = np.zeros((batch, queries, heads, value.shape[-1]))
    starts = [0, *np.cumsum([h * w for h, w in shapes])]
    for b, q, m, level, p in np.ndindex(batch, queries, heads, levels, points):
        h, w = shapes[level]
        plane = value[b, starts[level] : starts[level + 1], m].reshape(h, w, -1)
        x, y = locations[b, q, m, level, p] * [w, h] - 0.5
        for yy in (math.floor(y), math.floor(y) + 1):
            for xx in (math.floor(x), math.floor(x) + 1):
                if 0 <= yy < h and 0 <= xx < w:
                    share = (1 - abs(y - yy)) * (1 - abs(x - xx))
                    output[b, q, m] += weights[b, q, m, level, p] * share * plane[yy, xx]
    return output.reshape(batch, queries, -1)


def test_deformable_attention_forward_and_backward():
    value, shapes, locations, weights = attention_inputs()
    extension = sys.modules["mmcv._ext"]
    output = extension.ms_deform_attn_forward(value, shapes, None, locations, weights, im2col_step=64)
    expected = slow_attention(value.numpy(), shapes.numpy(), locations.numpy(), weights.numpy())
    np.testing.assert_allclose(output.numpy(), expected, atol=1e-12)

    gradients = [torch.zeros_like(tensor) for tensor in (value, locations, weights)]
    incoming = torch.ones_like(output)
    extension.ms_deform_attn_backward(value, shapes, None, locations, weights, incoming, *gradients, im2col_step=64)
    step = 1e-6
    for tensor, gradient in zip((value, locations, weights), gradients, strict=True):
        flat, place = tensor.view(-1), tensor.numel() // 3
        before = flat[place].item()
        sums = []
        for sign in (1, -1):
            flat[place] = before + sign * step
            sums.append(slow_attention(value.numpy(), shapes.numpy(), locations.numpy(), weights.numpy()).sum())
        flat[place] = before
        quotient = (sums[0] - sums[1]) / (2 * step)
        assert gradient.view(-1)[place].item() == pytest.approx(quotient, rel=1e-5, abs=1e-7)


def test_mmcv_attention_module_runs_on_the_cpu():
    from mmcv.ops import MultiScaleDeformableAttention

    torch.manual_seed(0)
    layer = MultiScaleDeformableAttention(embed_dims=16, num_heads=4, num_levels=2, num_points=2, dropout=0.0)
    shapes, tokens = torch.tensor([[4, 3], [2, 2]]), torch.randn(16, 1, 16)
    query = torch.randn(5, 1, 16, requires_grad=True)
    output = layer(
        query,
        value=tokens,
        reference_points=torch.rand(1, 5, 2, 2),
        spatial_shapes=shapes,
        level_start_index=torch.tensor([0, 12]),
    )
    output.sum().backward()
    assert output.shape == (5, 1, 16)
    assert torch.isfinite(query.grad).all()


def test_sigmoid_focal_loss_equals_torchvision():
    from mmcv.ops import sigmoid_focal_loss

    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(9, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 1, 2, 3, 4, 4, 0, 2, 1])  # 4 is background
    loss = sigmoid_focal_loss(logits, target, 2.0, 0.25, None, "sum")
    one_hot = torch.nn.functional.one_hot(target, 5)[:, :4].double()
    expected = torchvision.ops.sigmoid_focal_loss(logits, one_hot, 0.25, 2.0, "sum")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value, logits)[0] for value in (loss, expected)))
