"""The largest track IoU an object can reach alone, exactly (Dinkelbach 1967, fractional programming).

For one object, maximising sum(I) / (A + sum(a - I)) over one mask per frame is solved by iterating: with the current
ratio r, take in every frame the mask of largest (1 + r) I - r a, if positive; r becomes the IoU of that choice. It
rises to the optimum in about five steps. The same choice is optimal for every threshold up to the IoU reached. All
comparisons are made in integers: with r = N / D they are between (D + N) I - N a.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mindthegap.oracle.sums import NONE, Ints

_INT64_ROOM = 2**62


def best_linking(
    shared: npt.NDArray[np.integer], area: npt.NDArray[np.integer], object_area: npt.NDArray[np.integer]
) -> Ints:
    """Best mask per frame for each object as if it were alone.

    Args:
        shared: ``[T, Q, G]`` shared pixels; 0 forbids a choice.
        area: ``[T, Q]`` pixels of the masks.
        object_area: ``[T, G]`` pixels of the objects.

    Returns:
        ``[T, G]`` query per frame and object, -1 for none; equal values go to the smaller query.
    """
    frames, queries, objects = shared.shape
    chosen = np.full((frames, objects), NONE, np.int64)
    if not queries or not objects or not frames:
        return chosen
    pixels, own = _wide(shared, area, object_area)
    whole = object_area.sum(axis=0, dtype=np.int64)
    numerator, denominator = np.zeros(objects, pixels.dtype), np.ones(objects, pixels.dtype)
    open_ = np.arange(objects)
    while len(open_):
        value = pixels[:, :, open_] * (denominator + numerator)[open_] - own[:, :, None] * numerator[open_]
        best = value.argmax(axis=1)
        taken = np.take_along_axis(value, best[:, None], axis=1)[:, 0] > 0
        chosen[:, open_] = np.where(taken, best, NONE)
        total, union = _ratio(pixels[:, :, open_], own, best, taken, whole[open_])
        risen = total * denominator[open_] > numerator[open_] * union
        divisor = np.gcd(total, union).clip(min=1)
        numerator[open_], denominator[open_] = total // divisor, np.maximum(union // divisor, 1)
        open_ = open_[risen]
    return chosen


def _ratio(pixels: Ints, own: Ints, best: Ints, taken: npt.NDArray[np.bool_], whole: Ints) -> tuple[Ints, Ints]:
    """Intersection and union ``[G]`` of a choice ``best[T, G]`` where ``taken``."""
    shared = np.where(taken, np.take_along_axis(pixels, best[:, None], axis=1)[:, 0], 0).sum(axis=0)
    area = np.where(taken, np.take_along_axis(own, best, axis=1), 0).sum(axis=0)
    return shared, whole + area - shared


def _wide(
    shared: npt.NDArray[np.integer], area: npt.NDArray[np.integer], object_area: npt.NDArray[np.integer]
) -> tuple[Ints, Ints]:
    """The arrays in int64, or as Python integers where products could exceed it (8K video of many hours)."""
    largest = max(int(area.max(initial=0)), int(shared.max(initial=0)))
    union = len(area) * (largest + int(object_area.max(initial=0)))
    kind = np.int64 if 2 * union * max(largest, union) < _INT64_ROOM else object
    return shared.astype(kind), area.astype(kind)
