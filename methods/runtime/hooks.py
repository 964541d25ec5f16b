"""mmengine hooks: per-step seeding, recoverable checkpoints, losses on record, a graceful end on SIGTERM."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank, is_distributed
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from methods.runtime.checkpoints import write_checkpoint
from methods.runtime.determinism import STREAM_STEP, seed_all
from mindthegap.errors import MindTheGapError


class TrainingInterruptedError(MindTheGapError):
    """Training was asked to stop and has saved its state; running it again resumes."""


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seeds every generator before each step from (seed, step, rank)."""

    priority = "VERY_HIGH"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seeds the step that follows."""
        seed_all(STREAM_STEP, self.seed, runner.iter, get_rank())


@HOOKS.register_module()
class InitialWeightsHook(Hook):
    """Loads a pretrained checkpoint into the fresh model; a resumed run skips it.

    Args:
        method: Method whose ``checkpoint.load_initial`` maps the keys.
        path: Local checkpoint.
    """

    def __init__(self, method: str, path: str) -> None:
        self.method, self.path = method, Path(path)

    def before_train(self, runner: Runner) -> None:
        """Loads the weights before the first step."""
        if runner.iter > 0:
            return
        from methods.runtime import registry  # local: the registry imports method packages on demand

        model = runner.model.module if hasattr(runner.model, "module") else runner.model
        line = registry.load(self.method, "checkpoint").load_initial(model, self.path)
        if get_rank() == 0:
            logging.getLogger("mindthegap.training").info(line)  # the runner's own logger passes progress lines only


@HOOKS.register_module()
class HistoryHook(Hook):
    """Keeps mean losses and the learning rate of every ``interval`` steps, inside the checkpoints.

    Records hold no wall time, so that a resumed run's history equals an undisturbed one's byte for byte.

    Args:
        interval: Steps per record, >= 1.
    """

    priority = "LOW"

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.records: list[dict[str, float]] = []
        self._sums: dict[str, float] = {}
        self._steps = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Adds the step; closes a record at every interval and at the end."""
        for key, value in (outputs or {}).items():
            self._sums[key] = self._sums.get(key, 0.0) + float(
                value.detach() if isinstance(value, torch.Tensor) else value
            )
        self._steps += 1
        step = runner.iter + 1
        if not torch.isfinite(torch.tensor(self._sums.get("loss", 0.0))):
            raise MindTheGapError(
                f"training diverged: the loss is not finite at step {step}; lower the learning rate (settings.lr)."
            )
        if step % self.interval == 0 or step == runner.max_iters:
            rate = runner.optim_wrapper.get_lr()["lr"][0]
            means = {key: round(value / self._steps, 6) for key, value in sorted(self._sums.items())}
            self.records.append({"step": step, "lr": round(rate, 10), **means})
            self._sums, self._steps = {}, 0

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Puts the records and the open sums into the checkpoint."""
        checkpoint["history"] = {"records": list(self.records), "sums": dict(self._sums), "steps": self._steps}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Takes up the records of the checkpoint."""
        saved = checkpoint.get("history")
        if saved:
            self.records, self._sums, self._steps = saved["records"], saved["sums"], saved["steps"]

    def text(self) -> str:
        """The records as JSON lines."""
        return "".join(json.dumps(record) + "\n" for record in self.records)


@HOOKS.register_module()
class RecoveryHook(Hook):
    """Saves the state by the clock, at the end, and when the job is told to stop.

    The interval is at least ``seconds`` and at least 40 times what the last save took, so that saving costs under
    2.5 % of the time however slow the disk is. When to save does not influence what is computed.

    Args:
        seconds: Shortest time between two checkpoints; 0 saves after every step, whatever it costs.
    """

    priority = "VERY_LOW"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last = time.monotonic()
        self._cost = 0.0
        self._told_to_stop = False
        self._previous: Any = None

    def before_train(self, runner: Runner) -> None:
        """Starts the clock and listens for SIGTERM (only the main thread of a process may)."""
        self._last = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._remember)

    def after_train(self, runner: Runner) -> None:
        """Restores the signal handler."""
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._told_to_stop = True

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Saves when it is time; stops after saving when told to."""
        step, stop = runner.iter + 1, self._stop_everywhere()
        due = self.seconds == 0 or time.monotonic() - self._last >= max(self.seconds, 40 * self._cost)
        if get_rank() == 0 and (due or stop or step == runner.max_iters):
            self._save(runner, step)
        if stop and step < runner.max_iters:
            self.after_train(runner)
            raise TrainingInterruptedError(
                f"training was told to stop and saved its state after step {step} of {runner.max_iters}; "
                "run it again to continue."
            )

    def _stop_everywhere(self) -> bool:
        """True on every rank as soon as one rank was told to stop; ranks may get the signal at different steps."""
        if not is_distributed():
            return self._told_to_stop
        device = "cuda" if torch.cuda.is_available() else "cpu"
        flag = torch.tensor(int(self._told_to_stop), device=device)
        all_reduce(flag)
        return bool(flag.item())

    def _save(self, runner: Runner, step: int) -> None:
        started = time.monotonic()
        write_checkpoint(
            Path(runner.work_dir),
            step,
            lambda path: runner.save_checkpoint(str(path.parent), path.name, by_epoch=False),
        )
        self._last = time.monotonic()
        self._cost = self._last - started
