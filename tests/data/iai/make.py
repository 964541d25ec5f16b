"""Writes the reference tensors of tests/parity/test_iai_official.py by running the official code.

Usage: python make.py CHECKOUT OUT.npz, with a checkout of zfonemore/IAI at commit 2691be9. Its modules are run as they
are; what they import and this environment lacks (mmcv 1.x names, a CUDA correlation sampler, CUDA events) is replaced
by equivalents. Nothing of the official code is kept, only numbers.
"""

import contextlib
import importlib
import sys
import types
from pathlib import Path

import iai_cases as cases
import numpy as np
import torch
import torch.nn.functional as functional

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

import mmcv.cnn  # noqa: E402
from mmdet.models.utils import multi_apply  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402
from mmdet.structures.bbox import distance2bbox  # noqa: E402
from mmdet.utils import reduce_mean, register_all_modules  # noqa: E402
from pycocotools import mask as mask_api  # noqa: E402


class Correlation(torch.nn.Module):
    """What the correlation sampler computes with kernel 1 and stride 1: products with every position of a window."""

    def __init__(self, patch_size, **_):
        super().__init__()
        self.size = patch_size

    def forward(self, first, second):
        windows = functional.unfold(second, self.size, padding=self.size // 2)
        windows = windows.view(*second.shape[:2], self.size**2, *second.shape[2:])
        return (first[:, :, None] * windows).sum(1).view(len(first), self.size, self.size, *second.shape[2:])


class Registry:
    @staticmethod
    def register_module():
        return lambda cls: cls


def module(name, **members):
    created = types.ModuleType(name)
    vars(created).update(members)
    sys.modules[name] = created
    return created


def package(name, path):
    module(name).__path__ = [str(path)]


class AnchorFreeHead(torch.nn.Module):
    """The part of mmdet 2.11's base class that the head uses."""

    def __init__(self, num_classes, in_channels, feat_channels=256, test_cfg=None, **_):
        super().__init__()
        self.num_classes = self.cls_out_channels = num_classes
        self.in_channels, self.feat_channels, self.test_cfg = in_channels, feat_channels, test_cfg


class SingleStageDetector(torch.nn.Module):
    with_bbox = True

    def __init__(self, backbone, neck, bbox_head, **_):
        super().__init__()
        self.backbone, self.neck, self.bbox_head = backbone, neck, bbox_head


def stand_ins(root):
    """Makes the official folders importable under the name ``official``."""
    no_op = lambda *_, **__: lambda function: function  # noqa: E731
    module("mmcv.runner", ModuleList=torch.nn.ModuleList, BaseModule=torch.nn.Module, auto_fp16=no_op, force_fp32=no_op)
    module("spatial_correlation_sampler", SpatialCorrelationSampler=Correlation)
    module("mmdet.models.builder", HEADS=Registry)
    core = {"distance2bbox": distance2bbox, "multi_apply": multi_apply, "reduce_mean": reduce_mean}
    unused = ("bbox_overlaps", "unmap", "bbox2result_with_id", "bbox2roi")
    module("mmdet.core", **core, **dict.fromkeys(unused))
    for name in ("bias_init_with_prob", "normal_init", "kaiming_init"):
        setattr(mmcv.cnn, name, None)  # only called when training starts
    torch.cuda.Event = lambda **_: None
    keep = lambda part: part  # noqa: E731
    builders = dict.fromkeys(("build_head", "build_neck", "build_roi_extractor"), keep)
    package("official", root / "mmdet/models")
    module("official.builder", HEADS=Registry, DETECTORS=Registry, build_loss=MODELS.build, **builders)
    for folder in ("dense_heads", "detectors"):
        package(f"official.{folder}", root / "mmdet/models" / folder)
    module("official.dense_heads.anchor_free_head", AnchorFreeHead=AnchorFreeHead)
    module("official.detectors.single_stage", SingleStageDetector=SingleStageDetector)


def association(layers, batch):
    """Six frames through the association block, with the gradient of the last one in the first one's features."""
    block = importlib.import_module("official.lstt_block.lstt").LSTTBlock
    torch.Tensor.cuda, original = lambda tensor: tensor, torch.Tensor.cuda  # its constructor shuffles on a GPU
    lstt = block(cases.IDENTITIES, layers, cases.CHANNELS, cases.CHANNELS, 4, 2, global_mem_interval=3)
    torch.Tensor.cuda = original
    cases.fill(lstt).eval()
    lstt.restart(batch_size=batch, enable_id_shuffle=False)
    inputs = [cases.features(frame, batch).requires_grad_() for frame in range(cases.FRAMES)]
    outputs = []
    for frame, projected in enumerate(inputs):
        mask = cases.stack(frame, batch)
        outputs.append(lstt([projected], torch.zeros_like(mask) if frame == 0 else None))
        if frame == 0:
            lstt.reset_memory(mask)
        else:
            lstt.update_short_term_memory(mask, new_inst_exist=frame == 4)
    name = f"association {layers} layers "
    last = outputs[-1][-1]
    gradient = torch.autograd.grad((last * cases.normal("cotangent", last.shape)).sum(), inputs[0])[0]
    values = {f"{name}frame {n} layer {k}": tokens for n, out in enumerate(outputs) for k, tokens in enumerate(out)}
    return values | {f"{name}long": lstt.long_term_memories[-1][1], f"{name}gradient": gradient}


def head_options():
    focal = {"type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25, "loss_weight": 1.0}
    return {
        "loss_cls": focal,
        "loss_id": focal,
        "loss_bbox": {"type": "GIoULoss", "loss_weight": 1.0},
        "loss_centerness": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
        "center_sampling": True,
        "center_sample_radius": 1.5,
    }


def build_head(classes, identities, channels):
    head = importlib.import_module("official.dense_heads.iai_condinst_head").IAICondInstHead
    settings = types.SimpleNamespace(
        nms_pre=20, id_score_thr=0.1, cls_score_thr=0.1, nms={"type": "nms", "iou_threshold": 0.5}, max_per_img=6
    )
    settings.get = lambda key, default=None: getattr(settings, key, default)
    return head(classes, identities, channels, feat_channels=channels, test_cfg=settings, **head_options())


def detection_head():
    """Outputs, losses and dynamic masks of the head."""
    head = cases.fill(build_head(**cases.HEAD), 0.08).eval()
    outputs = head(cases.pyramid("head"))
    names = ("class", "identity", "box", "centerness", "filters")
    values = {
        f"head {name}": torch.cat([level.flatten(2) for level in maps], 2).transpose(1, 2)
        for name, maps in zip(names, outputs, strict=False)
    }
    values["head filters"] = values["head filters"][:, ::5]
    tensors, masks = cases.objects()
    boxes, labels, targets = (list(column) for column in zip(*tensors, strict=True))
    images = [torch.from_numpy(mask).float() for mask in masks]
    losses = head.loss(*outputs, boxes, labels, targets, [cases.IMAGE] * 2, gt_masks_list=images)
    return values | {"head mask features": outputs[5]} | {f"head {name}": value for name, value in losses.items()}


def identity_masks():
    """Targets and one-hot masks of a clip, for ids within the range in which the official set trick works."""
    utils = importlib.import_module("official.detectors.utils")
    ids = [torch.tensor(frame) for frame in cases.CLIP_IDS]
    masks = [types.SimpleNamespace(to_tensor=lambda dtype, device, m=mask: m.to(dtype)) for mask in cases.clip_masks()]
    numbers = utils.process_id(ids, 1, cases.IDENTITIES - 1)
    _, stacks, _ = utils.get_new_masks(masks, numbers, "cpu", cases.IDENTITIES - 1)
    return {f"targets {frame}": value for frame, value in enumerate(ids)} | {"stacks": stacks}


def whole_video():
    """The released inference on a video of random features: scores, labels, masks."""
    detector = importlib.import_module("official.detectors.iai_condinst").IAICondInst
    block = importlib.import_module("official.lstt_block.lstt").LSTTBlock
    torch.Tensor.cuda, original = lambda tensor: tensor, torch.Tensor.cuda
    lstt = block(cases.VIDEO["identities"], 1, 256, 256, 4, 2, global_mem_interval=3)
    torch.Tensor.cuda = original
    neck = MODELS.build(cases.NECK)
    head = build_head(cases.VIDEO["classes"], cases.VIDEO["identities"], 64)
    options = {"max_obj_num": cases.VIDEO["identities"], "num_frames": 5, "batch_size": 1}
    model = detector(
        torch.nn.Identity(),
        neck,
        head,
        lstt,
        id_cfg=types.SimpleNamespace(**options),
        test_cfg=types.SimpleNamespace(max_per_img=12),
    )
    cases.fill_video(model)
    frames = [cases.video_levels(frame) for frame in range(cases.VIDEO["frames"])]
    model.extract_feat = lambda img: tuple(torch.cat(level) for level in zip(*frames, strict=True))
    with torch.no_grad():
        scores, labels, rows = model.eval().simple_test(
            torch.zeros(len(frames), 3, 64, 96), [cases.IMAGE | {"scale_factor": 0.5}]
        )
    empty = {
        "size": list(cases.IMAGE["ori_shape"]),
        "counts": mask_api.encode(np.zeros(cases.IMAGE["ori_shape"], np.uint8, order="F"))["counts"],
    }
    masks = [[mask_api.decode(rle or empty) for rle in row] for row in rows]
    return {"video scores": scores, "video labels": labels, "video masks": np.packbits(np.array(masks, dtype=bool))}


def released_names():
    """Names and shapes of the released model's tensors (20 identities, 40 classes), the backbone's left out."""
    detector = importlib.import_module("official.detectors.iai_condinst").IAICondInst
    block = importlib.import_module("official.lstt_block.lstt").LSTTBlock
    torch.Tensor.cuda, original = lambda tensor: tensor, torch.Tensor.cuda
    lstt = block(20, 1, 256, 256, 4, 2, global_mem_interval=3)
    torch.Tensor.cuda = original
    neck = MODELS.build(cases.NECK | {"in_channels": [256, 512, 1024, 2048], "out_channels": 256})
    options = types.SimpleNamespace(max_obj_num=20, num_frames=5, batch_size=1)
    rules = types.SimpleNamespace(max_per_img=10)
    model = detector(torch.nn.Identity(), neck, build_head(40, 20, 256), lstt, id_cfg=options, test_cfg=rules)
    return [f"{key} {tuple(value.shape)}" for key, value in sorted(model.state_dict().items())]


def main():
    checkout, out = map(Path, sys.argv[1:])
    register_all_modules(init_default_scope=True)
    stand_ins(checkout)
    values = association(1, 2) | association(cases.LAYERS, 1) | detection_head() | identity_masks() | whole_video()
    with contextlib.suppress(FileNotFoundError):
        out.unlink()
    arrays = {key: np.asarray(torch.as_tensor(value).detach()) for key, value in values.items()}
    np.savez_compressed(out, names=np.array(released_names()), **arrays)
    print(f"{len(values)} arrays, {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
