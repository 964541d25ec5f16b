"""Tiny SeqFormers and the clips and videos they are fed with; MS-STS VIS uses them too."""

from pathlib import Path

import numpy as np
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmcv.transforms import Compose  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402
from mmdet.structures import DetDataSample, TrackDataSample  # noqa: E402
from mmdet.structures.mask import BitmapMasks  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402
from PIL import Image  # noqa: E402

from methods.runtime import data, registry  # noqa: E402, F401 - data registers LoadFrame
from methods.runtime.configs import build_config  # noqa: E402
from methods.runtime.facts import DatasetFacts  # noqa: E402
from methods.runtime.frames import VideoFrames  # noqa: E402

HEIGHT, WIDTH = 64, 96
TINY = {"channels": 32, "queries": 6, "ffn": 32, "heads": 4, "encoder_layers": 1, "decoder_layers": 2}


def facts(classes=("disc", "square", "star")):
    folder = Path("nowhere")
    ids = tuple(range(1, len(classes) + 1))
    return DatasetFacts("tiny", "train", folder, folder, "0", tuple(classes), ids, 2, 8, 8, 3, 2, (HEIGHT, WIDTH))


def config(method="seqformer", *, settings=None, inference=None, **changes):
    training = TINY | (settings or {})
    return build_config(method, "smoke", changes.pop("facts", facts()), "r18_tiny", training, inference)


def model(method="seqformer", *, seed=0, **changes):
    """A model with random weights, in evaluation mode; boxes, classes and masks that differ between queries."""
    register_all_modules(init_default_scope=True)
    registry.load(method, "model")
    torch.manual_seed(seed)
    built = MODELS.build(config(method, **changes).model)
    for part in (built.encoder, built.decoder, built.mask_branch):
        part.reset_parameters()
    built.reset_class_heads()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for head in built.decoder.box_heads:
            head.layers[-1].weight.normal_(std=0.3, generator=generator)
        for head in built.class_heads:
            head.weight.normal_(std=0.5, generator=generator)
            head.bias.zero_()
        built.controller.layers[-1].bias.normal_(generator=generator)
        built.controller.layers[-1].bias[-1] = 1.0
    return built.eval()


def images(clips, frames, seed=0):
    return torch.randn(clips, frames, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))


def sample(frames):
    """A clip's annotations from one {identity: (label, x1, y1, x2, y2)} per frame."""
    clip = TrackDataSample()
    clip.video_data_samples = [_frame(objects) for objects in frames]
    return clip


def _frame(objects):
    masks = np.zeros((len(objects), HEIGHT, WIDTH), np.uint8)
    for row, (_, x1, y1, x2, y2) in enumerate(objects.values()):
        masks[row, y1:y2, x1:x2] = 1
    frame = DetDataSample(metainfo={"batch_input_shape": (HEIGHT, WIDTH), "img_shape": (HEIGHT, WIDTH)})
    frame.gt_instances = InstanceData(
        instances_ids=torch.tensor(list(objects), dtype=torch.int32),
        labels=torch.tensor([label for label, *_ in objects.values()], dtype=torch.long),
        bboxes=torch.tensor([box for _, *box in objects.values()], dtype=torch.float32).reshape(-1, 4),
        masks=BitmapMasks(masks, HEIGHT, WIDTH),
    )
    return frame


def batch():
    """Two clips of three frames: images and annotations."""
    first = [{1: (0, 8, 8, 40, 40), 2: (2, 50, 20, 90, 60)}, {1: (0, 12, 8, 44, 40)}, {1: (0, 16, 8, 48, 40)}]
    second = [{3: (1, 0, 0, 30, 30)}, {3: (1, 5, 5, 35, 35)}, {}]
    return images(2, 3), [sample(first), sample(second)]


def video(folder, length, *, queries=None, cfg=None):
    """A video of noise on disk, as a method reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{index:05d}.png" for index in range(length)]
    draw = np.random.default_rng(length)
    for name in names:
        small = draw.integers(0, 255, (8, 12, 3), dtype=np.uint8)
        Image.fromarray(small).resize((WIDTH, HEIGHT)).save(folder / name)
    entry = {"id": 1, "height": HEIGHT, "width": WIDTH, "file_names": names}
    return VideoFrames(entry, folder, Compose((cfg or config()).test_pipeline), queries)
