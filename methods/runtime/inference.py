"""Inference over a split: streams frames, keeps finished videos when interrupted, writes one result file."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

from methods.runtime import registry
from methods.runtime.backbones import get_backbone
from methods.runtime.configs import build_config
from methods.runtime.facts import DatasetFacts, read_facts
from methods.runtime.fingerprint import digest, method_code
from methods.runtime.jobs import InferenceJob, set_up_log
from methods.runtime.settings import NOT_IN_FINGERPRINT
from mindthegap.errors import ConfigError, InputError, MindTheGapError
from mindthegap.files import atomic_path, disk_errors, read_json, sha256_file, write_json

__all__ = ["InferenceJob", "infer"]

_LOG = logging.getLogger("mindthegap.inference")
_WARM_UP_FRAMES = 3
_RUN: Callable[[int], int] | None = None  # what forked processes inherit; a closure cannot be sent to them


def infer(job: InferenceJob) -> None:
    """Runs a trained method over a split and writes ``job.predictions``, ``job.speed`` and ``job.queries`` if asked.

    Every finished video is kept in an undeclared folder beside the output until all are done, so an attempt that was
    killed goes on where it stopped and ends in the same file.

    Raises:
        MindTheGapError: The weights are of another experiment, or an input is unusable.
    """
    from methods.runtime.queries import merge_queries  # not at the top: the workflow reads this module without torch

    registry.method_folder(job.method)
    get_backbone(job.backbone)
    if job.devices == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    set_up_log(_LOG.name)
    facts = read_facts(job.dataset_dir, job.split)
    parts = job.predictions.with_name(f".{job.predictions.stem}.parts")
    model, pipeline, config = _load(job, facts)
    if job.save_queries and not getattr(model, "records_queries", False):
        raise ConfigError(f"{job.method}: the method has no query embeddings to save; leave save_queries out.")
    _claim(parts, job, facts, config.inference.to_dict())
    _run_videos(job, facts, model, pipeline, parts, config.inference["cpu_threads"])
    speed = _merge(job, facts, parts)
    if job.save_queries:
        merge_queries(job.queries, ((video["id"], parts / f"{video['id']}.npz") for video in _videos(facts)))
    write_json(job.speed, speed, indent=1)
    shutil.rmtree(parts, ignore_errors=True)


def _load(job: InferenceJob, facts: DatasetFacts) -> tuple[Any, Any, Any]:
    """The model with its weights, the composed test pipeline and the configuration."""
    from methods.runtime.mmcv_ops import ensure_ops

    ensure_ops()
    import torch
    from mmcv.transforms import Compose
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    from methods.runtime import data  # noqa: F401 - registers LoadFrame
    from methods.runtime.determinism import configure_torch
    from methods.runtime.exposure import seen_by
    from methods.runtime.weights import load_weights, require_meta

    state, meta = load_weights(job.weights)
    expected = {"method": job.method, "backbone": job.backbone, "scale": job.scale, "classes": list(facts.classes)}
    require_meta(job.weights, meta, expected | {"category_ids": list(facts.category_ids)})
    known = seen_by(meta, facts)
    if job.seen is not None:
        write_json(job.seen, known.to_dict(), indent=1)
    if job.devices and not torch.cuda.is_available():
        raise ConfigError(f"{job.method}: inference asks for a GPU, but PyTorch sees none on this machine.")
    register_all_modules(init_default_scope=True)
    registry.load(job.method, "model")
    # The architecture follows the weights; only inference settings come from the job.
    trained = replace(facts, max_objects_per_frame=meta["max_objects_per_frame"], identities=meta["identities"])
    config = build_config(job.method, job.scale, trained, job.backbone, meta["settings"], job.settings)
    configure_torch(config.inference["cpu_threads"] if job.devices else 1, deterministic=True)
    model = MODELS.build(config.model)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        remedy = "train again with the present code"
        raise InputError(job.weights, "state_dict", f"does not fit the model ({reason})", remedy) from None
    return model.eval().to("cuda" if job.devices else "cpu"), Compose(config.test_pipeline), config


def _claim(parts: Path, job: InferenceJob, facts: DatasetFacts, settings: dict[str, Any]) -> None:
    """Empties the folder of finished videos unless it belongs to exactly this run."""
    fingerprint = {
        "weights": sha256_file(job.weights),
        "dataset": facts.sha256,
        "settings": digest({key: value for key, value in settings.items() if key not in NOT_IN_FINGERPRINT}),
        "code": method_code(job.method),
        "devices": job.devices,
        "save_queries": job.save_queries,
    }
    path = parts / "fingerprint.json"
    with disk_errors(parts):
        if path.is_file() and read_json(path) == fingerprint:
            return
        shutil.rmtree(parts, ignore_errors=True)
        write_json(path, fingerprint)


def _videos(facts: DatasetFacts) -> list[dict[str, Any]]:
    return sorted(read_json(facts.annotations)["videos"], key=lambda video: video["id"])


def _run_videos(job: InferenceJob, facts: DatasetFacts, model: Any, pipeline: Any, parts: Path, cores: int) -> None:
    from methods.runtime.frames import VideoFrames
    from methods.runtime.queries import QueryRecorder

    videos = _videos(facts)
    pending = [video for video in videos if not (parts / f"{video['id']}.json").is_file()]
    if len(pending) < len(videos):
        _LOG.info("%d of %d videos were finished by an earlier attempt.", len(videos) - len(pending), len(videos))
    if not pending:
        return
    _warm_up(model, VideoFrames(pending[0], facts.frames_dir, pipeline))

    def run(index: int) -> int:
        recorder = QueryRecorder() if job.save_queries else None
        frames = VideoFrames(pending[index], facts.frames_dir, pipeline, recorder)
        _run_video(job, facts, model, frames, parts)
        return frames.length

    total = sum(len(video["file_names"]) for video in pending)
    # The longest videos first, so that no process is left with one at the end.
    order = sorted(range(len(pending)), key=lambda index: -len(pending[index]["file_names"]))
    _log_progress(_mapped(run, order, 1 if job.devices else min(cores, len(pending))), total)


def _mapped(run: Callable[[int], int], indices: list[int], processes: int) -> Iterator[int]:
    """``run`` over the indices, in this process or in several that inherit model and weights by forking.

    One thread in each of several processes is faster than several threads in one, whose operators are too small to
    share, and does not stand still when another program takes a core. The results do not depend on the number.
    """
    if processes == 1:
        yield from map(run, indices)
        return
    global _RUN
    _RUN = run
    try:
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("fork")) as pool:
            futures = [pool.submit(_run_inherited, index) for index in indices]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool:
        reason = "a process was killed, perhaps for memory"
        raise MindTheGapError(f"inference stopped: {reason}; run it again to continue with what is left.") from None
    finally:
        _RUN = None


def _run_inherited(index: int) -> int:
    assert _RUN is not None
    return _RUN(index)


def _log_progress(lengths: Iterator[int], total: int) -> None:
    """A line with an estimate every five seconds."""
    started, last, done = time.monotonic(), time.monotonic(), 0
    for length in lengths:
        done += length
        if time.monotonic() - last > 5 or done == total:
            last = time.monotonic()
            _LOG.info("frame %d of %d, about %.0f s to go", done, total, (last - started) / done * (total - done))


def _warm_up(model: Any, frames: Any) -> None:
    """First calls allocate memory and choose kernels; they are not part of the speed."""
    frames.names = frames.names[:_WARM_UP_FRAMES]
    frames.length = len(frames.names)
    model.predict_video(frames)


def _run_video(job: InferenceJob, facts: DatasetFacts, model: Any, frames: Any, parts: Path) -> None:
    from methods.runtime.queries import write_queries
    from methods.runtime.tracks import result_rows

    _synchronise(job)
    started = time.perf_counter()
    tracks = model.predict_video(frames)
    _synchronise(job)
    seconds = time.perf_counter() - started
    rows = result_rows(frames.video_id, tracks, facts.category_ids)
    if frames.queries is not None:
        write_queries(parts / f"{frames.video_id}.npz", frames.queries.arrays())
    # Last, because the presence of this file says that the video is finished.
    part = {"rows": rows, "frames": frames.length, "seconds": seconds, "load_seconds": frames.load_seconds}
    write_json(parts / f"{frames.video_id}.json", part)


def _synchronise(job: InferenceJob) -> None:
    if job.devices:
        import torch

        torch.cuda.synchronize()


def _merge(job: InferenceJob, facts: DatasetFacts, parts: Path) -> dict[str, Any]:
    """Writes the result file video by video in ascending id and returns the speed record."""
    frames, seconds, load_seconds = 0, 0.0, 0.0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal frames, seconds, load_seconds
        for video in _videos(facts):
            part = read_json(parts / f"{video['id']}.json")
            frames, seconds = frames + part["frames"], seconds + part["seconds"]
            load_seconds += part["load_seconds"]
            yield from part["rows"]

    with atomic_path(job.predictions) as temporary, temporary.open("w", encoding="utf-8") as stream:
        separator = "["
        for row in rows():
            stream.write(separator + json.dumps(row, allow_nan=False))
            separator = ",\n"
        stream.write("]\n" if separator != "[" else "[]\n")
    return _speed(job, frames, seconds, load_seconds)


def _peak_mib(who: int) -> float:
    """Peak resident memory of this process, or of the largest finished child, in MiB."""
    return resource.getrusage(who).ru_maxrss / 1024


def _speed(job: InferenceJob, frames: int, seconds: float, load_seconds: float) -> dict[str, Any]:
    """Speed record: frames per second of one process, for the method alone and with reading the images; peak memory."""
    import torch

    method_seconds = seconds - load_seconds
    gpu = job.devices > 0
    return {
        "device": torch.cuda.get_device_name() if gpu else "cpu",
        "threads": torch.get_num_threads(),
        "frames": frames,
        "seconds": round(seconds, 3),
        "load_seconds": round(load_seconds, 3),
        "frames_per_second": round(frames / method_seconds, 3) if method_seconds > 0 else None,
        "frames_per_second_with_loading": round(frames / seconds, 3) if seconds > 0 else None,
        "peak_memory_mib": round(max(map(_peak_mib, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))), 1),
        "peak_gpu_memory_mib": round(torch.cuda.max_memory_allocated() / 2**20, 1) if gpu else None,
        "warm_up_frames_excluded": _WARM_UP_FRAMES,
    }
