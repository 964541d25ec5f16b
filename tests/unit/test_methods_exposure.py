"""Weights know which videos they were trained on, and say so to whoever runs them."""

import logging
from dataclasses import replace

import pytest
import torch

from methods.runtime.exposure import released_videos, seen_by, trained_videos
from methods.runtime.facts import DatasetFacts
from methods.runtime.weights import save_weights
from mindthegap.data.lineage import Seen

FACTS = DatasetFacts("d", "train", None, None, "0", ("a",), (1,), 2, 4, 4, 2, 1, (48, 64), ("v1", "v2"))


def weights(path, **meta):
    save_weights(path, {"layer": torch.zeros(2)}, meta)
    return path


def test_a_training_knows_its_videos_and_those_it_started_from(tmp_path):
    assert trained_videos(FACTS, None) == ["v1", "v2"]
    assert trained_videos(FACTS, weights(tmp_path / "own.pth", trained_videos=["v0", "v2"])) == ["v0", "v1", "v2"]
    assert trained_videos(FACTS, weights(tmp_path / "unknown.pth", trained_videos=None)) is None
    torch.save({"state_dict": {"layer": torch.zeros(2)}}, tmp_path / "coco.pth")
    assert trained_videos(FACTS, tmp_path / "coco.pth") == ["v1", "v2"]


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"dataset": "mine", "trained_videos": ["v2", "v9"]}, Seen(1, 2, "weights trained on mine")),
        ({"dataset": "mine", "trained_videos": ["v9"]}, Seen(0, 2, "weights trained on mine")),
        ({"dataset": "mine", "trained_videos": None}, Seen(None, 2, "the weights do not say")),
        ({"dataset": "mine"}, Seen(None, 2, "the weights do not say")),
    ],
)
def test_what_weights_have_seen_of_a_split(meta, expected, caplog):
    with caplog.at_level(logging.WARNING, logger="mindthegap.inference"):
        assert seen_by(meta, replace(FACTS, split="diagnostic")) == expected
    assert bool(caplog.records) == (expected.videos != 0)


def test_a_release_says_what_it_was_trained_on(tmp_path, caplog):
    (tmp_path / "train.txt").write_text("v1\nv3\n")
    assert released_videos(tmp_path / "train.txt", tmp_path / "release.pth") == ["v1", "v3"]
    with caplog.at_level(logging.WARNING, logger="mindthegap.inference"):
        assert released_videos(None, tmp_path / "release.pth") is None
    assert "--trained-on" in caplog.text
