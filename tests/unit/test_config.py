"""config.yaml is checked with sentences that say what to write."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mindthegap.config import METHODS, experiments, parse_config
from mindthegap.errors import ConfigError
from mindthegap.names import METHOD_NAMES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def raw() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def refused(raw: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    return str(caught.value)


def test_the_shipped_configuration_is_valid_and_lists_the_study(raw):
    paper = parse_config(raw).scales["paper"]
    assert sorted(paper.methods) == sorted(METHODS)
    assert set(paper.backbones) == {"r50", "r101", "swin_l"}
    assert set(paper.datasets) == {"youtube_vis_2019", "youtube_vis_2021", "ovis"}
    assert len(experiments(paper)) == 7 * 3 * 3 * len(paper.seeds)


def test_a_recorded_configuration_can_be_read_again(raw):
    config = parse_config(raw)
    assert parse_config(config.model_dump(mode="json")) == config


def test_the_default_scale_is_the_demo(raw):
    assert parse_config(raw).scale == "demo"


@pytest.mark.parametrize(
    ("path", "key", "hint"),
    [
        ((), "scal", "did you mean 'scale'?"),
        (("oracle",), "objektive", "did you mean 'objective'?"),
        (("scales", "smoke"), "metods", "did you mean 'methods'?"),
        (("datasets", "ovis"), "annotation", "did you mean 'annotations'?"),
    ],
)
def test_an_unknown_key_gets_the_closest_known_one(raw, path, key, hint):
    section = raw
    for part in path:
        section = section[part]
    section[key] = 1
    message = refused(raw)
    assert ".".join([*path, key]) in message
    assert hint in message


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("scale",), "huge", "scale: 'huge' is not in 'scales'; known there: demo, paper, smoke"),
        (("oracle", "bootstrap"), "many", "oracle.bootstrap: must be a whole number, not 'many'"),
        (("oracle", "time_limit_s"), -1, "oracle.time_limit_s"),
        (("scales", "smoke", "seeds"), 3, "scales.smoke.seeds: must be a list, such as [3]"),
        (("scales", "smoke", "datasets"), ["nowhere"], "'nowhere' is not in 'datasets'"),
        (("scales", "smoke", "methods"), ["yolo"], "scales.smoke.methods.0"),
        (("datasets", "ovis", "kind"), "zip", "datasets.ovis.kind: 'zip' is unknown"),
        (("entry",), "oracle", "'published' is not set"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(raw, path, value, words):
    section = raw
    for part in path[:-1]:
        section = section[part]
    section[path[-1]] = value
    assert words in refused(raw)


def test_a_missing_key_is_named(raw):
    del raw["scales"]["smoke"]["preset"]
    assert "scales.smoke.preset: is missing" in refused(raw)


def test_every_problem_is_listed(raw):
    raw["colour"] = 1
    raw["oracle"]["solver"] = "abacus"
    assert len(refused(raw).splitlines()) == 2


def test_borrowed_weights_need_their_source_in_the_scale(raw):
    raw["datasets"]["borrower"] = raw["datasets"]["ovis"] | {"weights_from": "youtube_vis_2019"}
    raw["scales"]["paper"]["datasets"] = ["borrower"]
    assert "add 'youtube_vis_2019' to it" in refused(raw)


def test_settings_from_the_command_line_are_typed_as_in_the_file(raw):
    given = {"lr": "1e-3", "steps": "20", "photometric": "false", "optimizer": "sgd", "clip_norm": 2.0}
    raw["scales"]["smoke"]["training"] = {"masktrack_rcnn": given}
    read = parse_config(raw).scales["smoke"].training["masktrack_rcnn"]
    assert read == {"lr": 1e-3, "steps": 20, "photometric": False, "optimizer": "sgd", "clip_norm": 2.0}


def test_every_method_of_the_configuration_has_its_name_in_papers():
    assert tuple(METHOD_NAMES) == METHODS


def stage(**changes) -> dict:
    return {"method": "seqformer", "dataset": "synth_ytvis19", "serves": ["seqformer", "ms_sts_vis"]} | changes


def test_a_pretraining_serves_the_methods_it_names(raw):
    raw["scales"]["demo"]["pretraining"] = {"frames": stage()}
    demo = parse_config(raw).scales["demo"]
    assert [demo.pretraining_of(name) for name in ("seqformer", "ms_sts_vis", "iai")] == ["frames", "frames", None]


def test_a_dataset_of_a_pretraining_is_prepared_when_a_method_of_the_scale_needs_it(raw):
    demo = raw["scales"]["demo"]
    demo["pretraining"] = {"frames": stage(dataset="synth_ovis")}
    demo["methods"] = ["masktrack_rcnn"]
    assert "synth_ovis" not in parse_config(raw).scales["demo"].prepared_datasets()
    demo["methods"] = ["ms_sts_vis"]
    assert parse_config(raw).scales["demo"].prepared_datasets() == [*demo["datasets"], "synth_ovis"]


def test_a_pretraining_starts_from_another(raw):
    demo = raw["scales"]["demo"]
    first = stage(method="crossvis", dataset="synth_ovis", serves=["iai", "frames"])
    demo |= {"pretraining": {"frames": stage(), "first": first}, "methods": ["ms_sts_vis"]}
    read = parse_config(raw).scales["demo"]
    assert [read.pretraining_of(name) for name in ("frames", "first", "iai")] == ["first", None, "first"]
    assert [read.pretraining_priority(name) for name in ("frames", "first")] == [2, 3]
    assert read.prepared_datasets() == [*demo["datasets"], "synth_ovis"]


def test_methods_are_trained_in_their_order_behind_what_they_start_from(raw):
    demo = raw["scales"]["demo"]
    demo |= {"pretraining": {"frames": stage()}, "methods": ["ifc", "vistr", "ms_sts_vis"]}
    read = parse_config(raw).scales["demo"]
    priorities = [read.training_priority(method) for method in demo["methods"]]
    assert priorities == sorted(set(priorities), reverse=True)
    assert read.pretraining_priority("frames") > priorities[0]
    assert priorities[-1] > 0  # of everything else


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({"a": stage(), "b": stage(serves=["seqformer"])}, "'a' and 'b' both serve seqformer"),
        ({"a": stage(serves=["iai"])}, "iai is in init_weights and served by pretraining.a"),
        (
            {"a": stage(serves=["vistra"])},
            "pretraining.a.serves: 'vistra' is no method and no pretraining",
        ),
        ({"iai": stage()}, "'iai' is the name of a method"),
        ({"a": stage(serves=["b"]), "b": stage(serves=["a"])}, "'a' starts from itself in the end"),
        ({"c": stage(), "a": stage(serves=["b"]), "b": stage(serves=["a", "c"])}, "'a' starts from itself in the end"),
        (
            {"a": stage(init_weights={"r18_tiny": "w.pth"}), "b": stage(serves=["a"])},
            "pretraining.a has init_weights and is served by pretraining.b",
        ),
        ({"a": stage(dataset="coco")}, "scales.demo.pretraining.a.dataset: 'coco' is not in 'datasets'"),
        ({"a": stage(dataset="synth_crossings")}, "'synth_crossings' has no train split"),
    ],
)
def test_a_pretraining_that_cannot_be_is_refused(raw, stages, said):
    raw["scales"]["demo"] |= {"pretraining": stages, "init_weights": {"iai": {"r18_tiny": "weights.pth"}}}
    assert said in refused(raw)
