"""Sweeps: one dataset per value of a knob, named, rendered, measured, and read back as a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from mindthegap.cli import app
from mindthegap.config import parse_config
from mindthegap.config.datasets import SweepDataset
from mindthegap.data.described import describe_manifests
from mindthegap.data.linking import linking_ap
from mindthegap.errors import ConfigError, InputError
from mindthegap.formats import read_ground_truth
from mindthegap.synth import render_dataset
from mindthegap.synth.describe import describe_presets
from mindthegap.synth.presets import PRESETS
from mindthegap.synth.sweeps import sweep_table

ROOT = Path(__file__).resolve().parents[2]


def sweep(**changes):
    raw = {"kind": "sweep", "knob": "length", "values": [2, 4, 8], "weights_from": "other", "height": 32, "width": 48,
           "diagnostic": {"videos": 2, "objects": 2}}  # fmt: skip
    return SweepDataset.model_validate(raw | changes)


@pytest.fixture
def raw():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize(
    ("knob", "values", "names"),
    [
        ("length", [8, 64, 256], ["s_008", "s_064", "s_256"]),
        ("density", [1, 16], ["s_01", "s_16"]),
        ("occlusion", [0, 0.15, 0.9], ["s_00", "s_15", "s_90"]),
        ("occlusion", [0.5, 1], ["s_050", "s_100"]),
    ],
)
def test_names_sort_like_values(knob, values, names):
    members = sweep(knob=knob, values=values, diagnostic={"videos": 2}).members("s")
    assert list(members) == names == sorted(names)
    assert [member.sweep.value for member in members.values()] == values


def test_members_differ_in_the_knob_alone():
    members = list(
        sweep(knob="occlusion", values=[0, 0.5], diagnostic={"videos": 3, "frames": 5}).members("s").values()
    )
    knobs = [member.knobs("diagnostic").to_dict() for member in members]
    assert {key for key in knobs[0] if knobs[0][key] != knobs[1][key]} == {"occlusion"}
    rest = [member.model_dump(exclude={"diagnostic", "sweep"}) for member in members]
    assert rest[0] == rest[1]
    assert rest[0]["weights_from"] == "other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": [4, 2]}, "do not ascend"),
        ({"values": [4]}, "at least 2"),
        ({"values": [2, 2.5]}, "a length is a whole number"),
        ({"knob": "occlusion", "values": [0, 1.5]}, "share from 0 to 1"),
        ({"knob": "occlusion", "values": [0.5, 0.501]}, "agree to a hundredth"),
        ({"diagnostic": {"videos": 2, "frames": 4}}, "is what the sweep varies"),
        ({"weights_from": None}, "weights_from"),
    ],
)
def test_mistaken_sweeps_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        sweep(**change)


def test_a_scale_names_a_sweep_or_its_datasets(raw):
    scale = raw["scales"]["demo"]
    scale["datasets"] = ["synth_ytvis19", "sweep_length", "sweep_density_04"]
    config = parse_config(raw)
    lengths = [f"sweep_length_{value:03d}" for value in (8, 16, 32, 64, 128, 256)]
    assert config.scales["demo"].datasets == ["synth_ytvis19", *lengths, "sweep_density_04"]
    assert "sweep_length" not in config.datasets
    assert config.datasets["sweep_length_064"].sweep.model_dump() == {
        "name": "sweep_length", "knob": "length", "value": 64,
    }  # fmt: skip


def test_a_sweep_needs_the_dataset_that_is_trained(raw):
    raw["scales"]["demo"]["datasets"] = ["sweep_length"]
    with pytest.raises(ConfigError, match="takes its weights from 'synth_ytvis19', which this scale does not list"):
        parse_config(raw)


def test_the_figure_of_sweeps_needs_one(raw):
    scale = raw["scales"]["demo"]
    scale["paper"] = ["gap_vs_knob"]
    scale["datasets"] = ["synth_ytvis19"]
    with pytest.raises(ConfigError, match="gap_vs_knob shows sweeps, and this scale lists none"):
        parse_config(raw)
    for listed in ("sweep_length", "sweep_length_064"):
        scale["datasets"] = ["synth_ytvis19", listed]
        assert parse_config(raw).scales["demo"].paper == ["gap_vs_knob"]


def test_a_taken_name_is_refused(raw):
    raw["datasets"]["sweep_length_064"] = raw["datasets"]["synth_ytvis19"]
    with pytest.raises(ConfigError, match="the sweep 'sweep_length' makes a dataset of this name"):
        parse_config(raw)


def test_manifests_hold_wanted_and_measured_values(tmp_path):
    for name, member in sweep(knob="occlusion", values=[0, 0.9], diagnostic={"videos": 3, "frames": 6, "objects": 3}
                              ).members("s").items():  # fmt: skip
        render_dataset(member, tmp_path / name, name, progress=False)
    table = sweep_table([tmp_path / "s_90/manifest.json", tmp_path / "s_00/manifest.json"])
    assert table.dataset.tolist() == ["s_00", "s_90"]
    assert table.wanted.tolist() == [0.0, 0.9]
    levels = json.loads((tmp_path / "s_90/manifest.json").read_text())["splits"]["diagnostic"]["statistics"][
        "occlusion"
    ]
    assert table.achieved[1] == pytest.approx(1 - levels["no_occlusion"], abs=1e-4)
    assert table.achieved[0] < 0.2 < 0.6 < table.achieved[1]
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(InputError, match="is not a dataset's manifest"):
        sweep_table([tmp_path / "bad.json"])


@pytest.mark.parametrize(
    ("knob", "values", "split"),
    [
        ("length", [8, 96], {"objects": 3, "occlusion": 0.2, "look_alikes": 0.6, "exits": 0.3}),
        ("density", [2, 12], {"frames": 24, "occlusion": 0.2, "look_alikes": 0.6, "object_size": [0.16, 0.26]}),
        ("occlusion", [0, 0.9], {"frames": 32, "objects": 3, "look_alikes": 0.6, "exits": 0}),
    ],
)
def test_linking_gets_harder_along_every_sweep(tmp_path, knob, values, split):
    changes = {"height": 64, "width": 96, "diagnostic": {"videos": 6, **split}}
    scores = []
    for name, member in sweep(knob=knob, values=values, **changes).members("s").items():
        render_dataset(member, tmp_path / name, name, progress=False)
        scores.append(linking_ap(read_ground_truth(tmp_path / name / "diagnostic.json")))
    assert scores[0] > 75
    assert scores[1] < scores[0] - 5


def test_the_command_renders_a_sweep_and_its_table(tmp_path):
    arguments = ["synth", "-o", str(tmp_path / "out"), "--sweep", "density=1,2", "--videos", "2", "--frames", "3",
                 "--height", "32", "--width", "48", "--describe"]  # fmt: skip
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.exception
    assert "sweep_density_02: density 2 wanted, 2 visible objects per frame measured" in done.stdout
    assert "OVIS" in done.stdout
    rows = (tmp_path / "out/sweep.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["dataset", "sweep_density_01", "sweep_density_02"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep", "speed=1,2"], "a knob of length, density, occlusion"),
        (["--sweep", "length"], "write e.g. --sweep length=8,16,32"),
        (["--sweep", "length=8,4"], "do not ascend"),
        (["--sweep", "length=4,8", "--frames", "3"], "is what the sweep varies"),
        (["--sweep", "length=4,8", "--train-videos", "3"], "does not go with --sweep"),
    ],
)
def test_mistakes_on_the_command_line_are_one_sentence(tmp_path, arguments, message):
    done = CliRunner().invoke(app, ["synth", "-o", str(tmp_path / "out"), *arguments])
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)
    assert "Value error" not in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_presets_stand_beside_what_they_imitate():
    table = describe_presets(videos=2, progress=False).set_index("dataset")
    assert table.index.tolist() == [*PRESETS, "YouTube-VIS 2019", "YouTube-VIS 2021", "OVIS"]
    assert table.loc[list(PRESETS), "linking_AP"].between(0, 100).all()
    assert table.loc["OVIS", ["linking_AP", "presence"]].isna().all()
    assert table.loc["synth_ovis", "objects_per_video"] > table.loc["synth_ytvis19", "objects_per_video"]


def test_published_numbers_agree_with_themselves():
    table = describe_manifests([]).set_index("dataset")
    ratio = table.objects / table.videos
    assert ratio.tolist() == pytest.approx(table.objects_per_video.tolist(), abs=0.03)
    assert table.loc["OVIS", "masks_per_object"] == pytest.approx(56.7)
