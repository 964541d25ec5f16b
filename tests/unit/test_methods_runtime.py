"""Checkpoints, weights, settings and configuration."""

import json
import logging

import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from methods.runtime import checkpoints, recipes  # noqa: E402
from methods.runtime.backbones import BACKBONES, get_backbone  # noqa: E402
from methods.runtime.configs import build_config  # noqa: E402
from methods.runtime.facts import DatasetFacts  # noqa: E402
from methods.runtime.settings import merge  # noqa: E402
from methods.runtime.weights import load_tensors, load_weights, require_meta, save_weights  # noqa: E402
from mindthegap.errors import ConfigError, InputError  # noqa: E402

LOGGER = logging.getLogger("test")


def save_step(work_dir, step, content=b"state"):
    return checkpoints.write_checkpoint(work_dir, step, lambda path: path.write_bytes(content + str(step).encode()))


def test_latest_two_checkpoints_are_kept(tmp_path):
    paths = [save_step(tmp_path, step) for step in (3, 20, 100)]
    assert [path.exists() for path in paths] == [False, True, True]
    assert checkpoints.latest_good_checkpoint(tmp_path, LOGGER) == paths[2]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied"])
def test_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, damage, caplog):
    previous, latest = save_step(tmp_path, 1), save_step(tmp_path, 2)
    content = latest.read_bytes()
    flipped = bytes([content[0] ^ 1]) + content[1:]
    latest.write_bytes({"truncated": content[:-1], "flipped": flipped, "emptied": b""}[damage])
    with caplog.at_level(logging.WARNING):
        assert checkpoints.latest_good_checkpoint(tmp_path, LOGGER) == previous
    assert "is damaged" in caplog.text
    previous.unlink()
    assert checkpoints.latest_good_checkpoint(tmp_path, LOGGER) is None


def test_half_written_checkpoint_is_never_seen(tmp_path):
    good = save_step(tmp_path, 1)

    def killed(path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoints.write_checkpoint(tmp_path, 2, killed)
    assert checkpoints.latest_good_checkpoint(tmp_path, LOGGER) == good


def test_folder_of_another_experiment_is_set_aside_by_name_of_the_key(tmp_path, caplog):
    work = tmp_path / "work"
    mine = {"seed": "0", "code": "abc"}
    checkpoints.prepare_work_dir(work, mine, LOGGER)
    kept = save_step(work, 5)
    checkpoints.prepare_work_dir(work, mine, LOGGER)
    assert kept.exists()
    with caplog.at_level(logging.WARNING):
        checkpoints.prepare_work_dir(work, mine | {"code": "def"}, LOGGER)
    assert "code (abc -> def)" in caplog.text
    assert checkpoints.latest_good_checkpoint(work, LOGGER) is None
    assert (tmp_path / "work.superseded" / "checkpoints" / kept.name).exists()


def test_checkpoints_without_fingerprint_are_not_trusted(tmp_path):
    save_step(tmp_path, 5)
    checkpoints.prepare_work_dir(tmp_path, {"seed": "0"}, LOGGER)
    assert checkpoints.latest_good_checkpoint(tmp_path, LOGGER) is None


def test_weights_are_the_same_bytes_and_load_without_code(tmp_path):
    state = torch.nn.Linear(3, 2).state_dict()
    meta = {"method": "m", "classes": ["a", "b"], "seed": 1}
    first, second = tmp_path / "one.pth", tmp_path / "deeper" / "another_name.pth"
    save_weights(first, state, meta)
    copied = {key: value.clone() for key, value in state.items()}
    save_weights(second, copied, json.loads(json.dumps(meta)))
    assert first.read_bytes() == second.read_bytes()
    content = torch.load(first, weights_only=True)
    assert set(content) == {"state_dict", "meta"}
    loaded, loaded_meta = load_weights(first)
    assert loaded_meta == meta
    assert all(torch.equal(loaded[key], state[key]) for key in state)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_unusable_weights_are_one_sentence(tmp_path, content):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    for read in (load_weights, load_tensors):
        with pytest.raises(InputError) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_truncated_weights_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    save_weights(path, {"w": torch.zeros(1000)}, {})
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="not a usable weights file"):
        load_weights(path)


def test_weights_of_another_experiment_are_named(tmp_path):
    meta = {"method": "masktrack_rcnn", "backbone": "r50", "classes": ["a"]}
    require_meta(tmp_path, meta, {"method": "masktrack_rcnn", "classes": ["a"]})
    with pytest.raises(InputError, match='the weights are of backbone "r50", not "r101"'):
        require_meta(tmp_path, meta, {"method": "masktrack_rcnn", "backbone": "r101"})
    with pytest.raises(InputError, match="classes"):
        require_meta(tmp_path, meta, {"classes": ["a", "b"]})


def test_settings_are_checked_by_name_and_type():
    defaults = {"lr": 0.1, "steps": None, "scale": (1, 2), "flag": True}
    assert merge("m", defaults, {"lr": 1, "steps": 5, "scale": [3, 4]}) == defaults | {
        "lr": 1.0,
        "steps": 5,
        "scale": (3, 4),
    }
    for wrong, words in (({"rate": 1}, "no setting 'rate'"), ({"lr": "x"}, "'lr' must"), ({"flag": 1}, "'flag' must")):
        with pytest.raises(ConfigError, match=words):
            merge("m", defaults, wrong)


def facts(classes=3, annotated=1000, most=4):
    return DatasetFacts(
        dataset="d",
        split="train",
        annotations=None,
        frames_dir=None,
        sha256="0",
        classes=tuple("abcdefgh"[:classes]),
        category_ids=tuple(range(1, classes + 1)),
        videos=10,
        frames=1200,
        annotated_frames=annotated,
        identities=20,
        max_objects_per_frame=most,
        frame_size=(96, 160),
    )


def config(scale="paper", backbone="r50", settings=None, inference=None, **kwargs):
    return build_config("masktrack_rcnn", scale, facts(**kwargs), backbone, settings or {}, inference)


def test_paper_scale_is_the_official_schedule():
    built = config()
    assert built.steps == 12 * 1000 / 8
    assert built.param_scheduler[1].milestones == [1000, 1375]  # 8/12 and 11/12 of the steps
    assert built.optim_wrapper.optimizer == {"type": "SGD", "lr": 0.00125, "momentum": 0.9, "weight_decay": 1e-4}
    detector = built.model.detector
    assert detector.train_cfg.rpn.sampler.num == 64
    assert detector.train_cfg.rcnn.sampler.num == 128
    assert detector.test_cfg.rpn.max_per_img == 200
    assert built.model.track_head.embed_head.final_relu is False
    assert built.model.association.num_frames_retain is None


def test_crowded_data_raises_the_cap_on_detections_per_frame():
    assert config().inference.max_per_frame == 10
    assert config(most=34).inference.max_per_frame == 34
    assert config(most=34, inference={"max_per_frame": 100}).inference.max_per_frame == 100


def test_inference_settings_do_not_touch_training():
    plain, changed = config(), config(inference={"score_threshold": 0.01, "num_frames_retain": 20})
    assert plain.settings == changed.settings
    assert changed.model.detector.test_cfg.rcnn.score_thr == 0.01


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scale": "huge"}, "no scale 'huge'"),
        ({"backbone": "r34"}, "no such backbone"),
        ({"settings": {"score_threshold": 0.1}}, "no setting 'score_threshold'"),
        ({"inference": {"lr": 0.1}}, "no setting 'lr'"),
    ],
)
def test_configuration_mistakes_are_named(arguments, words):
    with pytest.raises(ConfigError, match=words):
        config(**arguments)


def learning_rates(scheduler_configs, steps, lr):
    import mmengine.optim.scheduler  # noqa: F401 - registers the schedulers
    from mmengine.registry import PARAM_SCHEDULERS

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedulers = [PARAM_SCHEDULERS.build(c, default_args={"optimizer": optimizer}) for c in scheduler_configs]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


@pytest.mark.parametrize("steps", [12, 25, 300])
def test_schedules_reach_the_rate_and_come_down(steps):
    cosine = learning_rates(recipes.cosine_schedule(steps, 50), steps, 0.1)
    assert max(cosine) == pytest.approx(0.1)
    assert cosine[0] < 0.01
    assert cosine[-1] < 0.01
    stepped = learning_rates(recipes.step_schedule(steps, 500, 1 / 3, (8 / 12, 11 / 12)), steps, 0.1)
    assert stepped[0] == pytest.approx(0.1 / 3)
    assert max(stepped) == pytest.approx(0.1)
    assert stepped[-1] == pytest.approx(0.001)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_the_shortest_trainings_have_a_schedule_too(steps):
    rates = learning_rates(recipes.cosine_schedule(steps, 50), steps, 0.1)
    assert rates[0] == pytest.approx(0.001)
    assert all(0 < rate <= 0.1 for rate in rates)


def test_backbones_give_four_maps_with_the_channels_of_the_table():
    from mmdet.registry import MODELS

    for name in ("r18_tiny", "r18"):
        backbone = get_backbone(name)
        maps = MODELS.build(backbone.config)(torch.zeros(1, 3, 64, 96))
        assert [tuple(m.shape[1:]) for m in maps] == [
            (channels, 16 // 2**level, 24 // 2**level) for level, channels in enumerate(backbone.channels)
        ]
    assert {"r50", "r101", "swin_l"} <= set(BACKBONES)


def test_a_frozen_backbone_without_initial_weights_is_refused(tmp_path):
    from methods.runtime.training import TrainingJob, train

    names = {name: tmp_path / name for name in ("dataset_dir", "work_dir", "weights", "history")}
    job = TrainingJob(method="masktrack_rcnn", backbone="r50", scale="paper", seed=0, settings={}, **names)
    with pytest.raises(ConfigError, match="r50 starts from pretrained weights"):
        train(job)
