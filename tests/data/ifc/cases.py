"""Inputs that the reference data was made from, and that the parity tests use again."""

import numpy as np
from formula_tensors import uniform

MODEL = {"dims": 32, "heads": 4, "ffn": 48, "encoder_layers": 2, "decoder_layers": 2, "bus_tokens": 3}
CLASSES, QUERIES, CLIPS, LENGTH = 4, 6, 2, 3
CHANNELS = (8, 12, 20)  # strides 8, 16, 32
SIZE = (96, 128)
VALID = ((96, 128), (60, 90))  # the second clip is smaller and padded

# (class, x1, y1, x2, y2 per frame or None where the object is absent) of every clip's objects.
OBJECTS = (
    (
        (2, (10, 20, 60, 70), (14, 22, 64, 72), (18, 24, 68, 74)),
        (0, (70, 5, 120, 40), None, (66, 9, 116, 44)),
        (3, (30, 50, 90, 95), (30, 50, 91, 95), None),
    ),
    ((1, None, (5, 5, 50, 41), (7, 9, 53, 44)),),
)

# Stitching: video length, clip length, stride, number of moving objects.
VIDEOS = {"near_online": (12, 5, 1, 3), "strided": (14, 5, 4, 3), "short": (3, 5, 1, 2), "single": (1, 5, 1, 2)}
CELLS, OUTPUT = (5, 7), (20, 28)


def features():
    """Backbone levels [CLIPS * LENGTH, C, h, w], fine first."""
    frames = CLIPS * LENGTH
    sizes = [(SIZE[0] // stride, SIZE[1] // stride) for stride in (8, 16, 32)]
    return [
        uniform(f"level{index}", (frames, channels, *size))
        for index, (channels, size) in enumerate(zip(CHANNELS, sizes, strict=True))
    ]


def masks(clip):
    """Labels [n] and masks [n, T, H, W] of a clip's objects."""
    objects = OBJECTS[clip]
    filled = np.zeros((len(objects), LENGTH, *SIZE), dtype=bool)
    for row, (_, *boxes) in enumerate(objects):
        for frame, box in enumerate(boxes):
            if box is not None:
                x1, y1, x2, y2 = box
                filled[row, frame, y1:y2, x1:x2] = True
    return np.array([label for label, *_ in objects]), filled


def clips(name):
    """Predictions of every clip of a video: (first frame, logits [n, T, h, w], probabilities [n, CLASSES + 1]).

    Objects wander over the grid; a clip sees them in its own order and misses some, and adds noise of its own.
    """
    length, window, stride, objects = VIDEOS[name]
    starts = []
    for start in range(0, length, stride):
        starts.append(min(start, max(0, length - window)))
        if start + window >= length:
            break
    rows = np.arange(CELLS[0])[:, None]
    columns = np.arange(CELLS[1])[None]
    for number, start in enumerate(starts):
        order = np.argsort(uniform(f"{name} order {number}", (objects,)))
        seen = [row for row in order if uniform(f"{name} miss {number} {row}", ()) > -0.7]
        frames = range(start, min(start + window, length))
        logits = np.zeros((len(seen), len(frames), *CELLS), np.float32)
        for position, row in enumerate(seen):
            for index, frame in enumerate(frames):
                centre = (1.0 + 1.5 * row, (0.5 * frame + 2.5 * row) % CELLS[1])
                distance = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
                logits[position, index] = 3.0 - 1.5 * distance
        logits += uniform(f"{name} noise {number}", logits.shape) * 1.5
        probs = np.abs(uniform(f"{name} probs {number}", (len(seen), CLASSES + 1))) + 0.05
        yield start, logits, probs / probs.sum(axis=1, keepdims=True)
