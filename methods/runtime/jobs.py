"""What the workflow asks of the methods: one training job, one inference job. Imports no torch."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mindthegap.files import read_json, write_text


@dataclass(frozen=True)
class TrainingJob:
    """One training run.

    Attributes:
        method: Name of a folder in ``methods/``.
        backbone: Name in ``methods.runtime.backbones.BACKBONES``.
        scale: ``smoke``, ``demo`` or ``paper``; picks the method's default settings.
        dataset_dir: Folder with ``train.json``, ``manifest.json`` and ``frames/``.
        seed: Seed of every random choice, >= 0.
        work_dir: Checkpoints and logs of the work in progress; survives a failed attempt.
        weights: Output, the final state dict.
        history: Output, the losses, one JSON object per line.
        settings: Overrides of the method's defaults, e.g. ``{"steps": 100}``.
        devices: Number of GPUs; 0 trains on the CPU.
        amp: Automatic mixed precision (GPU only).
        init_weights: Local checkpoint to start from; None starts from random weights.
    """

    method: str
    backbone: str
    scale: str
    dataset_dir: Path
    seed: int
    work_dir: Path
    weights: Path
    history: Path
    settings: dict[str, Any] = field(default_factory=dict)
    devices: int = 0
    amp: bool = False
    init_weights: Path | None = None

    def save(self, path: Path) -> None:
        """Writes the job as JSON, for the worker processes of a multi-GPU run."""
        write_text(path, json.dumps(dataclasses.asdict(self), default=str, indent=1))

    @classmethod
    def load(cls, path: Path) -> TrainingJob:
        """Reads what ``save`` wrote."""
        values = read_json(path)
        for key in ("dataset_dir", "work_dir", "weights", "history"):
            values[key] = Path(values[key])
        if values["init_weights"] is not None:
            values["init_weights"] = Path(values["init_weights"])
        return cls(**values)


@dataclass(frozen=True)
class InferenceJob:
    """One inference run over a split.

    Attributes:
        method: Name of a folder in ``methods/``.
        backbone: Name in ``methods.runtime.backbones.BACKBONES``.
        scale: As in ``TrainingJob``.
        dataset_dir: Folder with ``<split>.json``, ``manifest.json`` and ``frames/``.
        split: Name of the split, e.g. ``diagnostic``.
        weights: What training wrote.
        predictions: Output, the YouTube-VIS result file.
        speed: Output, frames per second and peak memory.
        settings: Overrides of the method's inference settings, e.g. ``{"score_threshold": 0.01}``.
        devices: 0 runs on the CPU, otherwise on one GPU.
        seen: Output, what the weights saw of the split's videos in training (``mindthegap.data.lineage.Seen``).
        save_queries: Whether the query embeddings are written too, to ``queries``.
    """

    method: str
    backbone: str
    scale: str
    dataset_dir: Path
    split: str
    weights: Path
    predictions: Path
    speed: Path
    settings: dict[str, Any] = field(default_factory=dict)
    devices: int = 0
    seen: Path | None = None
    save_queries: bool = False

    @property
    def queries(self) -> Path:
        """Output, the query embeddings per frame: ``<predictions without .json>.queries.npz``."""
        return self.predictions.with_name(f"{self.predictions.stem}.queries.npz")


def set_up_log(name: str) -> logging.Logger:
    """A logger that writes progress to stderr, once however often it is asked for."""
    logger = logging.getLogger(name)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger
