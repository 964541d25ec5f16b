"""IFC on whole videos with random weights: any length, one clip or many, the same numbers as on a training batch."""

import logging

import pytest
import torch

from methods.runtime.mmcv_ops import ensure_ops

ensure_ops()

from mmdet.structures import DetDataSample, TrackDataSample  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402

from methods.ifc.model import GapIFC  # noqa: E402
from methods.runtime.configs import build_config  # noqa: E402
from methods.runtime.facts import DatasetFacts  # noqa: E402
from methods.runtime.queries import QueryRecorder  # noqa: E402

HEIGHT, WIDTH = 44, 60  # no multiples of any stride


class Frames:
    """Stands in for ``VideoFrames``: random pictures, the same ones whenever a frame is asked for."""

    def __init__(self, length, queries=None):
        self.length, self.height, self.width, self.queries = length, HEIGHT, WIDTH, queries

    def batch(self, indices):
        pictures = [torch.randint(0, 255, (3, HEIGHT, WIDTH), generator=_seeded(index)) for index in indices]
        sample = TrackDataSample()
        sample.video_data_samples = [DetDataSample(metainfo={"img_shape": (HEIGHT, WIDTH)}) for _ in indices]
        return {"inputs": [torch.stack(pictures).to(torch.uint8)], "data_samples": [sample]}


def _seeded(index):
    return torch.Generator().manual_seed(index)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    register_all_modules(init_default_scope=True)
    logging.getLogger("mmengine").setLevel(logging.WARNING)
    folder = tmp_path_factory.mktemp("none")
    facts = DatasetFacts("tiny", "train", folder, folder, "0", ("a", "b"), (1, 2), 1, 1, 1, 1, 1, (HEIGHT, WIDTH))
    settings = {"dims": 32, "queries": 6, "ffn": 32, "encoder_layers": 1, "bus_tokens": 2}
    config = build_config("ifc", "smoke", facts, "r18_tiny", settings).model.to_dict()
    config.pop("type")
    torch.manual_seed(3)
    built = GapIFC(**config)
    built.init_weights()
    torch.nn.init.constant_(built.head.class_embed.layers[-1].bias[-1:], -9.0)  # every query sees an object
    return built.eval()


def predict(model, frames, **options):
    before = dict(model.inference)
    model.inference.update(options)
    try:
        return model.predict_video(frames)
    finally:
        model.inference.update(before)


@pytest.mark.parametrize(("length", "window", "stride"), [(1, 3, 1), (2, 3, 2), (7, 3, 1), (7, 3, 3), (7, 36, 1)])
def test_any_length_gives_rows_of_that_length(model, length, window, stride):
    recorder = QueryRecorder()
    rows = predict(model, Frames(length, recorder), window=window, clip_stride=stride)
    assert rows
    assert {len(row.segmentations) for row in rows} == {length}
    assert {len(row.frame_scores) for row in rows} == {length}
    assert all(rle is None or rle["size"] == [HEIGHT, WIDTH] for row in rows for rle in row.segmentations)
    arrays = recorder.arrays()
    assert set(arrays["frame"].tolist()) == set(range(length))
    assert {row.query_id for row in rows} <= set(arrays["query_id"].tolist())


def test_whole_videos_are_one_clip_with_the_numbers_of_a_batch(model):
    whole = predict(model, Frames(5), window=2, whole_video=5, score_threshold=0.0)
    assert whole == predict(model, Frames(5), window=5, score_threshold=0.0)
    data = model.data_preprocessor(Frames(5).batch(range(5)), training=False)
    with torch.no_grad():
        outputs = model(data["inputs"], data["data_samples"])
    probs = outputs.class_logits[-1, 0].softmax(dim=-1)
    scores = {(row.query_id, row.label): row.score for row in whole}
    for (query, label), score in scores.items():
        assert score == pytest.approx(float(probs[query, label]), abs=1e-5)
    shown = outputs.mask_logits[-1, 0].flatten(1).max(dim=1).values > 0
    assert len(scores) >= 2 * int(shown.sum())


def test_rows_can_be_limited(model):
    rows = predict(model, Frames(4), window=4, score_threshold=0.0)
    best = predict(model, Frames(4), window=4, score_threshold=0.0, max_rows=3)
    assert len(best) == 3
    assert min(row.score for row in best) == sorted((row.score for row in rows), reverse=True)[2]


def test_a_video_without_objects_has_no_rows(model):
    bias = model.head.class_embed.layers[-1].bias
    with torch.no_grad():
        before, bias[-1] = bias[-1].clone(), 99.0
    assert predict(model, Frames(6), window=3) == []
    with torch.no_grad():
        bias[-1] = before
