"""VisTR trained and run for real on a handful of rendered clips: result files, paper clips, mixed precision."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from method_runs import inference_job, render_clips, training_job

from methods.runtime.configs import build_config
from methods.runtime.facts import read_facts
from methods.runtime.inference import infer
from methods.runtime.training import train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return render_clips(tmp_path_factory.mktemp("data") / "clips", train=(3, 4), diagnostic=(2, 5))


@pytest.mark.slow
def test_trained_weights_give_a_result_file(dataset, tmp_path):
    # Clips of 3 frames, so that the videos of 5 are stitched from two.
    job = training_job("vistr", dataset, tmp_path, checkpoint_seconds=600.0, no_object=0.0)
    train(job)
    records = [json.loads(line) for line in job.history.read_text().splitlines()]
    assert [record["step"] for record in records] == [4, 8, 12]
    names = {"loss_cls", "loss_bbox", "loss_giou", "loss_focal", "loss_dice", "d0.loss_cls", "d0.loss_giou"}
    assert names <= records[-1].keys()
    inference = replace(inference_job("vistr", dataset, tmp_path, tmp_path), save_queries=True)
    infer(inference)
    rows = json.loads(inference.predictions.read_text())
    assert {row["video_id"] for row in rows} == {1, 2}
    for row in rows:
        assert len(row["segmentations"]) == len(row["frame_scores"]) == 5
        assert row["category_id"] in (1, 2)
        assert 0 < row["score"] <= 1
        assert any(row["segmentations"])
    keys = [(row["video_id"], row["query_id"]) for row in rows]
    assert keys == sorted(set(keys))
    with np.load(inference.queries, allow_pickle=False) as content:
        assert content["embedding"].shape == (len(content["frame"]), 48)
        assert set(keys) <= set(zip(content["video_id"].tolist(), content["query_id"].tolist(), strict=True))
    assert json.loads(inference.speed.read_text())["frames"] == 10


def clips_of(dataset, config):
    from methods.runtime.mmcv_ops import ensure_ops

    ensure_ops()
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules

    from methods.vistr import model as registered

    register_all_modules(init_default_scope=True)
    assert registered.GapVisTR
    facts = read_facts(dataset, "train")
    source = {"ann_file": str(facts.annotations), "frames_dir": str(facts.frames_dir), "seed": 0}
    return DATASETS.build({"type": "DatasetFolder", "pipeline": config.train_pipeline, **source})


@pytest.mark.slow
def test_paper_clips_are_cyclic_and_have_one_size(dataset):
    clips = clips_of(dataset, build_config("vistr", "paper", read_facts(dataset, "train"), "r50", {}))
    sizes = set()
    for position in range(3):
        item = clips[position, 2, position]
        frames = item["data_samples"].video_data_samples
        assert len(frames) == item["inputs"].shape[0] == 36
        assert [frame.frame_id for frame in frames] == [3, 0, 1, 2] * 9
        assert len({frame.img_shape for frame in frames}) == 1
        assert all(frame.gt_instances.masks.masks.shape[1:] == frame.img_shape for frame in frames)
        sizes.add(frames[0].img_shape)
    assert all(min(size) <= 300 and max(size) <= 540 for size in sizes)
    assert len(sizes) > 1  # cropped at random


@pytest.mark.slow
def test_losses_in_mixed_precision_stay_close(dataset):
    from mmdet.registry import MODELS
    from mmengine.dataset import pseudo_collate

    config = build_config("vistr", "smoke", read_facts(dataset, "train"), "r18_tiny", {"deformable": False})
    clips = clips_of(dataset, config)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    losses = []
    for enabled in (False, True):
        data = model.data_preprocessor(pseudo_collate([clips[0, 0, 0], clips[1, 0, 1]]), True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            found = model.loss(**data)
        assert all(value.dtype == torch.float32 for value in found.values())
        losses.append({name: float(value.detach()) for name, value in found.items()})
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
