"""Carries out a training job in this process with mmengine's ``Runner``; see ``training`` for the way in."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

# The operators must be in place before anything imports mmdet.
import torch  # noqa: E402
import torch.distributed as torch_dist  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.dist import barrier, get_rank  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

from methods.runtime import checkpoints, registry  # noqa: E402
from methods.runtime.checkpoints import discard_checkpoints, latest_good_checkpoint, prepare_work_dir  # noqa: E402
from methods.runtime.configs import build_config  # noqa: E402
from methods.runtime.data import FrameError  # noqa: E402
from methods.runtime.determinism import configure_torch  # noqa: E402
from methods.runtime.exposure import trained_videos  # noqa: E402
from methods.runtime.facts import DatasetFacts, read_facts  # noqa: E402
from methods.runtime.fingerprint import digest, library_versions, training_fingerprint  # noqa: E402
from methods.runtime.hooks import HistoryHook  # noqa: E402
from methods.runtime.jobs import TrainingJob, set_up_log  # noqa: E402
from methods.runtime.lifeline import sole_owner  # noqa: E402
from methods.runtime.pseudo_clips import as_pseudo_clips  # noqa: E402
from methods.runtime.settings import NOT_IN_FINGERPRINT  # noqa: E402
from methods.runtime.weights import save_weights  # noqa: E402
from mindthegap.errors import ConfigError  # noqa: E402
from mindthegap.files import write_text  # noqa: E402


def build_method_config(job: TrainingJob, facts: DatasetFacts) -> Config:
    """The method's configuration for this job; its modules are registered with mmdet."""
    register_all_modules(init_default_scope=True)
    registry.load(job.method, "model")
    return build_config(job.method, job.scale, facts, job.backbone, job.settings)


def _world_size() -> int:
    """Number of training processes, as torchrun tells it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _lasting_settings(config: Config) -> dict[str, Any]:
    """The settings that decide what comes out."""
    return {key: value for key, value in config.settings.to_dict().items() if key not in NOT_IN_FINGERPRINT}


def _loader(config: Config, job: TrainingJob, facts: DatasetFacts, world_size: int) -> dict[str, Any]:
    total, workers = config.settings["batch_size"], config.settings["workers"]
    if total % world_size:
        raise ConfigError(f"{job.method}: batch_size {total} cannot be divided by {world_size} devices.")
    return {
        "batch_size": total // world_size,
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "prefetch_factor": 4 if workers else None,
        "sampler": dict(config.get("sampler", {"type": "KeyFrameSampler"})) | {"seed": job.seed},
        "dataset": _dataset(config, job, facts),
    }


def _dataset(config: Config, job: TrainingJob, facts: DatasetFacts) -> dict[str, Any]:
    """The training split, as clips or as pseudo clips, and the method's stills beside it if it has any."""
    pipeline, copies = config.train_pipeline, config.settings["pseudo_clips"]
    videos = {
        "type": "DatasetFolder",
        "ann_file": str(facts.annotations),
        "frames_dir": str(facts.frames_dir),
        "seed": job.seed,
        "pipeline": as_pseudo_clips(pipeline, copies) if copies else pipeline,
    }
    stills = config.get("stills")
    if not stills:
        return videos
    pseudo = {**videos, **stills["folder"], "pipeline": as_pseudo_clips(pipeline, stills["copies"])}
    return {"type": "JointFolders", "folders": [videos, pseudo]}


def _hooks(config: Config, job: TrainingJob) -> list[dict[str, Any]]:
    hooks: list[dict[str, Any]] = [
        {"type": "StepSeedHook", "seed": job.seed},
        {"type": "HistoryHook", "interval": config.settings["log_every"]},
        {"type": "RecoveryHook", "seconds": config.settings["checkpoint_seconds"]},
    ]
    if job.init_weights is not None:
        hooks.append({"type": "InitialWeightsHook", "method": job.method, "path": str(job.init_weights)})
    return hooks


def _runner(config: Config, job: TrainingJob, facts: DatasetFacts, resume_from: Path | None) -> Runner:
    """Mmengine's Runner for the job, on the CPU or on this process's GPU."""
    world_size = _world_size()
    optim_wrapper = dict(config.optim_wrapper)
    if job.amp:
        # A method's own wrapper has a counterpart under automatic mixed precision, named like mmengine's.
        optim_wrapper |= {"type": "Amp" + optim_wrapper["type"], "loss_scale": "dynamic"}
    wrapper = {"type": "MMDistributedDataParallel", "broadcast_buffers": False, "find_unused_parameters": True}
    if job.devices == 0:
        wrapper["device_ids"] = None
    return Runner.from_cfg(
        Config(
            {
                "model": config.model,
                "model_wrapper_cfg": wrapper,
                "work_dir": str(job.work_dir),
                "train_dataloader": _loader(config, job, facts, world_size),
                "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": config.steps},
                "optim_wrapper": optim_wrapper,
                "param_scheduler": config.param_scheduler,
                "default_hooks": {"logger": {"type": "LoggerHook", "interval": config.settings["log_every"]}}
                | {"checkpoint": None, "sampler_seed": None},
                "custom_hooks": _hooks(config, job),
                "log_processor": {"type": "LogProcessor", "by_epoch": False, "window_size": 20},
                "visualizer": {"type": "Visualizer", "vis_backends": []},
                "env_cfg": {"mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0}},
                "log_level": "WARNING",  # until the runner is built; its set-up report is hundreds of lines
                "randomness": {"seed": job.seed},
                "launcher": "pytorch" if world_size > 1 else "none",
                "load_from": str(resume_from) if resume_from else None,
                "resume": resume_from is not None,
                "default_scope": "mmdet",
                "experiment_name": f"{job.method}-{job.backbone}-{job.seed}-{os.getpid()}",
            }
        )
    )


def _only_progress(record: logging.LogRecord) -> bool:
    """Warnings and progress lines; mmengine also lists every parameter's options."""
    return record.levelno >= logging.WARNING or "Iter(train)" in record.getMessage()


def _log_to_stderr(logger: logging.Logger, level: int) -> None:
    """Mmengine's console handler writes everything to stdout, which belongs to results."""
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setStream(sys.stderr)
        handler.setLevel(level)
        handler.addFilter(_only_progress)
    logger.setLevel(level)


def run(job: TrainingJob) -> None:
    """Trains, resuming where an earlier attempt with the same fingerprint stopped, and writes weights and history."""
    warnings.filterwarnings("ignore", category=UserWarning, module="mmdet")
    logger = set_up_log("mindthegap.training")
    facts = read_facts(job.dataset_dir, "train")
    config = build_method_config(job, facts)
    # On a CPU the operators are too small to share: threads gain nothing and stall when another program takes a core.
    threads = max(1, config.settings["cpu_threads"] // _world_size()) if job.devices else 1
    configure_torch(threads, deterministic=True)
    main = _join_group(job)
    with sole_owner(job.work_dir, logger) if main else nullcontext():
        _train_from_latest(job, facts, config, main)


def _train_from_latest(job: TrainingJob, facts: DatasetFacts, config: Config, main: bool) -> None:
    """Trains from the latest good checkpoint to the end; the main rank writes."""
    logger = logging.getLogger("mindthegap.training")
    fingerprint = _fingerprint(job, facts, config)
    if main:
        prepare_work_dir(job.work_dir, fingerprint, logger)
    barrier()  # the other ranks look for checkpoints only in a folder that has been checked
    checkpoint = latest_good_checkpoint(job.work_dir, logger)
    runner = _runner(config, job, facts, checkpoint)
    _log_to_stderr(runner.logger, logging.INFO if main else logging.WARNING)
    if main:
        if checkpoint is not None:
            logger.info("an earlier attempt was interrupted; continuing after step %d", checkpoints.step_of(checkpoint))
        logger.info("%d trainable parameters, %d steps", parameter_count(runner.model), config.steps)
    _train(runner)
    if main:
        _write_outputs(job, facts, config, runner, fingerprint)


def _join_group(job: TrainingJob) -> bool:
    """Joins torchrun's process group, if there is one; mmengine would take a GPU for granted.

    Returns:
        Whether this process is the one that writes.
    """
    if "RANK" in os.environ:
        if job.devices:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        torch_dist.init_process_group(backend="nccl" if job.devices else "gloo")
    return get_rank() == 0


def _fingerprint(job: TrainingJob, facts: DatasetFacts, config: Config) -> dict[str, str]:
    relevant = config.to_dict() | {"settings": _lasting_settings(config)}
    return training_fingerprint(
        method=job.method,
        backbone=job.backbone,
        scale=job.scale,
        seed=job.seed,
        facts=facts,
        config=relevant,
        devices=job.devices,
        amp=job.amp,
        init_weights=job.init_weights,
    )


def _train(runner: Runner) -> None:
    try:
        runner.train()
    except FrameError as error:
        # A worker's error carries its traceback in the message; the sentence is the last line.
        raise FrameError(str(error).strip().splitlines()[-1].partition("FrameError: ")[2] or str(error)) from None


def _write_outputs(
    job: TrainingJob, facts: DatasetFacts, config: Config, runner: Runner, fingerprint: dict[str, str]
) -> None:
    model = runner.model.module if hasattr(runner.model, "module") else runner.model
    meta = {
        "method": job.method,
        "backbone": job.backbone,
        "scale": job.scale,
        "seed": job.seed,
        "dataset": facts.dataset,
        "dataset_sha256": facts.sha256,
        "trained_videos": trained_videos(facts, job.init_weights),
        "classes": list(facts.classes),
        "category_ids": list(facts.category_ids),
        "identities": facts.identities,
        "max_objects_per_frame": facts.max_objects_per_frame,
        "settings": _lasting_settings(config),
        "steps": config.steps,
        "fingerprint": digest(fingerprint),
        "code": fingerprint["code"],
        "libraries": library_versions(),
        **config.get("meta", {}),
    }
    history = next(hook for hook in runner.hooks if isinstance(hook, HistoryHook))
    write_text(job.history, history.text())
    save_weights(job.weights, model.state_dict(), json.loads(json.dumps(meta)))
    discard_checkpoints(job.work_dir)


def parameter_count(model: torch.nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
