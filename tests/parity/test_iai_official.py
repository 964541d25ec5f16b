"""IAI against the official code's numbers, stored by tests/data/iai/make.py: equal weights, equal inputs, on a CPU."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.structures import DetDataSample  # noqa: E402
from mmdet.structures.mask import BitmapMasks  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402
from pycocotools import mask as mask_api  # noqa: E402

from methods.iai import networks  # noqa: E402
from methods.iai.association import AssociationBlock  # noqa: E402
from methods.iai.checkpoint import our_name  # noqa: E402
from methods.iai.config import INFERENCE, TRAINING  # noqa: E402
from methods.iai.layers import to_map  # noqa: E402
from methods.iai.model import GapIAICondInst  # noqa: E402
from methods.iai.targets import identity_targets, mask_stack  # noqa: E402
from methods.iai.video import VideoState  # noqa: E402
from methods.runtime.backbones import get_backbone  # noqa: E402
from methods.runtime.configs import build_config  # noqa: E402

DATA = Path(__file__).resolve().parents[1] / "data/iai"
sys.path.insert(0, str(DATA))
import iai_cases as cases  # noqa: E402

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def reference():
    register_all_modules(init_default_scope=True)
    with np.load(DATA / "official.npz") as stored:
        return {key: torch.from_numpy(stored[key]) for key in stored.files if key != "names"}


def associated(block, batch):
    """Outputs of the official call sequence, and the memory behind it."""
    inputs = [cases.features(frame, batch).requires_grad_() for frame in range(cases.FRAMES)]
    outputs, memory = [], None
    for frame, features in enumerate(inputs):
        if memory is None:
            maps, memory = block.begin(features)
            block.settle(memory, cases.stack(frame, batch))
        else:
            maps = block.attend(features, memory)
            block.remember(memory, cases.stack(frame, batch), new_identity=frame == 4)
        outputs.append(maps)
    return inputs, outputs, memory


@pytest.mark.parametrize(("layers", "batch"), [(1, 2), (2, 1)])
def test_association_block_equals_the_official_one(reference, layers, batch):
    block = AssociationBlock(cases.IDENTITIES, cases.CHANNELS, layers=layers)
    cases.fill(block).eval()
    inputs, outputs, memory = associated(block, batch)
    name = f"association {layers} layers "
    for frame, maps in enumerate(outputs):
        for layer, actual in enumerate(maps):
            expected = to_map(reference[f"{name}frame {frame} layer {layer}"], cases.GRID)
            torch.testing.assert_close(actual, expected, **CLOSE)
    torch.testing.assert_close(memory.long[-1][1], reference[f"{name}long"], **CLOSE)
    assert memory.frames == 3  # frames 0 and 2 by the interval, 4 for a new identity
    # Through five memory updates back to the first frame.
    cotangent = cases.normal("cotangent", (36, batch, cases.CHANNELS))
    gradient = torch.autograd.grad((outputs[-1][-1] * to_map(cotangent, cases.GRID)).sum(), inputs[0])[0]
    expected = reference[f"{name}gradient"]
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=float(expected.abs().max()) * 1e-4)


OFFICIAL_NAMES = (
    (r"mask_head\.mask_feature_head\.convs_all_levels\.(\d)\.conv\d\.conv\.", r"bbox_head.mask_refine.\1.0."),
    (r"mask_head\.mask_feature_head\.convs_all_levels\.(\d)\.conv\d\.bn\.", r"bbox_head.mask_refine.\1.1."),
    (r"mask_head\.mask_feature_head\.conv_branch\.(\d)\.conv\.", r"bbox_head.mask_head.\1.0."),
    (r"mask_head\.mask_feature_head\.conv_branch\.(\d)\.bn\.", r"bbox_head.mask_head.\1.1."),
    (r"mask_head\.mask_feature_head\.conv_pred\.", "bbox_head.mask_head.4."),
)


def official_name(key):
    """The official name of one of our tensors."""
    for pattern, template in OFFICIAL_NAMES:
        renamed, found = re.subn(pattern, template, key)
        if found:
            assert our_name(renamed) == key
            return renamed
    return key


def model(classes, identities, neck_inputs=(1, 8, 8, 2048), **inference):
    """Our model with the official parts' sizes; the backbone is left out."""
    backbone = get_backbone("r50")
    backbone = type(backbone)("r50", backbone.config, neck_inputs, True)
    training = TRAINING["paper"] | {"identities": identities, "channels": 64}
    testing = INFERENCE["paper"] | {"nms_pre": 20, "score_threshold": 0.1, "max_per_frame": 6, "max_rows": 12}
    config = networks.model(backbone, classes, "paper", training, testing | inference)
    config["backbone"] = {"type": "ResNet", "depth": 18, "base_channels": 8, "stem_channels": 8}
    assert config.pop("type") == GapIAICondInst.__name__
    return GapIAICondInst(**config).eval()


@pytest.fixture(scope="module")
def head_case(reference):
    case = model(cases.HEAD["classes"], cases.HEAD["identities"])
    heads = torch.nn.ModuleDict({"bbox_head": case.bbox_head, "mask_head": case.mask_head})
    cases.fill(heads, 0.08, lambda key: official_name(key).removeprefix("bbox_head."))
    return case


def test_names_and_shapes_are_those_of_the_release():
    with np.load(DATA / "official.npz") as stored:
        official = set(stored["names"].tolist())
    facts = SimpleNamespace(
        dataset="youtube_vis_2019", classes=range(40), videos=1, annotated_frames=1, max_objects_per_frame=6
    )
    config = build_config("iai", "paper", facts, "r50", {}).model
    config.pop("type")
    ours = GapIAICondInst(**config).state_dict()
    names = {official_name(key): value for key, value in ours.items() if not key.startswith("backbone.")}
    assert {f"{key} {tuple(value.shape)}" for key, value in names.items()} == official


def test_heads_equal_the_official_ones(reference, head_case):
    levels = cases.pyramid("head")
    locations = head_case.bbox_head(levels)
    outputs = {
        "class": locations.cls_logits,
        "identity": locations.extra,
        "box": locations.distances * locations.strides[None, :, None],
        "centerness": locations.centerness[..., None],
        "filters": locations.params[:, ::5],
        "mask features": head_case.mask_head.mask_feature_head(levels),
    }
    for name, actual in outputs.items():
        torch.testing.assert_close(actual, reference[f"head {name}"], **CLOSE)


def test_losses_equal_the_official_ones(reference, head_case):
    tensors, masks = cases.objects()
    objects = []
    for (boxes, labels, targets), mask in zip(tensors, masks, strict=True):
        truth = InstanceData(bboxes=boxes, labels=labels, identity_targets=targets)
        truth.masks = BitmapMasks(mask, *mask.shape[1:])
        objects.append(truth)
    losses = head_case.image_losses(cases.pyramid("head"), [], objects)
    assert set(losses) == {"loss_cls", "loss_id", "loss_bbox", "loss_centerness", "loss_mask"}
    for name, actual in losses.items():
        torch.testing.assert_close(actual, reference[f"head {name}"], **CLOSE)


def test_targets_equal_the_official_ones(reference):
    ids = [torch.tensor(frame) for frame in cases.CLIP_IDS]
    for frame, actual in enumerate(identity_targets(ids, cases.IDENTITIES)):
        assert torch.equal(actual, reference[f"targets {frame}"])
    for frame, masks in enumerate(cases.clip_masks()):
        stack = mask_stack(masks.bool(), ids[frame], cases.IDENTITIES)
        assert torch.equal(stack, reference["stacks"][frame])


def test_whole_videos_equal_the_official_inference(reference):
    case = model(cases.VIDEO["classes"], cases.VIDEO["identities"])
    cases.fill_video(case, official_name)
    state = VideoState.start(case.identities, case.rules)
    frames = iter(range(cases.VIDEO["frames"]))
    case.backbone.forward = lambda image: cases.video_levels(next(frames))
    sample = DetDataSample(metainfo=dict(cases.IMAGE))
    for _ in range(cases.VIDEO["frames"]):
        case.step(state, torch.zeros(1, 3, 64, 96), sample)
    rows = state.tracks.tracks(state.known)
    size = cases.IMAGE["ori_shape"]
    scores, labels = reference["video scores"], reference["video labels"]
    shape = (len(scores), cases.VIDEO["frames"], *size)
    masks = np.unpackbits(reference["video masks"].numpy(), count=np.prod(shape)).reshape(shape).astype(bool)
    # Officially, scores of objects beyond the capacity give rows without any mask; a result file cannot hold them.
    shown = [row for row in range(len(scores)) if masks[row].any()]
    assert 2 < len(shown) < len(scores)
    assert [row.label for row in rows] == labels[shown].tolist()
    torch.testing.assert_close(torch.tensor([row.score for row in rows]), scores[shown], **CLOSE)
    for row, expected in zip(rows, masks[shown], strict=True):
        actual = [mask_api.decode(rle) if rle else np.zeros(size) for rle in row.segmentations]
        assert np.mean(np.array(actual).astype(bool) != expected) < 1e-4
