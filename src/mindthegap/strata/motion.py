"""Attributes of movement and hiding that need the objects' boxes."""

from __future__ import annotations

import numpy as np

from mindthegap.failures.intervals import true_runs


def relative_speed(boxes: np.ndarray, area: np.ndarray) -> float | None:
    """Mean step of an object's box centre between successive frames, in object sizes per frame.

    The size is the square root of the mean mask area of the two frames. Own definition; scale-free, so that near and
    far objects compare. Steps over an absence are left out.

    Args:
        boxes: ``float64 [T, 4]`` (x, y, width, height) in pixels, NaN where absent.
        area: Mask pixels ``[T]``.

    Returns:
        The speed, or None if the object is never present in two successive frames.
    """
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    steps = np.hypot(*np.diff(centres, axis=0).T)
    size = np.sqrt((area[1:].astype(np.float64) + area[:-1]) / 2)
    valid = np.isfinite(steps)
    return float((steps[valid] / size[valid]).mean()) if valid.any() else None


def motion_iou(boxes: np.ndarray) -> float | None:
    """Mean IoU of an object's boxes in successive frames, or None as for `relative_speed`.

    After Zhu et al., "Flow-Guided Feature Aggregation for Video Object Detection" (ICCV 2017), who average over +-10
    video frames; annotated frames are five video frames apart, so the neighbours suffice.
    """
    first, second = boxes[:-1], boxes[1:]
    shared = box_overlap(first, second)
    union = first[:, 2:].prod(axis=1) + second[:, 2:].prod(axis=1) - shared
    ious = shared / union
    valid = np.isfinite(ious)
    return float(ious[valid].mean()) if valid.any() else None


def scale_change(boxes: np.ndarray) -> float | None:
    """How much larger an object appears when it is large than when it is small: a factor of lengths, 1 or more.

    The 90th over the 10th percentile of the square root of its box area. Own definition; percentiles, because a box is
    short where something covers the object or the frame cuts it off.

    Args:
        boxes: ``float64 [T, 4]`` (x, y, width, height) in pixels, NaN where absent.

    Returns:
        The factor, or None if the object is never present.
    """
    return _spread(np.sqrt(boxes[:, 2:].prod(axis=1)))


def aspect_change(boxes: np.ndarray) -> float | None:
    """How much an object's box changes its shape: the 90th over the 10th percentile of width / height, 1 or more.

    Own definition; arguments and result as for `scale_change`.
    """
    return _spread(boxes[:, 2] / boxes[:, 3])


def _spread(values: np.ndarray) -> float | None:
    """The 90th over the 10th percentile of the finite values."""
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    low, high = np.quantile(known, (0.1, 0.9))
    return float(high / low)


def box_overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pixels shared by boxes ``[..., 4]`` (x, y, width, height); NaN where either is NaN."""
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=-1))


def crossings(boxes: np.ndarray) -> np.ndarray:
    """How often each object crosses another: ``int64 [G]`` from boxes ``[T, G, 4]``.

    Two objects cross when their boxes overlap for a run of frames, both are present just before and just after it,
    and they have changed sides: the vectors between their centres before and after point in opposite half-planes. Own
    definition.
    """
    objects = boxes.shape[1]
    counts = np.zeros(objects, dtype=np.int64)
    centres = boxes[..., :2] + boxes[..., 2:] / 2
    for one in range(objects):
        for two in range(one + 1, objects):
            between = centres[:, two] - centres[:, one]
            for run in true_runs(np.nan_to_num(box_overlap(boxes[:, one], boxes[:, two])) > 0):
                if run.start > 0 and run.end + 1 < len(between):
                    # NaN (one of them absent) compares false.
                    changed = bool(between[run.start - 1] @ between[run.end + 1] < 0)
                    counts[[one, two]] += changed
    return counts


def frame_overlap_rates(boxes: np.ndarray) -> np.ndarray:
    """Bounding-box overlap rate ``float64 [T]``: ``1 - |union of boxes| / sum of |boxes|``; NaN without objects.

    Qi et al., "Occluded Video Instance Segmentation: A Benchmark" (IJCV 2022), whose mBOR is its mean.
    """
    rates = np.full(len(boxes), np.nan)
    for frame, placed in enumerate(boxes):
        present = placed[np.isfinite(placed).all(axis=1)]
        total = present[:, 2:].prod(axis=1).sum()
        if total > 0:
            rates[frame] = 1 - _union_area(present) / total
    return rates


def _union_area(boxes: np.ndarray) -> float:
    """Area covered by boxes ``[N, 4]``, on the grid of their edges."""
    ends = boxes[:, :2] + boxes[:, 2:]
    xs, ys = (np.unique(np.concatenate((boxes[:, axis], ends[:, axis]))) for axis in (0, 1))
    covered = (
        (boxes[:, None, None, 0] <= xs[None, None, :-1])
        & (xs[None, None, :-1] < ends[:, None, None, 0])
        & (boxes[:, None, None, 1] <= ys[None, :-1, None])
        & (ys[None, :-1, None] < ends[:, None, None, 1])
    ).any(axis=0)
    return float((covered * np.diff(ys)[:, None] * np.diff(xs)[None, :]).sum())


def hidden_shares(boxes: np.ndarray) -> np.ndarray:
    """Mean share ``float64 [G]`` of each object's box that other objects' boxes cover; NaN for absent objects.

    The per-object side of the overlap rate, for data without occlusion labels. Whether the other object stands in
    front is not known from boxes.
    """
    frames, objects = boxes.shape[:2]
    shares = np.full((frames, objects), np.nan)
    for frame, placed in enumerate(boxes):
        present = np.flatnonzero(np.isfinite(placed).all(axis=1))
        for index in present:
            own = placed[index]
            others = _clipped(placed[present[present != index]], own)
            shares[frame, index] = _union_area(others) / own[2:].prod() if len(others) else 0.0
    seen = np.isfinite(shares)
    sums = np.where(seen, shares, 0.0).sum(axis=0)
    return np.asarray(np.divide(sums, seen.sum(axis=0), out=np.full(objects, np.nan), where=seen.any(axis=0)))


def _clipped(boxes: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """The parts of ``boxes [N, 4]`` inside the box ``frame [4]``; boxes outside are dropped."""
    low = np.maximum(boxes[:, :2], frame[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], frame[:2] + frame[2:])
    inside = (high > low).all(axis=1)
    return np.asarray(np.concatenate((low, high - low), axis=1)[inside])
