"""``mindthegap diagnose`` and ``compare`` as a user meets them."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from diagnosis_case import run_cli

from mindthegap.diagnosis.report import FILES


def test_printed_table_says_synthetic_and_shows_both_objectives(written):
    text = repr(written[0])
    assert "synthetic data" in text
    assert "tight oracle" in text
    assert "iou oracle" in text
    assert "95 % interval" in text
    assert "ptimal" in text
    assert "Failure modes" in text
    assert "HOTA" in text


def test_negative_gaps_are_red_and_zero_has_no_sign():
    from mindthegap.diagnosis.display import shown

    assert shown(-3.2).style == "red"
    assert shown(-0.001).plain == "0.00"
    assert shown(-0.001).style == ""
    assert shown(None).plain == "-"


def test_command_line(files, tmp_path):
    error, text = run_cli("diagnose", *files, "-o", tmp_path / "a", "--bootstrap", 20, "--workers", 1)
    assert error is None
    assert "synthetic data" in text
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(FILES)
    _, text = run_cli("diagnose", *files, "-o", tmp_path / "b", "--json", "--bootstrap", 20)
    assert json.loads(text)["gaps"] == json.loads((tmp_path / "a" / "gaps.json").read_text())["gaps"]
    error, text = run_cli("compare", files[0], files[1], files[1], "-o", tmp_path / "d", "--bootstrap", 20)
    assert error is None
    assert "results-2" in text
    assert (tmp_path / "d" / "differences.csv").exists()


def test_command_line_writes_strata(files, tmp_path):
    error, text = run_cli("diagnose", *files, "-o", tmp_path, "--bootstrap", 10, "--strata")
    assert error is None
    table = pd.read_csv(tmp_path / "strata.csv")
    stored = pd.read_parquet(tmp_path / "strata.parquet")
    np.testing.assert_allclose(table.tracking_low, stored.tracking_low, atol=1e-12)
    assert "video_length" in text
    assert "iou_threshold" in text


@pytest.mark.parametrize(
    ("words", "offered"),
    [("mindthegap ev", {"evaluate"}), ("mindthegap diagnose --objective ", {"tight", "iou"})],
)
def test_shell_completion(words, offered):
    environment = {"_MINDTHEGAP_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    code = "from mindthegap.cli import app; app(prog_name='mindthegap')"
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    assert set(run.stdout.split()) == offered


def test_a_wrong_choice_names_the_right_ones(files, tmp_path):
    error, _ = run_cli("diagnose", *files, "-o", tmp_path / "a", "--objective", "best")
    assert error.code == 2
    assert not (tmp_path / "a").exists()
