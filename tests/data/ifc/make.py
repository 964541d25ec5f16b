"""Makes reference.npz from the official IFC code: python make.py CHECKOUT (sukjunhwang/IFC at 880d646, Apache-2.0).

Runs on a CPU without detectron2: the few names taken from it get stand-ins.
"""

import importlib
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import cases
from formula_tensors import weights


class DepthwiseSeparable(nn.Module):
    """detectron2's block as the official head uses it: both convolutions with bias and ReLU."""

    def __init__(self, channels, out_channels, kernel_size, padding, activation1, activation2):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel_size, padding=padding, groups=channels)
        self.pointwise = nn.Conv2d(channels, out_channels, 1)

    def forward(self, x):
        return self.pointwise(self.depthwise(x).relu()).relu()


def import_official(checkout):
    def module(name, **content):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(content)

    for name in ("detectron2", "detectron2.layers", "detectron2.utils"):
        module(name)
    module("detectron2.structures", Instances=object)
    module("detectron2.layers.blocks", DepthwiseSeparableConv2d=DepthwiseSeparable)
    module("detectron2.utils.memory", retry_if_cuda_oom=lambda function: function)
    torchvision.ops.misc.interpolate = functional.interpolate
    root = Path(checkout) / "projects/IFC/ifc"
    for name, folder in (("ifc", root), ("ifc.models", root / "models"), ("ifc.structures", root / "structures")):
        module(name, __path__=[str(folder)])
    names = {"model": "ifc.models.ifc", "clip_output": "ifc.structures.clip_output", "misc": "ifc.util.misc"}
    names |= {name: f"ifc.models.{name}" for name in ("matcher", "position_encoding", "segmentation", "transformer")}
    return types.SimpleNamespace(**{name: importlib.import_module(path) for name, path in names.items()})


def build(official):
    dims = cases.MODEL["dims"]
    transformer = official.transformer.IFCTransformer(
        num_frames=cases.LENGTH,
        d_model=dims,
        nhead=cases.MODEL["heads"],
        num_encoder_layers=cases.MODEL["encoder_layers"],
        num_decoder_layers=cases.MODEL["decoder_layers"],
        num_memory_bus=cases.MODEL["bus_tokens"],
        dim_feedforward=cases.MODEL["ffn"],
        return_intermediate_dec=True,
    )
    backbone = nn.Identity()
    backbone.num_channels = cases.CHANNELS[2]
    head = official.segmentation.MaskHead(dims, [cases.CHANNELS[1], cases.CHANNELS[0]], cases.LENGTH)
    model = official.model.IFC(backbone, transformer, head, cases.CLASSES, cases.QUERIES, cases.LENGTH, aux_loss=True)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    model.load_state_dict({name: torch.as_tensor(value) for name, value in weights(shapes).items()})
    return model.eval(), shapes


def nested(official):
    """Features with their padding masks; the first entry (stride 4) is not used by the model."""
    levels = []
    for level, stride in zip(cases.features(), (8, 16, 32), strict=True):
        mask = torch.ones(level.shape[0], *level.shape[2:], dtype=torch.bool)
        for clip, (height, width) in enumerate(cases.VALID):
            rows = slice(clip * cases.LENGTH, (clip + 1) * cases.LENGTH)
            mask[rows, : -(-height // stride), : -(-width // stride)] = False
        levels.append(official.misc.NestedTensor(torch.as_tensor(level), mask))
    return [None, *levels]


def targets():
    result = []
    for clip in range(cases.CLIPS):
        labels, masks = cases.masks(clip)
        size = (cases.SIZE[0] // 4, cases.SIZE[1] // 4)
        soft = functional.interpolate(torch.as_tensor(masks).float(), size=size, mode="bilinear", align_corners=False)
        result.append({"labels": torch.as_tensor(labels), "masks": soft, "match_masks": soft})
    return result


def run_model(official, model):
    kept = {}
    model.transformer.encoder.register_forward_hook(lambda module, given, output: kept.update(encoder=output))
    model.transformer.clip_decoder.register_forward_hook(lambda module, given, output: kept.update(decoder=output))
    features = nested(official)
    positions = official.position_encoding.PositionEmbeddingSine(cases.MODEL["dims"] // 2, normalize=True)
    output = model.forward_post_backbone(features, [positions(features[-1])], is_train=True)
    layers = [*output["aux_outputs"], output]
    arrays = {"pixels": kept["encoder"][0], "bus": kept["encoder"][1], "decoder": kept["decoder"]}
    arrays["class_logits"] = torch.stack([layer["pred_logits"] for layer in layers])
    arrays["mask_logits"] = torch.stack([layer["pred_masks"] for layer in layers])
    return output, layers, arrays


def run_criterion(official, output, layers):
    matcher = official.matcher.HungarianMatcher(cost_class=1, cost_dice=3, num_classes=cases.CLASSES)
    weight = {"loss_ce": 1, "loss_mask": 3, "loss_dice": 3}
    names = ["labels", "masks"]
    criterion = official.model.SetCriterion(cases.CLASSES, matcher, weight, 0.1, names, cases.LENGTH)
    losses = criterion(output, targets())
    arrays = {f"loss {name}": value for name, value in losses.items() if name.startswith("loss_")}
    for number, layer in enumerate(layers):
        for clip, (queries, objects) in enumerate(matcher(layer, targets())):
            arrays[f"match {number} {clip}"] = torch.stack([queries, objects])
    return arrays


def run_stitcher(official, name):
    length, window = cases.VIDEOS[name][:2]
    videos = official.clip_output.Videos(window, length, cases.CLASSES, cases.CELLS, "cpu")
    for start, logits, probs in cases.clips(name):
        probs = torch.as_tensor(probs)
        results = types.SimpleNamespace(pred_masks=torch.as_tensor(logits), cls_probs=probs)
        results.scores, results.pred_classes = probs.max(dim=1)
        frames = list(range(start, start + logits.shape[1]))
        videos.update(official.clip_output.Clips(frames, results))
    probs, masks = videos.get_result(cases.OUTPUT)
    sums, valid = videos.saved_logits[: videos.num_clip, : videos.num_inst], videos.saved_valid
    counts = valid[: videos.num_clip, : videos.num_inst].sum(dim=0)
    mean = sums.sum(dim=0) / counts.clamp_min(1)[..., None, None]
    packed = np.packbits(masks.numpy())
    return {f"{name} probs": probs, f"{name} logits": mean, f"{name} counts": counts, f"{name} masks": packed}


def main(checkout):
    official = import_official(checkout)
    model, shapes = build(official)
    with torch.no_grad():
        output, layers, arrays = run_model(official, model)
        arrays |= run_criterion(official, output, layers)
        for name in cases.VIDEOS:
            arrays |= run_stitcher(official, name)
    arrays["shapes"] = json.dumps(shapes)
    path = Path(__file__).with_name("reference.npz")
    np.savez_compressed(path, **{name: np.asarray(value) for name, value in arrays.items()})
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
