"""``mindthegap synth`` at the door."""

import json

import pytest
import typer
from typer.testing import CliRunner

from mindthegap.cli.synth import synth
from mindthegap.errors import InputError


def run(*arguments):
    app = typer.Typer()
    app.command()(synth)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_options_reach_the_renderer(tmp_path):
    out = tmp_path / "clips"
    done = run("-o", out, "--preset", "synth_ovis", "--videos", 2, "--train-videos", 1, "--frames", "3-4",
               "--objects", 2, "--height", 48, "--width", 64, "--seed", 5)  # fmt: skip
    assert done.exit_code == 0, done.exception
    assert "diagnostic.json: 2 videos" in done.stdout
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["dataset"] == "clips"
    assert manifest["source"]["seed"] == 5
    assert manifest["source"]["size"] == [48, 64]
    assert manifest["source"]["preset"] == "synth_ovis"
    content = json.loads((out / "diagnostic.json").read_text())
    assert {video["length"] for video in content["videos"]} <= {3, 4}
    assert len(json.loads((out / "train.json").read_text())["videos"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "nothing"], "synth_ytvis19"),
        (["--frames", "many"], "write e.g. 12 or 12-20"),
        (["--frames", "9-3"], "runs backwards"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, arguments, message):
    done = run("-o", tmp_path / "clips", *arguments)
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "clips").exists()
