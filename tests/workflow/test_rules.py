"""Rules as they are written: complete, lint-clean, quick to resolve."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import ROOT

RULE = re.compile(r"^rule (\w+):\n((?:[ \t]+.*\n|\n)+)", re.MULTILINE)
NEEDED = ("log", "benchmark", "resources", "message", "script")


def working_rules() -> dict[str, str]:
    """Every rule that does work, with its text; target rules have inputs only."""
    found = {}
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        found.update(RULE.findall(path.read_text()))
    return found


def test_the_stages_have_their_rules():
    assert {"render_dataset", "prepare_folder", "train_method", "predict_tracks", "diagnose_predictions"} <= set(
        working_rules()
    )


@pytest.mark.parametrize("name", sorted(working_rules()))
def test_a_working_rule_has_log_benchmark_resources_and_message(name):
    text = working_rules()[name]
    missing = [directive for directive in NEEDED if f"\n    {directive}:" not in f"\n{text}"]
    assert not missing
    assert re.search(r"mem_mb=.*\n\s+runtime=", text)


def test_the_snakefile_is_a_table_of_contents():
    assert len((ROOT / "workflow" / "Snakefile").read_text().splitlines()) < 100


def test_lint_finds_nothing(project):
    done = project.run("--lint", check=False)
    assert done.returncode == 0, done.stdout


def test_the_paper_matrix_resolves(project):
    done = project.run("--dry-run", "--config", "scale=paper", "--quiet", "rules")
    stats = dict(line.split() for line in done.stdout.splitlines() if re.fullmatch(r"\w+\s+\d+", line))
    cells = 7 * 3 * 3 * 3
    assert (stats["train_method"], stats["predict_tracks"], stats["diagnose_predictions"]) == (str(cells),) * 3


def test_a_dataset_outside_the_scale_can_be_prepared(project):
    assert project.due("results/smoke/datasets/sweep_length_064/manifest.json") == ["render_diagnostic_dataset"]


def test_a_sweep_in_the_scale_gets_its_figure(project):
    def widen(config):
        config["scales"]["smoke"]["datasets"] = ["synth_ytvis19", "sweep_density"]
        config["scales"]["smoke"]["paper"] = ["gap_bars", "gap_vs_knob"]

    project.edit(widen)
    due = project.due()
    names = ("render_diagnostic_dataset", "diagnose_predictions", "measure_strata", "draw_paper_item")
    assert [due.count(name) for name in names] == [5, 6, 6, 2]
    assert project.due("tracklens").count("diagnose_predictions") == 1  # the page leaves the sweep out


def test_the_slurm_profile_resolves_from_a_clone():
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--profile", "slurm", "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_slurm_profile_shares_no_block_with_the_default_one():
    import yaml

    keys = [
        set(yaml.safe_load((ROOT / f"workflow/profiles/{name}/profile.yaml").read_text()))
        for name in ("default", "slurm")
    ]
    assert not keys[0] & keys[1]


def test_the_sources_that_rules_watch_exist():
    text = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    places = re.findall(r'"((?:src|methods|envs|notebooks|workflow)/[\w/.-]*)"', text)
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []
