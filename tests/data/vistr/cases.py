"""Inputs that the reference data was made from, and that the parity tests use again."""

import numpy as np
from formula_tensors import uniform

LENGTH, SLOTS, DIMS, CLASSES = 3, 10, 384, 41  # the official code fixes slots and width
LAYERS = {"encoder_layers": 1, "decoder_layers": 2}
CHANNELS = (256, 512, 1024, 2048)
SIZE = (64, 96)
PADDED_COLUMNS = 1  # of the coarsest level

# (class, x1, y1, x2, y2 per frame or None where the object is absent) of every object. The official losses take the
# presence of another object unless all are absent from the same frames, so here they are.
CLIPS = {
    "present": (
        (5, (10, 20, 60, 60), (14, 22, 64, 62), (18, 24, 68, 64)),
        (7, (50, 5, 90, 40), (48, 7, 88, 42), (46, 9, 86, 44)),
        (1, (3, 30, 40, 63), (4, 30, 41, 60), (6, 28, 42, 58)),
    ),
    "absent": (
        (5, (10, 20, 60, 60), None, (18, 24, 68, 64)),
        (30, (50, 5, 90, 40), None, (46, 9, 86, 44)),
    ),
}


def features():
    """Backbone levels [LENGTH, C, h, w], fine first."""
    sizes = [(SIZE[0] // stride, SIZE[1] // stride) for stride in (4, 8, 16, 32)]
    return [
        uniform(f"level{index}", (LENGTH, channels, *size))
        for index, (channels, size) in enumerate(zip(CHANNELS, sizes, strict=True))
    ]


def padding():
    """Whether a cell of the coarsest level is padding: [LENGTH, h, w]."""
    mask = np.zeros((LENGTH, SIZE[0] // 32, SIZE[1] // 32), dtype=bool)
    mask[..., -PADDED_COLUMNS:] = True
    return mask


def objects(name):
    """Labels [n], boxes [n, T, 4] in pixels (zeros where absent), masks [n, T, H, W] and visibility [n, T]."""
    clip = CLIPS[name]
    boxes = np.array([[box or (0, 0, 0, 0) for box in shown] for _, *shown in clip], np.float32)
    visible = np.array([[box is not None for box in shown] for _, *shown in clip])
    masks = np.zeros((*visible.shape, *SIZE), dtype=bool)
    for row, frame in np.argwhere(visible):
        x1, y1, x2, y2 = boxes[row, frame].astype(int)
        masks[row, frame, y1:y2, x1 : x2 - 3] = True
    return np.array([label for label, *_ in clip]), boxes, masks, visible
