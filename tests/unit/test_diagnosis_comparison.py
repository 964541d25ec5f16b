"""Several methods side by side."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from diagnosis_case import write_files

import mindthegap
from mindthegap.diagnosis import compare
from mindthegap.errors import MindTheGapError


@pytest.fixture(scope="module")
def comparison(files, scene, tmp_path_factory):
    clips, _tracks, _ = scene
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(1)
    better = [replace(t, masks=t.masks) for clip in clips for t in clip.perfect(rng)]
    _, second = write_files(folder / "better", clips, better)
    result = compare(files[0], [files[1], second], names=["noisy", "perfect"], out_dir=folder / "out", bootstrap=50)
    return result, folder / "out", second


def test_comparison_resamples_the_same_videos_for_all_methods(comparison, files):
    result, out, _ = comparison
    frame = pd.read_csv(out / "differences.csv").set_index("quantity")
    one, two = (result.diagnoses[name] for name in ("noisy", "perfect"))
    change = two.bootstrap.values["AP"] - one.bootstrap.values["AP"]
    low, high = np.quantile(change, [0.025, 0.975])
    assert (frame.low["AP"], frame.high["AP"]) == (pytest.approx(low), pytest.approx(high))
    assert frame.points["AP"] == pytest.approx(100 - mindthegap.evaluate(*files).AP)
    assert bool(frame.excludes_zero["AP"])
    assert frame.points["segmentation"] < 0


def test_comparison_files_are_complete(comparison):
    result, out, _ = comparison
    table = pd.read_csv(out / "comparison.csv")
    assert table.method.tolist() == ["noisy", "perfect"]
    assert table.AP[1] == pytest.approx(100)
    assert {"tracking_low", "tracking_high", "solver_status"} <= set(table.columns)
    assert table.HOTA[1] == pytest.approx(100)
    content = json.loads((out / "comparison.json").read_text())
    assert content["methods"]["noisy"]["gaps"] == result.diagnoses["noisy"].to_dict()["gaps"]
    assert "seconds" not in content["methods"]["noisy"]["solver"]
    for name in ("noisy", "perfect"):
        assert (out / name / "gaps.json").exists()
        assert pd.read_parquet(out / name / "tracks.parquet").method.unique().tolist() == [name]
    assert "synthetic" in repr(result)
    assert "perfect - noisy" in repr(result)


def test_differences_by_stratum_are_paired(comparison):
    result, out, _ = comparison
    frame = pd.read_csv(out / "differences_by_stratum.csv").set_index(["attribute", "stratum", "quantity"])
    for one, two in zip(*(result.diagnoses[name].stratum_gaps() for name in ("noisy", "perfect")), strict=True):
        row = frame.loc[(one.attribute, one.stratum, "tracking_ranking")]
        assert row.points == pytest.approx(two.points["tracking.ranking"] - one.points["tracking.ranking"])
        if one.resampled > 1:
            change = (two.samples["tracking.ranking"] - one.samples["tracking.ranking"])[~np.isnan(two.samples["AP"])]
            assert [row.low, row.high] == pytest.approx(list(np.quantile(change, [0.025, 0.975])))
    assert frame.loc[("all", "all", "AP")].points == pytest.approx(100 - result.diagnoses["noisy"].to_frame().points[0])


def test_a_comparison_warns_of_weights_that_have_seen_the_videos(comparison, files, tmp_path):
    names = [video["file_names"][0].split("/")[0] for video in json.loads(files[0].read_text())["videos"]]
    (tmp_path / "all.txt").write_text("\n".join(names))
    (tmp_path / "none.txt").write_text("elsewhere\n")
    lists = [tmp_path / "none.txt", tmp_path / "all.txt"]
    both = [files[1], comparison[2]]
    result = compare(files[0], both, names=["fresh", "seen"], bootstrap=0, trained_on=lists)
    assert result.to_frame().contaminated.tolist() == [False, True]
    assert f"Warning: seen: The weights have seen {len(names)} of {len(names)} diagnosed videos" in repr(result)
    assert "weights may have seen these videos" in repr(result)
    assert compare(files[0], both, bootstrap=0, trained_on=lists[1:]).to_frame().contaminated.all()
    assert "Warning" not in repr(comparison[0])
    with pytest.raises(MindTheGapError, match="3 lists of training videos for 2 result files"):
        compare(files[0], both, trained_on=[*lists, lists[0]])


def test_names_of_methods_are_made_different(comparison, files):
    result = compare(files[0], [files[1], comparison[2]], bootstrap=0)
    assert result.names == ("results", "results-2")
    assert result.differences().low.isna().all()
    for names, sentence in ((["a"], "different names"), (["a", "a"], "different names"), (["a", "../b"], "slashes")):
        with pytest.raises(MindTheGapError, match=sentence):
            compare(files[0], [files[1], comparison[2]], names=names)
    with pytest.raises(MindTheGapError, match="nothing to compare"):
        compare(files[0], [])
