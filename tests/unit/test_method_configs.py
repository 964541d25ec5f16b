"""Settings that no method can use are refused with a sentence, for every method alike."""

from pathlib import Path

import pytest

from methods.runtime.configs import build_config, check_scale
from methods.runtime.facts import DatasetFacts
from methods.runtime.registry import METHODS
from mindthegap.config import Scale
from mindthegap.errors import ConfigError

NOWHERE = Path("nowhere")
FACTS = DatasetFacts("tiny", "train", NOWHERE, NOWHERE, "0", ("a", "b"), (1, 2), 2, 8, 80, 3, 2, (44, 60))


@pytest.mark.parametrize("scale", ["demo", "paper"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "'steps' must be a whole number and at least 1, not 0"),
        ({"steps": 2.5}, "'steps' must be .*, not 2.5"),
        ({"steps": "many"}, "'steps' must be .*, not 'many'"),
        ({"steps": True}, "'steps' must be .*, not True"),
        ({"epochs": 0}, "'epochs' must be above 0, not 0.0"),
        ({"batch_size": 0}, "'batch_size' must be a whole number and at least 1, not 0"),
        ({"workers": -1}, "'workers' must be a whole number and at least 0, not -1"),
        ({"log_every": 0}, "'log_every' must be a whole number and at least 1, not 0"),
        ({"checkpoint_seconds": -1.0}, "'checkpoint_seconds' must be a number and at least 0.0, not -1.0"),
        ({"lr": float("nan")}, "'lr' must be a finite number, not nan"),
        ({"lr": -1e-3}, "'lr' must be above 0, not -0.001"),
    ],
)
def test_shared_settings_have_limits(method, scale, settings, words):
    with pytest.raises(ConfigError, match=words):
        build_config(method, scale, FACTS, "r18_tiny", settings)


@pytest.mark.parametrize(
    ("method", "settings", "inference", "words"),
    [
        ("masktrack_rcnn", {"optimizer": "adam"}, {}, "'optimizer' must be one of 'adamw', 'sgd', not 'adam'"),
        ("masktrack_rcnn", {}, {"max_per_frame": 0}, "'max_per_frame' must be a whole number and at least 1, not 0"),
        ("crossvis", {"optimizer": "adam"}, {}, "'optimizer' must be one of 'adamw', 'sgd', not 'adam'"),
        ("iai", {"clip_frames": 0}, {}, "'clip_frames' must be a whole number and at least 1, not 0"),
        ("ifc", {}, {"window": 0}, "'window' must be a whole number and at least 1, not 0"),
        ("seqformer", {"schedule": "poly"}, {}, "'schedule' must be one of 'step', 'cosine', not 'poly'"),
        (
            "seqformer",
            {"photometric": "video"},
            {},
            "'photometric' must be one of 'frame', 'clip', 'none', not 'video'",
        ),
        ("seqformer", {"channels": 80}, {}, r"channels 80 must be a multiple of 32 and of heads \(4\)"),
        ("seqformer", {}, {"selection": "best"}, "'selection' must be one of 'pairs', 'queries', not 'best'"),
        ("ms_sts_vis", {"schedule": "poly"}, {}, "'schedule' must be one of 'step', 'cosine', not 'poly'"),
        ("ms_sts_vis", {"fuse": "space"}, {}, "'fuse' must be one of 'time', 'channel', not 'space'"),
        ("ms_sts_vis", {"variant": "both"}, {}, "'variant' must be one of 'baseline', 'encoder', .*, not 'both'"),
    ],
)
def test_settings_of_a_method_have_limits(method, settings, inference, words):
    with pytest.raises(ConfigError, match=words):
        build_config(method, "demo", FACTS, "r18_tiny", settings, inference)


def scale(**changes):
    fields = {"title": "t", "datasets": ["d"], "backbones": ["r18_tiny"], "seeds": [0], "preset": "demo"}
    return Scale(**{**fields, "methods": ["seqformer", "vistr"], **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {"seqformer": {"batchsize": 4}}}, r"seqformer \(demo\): there is no setting 'batchsize'"),
        ({"inference": {"vistr": {"clip_stride": 4}}}, "vistr: setting 'clip_stride' must be from 1 to 3"),
        (
            {"backbones": ["r18_tiny", "swin_l"], "training": {"vistr": {"memory_stride": 8}}},
            "vistr: only a ResNet has a memory_stride below 32; set 32 for swin_l",
        ),
        (
            {
                "pretraining": {
                    "frames": {"method": "ifc", "dataset": "d", "serves": ["vistr"], "settings": {"dims": 7}}
                }
            },
            "pretraining 'frames': ifc: dims 7 must be even",
        ),
    ],
)
def test_a_scale_is_checked_as_a_whole(changes, words):
    with pytest.raises(ConfigError, match=words):
        check_scale(scale(**changes))


def test_stills_that_another_job_prepares_are_not_looked_for():
    check_scale(scale(training={"seqformer": {"stills": "results/paper/datasets/not_there_yet"}}))
