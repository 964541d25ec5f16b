"""The way in to training: decides on one process or several, then hands over to ``trainer``. Imports no torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from methods.runtime import registry
from methods.runtime.backbones import get_backbone
from methods.runtime.facts import read_facts
from methods.runtime.jobs import TrainingJob
from methods.runtime.lifeline import end_with_parent
from methods.runtime.settings import resolve
from mindthegap.errors import ConfigError, InputError, MindTheGapError

__all__ = ["TrainingJob", "train"]


def train(job: TrainingJob) -> None:
    """Trains a method and writes ``job.weights`` and ``job.history``.

    One process for 0 or 1 devices; otherwise one per device under ``torchrun``. An attempt that ended early (killed,
    out of time, out of disk) is continued when the same job is run again, to the same weights bit for bit on a CPU.

    Raises:
        MindTheGapError: The job asks for something that does not exist, an input is unusable, or training was told to
            stop; the sentence says which.
    """
    registry.method_folder(job.method)
    if get_backbone(job.backbone).pretrained and job.init_weights is None:
        raise ConfigError(
            f"{job.method}: {job.backbone} starts from pretrained weights, because its first layers and norms are "
            f"frozen; set init_weights: {{{job.method}: {{{job.backbone}: <local checkpoint>}}}} in the scale."
        )
    if job.init_weights is not None and not Path(job.init_weights).is_file():
        remedy = "download the checkpoint first; nothing is fetched while training"
        raise InputError(job.init_weights, "", "there is no such initial checkpoint", remedy)
    if job.amp and job.devices == 0:
        raise ConfigError(f"{job.method}: amp needs a GPU; set amp to false or give the job a GPU.")
    processes = job.devices or _cpu_processes(job)
    if job.devices == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a CPU run stays one on a machine with GPUs
    if processes > 1:
        read_facts(job.dataset_dir, "train")  # a mistake in the data is told once, not by every process
        _launch(job, processes)
    else:
        run_in_this_process(job)


def _cpu_processes(job: TrainingJob) -> int:
    """Data-parallel processes of a CPU run, from the job or the method's default for the scale."""
    defaults = registry.load(job.method, "config").TRAINING
    return int(resolve(job.method, job.scale, defaults, job.settings)["cpu_processes"])


def run_in_this_process(job: TrainingJob) -> None:
    """Runs one rank of the job."""
    from methods.runtime import trainer  # heavy: torch and mmdet

    trainer.run(job)


def _launch(job: TrainingJob, processes: int) -> None:
    """Runs the job under torchrun and passes SIGTERM on, so that every rank saves before it ends.

    The ranks' output is copied line by line, so that it reaches whatever stands in for standard error here.
    """
    description = job.work_dir.with_name(job.work_dir.name + ".job.json")
    job.save(description)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "methods.runtime.train_cli", "--job", str(description)]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=end_with_parent,
    )

    def forward(number: int, frame: FrameType | None) -> None:
        child.send_signal(signal.SIGTERM)

    previous = signal.signal(signal.SIGTERM, forward)
    try:
        for line in child.stdout or ():
            sys.stderr.write(line)
        status = child.wait()
    finally:
        signal.signal(signal.SIGTERM, previous)
        if child.poll() is None:
            child.terminate()
            child.wait()
        description.unlink(missing_ok=True)
    if status != 0:
        raise MindTheGapError(
            f"training of {job.method}-{job.backbone} on {processes} processes ended with status {status}; the reason "
            "is in the log above. Run it again to continue from the last checkpoint."
        )
