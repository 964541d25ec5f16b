"""Empty, odd and impossible inputs of a diagnosis."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from diagnosis_case import KEY_COLUMNS, write_files
from oracle_cases import Clip, to_tables

import mindthegap
from mindthegap.diagnosis import compare, diagnose_tables
from mindthegap.diagnosis.gaps import differences
from mindthegap.errors import InputError, MindTheGapError


def test_undefined_ap_makes_undefined_gaps():
    assert set(
        differences(dict.fromkeys(("default", "ranking", "continued", "tracking", "classes", "both", "found"))).values()
    ) == {None}


@pytest.mark.parametrize("objective", ["tight", "iou"])
@pytest.mark.parametrize("case", ["no results", "no objects", "only crowds", "no videos"])
def test_empty_inputs_give_a_complete_folder(case, objective, tmp_path, scene):
    clips, tracks, _ = scene
    if case == "no videos":
        clips, tracks = [], []
    if case == "no objects":
        clips = [Clip(c.id, np.zeros_like(c.labels), ()) for c in clips]
    crowd = range(1000) if case == "only crowds" else ()
    given = write_files(tmp_path / "in", clips, [] if case == "no results" else tracks, crowd=crowd)
    diagnosis = mindthegap.diagnose(*given, objective=objective, out_dir=tmp_path / "out", bootstrap=10)
    content = json.loads((tmp_path / "out" / "gaps.json").read_text())
    if case == "no results":
        assert content["gaps"] == {"tracking": 0, "classification": 0, "segmentation": 100}
        assert content["splits"]["segmentation"]["missed"] == pytest.approx(100)
    else:
        assert set(content["gaps"].values()) == {None}
        assert content.get("intervals", {}).get("tracking") is None
        assert " - " in repr(diagnosis)
    for name in ("tracks", "association", "failures", "strata"):
        frame = pd.read_parquet(tmp_path / "out" / f"{name}.parquet")
        assert list(frame.columns[:4]) == KEY_COLUMNS, name
    assert len(diagnosis.to_frame())


def test_crowds_stay_in_the_evaluation_but_get_no_tracks(tmp_path, scene):
    clips, tracks, _ = scene
    given = write_files(tmp_path / "in", clips, tracks, crowd=(0, 4))
    mindthegap.diagnose(*given, out_dir=tmp_path / "out")
    frame = pd.read_parquet(tmp_path / "out" / "tracks.parquet")
    assert len(frame) == 13
    assert not set(frame.object_id) & {1, 5}
    association = pd.read_parquet(tmp_path / "out" / "association.parquet")
    assert not set(association.object_id) & {1, 5}


def test_options_are_checked_before_any_work(files):
    for wrong, sentence in (
        ({"objective": "best"}, "tight or iou"),
        ({"solver": "GLPK"}, "HiGHS or CBC"),
        ({"bootstrap": -1}, "bootstrap samples"),
        ({"time_limit": 0}, "seconds above 0"),
        ({"keys": {"seed": "x"}}, "whole number"),
    ):
        with pytest.raises(MindTheGapError, match=sentence):
            mindthegap.diagnose(*files, **wrong)


def test_a_diagnosis_of_tables_alone_cannot_be_written(scene, tmp_path):
    diagnosis = diagnose_tables(to_tables(*scene[:2]))
    with pytest.raises(MindTheGapError, match="tables alone"):
        diagnosis.write(tmp_path)
    assert diagnosis.gaps["tracking"] is not None


def test_a_broken_write_leaves_no_gaps_file(files, tmp_path, monkeypatch):
    """gaps.json of an earlier run must not stand beside tables of a later one."""
    diagnosis = mindthegap.diagnose(*files, out_dir=tmp_path)
    monkeypatch.setattr("mindthegap.diagnosis.report.tracks_table", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        diagnosis.write(tmp_path)
    assert not (tmp_path / "gaps.json").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_missing_file_is_one_sentence_and_exit_code_2(files, tmp_path):
    command = ["diagnose", str(files[0]), str(tmp_path / "none.json"), "-o", str(tmp_path / "c")]
    code = f"import sys; sys.argv = ['mindthegap', *{command!r}]; from mindthegap.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "none.json" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "c").exists()


def test_places_that_cannot_be_written_are_told_before_the_work(files, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(InputError, match="no folder can be written"):
            mindthegap.diagnose(*files, out_dir=place)
        with pytest.raises(InputError, match="no folder can be written"):
            compare(files[0], [files[1]], out_dir=place)
    diagnosed = tmp_path / "oracle_tracking.json"
    diagnosed.write_bytes(files[1].read_bytes())
    with pytest.raises(InputError, match="would be replaced"):
        mindthegap.diagnose(files[0], diagnosed, out_dir=tmp_path)
    assert diagnosed.read_bytes() == files[1].read_bytes()


def test_wrong_frames_folder_is_told_before_the_work(files, tmp_path):
    from mindthegap.cli.diagnose import diagnose as command

    with pytest.raises(InputError, match="folder of frames"):
        command(*files, out=tmp_path / "out", frames=tmp_path / "nowhere")
    assert not (tmp_path / "out").exists()
