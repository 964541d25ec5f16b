"""SeqFormer and MS-STS VIS trained and run for real on a handful of rendered clips: pretrained, killed, resumed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from method_runs import inference_job, kill_after, render_clips, training_job

from methods.runtime.inference import infer
from methods.runtime.training import train

METHODS = ("seqformer", "ms_sts_vis")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return render_clips(tmp_path_factory.mktemp("data") / "clips", train=(3, 4), diagnostic=(2, 5))


@pytest.fixture(scope="module")
def pretrained(dataset, tmp_path_factory):
    """Weights of a training on single frames."""
    out = tmp_path_factory.mktemp("pretrained")
    train(training_job("seqformer", dataset, out, steps=8, clip_frames=1))
    return out / "weights.pth"


@pytest.fixture(scope="module")
def undisturbed(dataset, pretrained, tmp_path_factory):
    folders = {}
    for method in METHODS:
        folders[method] = tmp_path_factory.mktemp(f"undisturbed_{method}")
        train(training_job(method, dataset, folders[method], init=pretrained, steps=8))
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_killed_training_ends_in_the_same_bytes(dataset, pretrained, undisturbed, tmp_path, method):
    killed = training_job(method, dataset, tmp_path, init=pretrained, steps=8)
    kill_after(killed, 3)  # MS-STS VIS: before the network plays against the adversary
    train(killed)
    for name in ("weights.pth", "history.jsonl"):
        assert (tmp_path / name).read_bytes() == (undisturbed[method] / name).read_bytes(), name
    records = [json.loads(line) for line in killed.history.read_text().splitlines()]
    assert [record["step"] for record in records] == [4, 8]
    assert {"loss_class", "aux_loss_dice"} <= records[-1].keys()
    if method == "ms_sts_vis":
        assert records[0]["loss_adversarial"] == 0 < records[1]["loss_adversarial"]
        assert all(record["loss_discriminator"] > 0 for record in records)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("whole_video_mib", [0.0, 512.0])
def test_tracks_and_query_embeddings(dataset, undisturbed, tmp_path, method, whole_video_mib):
    rules = {"whole_video_mib": whole_video_mib, "clip_frames": 3, "class_threshold": 0.0}
    predicted = replace(inference_job(method, dataset, undisturbed[method], tmp_path, **rules), save_queries=True)
    infer(predicted)
    rows = json.loads(predicted.predictions.read_text())
    assert all(len(row["segmentations"]) == len(row["frame_scores"]) == 5 for row in rows)
    assert all(0 <= row["score"] <= 1 and row["category_id"] in (1, 2) for row in rows)
    assert len({(row["video_id"], row["query_id"], row["category_id"]) for row in rows}) == len(rows)
    with np.load(predicted.queries, allow_pickle=False) as content:
        queries = {name: content[name] for name in content.files}
    seen = set(zip(queries["video_id"].tolist(), queries["query_id"].tolist(), strict=True))
    assert {(row["video_id"], row["query_id"]) for row in rows} <= seen
    assert queries["embedding"].shape == (len(queries["frame"]), 32)
    assert set(queries["frame"].tolist()) == set(range(5))
