"""MaskTrack R-CNN against mmdet's own implementation, where the two are meant to agree, and checkpoint mapping."""

import copy
import types

import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.models import RoIEmbedHead  # noqa: E402
from mmdet.models.trackers import MaskTrackRCNNTracker  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402

from methods.masktrack_rcnn import checkpoint  # noqa: E402
from methods.masktrack_rcnn.model import GapRoIEmbedHead  # noqa: E402
from methods.masktrack_rcnn.tracker import MatchWeights, match_scores  # noqa: E402
from methods.runtime.configs import build_config  # noqa: E402
from methods.runtime.facts import DatasetFacts  # noqa: E402
from methods.runtime.import_release import import_release  # noqa: E402
from methods.runtime.memory import resolve  # noqa: E402
from methods.runtime.weights import load_weights, save_weights  # noqa: E402
from mindthegap.errors import InputError  # noqa: E402
from mindthegap.files import sha256_file, write_json  # noqa: E402

HEAD = {"num_fcs": 2, "roi_feat_size": 3, "in_channels": 4, "fc_out_channels": 8}


def heads(**options):
    ours, theirs = GapRoIEmbedHead(**HEAD, **options), RoIEmbedHead(**HEAD)
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours.load_state_dict(theirs.state_dict())
    return ours.double(), theirs.double()


def sampled(positives, total):
    """What mmdet's sampler returns, as far as the head reads it."""
    indices = torch.tensor(positives)
    boxes = torch.zeros(total, 4, dtype=torch.float64)
    return types.SimpleNamespace(pos_assigned_gt_inds=indices, bboxes=boxes, pos_bboxes=boxes[: len(positives)])


def loss_arguments():
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(11, 4, 3, 3, generator=generator, dtype=torch.float64)
    reference = torch.randn(5, 4, 3, 3, generator=generator, dtype=torch.float64)
    samples = [sampled([0, 1, 1, 2], 6), sampled([1, 0], 5)]
    # Identity 9 is not in its reference frame: target 0, counted by one normaliser and not by the other.
    ids = [torch.tensor([4, 9, 6]), torch.tensor([2, 3])]
    return features, reference, [6, 5], [3, 2], samples, ids, [torch.tensor([6, 4, 5]), torch.tensor([3, 2])]


def test_loss_equals_mmdet_with_its_switches():
    ours, theirs = heads(final_relu=True, normalise_by="matched")
    expected, actual = (head.loss(*loss_arguments()) for head in (theirs, ours))
    torch.testing.assert_close(actual["loss_match"], expected["loss_match"])
    gradients = [torch.autograd.grad(loss["loss_match"], head.fcs[0].weight)[0] for loss, head in
                 ((actual, ours), (expected, theirs))]  # fmt: skip
    torch.testing.assert_close(*gradients)


def test_official_loss_equals_the_closed_form():
    head, _ = heads()
    features, reference, counts, reference_counts, *rest = loss_arguments()
    first, second = head.fcs
    embed = lambda x: (x.flatten(1) @ first.weight.T + first.bias).clamp(min=0) @ second.weight.T + second.bias  # noqa: E731
    e, f = embed(features), embed(reference)
    targets = [[2, 0, 0, 1], [1, 2]]
    expected = []
    for start, ref_start, ref_stop, target in ((0, 0, 3, targets[0]), (6, 3, 5, targets[1])):
        terms = []
        for i, t in enumerate(target):
            logits = torch.cat([torch.zeros(1, dtype=torch.float64), f[ref_start:ref_stop] @ e[start + i]])
            terms.append(torch.logsumexp(logits, 0) - logits[t])
        expected.append(sum(terms) / len(terms))  # all positives count, as in the official code
    actual = head.loss(features, reference, counts, reference_counts, *rest)["loss_match"]
    torch.testing.assert_close(actual, sum(expected) / 2)


@pytest.mark.parametrize("seed", range(20))
def test_match_scores_and_ids_equal_mmdet_up_to_its_duplicates(seed):
    generator = torch.Generator().manual_seed(seed)
    n, m = 6, 4
    corners = torch.rand(n + m, 2, generator=generator) * 50
    boxes = torch.cat([corners, corners + 5 + torch.rand(n + m, 2, generator=generator) * 30], dim=1)
    labels = torch.randint(0, 2, (n + m,), generator=generator)
    scores = torch.rand(n, generator=generator) * 0.95 + 0.05
    similarity = torch.randn(n, m, generator=generator) * 3
    theirs = MaskTrackRCNNTracker(match_weights={"det_score": 1.0, "iou": 2.0, "det_label": 10.0})
    padded = torch.cat([torch.zeros(n, 1), similarity], dim=1)
    expected = theirs.get_match_score(boxes[:n], labels[:n], scores, boxes[n:], labels[n:], padded)
    actual = match_scores(similarity, scores, boxes[:n], labels[:n], boxes[n:], labels[n:], MatchWeights())
    torch.testing.assert_close(actual, expected)

    theirs.tracks, theirs.num_tracks = {slot: {} for slot in range(m)}, m
    ids = theirs.assign_ids(expected)[0].tolist()
    ours = resolve(actual)
    for slot in range(m):
        claimants = [i for i, track_id in enumerate(ids) if track_id == slot]
        # mmdet leaves every claimant that was the best so far; the last of them is the best of all.
        assert [i for i, chosen in enumerate(ours) if chosen == slot] == claimants[-1:]
    assert [i for i, chosen in enumerate(ours) if chosen == -1] == [
        i for i, track_id in enumerate(ids) if track_id >= m
    ]


def facts(classes):
    names = tuple(f"c{k}" for k in range(classes))
    ids = tuple(range(1, classes + 1))
    return DatasetFacts("d", "train", None, None, "0", names, ids, 1, 1, 1, 1, 3, (360, 640))


def model(classes=40, **settings):
    register_all_modules(init_default_scope=True)
    return MODELS.build(build_config("masktrack_rcnn", "paper", facts(classes), "r50", settings).model)


@pytest.fixture(scope="module")
def paper_model():
    return model()


@pytest.fixture(scope="module")
def relu_model():
    return model(final_relu=True)


def test_paper_model_has_the_keys_and_shapes_of_the_release(paper_model):
    shapes = {key: tuple(value.shape) for key, value in paper_model.state_dict().items()}
    expected = {
        "detector.backbone.conv1.weight": (64, 3, 7, 7),
        "detector.backbone.layer4.2.conv3.weight": (2048, 512, 1, 1),
        "detector.neck.lateral_convs.3.conv.weight": (256, 2048, 1, 1),
        "detector.neck.fpn_convs.0.conv.bias": (256,),
        "detector.rpn_head.rpn_cls.weight": (3, 256, 1, 1),
        "detector.rpn_head.rpn_reg.weight": (12, 256, 1, 1),
        "detector.roi_head.bbox_head.shared_fcs.0.weight": (1024, 12544),
        "detector.roi_head.bbox_head.shared_fcs.1.weight": (1024, 1024),
        "detector.roi_head.bbox_head.fc_cls.weight": (41, 1024),
        "detector.roi_head.bbox_head.fc_reg.weight": (160, 1024),
        "detector.roi_head.mask_head.convs.3.conv.weight": (256, 256, 3, 3),
        "detector.roi_head.mask_head.upsample.weight": (256, 256, 2, 2),
        "detector.roi_head.mask_head.conv_logits.weight": (40, 256, 1, 1),
        "track_head.embed_head.fcs.0.weight": (1024, 12544),
        "track_head.embed_head.fcs.1.weight": (1024, 1024),
    }
    assert {key: shapes.get(key) for key in expected} == expected


def official(state):
    """A state dict in the official code's layout, background first."""
    converted = {}
    for key, value in state.items():
        if key.endswith("num_batches_tracked"):
            continue
        if ".fc_cls." in key:
            value = torch.cat([value[-1:], value[:-1]])
        elif ".fc_reg." in key:
            value = torch.cat([torch.full_like(value[:4], 7.0), value])
        elif ".conv_logits." in key:
            value = torch.cat([torch.full_like(value[:1], 7.0), value])
        name = key.removeprefix("detector.").removeprefix("roi_head.").replace("embed_head.", "")
        converted[name] = value
    return converted


def changed(state):
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.randn(value.shape, generator=generator) if value.is_floating_point() else value
        for key, value in state.items()
    }


def test_official_layout_is_mapped_back_exactly(paper_model, tmp_path):
    state = changed(paper_model.state_dict())
    path = tmp_path / "official.pth"
    torch.save({"state_dict": official(state)}, path)
    target = copy.deepcopy(paper_model)
    checkpoint.load_released(target, path)
    for key, value in target.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(value, state[key]), key


def test_released_weights_become_a_weights_file(tmp_path):
    state = changed(model(classes=2).state_dict())
    torch.save({"state_dict": official(state)}, tmp_path / "released.pth")
    content = {"videos": [], "annotations": [], "categories": [{"id": 4, "name": "owl"}, {"id": 9, "name": "cat"}]}
    write_json(tmp_path / "train.json", content)
    (tmp_path / "frames").mkdir()
    manifest = {"dataset": "d", "splits": {"train": {"sha256": sha256_file(tmp_path / "train.json")}}}
    write_json(tmp_path / "manifest.json", manifest)
    import_release(
        method="masktrack_rcnn",
        backbone="r50",
        scale="paper",
        dataset_dir=tmp_path,
        checkpoint=tmp_path / "released.pth",
        weights=tmp_path / "weights.pth",
        settings={},
    )
    loaded, meta = load_weights(tmp_path / "weights.pth")
    assert torch.equal(loaded["track_head.embed_head.fcs.0.weight"], state["track_head.embed_head.fcs.0.weight"])
    assert (meta["classes"], meta["category_ids"], meta["final_relu"]) == (["owl", "cat"], [4, 9], False)
    rebuilt = build_config("masktrack_rcnn", "paper", facts(2), "r50", meta["settings"], {})
    MODELS.build(rebuilt.model).load_state_dict(loaded, strict=True)  # as inference does


def test_openmmlab_layout_needs_its_relu(paper_model, relu_model, tmp_path):
    state = changed(relu_model.state_dict())
    path = tmp_path / "openmmlab.pth"
    torch.save({"state_dict": state, "meta": {}}, path)
    checkpoint.load_released(relu_model, path)
    assert all(torch.equal(value, state[key]) for key, value in relu_model.state_dict().items())
    with pytest.raises(InputError, match="trained with final_relu=True"):
        checkpoint.load_released(paper_model, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.update({"detector.extra": torch.zeros(1)}), "unknown key detector.extra"),
        (lambda s: s.pop("detector.neck.fpn_convs.0.conv.bias"), "no key detector.neck.fpn_convs.0.conv.bias"),
        (lambda s: s.update({"detector.roi_head.bbox_head.fc_cls.bias": torch.zeros(26)}), "another shape at .*fc_cls"),
    ],
)
def test_released_checkpoint_is_strict_both_ways(relu_model, tmp_path, change, words):
    state = dict(relu_model.state_dict())
    change(state)
    path = tmp_path / "x.pth"
    torch.save(state, path)
    with pytest.raises(InputError, match=words):
        checkpoint.load_released(relu_model, path)


def test_coco_detector_starts_training(paper_model, tmp_path):
    own = paper_model.state_dict()
    coco = {key.removeprefix("detector."): value for key, value in changed(own).items() if key.startswith("detector.")}
    for layer, rows in (("bbox_head.fc_cls", 81), ("bbox_head.fc_reg", 320), ("mask_head.conv_logits", 80)):
        for part in ("weight", "bias"):
            key = f"roi_head.{layer}.{part}"
            coco[key] = torch.zeros(rows, *coco[key].shape[1:])
    path = tmp_path / "coco.pth"
    torch.save({"state_dict": coco}, path)
    target = copy.deepcopy(paper_model)
    line = checkpoint.load_initial(target, path)
    assert "10 start fresh" in line  # 3 class layers and 2 embedding layers, weight and bias each
    loaded = target.state_dict()
    assert torch.equal(loaded["detector.backbone.layer1.0.conv1.weight"], coco["backbone.layer1.0.conv1.weight"])
    assert torch.equal(
        loaded["detector.roi_head.bbox_head.fc_cls.weight"], own["detector.roi_head.bbox_head.fc_cls.weight"]
    )

    del coco["backbone.conv1.weight"]
    torch.save({"state_dict": coco}, path)
    with pytest.raises(InputError, match=r"no key backbone\.conv1\.weight"):
        checkpoint.load_initial(target, path)


def test_another_method_of_this_project_gives_its_backbone(paper_model, tmp_path):
    own = paper_model.state_dict()
    backbone = {key.removeprefix("detector."): value for key, value in changed(own).items() if "backbone." in key}
    fingerprint = {"method": "crossvis", "backbone": "r50", "fingerprint": "0"}
    save_weights(tmp_path / "weights.pth", backbone | {"neck.fpn_convs.0.conv.bias": torch.ones(256)}, fingerprint)
    target = copy.deepcopy(paper_model)
    assert checkpoint.load_initial(target, tmp_path / "weights.pth").startswith("Started from crossvis (weights.pth)")
    loaded = target.state_dict()
    assert all(torch.equal(loaded[f"detector.{key}"], value) for key, value in backbone.items())
    assert torch.equal(loaded["detector.neck.fpn_convs.0.conv.bias"], own["detector.neck.fpn_convs.0.conv.bias"])
    save_weights(tmp_path / "weights.pth", {"neck.fpn_convs.0.conv.bias": torch.ones(256)}, fingerprint)
    with pytest.raises(InputError, match="the weights of crossvis-r50 have no tensor"):
        checkpoint.load_initial(target, tmp_path / "weights.pth")
