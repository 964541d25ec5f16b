"""IFC trained and run for real on a handful of rendered clips: killed, resumed, with its query embeddings."""

import json
from dataclasses import replace

import numpy as np
import pytest
from method_runs import inference_job, kill_after, render_clips, training_job

from methods.runtime.inference import infer
from methods.runtime.training import train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return render_clips(tmp_path_factory.mktemp("data") / "clips", train=(3, 4), diagnostic=(2, 5))


def job(dataset, out):
    # Without a price on seeing objects everywhere, twelve steps are enough to have tracks.
    return training_job("ifc", dataset, out, no_object=0.0)


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    train(job(dataset, out))
    return out


@pytest.mark.slow
def test_killed_training_ends_in_the_same_bytes(dataset, undisturbed, tmp_path):
    killed = job(dataset, tmp_path)
    kill_after(killed, 4)  # within the steps on single frames
    train(killed)
    for name in ("weights.pth", "history.jsonl"):
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes(), name
    records = [json.loads(line) for line in killed.history.read_text().splitlines()]
    assert [record["step"] for record in records] == [4, 8, 12]
    assert {"loss_cls", "loss_focal", "loss_dice", "d0.loss_dice", "kept_queries"} <= records[-1].keys()


@pytest.mark.slow
@pytest.mark.parametrize("window", [2, 36])
def test_tracks_and_query_embeddings(dataset, undisturbed, tmp_path, window):
    predicted = replace(inference_job("ifc", dataset, undisturbed, tmp_path, window=window), save_queries=True)
    infer(predicted)
    rows = json.loads(predicted.predictions.read_text())
    assert {row["video_id"] for row in rows} == {1, 2}
    assert all(len(row["segmentations"]) == len(row["frame_scores"]) == 5 for row in rows)
    assert all(0 <= row["score"] <= 1 and row["category_id"] in (1, 2) for row in rows)
    keys = [(row["video_id"], row["query_id"], row["category_id"]) for row in rows]
    assert keys == sorted(set(keys))
    with np.load(predicted.queries, allow_pickle=False) as content:
        queries = {name: content[name] for name in content.files}
    assert queries["embedding"].shape == (len(queries["frame"]), 32)
    seen = set(zip(queries["video_id"].tolist(), queries["query_id"].tolist(), strict=True))
    assert {key[:2] for key in keys} <= seen
    assert set(queries["frame"].tolist()) <= set(range(5))
    speed = json.loads(predicted.speed.read_text())
    assert speed["frames"] == 10
