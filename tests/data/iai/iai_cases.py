"""Weights and inputs of the comparison with the official code, drawn from names: both sides make the same ones."""

import zlib

import numpy as np
import torch

IDENTITIES, CHANNELS, GRID, LAYERS = 5, 32, (4, 9), 2
FRAMES = 6
HEAD = {"classes": 3, "identities": 4, "channels": 64}
LEVELS = ((8, 12), (4, 6), (2, 3), (1, 2), (1, 1))  # a padded input of 64 x 96
IMAGE = {"img_shape": (60, 90), "pad_shape": (64, 96), "ori_shape": (120, 180)}
VIDEO = {"classes": 3, "identities": 7, "frames": 9}


def normal(name, shape, scale=1.0):
    """Standard normal numbers that depend on the name alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return torch.from_numpy(np.asarray(scale * rng.standard_normal(tuple(shape)), dtype=np.float32))


def fill(module, scale=0.15, rename=lambda key: key):
    """Draws every parameter and running statistic from its (official) name."""
    with torch.no_grad():
        for key, value in module.state_dict().items():
            if value.dtype == torch.float32:
                name = rename(key)
                if name.endswith("running_var"):
                    value.copy_(1 + normal(name, value.shape, 0.1).abs())
                elif name.endswith("weight") and value.dim() == 1:  # of a norm
                    value.copy_(1 + normal(name, value.shape, scale))
                else:
                    value.copy_(normal(name, value.shape, scale))
    return module


def stack(frame, batch=1, identities=IDENTITIES, grid=GRID):
    """One-hot masks of a few rectangles that move, [batch, N + 1, H, W]."""
    height, width = 32 * grid[0], 32 * grid[1]
    owner = np.full((batch, height, width), identities)
    for sample in range(batch):
        for number in range(min(frame + 1, identities - 1)):
            top, left = 12 * number + 3 * frame, 40 * number + 7 * frame + 5 * sample
            owner[sample, top : top + 40, left : left + 50] = number
    one_hot = owner[:, None] == np.arange(identities + 1)[None, :, None, None]
    return torch.from_numpy(one_hot.astype(np.float32))


def features(frame, batch=1):
    """What the projector gives for a frame, [batch, d, h, w]."""
    return normal(f"frame {frame}", (batch, CHANNELS, *GRID))


def pyramid(name, channels=HEAD["channels"], levels=LEVELS, batch=2):
    """Feature levels of a batch of images."""
    return [normal(f"{name} level {index}", (batch, channels, *size)) for index, size in enumerate(levels)]


def objects():
    """Boxes, labels, identity targets and masks of two images."""
    boxes = [[[10.0, 12.0, 40.0, 50.0], [30.0, 20.0, 88.0, 58.0]], [[4.0, 4.0, 30.0, 28.0]]]
    labels, targets = [[2, 0], [1]], [[3, 1], [0]]
    masks = []
    for image in boxes:
        masks.append(np.zeros((len(image), 64, 96), dtype=np.uint8))
        for row, (x1, y1, x2, y2) in enumerate(image):
            masks[-1][row, int(y1) : int(y2), int(x1) : int(x2)] = 1
            masks[-1][row, int(y1) : int(y1) + 8, int(x1) : int(x1) + 12] = 0  # not a plain box: the centroid moves
    columns = zip(boxes, labels, targets, strict=True)
    return [tuple(torch.tensor(value) for value in image) for image in columns], masks


def video_levels(frame):
    """Backbone outputs C2 to C5 of one frame of the whole-model case (C2 is not read)."""
    sizes = ((16, 24), (8, 12), (4, 6), (2, 3))
    widths = zip((1, 8, 8, 2048), sizes, strict=True)
    return [normal(f"video {frame} C{n}", (1, width, *size)) for n, (width, size) in enumerate(widths, start=2)]


CLIP_IDS = ((0, 2), (2,), (0, 1, 2), (1,), (0, 3))  # 0 leaves and returns, 1 is new in frame 2
NECK = {
    "type": "FPN",
    "in_channels": [1, 8, 8, 2048],
    "out_channels": 64,
    "start_level": 1,
    "num_outs": 5,
    "add_extra_convs": "on_output",
    "relu_before_extra_convs": True,
}


def clip_masks():
    """Overlapping rectangles of the clip above, [G, 32, 48] per frame."""
    frames = []
    for frame, numbers in enumerate(CLIP_IDS):
        masks = torch.zeros(len(numbers), 32, 48)
        for row, number in enumerate(numbers):
            masks[row, 4 + 3 * number : 20, 6 * number + frame : 30 - 2 * number] = 1
        frames.append(masks)
    return frames


LOUDER = {"bbox_head.controller.weight": 3, "bbox_head.mask_head.4.weight": 4, "bbox_head.conv_reg.weight": 2}


def fill_video(model, rename=lambda key: key):
    """Weights of the whole-model case; some are larger, so that masks differ."""
    fill(model, 0.05, rename)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            name = rename(key)
            if value.dim() > 1 and name in LOUDER:
                value.mul_(LOUDER[name])
