"""IFC against the official code: tensors that tests/data/ifc/make.py stored, from weights that a formula gives."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from formula_tensors import weights  # noqa: E402
from pycocotools import mask as mask_utils  # noqa: E402

from methods.ifc.checkpoint import convert  # noqa: E402
from methods.ifc.losses import ClipCriterion, LossWeights, match, resize_masks  # noqa: E402
from methods.ifc.model import IFCHead  # noqa: E402
from methods.runtime.clips import ClipTargets  # noqa: E402
from methods.runtime.stitching import ClipPrediction, ClipStitcher  # noqa: E402

DATA = Path(__file__).resolve().parents[1] / "data/ifc"
_spec = importlib.util.spec_from_file_location("ifc_cases", DATA / "cases.py")
cases = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cases)


@pytest.fixture(scope="module")
def reference():
    with np.load(DATA / "reference.npz", allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


@pytest.fixture(scope="module")
def head(reference):
    head = IFCHead(
        classes=cases.CLASSES,
        queries=cases.QUERIES,
        channels=cases.CHANNELS,
        groups=32,
        transformer={**cases.MODEL, "dropout": 0.1},
    )
    official = weights(json.loads(str(reference["shapes"])))
    state = convert({f"detr.{name}": torch.as_tensor(value) for name, value in official.items()})
    head.load_state_dict({name.removeprefix("head."): value for name, value in state.items()}, strict=True)
    return head.eval()


def padding():
    mask = torch.ones(cases.CLIPS, cases.LENGTH, cases.SIZE[0] // 32, cases.SIZE[1] // 32, dtype=torch.bool)
    for clip, (height, width) in enumerate(cases.VALID):
        mask[clip, :, : -(-height // 32), : -(-width // 32)] = False
    return mask


def targets():
    result = []
    for clip in range(cases.CLIPS):
        labels, masks = map(torch.as_tensor, cases.masks(clip))
        visible = masks.flatten(2).any(dim=2)
        boxes = torch.zeros(len(labels), cases.LENGTH, 4)
        result.append(ClipTargets(labels, boxes, masks, visible, torch.arange(len(labels))))
    return result


@pytest.fixture(scope="module")
def outputs(head):
    with torch.no_grad():
        projected = head.project([torch.as_tensor(level) for level in cases.features()])
        return head(projected, cases.CLIPS, padding())


def close(ours, theirs, tolerance=1e-5):
    torch.testing.assert_close(ours, torch.as_tensor(theirs), atol=tolerance, rtol=tolerance)


def test_encoder_pixels_bus_and_decoder(head, reference):
    with torch.no_grad():
        pixels, _, _ = head.project([torch.as_tensor(level) for level in cases.features()])
        kept = []
        handle = head.transformer.encoder.register_forward_hook(lambda module, given, output: kept.append(output))
        queries, _ = head.decode(pixels.unflatten(0, (cases.CLIPS, -1)), padding())
        handle.remove()
    encoded, bus = kept[0]
    # Official layouts: pixels (P, N T, D), bus (M, N T, D), decoder (layers, Q, N, D).
    close(encoded.flatten(0, 1).transpose(0, 1), reference["pixels"])
    close(bus.flatten(0, 1).transpose(0, 1), reference["bus"])
    close(queries.transpose(1, 2), reference["decoder"])


def test_class_and_mask_logits_of_all_layers(outputs, reference):
    close(outputs[0], reference["class_logits"])
    close(outputs[1], reference["mask_logits"])


def test_matching_of_all_layers(outputs, reference):
    for layer in range(cases.MODEL["decoder_layers"]):
        for clip, target in enumerate(targets()):
            masks = target.scaled_masks(4)
            resized = resize_masks(outputs[1][layer], masks.shape[-2:])
            pairs = match(outputs[0][layer, clip], resized[clip], target.labels, masks, LossWeights())
            assert torch.stack(pairs).tolist() == reference[f"match {layer} {clip}"].tolist()


def test_losses_of_all_layers(outputs, reference):
    losses = ClipCriterion(LossWeights(), 4)(outputs[0], outputs[1], targets())
    official = {"loss_cls": ("loss_ce", 1.0), "loss_focal": ("loss_mask", 3.0), "loss_dice": ("loss_dice", 3.0)}
    for name, (theirs, weight) in official.items():
        close(losses[name], reference[f"loss {theirs}"] * np.float32(weight))
        close(losses[f"d0.{name}"], reference[f"loss {theirs}_0"] * np.float32(weight))
    assert len(losses) == 6


@pytest.mark.parametrize("name", sorted(cases.VIDEOS))
def test_stitcher(reference, name):
    length, window = cases.VIDEOS[name][:2]
    stitcher, identical = ClipStitcher(window, cases.CELLS), ClipStitcher(window, cases.OUTPUT)
    finished = {}
    _record_means(stitcher, finished)
    for start, logits, probs in cases.clips(name):
        frames = range(start, start + logits.shape[1])
        prediction = ClipPrediction(frames, torch.as_tensor(logits), torch.as_tensor(probs))
        assert stitcher.add(prediction) == identical.add(prediction)
    stitcher.tracks(length)
    tracks = list(identical.tracks(length))
    close(torch.as_tensor(np.stack([track.class_probs for track in tracks])), reference[f"{name} probs"])
    counts = reference[f"{name} counts"]
    assert counts.shape == (len(tracks), length)
    for track_id, frame in np.ndindex(counts.shape):
        assert ((track_id, frame) in finished) == (counts[track_id, frame] > 0)
        if counts[track_id, frame]:
            close(finished[track_id, frame], reference[f"{name} logits"][track_id, frame])
    shape = (len(tracks), length, *cases.OUTPUT)
    masks = np.unpackbits(reference[f"{name} masks"])[: np.prod(shape)].reshape(shape)
    assert np.array_equal(decoded(tracks, length), masks)


def _record_means(stitcher, finished):
    """Keeps the mean logits that the stitcher encodes and forgets, by track and frame."""
    original = stitcher._finish_before

    def recording(start):
        for frame in [frame for frame in stitcher._sums if frame < start]:
            for track_id, item in stitcher._sums[frame].items():
                finished[track_id, frame] = item.logits / item.clips
        original(start)

    stitcher._finish_before = recording


def decoded(tracks, length):
    empty = np.zeros(cases.OUTPUT, np.uint8)
    return np.stack([[mask_utils.decode(rle) if rle else empty for rle in track.segmentations] for track in tracks])


def test_whole_clip_does_not_depend_on_how_many_clips_share_the_batch(head, outputs):
    with torch.no_grad():
        frames = slice(0, cases.LENGTH)
        projected = head.project([torch.as_tensor(level[frames]) for level in cases.features()])
        alone = head(projected, 1, None)
    close(alone[0][:, 0], outputs[0][:, 0])
    close(alone[1][:, 0], outputs[1][:, 0])


def test_masks_resized_like_the_official_targets():
    labels, masks = map(torch.as_tensor, cases.masks(0))
    official = functional.interpolate(masks.float(), size=(24, 32), mode="bilinear", align_corners=False)
    close(targets()[0].scaled_masks(4), official)
    assert len(labels) == 3
