"""Runs that start from published files: checked by hash, never falling through to a deeper level."""

from __future__ import annotations

import json
import shutil

import pytest

from mindthegap.files import sha256_file

CELL = "smoke_clips/masktrack_rcnn-r18_tiny/0"


@pytest.fixture
def entered(finished, project):
    """Prepares a project that enters at a level with the finished run's files."""

    def enter(level: str):
        published = project.folder / "published"
        shutil.copytree(finished.out, published, symlinks=True)
        project.edit(lambda config: config.update(entry=level, published="published"))
        return project, published

    return enter


@pytest.mark.parametrize(
    ("level", "never"),
    [
        ("inference", {"train_method"}),
        ("oracle", {"train_method", "predict_tracks"}),
        ("figures", {"train_method", "predict_tracks", "diagnose_predictions", "render_dataset"}),
    ],
)
def test_a_level_leaves_out_what_lies_below(entered, level, never):
    project, _ = entered(level)
    rules = set(project.due())
    assert "import_published_file" in rules
    assert not rules & never


def test_figures_from_published_tables_are_the_same(entered, finished):
    project, _ = entered("figures")
    project.run("--cores", "2")
    name = "paper/gap_bars/gap_bars.csv"
    assert sha256_file(project.out / name) == sha256_file(finished.out / name)


def test_an_altered_file_is_refused(entered):
    project, published = entered("oracle")
    with (published / f"predictions/{CELL}.json").open("a") as stream:
        stream.write(" ")
    done = project.run("--cores", "1", "oracle", check=False)
    assert done.returncode != 0
    assert "has SHA-256" in done.stdout


def test_a_missing_file_is_refused_at_once(entered):
    project, published = entered("oracle")
    (published / f"predictions/{CELL}.json").unlink()
    done = project.run("--cores", "1", "oracle", check=False)
    assert done.returncode == 2
    assert "entry: oracle needs" in done.stdout


def test_predictions_that_do_not_say_what_their_weights_saw_carry_a_warning(entered, finished):
    own = json.loads((finished.out / f"oracle/{CELL}/gaps.json").read_text())["contaminated"]
    assert own == {"videos": 0, "of": 4, "source": "weights trained on smoke_clips"}
    project, published = entered("oracle")
    (published / f"predictions/{CELL}.seen.json").unlink()
    done = project.run("--cores", "1", "oracle")
    assert "It is not known whether the weights have seen" in done.stdout
    told = json.loads((project.out / f"oracle/{CELL}/gaps.json").read_text())["contaminated"]
    assert told == {"videos": None, "of": 4, "source": "the published predictions do not say"}


def test_published_must_be_named(project):
    project.edit(lambda config: config.update(entry="oracle"))
    done = project.run("--cores", "1", check=False)
    assert done.returncode == 2
    assert "'published' is not set" in done.stdout
