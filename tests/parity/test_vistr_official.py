"""VisTR against the official code: tensors that tests/data/vistr/make.py stored, from weights that a formula gives."""

import importlib.util
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from formula_tensors import weights  # noqa: E402

from methods.runtime.clips import ClipTargets  # noqa: E402
from methods.vistr.checkpoint import convert  # noqa: E402
from methods.vistr.losses import LossWeights, SequenceCriterion, match, slot_targets  # noqa: E402
from methods.vistr.network import VisTRHead  # noqa: E402

DATA = Path(__file__).resolve().parents[1] / "data/vistr"
_spec = importlib.util.spec_from_file_location("vistr_cases", DATA / "cases.py")
cases = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cases)
OFFICIAL = {"loss_cls": "loss_ce", "loss_bbox": "loss_bbox", "loss_giou": "loss_giou"}
WEIGHTS = {"loss_cls": 1.0, "loss_bbox": 5.0, "loss_giou": 2.0}


@pytest.fixture(scope="module")
def reference():
    with np.load(DATA / "reference.npz", allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


@pytest.fixture(scope="module")
def head(reference):
    """With all 41 classes of the official head, so that its losses can be compared."""
    head = VisTRHead(
        classes=cases.CLASSES, frames=cases.LENGTH, slots=cases.SLOTS, channels=cases.CHANNELS, **cases.LAYERS
    )
    official = {name: torch.as_tensor(value) for name, value in weights(json.loads(str(reference["shapes"]))).items()}
    state = convert(official)
    for part in ("weight", "bias"):
        name = f"class_embed.{part}"
        assert torch.equal(state[f"head.{name}"], official[f"vistr.{name}"][1:])
        state[f"head.{name}"] = official[f"vistr.{name}"]
    head.load_state_dict({name.removeprefix("head."): value for name, value in state.items()}, strict=True)
    return head.eval()


@pytest.fixture(scope="module")
def outputs(head):
    with torch.no_grad():
        projected = head.project([torch.as_tensor(level) for level in cases.features()])
        return head(projected, 1, torch.as_tensor(cases.padding())[None])


@pytest.fixture(scope="module")
def masks_of(head, outputs):
    return torch.no_grad()(partial(head.mask_logits, outputs))


def targets(name):
    labels, boxes, masks, visible = map(torch.as_tensor, cases.objects(name))
    return ClipTargets(labels, boxes, masks, visible, torch.arange(len(labels)))


def close(ours, theirs, tolerance=1e-5):
    torch.testing.assert_close(ours, torch.as_tensor(theirs), atol=tolerance, rtol=tolerance)


def test_memory_and_queries(head, reference):
    with torch.no_grad():
        pixels, *_ = head.project([torch.as_tensor(level) for level in cases.features()])
        queries, memory = head.decode(pixels[None], torch.as_tensor(cases.padding())[None])
    close(queries, reference["queries"])
    # Official layout: (1, D, T, h * w).
    close(memory.flatten(3).transpose(1, 2), reference["memory"])


def test_classes_boxes_and_masks(outputs, masks_of, reference):
    close(outputs.class_logits, reference["classes"])
    close(outputs.boxes, reference["boxes"])
    slots = torch.arange(cases.SLOTS)
    close(masks_of(torch.zeros_like(slots), slots).transpose(0, 1).flatten(0, 1)[None], reference["masks"])


@pytest.mark.parametrize("name", sorted(cases.CLIPS))
def test_matching_of_all_layers(outputs, reference, name):
    target = slot_targets(targets(name), cases.SIZE, 1)
    slots = (cases.LENGTH, cases.SLOTS)
    for layer in range(cases.LAYERS["decoder_layers"]):
        classes, boxes = outputs.class_logits[layer, 0], outputs.boxes[layer, 0]
        rows, columns = match(classes.unflatten(0, slots), boxes.unflatten(0, slots), target, LossWeights())
        # The official pairs are of queries (frame-major) and rows (object-major), present frames only.
        pair, frame = target.visible[columns].nonzero(as_tuple=True)
        queries, objects = frame * cases.SLOTS + rows[pair], columns[pair] * cases.LENGTH + frame
        assert torch.stack([queries, objects]).tolist() == reference[f"{name} match {layer}"].tolist()


@pytest.mark.parametrize("name", sorted(cases.CLIPS))
def test_losses_of_all_layers(outputs, masks_of, reference, name):
    losses = SequenceCriterion(LossWeights(), 1)(outputs, masks_of, [targets(name)], [cases.SIZE])
    for ours, theirs in OFFICIAL.items():
        close(losses[ours], reference[f"{name} {theirs}"] * np.float32(WEIGHTS[ours]))
        close(losses[f"d0.{ours}"], reference[f"{name} {theirs}_0"] * np.float32(WEIGHTS[ours]))
    close(losses["loss_focal"], reference[f"{name} loss_mask"])
    close(losses["loss_dice"], reference[f"{name} loss_dice"])
    assert len(losses) == 8
