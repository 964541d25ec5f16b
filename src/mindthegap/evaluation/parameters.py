"""The constants of the official YouTube-VIS and OVIS evaluators (``ytvoseval.py`` and ``oviseval.py``, ``Params``)."""

from __future__ import annotations

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Track IoU thresholds; the ninth is 0.8999999999999999, so that an IoU of exactly 0.9 passes."""

RECALL_POINTS = np.linspace(0.0, 1.0, 101)
"""Recalls at which precision is read; ten of them differ from ``i / 100`` in the last bit."""

MAX_TRACKS = (1, 10, 100)
"""Best-scored tracks per video *and category* that are looked at."""

AREA_GROUPS = {"all": (0.0, 1e10), "small": (0.0, 128.0**2), "medium": (128.0**2, 256.0**2), "large": (256.0**2, 1e10)}
"""Groups by mean mask area in pixels, both ends included."""

OCCLUSION_GROUPS = {"light": (0.0, 0.25), "medium": (0.25, 0.5), "heavy": (0.5, 1.0)}
"""OVIS groups by occlusion score, both ends included: a score of exactly 0.25 counts as light and as medium."""

OCCLUSION_SCORES = {"no_occlusion": 0.0, "slight_occlusion": 0.25, "severe_occlusion": 0.75}
"""Score of an occlusion level."""

ALMOST_ONE = 1 - 1e-10
"""Upper bound of the threshold that a match must reach."""
