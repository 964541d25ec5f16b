"""CrossVIS and MaskTrack R-CNN learn two clips by heart."""

import os

import pytest
from method_runs import inference_job, render_clips, training_job

from methods.runtime.inference import infer
from methods.runtime.training import train
from mindthegap import evaluate

STEPS = {"masktrack_rcnn": 700, "crossvis": 400}


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("MINDTHEGAP_SLOW") != "1", reason="takes minutes; set MINDTHEGAP_SLOW=1")
@pytest.mark.parametrize("method", STEPS)
def test_two_clips_are_learnt_by_heart(tmp_path, method):
    dataset = render_clips(tmp_path / "data", train=(2, 5), diagnostic=(1, 2), size=(96, 160))
    settings = {"steps": STEPS[method], "batch_size": 4, "photometric": False, "checkpoint_seconds": 600.0}
    train(training_job(method, dataset, tmp_path, "demo", **settings))
    infer(inference_job(method, dataset, tmp_path, tmp_path, "train", "demo"))
    assert evaluate(dataset / "train.json", tmp_path / "0.json").to_dict()["AP50"] >= 90
