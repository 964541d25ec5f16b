"""Every method learns two clips by heart, with the networks of the demo and from random weights."""

import os
from dataclasses import replace

import pytest
from method_runs import inference_job, render_clips, training_job

from methods.runtime.inference import infer
from methods.runtime.training import train
from mindthegap import evaluate

# Trainings one after the other, each from the weights of the one before: method and settings.
ONLINE = {"batch_size": 4, "photometric": False}
FRAMES = {"clip_frames": 1, "photometric": "none"}
LESSONS = {
    "masktrack_rcnn": [("masktrack_rcnn", {"steps": 700, **ONLINE})],
    "crossvis": [("crossvis", {"steps": 400, **ONLINE})],
    # With the same few objects under the same numbers in every clip it would know them by looks, not from memory.
    "iai": [("iai", {"steps": 400, "shuffle_identities": True, **ONLINE})],
    "vistr": [("vistr", {"steps": 500, "clip_frames": 1, "batch_size": 4, "lr": 1e-3}), ("vistr", {"batch_size": 2})],
    "ifc": [("ifc", {"steps": 400, "batch_size": 2})],
    "seqformer": [("seqformer", {"steps": 300, **FRAMES}), ("seqformer", {"steps": 300, "photometric": "none"})],
    "ms_sts_vis": [("seqformer", {"steps": 300, **FRAMES}), ("ms_sts_vis", {"steps": 300, "photometric": "none"})],
}


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("MINDTHEGAP_SLOW") != "1", reason="takes minutes; set MINDTHEGAP_SLOW=1")
@pytest.mark.parametrize("method", LESSONS)
def test_two_clips_are_learnt_by_heart(tmp_path, method):
    dataset = render_clips(tmp_path / "data", train=(2, 5), diagnostic=(1, 2), size=(96, 160))
    weights = None
    for number, (learner, settings) in enumerate(LESSONS[method]):
        job = training_job(learner, dataset, tmp_path / str(number), "demo", checkpoint_seconds=600.0, **settings)
        train(replace(job, init_weights=weights))
        weights = job.weights
    infer(inference_job(method, dataset, weights.parent, tmp_path, "train", "demo"))
    assert evaluate(dataset / "train.json", tmp_path / "0.json").to_dict()["AP50"] >= 90
