"""IAI trained and run for real on a handful of rendered clips: every ablation, long videos, two clips by heart."""

import json

import pytest
import torch
from method_runs import inference_job, render_clips, training_job

from methods.iai.variants import VARIANTS
from methods.runtime.configs import build_config
from methods.runtime.facts import read_facts
from methods.runtime.inference import infer
from methods.runtime.training import train
from methods.runtime.weights import load_weights


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return render_clips(tmp_path_factory.mktemp("data") / "clips", train=(3, 4), diagnostic=(2, 5))


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    train(training_job("iai", dataset, out))
    return out


# Everything counts as an object, so that twelve steps of training are enough to have rows.
OPEN = {"score_threshold": 0.0, "id_threshold": 0.0, "min_row_score": 0.0, "mask_threshold": 0.3, "max_per_frame": 3}


@pytest.mark.slow
def test_result_file_keeps_the_contract(dataset, undisturbed, tmp_path):
    # Masks that cover the whole frame: those of hardly trained weights lie anywhere, in the padding too.
    job = inference_job("iai", dataset, undisturbed, tmp_path, **OPEN | {"mask_threshold": 0.0})
    infer(job)
    rows = json.loads(job.predictions.read_text())
    assert rows
    for row in rows:
        assert len(row["segmentations"]) == len(row["frame_scores"]) == 5
        assert row["category_id"] in (1, 2)
        assert any(row["segmentations"])
        # The row's score is the mean over the whole video of the scores of its frames.
        assert row["score"] == pytest.approx(sum(row["frame_scores"]) / 5, abs=2e-6)
    keys = [(row["video_id"], row["query_id"], row["category_id"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert json.loads(job.speed.read_text())["frames"] == 10


@pytest.fixture
def build(dataset):
    """Builds a model as training and inference do, from settings."""
    from methods.runtime.mmcv_ops import ensure_ops

    ensure_ops()
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    from methods.iai import model as registered

    register_all_modules(init_default_scope=True)
    assert registered.GapIAICondInst

    def built(settings, **inference):
        config = build_config("iai", "smoke", read_facts(dataset, "train"), "r18_tiny", settings, OPEN | inference)
        torch.manual_seed(0)
        return MODELS.build(config.model), config

    return built


class Frames:
    """A video of noise; remembers how much the model keeps between frames."""

    def __init__(self, length, size=(64, 96)):
        self.length, self.size, self.watch = length, size, []

    def batches(self, count):
        from mmdet.structures import DetDataSample, TrackDataSample

        generator = torch.Generator().manual_seed(self.length)
        for frame in range(0, self.length, count):
            image = torch.randint(0, 256, (1, 3, *self.size), dtype=torch.uint8, generator=generator)
            meta = {"img_shape": self.size, "ori_shape": self.size, "scale_factor": (1.0, 1.0), "frame_id": frame}
            sample = TrackDataSample(video_data_samples=[DetDataSample(metainfo=meta)], metainfo={"ori_length": 1})
            yield {"inputs": [image], "data_samples": [sample]}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_and_infers_from_its_weights(dataset, tmp_path, name):
    job = training_job("iai", dataset, tmp_path, variant=name, steps=4, checkpoint_seconds=600.0)
    train(job)
    _, meta = load_weights(job.weights)
    assert meta["settings"]["variant"] == name
    for setting, value in VARIANTS[name].settings.items():
        assert meta["settings"][setting] == (list(value) if isinstance(value, tuple) else value)
    infer(inference_job("iai", dataset, tmp_path, tmp_path, **OPEN))
    history = json.loads(job.history.read_text().splitlines()[-1])
    assert ("loss_id" in history) == meta["settings"]["identification"]
    assert ("loss_rpn_cls" in history) == (name == "mask_rcnn")


@pytest.mark.slow
def test_videos_do_not_depend_on_each_other(build):
    model, _ = build({})
    model.eval()
    first = model.predict_video(Frames(4))
    assert len(model.predict_video(Frames(1))) <= 3  # a video of one frame, and another one in between
    assert model.predict_video(Frames(4)) == first
    assert first


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "expected"), [(None, [1, 1, 2, 2, 2, 3, 3, 3, 4]), (3, [1, 1, 2, 2, 2, 3, 3, 3, 3])])
def test_the_memory_grows_as_its_rule_says(build, limit, expected):
    from methods.iai.video import VideoState

    # No detection ever, so that only the interval appends: frames 0, 2, 5, 8.
    model, _ = build({}, score_threshold=1.0, max_long_term=limit)
    model.eval()
    state, sizes = VideoState.start(model.identities, model.rules), []
    for batch in Frames(9).batches(1):
        data = model.data_preprocessor(batch, False)
        model.step(state, data["inputs"][:, 0], data["data_samples"][0][0])
        sizes.append(state.memory.frames)
        assert all(len(keys) == len(values) == 4 * 6 for keys, values in state.memory.short)
    assert sizes == expected


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["full", "mask_rcnn"])
def test_losses_in_mixed_precision_stay_close(dataset, build, variant):
    from mmdet.registry import DATASETS
    from mmengine.dataset import pseudo_collate

    model, config = build({"variant": variant, "drop_path": 0.0, "heads_see": "frame", "clip_frames": 4})
    facts = read_facts(dataset, "train")
    source = {"ann_file": str(facts.annotations), "frames_dir": str(facts.frames_dir), "seed": 0}
    clips = DATASETS.build({"type": "DatasetFolder", "pipeline": config.train_pipeline, **source})
    losses = []
    for enabled in (False, True):
        data = model.data_preprocessor(pseudo_collate([clips[0, 0, 0], clips[1, 0, 1]]), True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            found = model.loss(**data)
        assert all(value.dtype == torch.float32 for value in found.values())
        losses.append({name: float(value.detach()) for name, value in found.items() if "loss" in name})
    # The proposals of the two-stage model are sampled at random, so only what does not depend on them is compared.
    compared = losses[0] if variant == "full" else ("loss_rpn_cls",)
    assert {name: losses[1][name] for name in compared} == pytest.approx(
        {name: losses[0][name] for name in compared}, rel=0.02
    )


@pytest.mark.slow
def test_paper_clips_have_one_size_and_their_own_flips(dataset, build):
    from mmdet.registry import DATASETS

    facts = read_facts(dataset, "train")
    config = build_config("iai", "paper", facts, "r50", {})
    clips = DATASETS.build(
        {
            "type": "DatasetFolder",
            "ann_file": str(facts.annotations),
            "frames_dir": str(facts.frames_dir),
            "seed": 0,
            "pipeline": config.train_pipeline,
        }
    )
    flips, sizes = set(), set()
    for position in range(6):  # videos of 4 frames are continued to clips of 5
        item = clips[position % 3, 0, position]
        frames = item["data_samples"].video_data_samples
        assert item["inputs"].shape[0] == len(frames) == 5
        assert len({frame.img_shape for frame in frames}) == 1
        assert all(frame.gt_instances.masks.masks.shape[1:] == frame.img_shape for frame in frames)
        assert frames[4].frame_id == frames[0].frame_id
        flips.add(tuple(frame.flip for frame in frames))
        sizes.add(frames[0].img_shape)
    assert any(0 < sum(drawn) < 5 for drawn in flips)
    assert len(sizes) > 1
    assert all(360 <= min(size) <= 480 and max(size) <= 960 for size in sizes)
