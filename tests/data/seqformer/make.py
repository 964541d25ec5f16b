"""Writes ``reference.npz``: what the official SeqFormer computes from seeded weights and clips.

    python tests/data/seqformer/make.py CHECKOUT

CHECKOUT is a checkout of github.com/wjf5203/SeqFormer at commit 9427238. Its
compiled operator is replaced by its own pure PyTorch function, its backbone by given feature maps. Weights and clips
come from ``seeds.py``, so that the test makes them again instead of storing them.
"""

from __future__ import annotations

import json
import sys
import types
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import seeds  # noqa: E402


def official(checkout: Path) -> types.SimpleNamespace:
    """The official modules, importable without their compiled operator and with a recent torchvision."""
    sys.path.insert(0, str(checkout))
    sys.modules["MultiScaleDeformableAttention"] = types.ModuleType("MultiScaleDeformableAttention")
    version, torchvision.__version__ = torchvision.__version__, "0.9.0"  # they parse it as a number
    from models import deformable_transformer, matcher, position_encoding, segmentation, seqformer
    from models.ops.functions import ms_deform_attn_func as operator
    from models.ops.modules import ms_deform_attn
    from util.misc import NestedTensor

    torchvision.__version__ = version

    class Sampling:
        @staticmethod
        def apply(value, shapes, starts, locations, weights, step):
            return operator.ms_deform_attn_core_pytorch(value, shapes, locations, weights)

    ms_deform_attn.MSDeformAttnFunction = Sampling
    return types.SimpleNamespace(
        transformer=deformable_transformer.DeformableTransformer,
        matcher=matcher.HungarianMatcher,
        position=position_encoding.PositionEmbeddingSine,
        segmenter=segmentation.SeqFormer,
        detr=seqformer.DeformableDETR,
        criterion=seqformer.SetCriterion,
        nested=NestedTensor,
    )


class GivenFeatures(nn.Module):
    """Stands in for the backbone: gives the clips' feature maps, their masks and positions."""

    def __init__(self, parts: types.SimpleNamespace, features: list[torch.Tensor]) -> None:
        super().__init__()
        self.parts, self.features = parts, features
        self.strides, self.num_channels = [8, 16, 32], list(seeds.CHANNELS)
        self.position = parts.position(seeds.WIDTH // 2, normalize=True)

    def __getitem__(self, index: int) -> nn.Module:
        assert index == 1
        return self.position

    def forward(self, samples):
        nested = []
        for feature in self.features:
            mask = nn.functional.interpolate(samples.mask[None].float(), size=feature.shape[-2:]).to(torch.bool)[0]
            nested.append(self.parts.nested(feature, mask))
        return [None, *nested], [None, *(self.position(item) for item in nested)]


def build(parts: types.SimpleNamespace, features: list[torch.Tensor]):
    transformer = parts.transformer(
        d_model=seeds.WIDTH,
        nhead=seeds.HEADS,
        num_encoder_layers=seeds.LAYERS,
        num_decoder_layers=seeds.LAYERS,
        dim_feedforward=seeds.FFN,
        dropout=0.0,
        return_intermediate_dec=True,
        num_feature_levels=seeds.LEVELS,
        dec_n_points=seeds.POINTS,
        enc_n_points=seeds.POINTS,
    )
    sizes = Namespace(num_classes=seeds.CLASSES, num_frames=seeds.FRAMES, num_queries=seeds.QUERIES)
    detr = parts.detr(
        GivenFeatures(parts, features),
        transformer,
        sizes.num_classes,
        sizes.num_frames,
        sizes.num_queries,
        seeds.LEVELS,
        aux_loss=True,
        with_box_refine=True,
    )
    model = parts.segmenter(detr, rel_coord=True)
    keys = [(key, list(value.shape)) for key, value in model.state_dict().items()]
    model.load_state_dict({key: torch.from_numpy(value) for key, value in seeds.weights(keys).items()})
    matcher = parts.matcher(multi_frame=True, cost_class=2, cost_bbox=5, cost_giou=2)
    criterion = parts.criterion(
        sizes.num_classes, matcher, {}, ["labels", "boxes", "masks"], mask_out_stride=4, num_frames=sizes.num_frames
    )
    return model, criterion, keys


def annotations(clips: dict) -> list[dict]:
    """Targets in the official layout: a clip's frames one after the other."""
    return [
        {
            "labels": torch.from_numpy(clip["labels"]),
            "boxes": torch.from_numpy(clip["boxes"]).flatten(0, 1),
            "masks": torch.from_numpy(clip["masks"]).flatten(0, 1).float(),
            "size": torch.tensor(clip["size"]),
        }
        for clip in clips["targets"]
    ]


def matches(criterion: torch.nn.Module, layers: list[dict], targets: list[dict]) -> torch.Tensor:
    """Layer, clip, query and target of every matched pair."""
    pairs = []
    for index, layer in enumerate(layers):
        found = criterion.matcher(layer, targets, seeds.FRAMES, None)
        pairs += [
            (index, clip, int(query), int(target))
            for clip, matched in enumerate(found)
            for query, target in zip(*matched, strict=True)
        ]
    return torch.tensor(pairs)


def weighted(losses: dict) -> dict:
    """The losses of all layers, weighted."""
    weights = {"loss_ce": 2.0, "loss_bbox": 5.0, "loss_giou": 2.0, "loss_mask": 2.0, "loss_dice": 5.0}
    names = {name: [*(f"{name}_{index}" for index in range(seeds.LAYERS - 1)), name] for name in weights}
    return {name: weights[name] * torch.stack([losses[key] for key in keys]) for name, keys in names.items()}


def inferred_masks(
    parts: types.SimpleNamespace, model: torch.nn.Module, features: list, samples: object
) -> torch.Tensor:
    """Masks of the official inference; it takes one video, and the first clip has no padding."""
    model.detr.backbone.features = [level[: seeds.FRAMES] for level in features]
    images = torch.zeros(seeds.FRAMES, 3, seeds.HEIGHT, seeds.BREADTH)
    masks = model.forward_mask_head_train  # the number of queries is written into their inference
    model.forward_mask_head_train = lambda *given, num_insts=None: masks(*given[:5], [seeds.QUERIES])
    with torch.no_grad():
        result = model.inference(parts.nested(images, samples.mask[: seeds.FRAMES]), seeds.BREADTH, seeds.HEIGHT)
    return result["pred_masks"][0][seeds.SHOWN]


def main(checkout: Path) -> None:
    parts = official(checkout)
    clips = seeds.clips()
    features = [torch.from_numpy(level) for level in clips["features"]]
    model, criterion, keys = build(parts, features)
    images = torch.zeros(seeds.CLIPS * seeds.FRAMES, 3, seeds.HEIGHT, seeds.BREADTH)
    samples = parts.nested(images, torch.from_numpy(clips["padding"]).flatten(0, 1))
    targets = annotations(clips)
    seen = {}
    model.detr.transformer.register_forward_hook(lambda module, given, result: seen.update(result=result))
    outputs, losses = model(samples, targets, criterion, train=True)
    hs, hs_box, memory, start, references = seen["result"][:5]
    layers = [*outputs["aux_outputs"], outputs]
    arrays = {
        "memory": memory,
        "instances": hs,
        "box_queries": hs_box,
        "start": start,
        "references": references,
        "logits": torch.stack([layer["pred_logits"] for layer in layers]),
        "boxes": torch.stack([layer["pred_boxes"] for layer in layers]),
        "masks": torch.cat([torch.cat(layer["pred_masks"], dim=1)[0] for layer in layers]),
    }
    found = weighted(losses)
    sum(value.sum() for value in found.values()).backward()
    named = dict(model.named_parameters(remove_duplicate=False))
    arrays |= found | {f"gradient/{key}": named[key].grad for key in seeds.GRADIENTS}
    arrays["inference_masks"] = inferred_masks(parts, model, features, samples)
    stored = {name: value.detach().numpy().astype(np.float32) for name, value in arrays.items()}
    stored["matches"] = matches(criterion, layers, targets).numpy().astype(np.int16)
    stored["keys"] = np.array(json.dumps(keys))
    np.savez_compressed(HERE / "reference.npz", **stored)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
