"""Makes reference.npz from the official VisTR code: python make.py CHECKOUT (Epiphqny/VisTR at 445c9e4, Apache-2.0).

Runs on a CPU: the compiled deformable convolution and names that torchvision dropped get stand-ins.
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


class DeformConv(nn.Module):
    """The compiled operator's interface."""

    def __init__(self, channels, out_channels, kernel_size, padding):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_channels, channels, kernel_size, kernel_size))
        self.padding = padding

    def forward(self, x, offset):
        return torchvision.ops.deform_conv2d(x, offset, self.weight, padding=self.padding)


def import_official(checkout):
    def module(name, **content):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(content)

    module("models", __path__=[str(Path(checkout) / "models")])
    module("models.dcn", __path__=[])
    module("models.dcn.deform_conv", DeformConv=DeformConv)
    sys.path.insert(0, str(checkout))
    version, torchvision.__version__ = torchvision.__version__, "0.9.0"  # read by its first three characters
    torchvision.ops.misc.interpolate = functional.interpolate
    names = ("vistr", "segmentation", "transformer", "position_encoding", "matcher")
    parts = {name: importlib.import_module(f"models.{name}") for name in names}
    parts["misc"] = importlib.import_module("util.misc")
    torchvision.__version__ = version
    return types.SimpleNamespace(**parts)


def build(official):
    class Backbone(nn.Module):
        num_channels = cases.CHANNELS[-1]

        def forward(self, samples):
            levels = [torch.as_tensor(level) for level in cases.features()]
            blank = [torch.zeros(cases.LENGTH, *level.shape[2:], dtype=torch.bool) for level in levels[:-1]]
            masks = [*blank, torch.as_tensor(cases.padding())]
            nested = [official.misc.NestedTensor(*item) for item in zip(levels, masks, strict=True)]
            encoding = official.position_encoding.PositionEmbeddingSine(
                cases.DIMS // 3, num_frames=cases.LENGTH, normalize=True
            )
            return nested, [encoding(nested[-1])]

    transformer = official.transformer.Transformer(
        d_model=cases.DIMS,
        nhead=8,
        num_encoder_layers=cases.LAYERS["encoder_layers"],
        num_decoder_layers=cases.LAYERS["decoder_layers"],
        dim_feedforward=2048,
        return_intermediate_dec=True,
    )
    queries = cases.LENGTH * cases.SLOTS
    detector = official.vistr.VisTR(Backbone(), transformer, cases.CLASSES, cases.LENGTH, queries, aux_loss=True)
    model = official.segmentation.VisTRsegm(detector)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    model.load_state_dict({name: torch.as_tensor(value) for name, value in weights(shapes).items()})
    return model.eval(), shapes


def run_model(official, model):
    kept = {}
    model.vistr.transformer.register_forward_hook(lambda module, given, output: kept.update(decoder=output))
    frames = torch.zeros(cases.LENGTH, 3, *cases.SIZE)
    samples = official.misc.NestedTensor(frames, torch.zeros(cases.LENGTH, *cases.SIZE, dtype=torch.bool))
    output = model(samples)
    layers = [*output["aux_outputs"], output]
    arrays = {"queries": kept["decoder"][0], "memory": kept["decoder"][1], "masks": output["pred_masks"]}
    arrays["classes"] = torch.stack([layer["pred_logits"] for layer in layers])
    arrays["boxes"] = torch.stack([layer["pred_boxes"] for layer in layers])
    return output, layers, arrays


def target(name):
    labels, boxes, masks, visible = (torch.as_tensor(value) for value in cases.objects(name))
    boxes = (boxes / torch.tensor([cases.SIZE[1], cases.SIZE[0]] * 2)).flatten(0, 1)
    boxes = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], dim=1)
    valid = visible.flatten()
    rows = labels.repeat_interleave(cases.LENGTH) * valid  # absent frames have label 0 and a zero box
    return {"labels": rows, "boxes": boxes, "valid": valid.long(), "masks": masks.flatten(0, 1)}


def run_criterion(official, output, layers, name):
    matcher = official.matcher.HungarianMatcher(cases.LENGTH, cost_class=1, cost_bbox=5, cost_giou=2)
    criterion = official.vistr.SetCriterion(cases.CLASSES, matcher, {}, 0.1, ["labels", "boxes", "masks"])
    losses = criterion(output, [target(name)])
    arrays = {f"{name} {key}": value for key, value in losses.items() if key.startswith("loss_")}
    for number, layer in enumerate(layers):
        arrays[f"{name} match {number}"] = torch.stack(matcher(layer, [target(name)])[0])
    return arrays


def main(checkout):
    official = import_official(checkout)
    model, shapes = build(official)
    with torch.no_grad():
        output, layers, arrays = run_model(official, model)
        for name in cases.CLIPS:
            arrays |= run_criterion(official, output, layers, name)
    arrays["shapes"] = json.dumps(shapes)
    path = Path(__file__).with_name("reference.npz")
    np.savez_compressed(path, **{name: np.asarray(value) for name, value in arrays.items()})
    print(path, path.stat().st_size, {name: np.asarray(value).shape for name, value in arrays.items()})


if __name__ == "__main__":
    main(sys.argv[1])
