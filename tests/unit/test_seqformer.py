"""SeqFormer's network: symmetry in time, the dynamic head, inference over videos, weights from elsewhere."""

import numpy as np
import pytest
import torch
from seqformer_tools import batch, config, images, model, video
from torch.nn import functional

from methods.runtime.queries import QueryRecorder
from methods.runtime.weights import save_weights
from methods.seqformer.checkpoint import load_initial, load_released
from methods.seqformer.inference import Rules, frame_bytes, select_pairs, select_queries
from methods.seqformer.masks import DynamicMaskHead
from methods.seqformer.sampling import SeqFormerClip
from mindthegap.errors import ConfigError, InputError


@pytest.fixture(scope="module")
def network():
    return model()


def run(network, clips):
    padding = torch.zeros(*clips.shape[:2], *clips.shape[-2:], dtype=torch.bool)
    with torch.no_grad():
        memory = network.encode(clips, padding)
        return memory, network.decoder(memory)


def test_frames_have_no_order(network):
    """There is no encoding of time: permuting frames permutes boxes and masks and leaves the classes."""
    clips, order = images(1, 4), [2, 0, 3, 1]
    memory, decoded = run(network, clips)
    shuffled_memory, shuffled = run(network, clips[:, order])
    torch.testing.assert_close(shuffled.instances, decoded.instances, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shuffled.boxes, decoded.boxes[:, :, order], atol=1e-5, rtol=1e-5)
    features = network.mask_branch(memory)[order]
    torch.testing.assert_close(network.mask_branch(shuffled_memory), features, atol=1e-4, rtol=1e-4)
    assert (decoded.boxes[:, :, 0] - decoded.boxes[:, :, 1]).abs().max() > 1e-3  # the frames do differ


def test_time_weights_are_shares(network):
    _, decoded = run(network, images(2, 3))
    torch.testing.assert_close(decoded.time_weights.sum(dim=2), torch.ones(2, 2, 6))
    _, single = run(network, images(2, 1))
    assert (single.time_weights == 1).all()


def test_chunks_of_frames_change_nothing(network, monkeypatch):
    _, whole = run(network, images(1, 5))
    for layer in network.decoder.layers:
        monkeypatch.setattr(layer.cross_attn, "chunk", 2)
    _, chunked = run(network, images(1, 5))
    torch.testing.assert_close(chunked.boxes, whole.boxes)


def test_dynamic_head_is_a_network_per_instance():
    head = DynamicMaskHead(8, 8, 1.0)
    assert head.parameter_count == 169
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 8, 4, 6, generator=generator)
    centres, parameters = (torch.rand(2, 3, 2, generator=generator) * 40, torch.randn(2, 169, generator=generator))
    logits = head(features, centres, parameters)
    assert logits.shape == (2, 3, 8, 12)
    rows, columns = torch.meshgrid(torch.arange(4) * 8 + 4.0, torch.arange(6) * 8 + 4.0, indexing="ij")
    for index in range(2):
        for frame in range(3):
            x, y = centres[index, frame]
            hidden = torch.cat([torch.stack([x - columns, y - rows]), features[index, frame]])[None]
            weights = parameters[index].split([80, 64, 8, 8, 8, 1])
            for layer, (weight, bias) in enumerate(zip(weights[:3], weights[3:], strict=True)):
                hidden = functional.conv2d(hidden, weight.view(len(bias), -1, 1, 1), bias)
                hidden = hidden.relu() if layer < 2 else hidden
            # Aligned upsampling puts every second output on an input.
            torch.testing.assert_close(logits[index, frame, 1::2, 1::2], hidden[0, 0], atol=1e-3, rtol=1e-5)
    assert head(features[:0], centres[:0], parameters[:0]).shape == (0, 3, 8, 12)


def test_losses_reach_every_part(network):
    inputs, samples = batch()
    losses = network.train().loss(inputs, samples)
    sum(losses.values()).backward()
    network.eval()
    still = [name for name, value in network.named_parameters() if value.grad is None]
    network.zero_grad()
    assert still == []
    named = {f"{kind}loss_{name}" for kind in ("", "aux_") for name in LOSSES}
    assert set(losses) == named | {"loss_semantic", "semantic_accuracy"}
    assert "semantic_aid" not in {name.split(".")[0] for name in model(settings={"semantic_aid": 0.0}).state_dict()}
    assert all(torch.isfinite(value) for value in losses.values())


def test_a_batch_without_objects_teaches_that_there_are_none(network):
    inputs, samples = batch()
    for clip in samples:
        for frame in clip.video_data_samples:
            frame.gt_instances = frame.gt_instances[:0]
    losses = network.train().loss(inputs, samples)
    network.eval()
    assert losses["loss_class"] > 0
    assert all(losses[f"loss_{name}"] == 0 for name in LOSSES[1:])


@pytest.mark.parametrize("method", ["seqformer", "ms_sts_vis"])
def test_losses_are_full_precision_under_autocast(method):
    network = model(method).train()
    inputs, samples = batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = network.loss(inputs, samples)
    assert all(value.dtype == torch.float32 and torch.isfinite(value) for value in losses.values())
    sum(value for name, value in losses.items() if "loss" in name).backward()
    assert all(torch.isfinite(value.grad).all() for value in network.parameters() if value.grad is not None)


LOSSES = ("class", "box", "giou", "mask", "dice")


@pytest.mark.parametrize("length", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_clips_hold_the_key_frame_and_its_neighbours(length, count):
    sampler = SeqFormerClip(count)
    for key in range(length):
        np.random.seed(key)
        chosen = sampler.frames(key, length)
        assert len(chosen) == count
        assert chosen == sorted(chosen)
        assert key in chosen
        assert set(chosen) <= set(range(length))
        if count == 3:
            assert 0 <= key - chosen[0] <= 3
            assert 0 <= chosen[-1] - key <= 3
            assert length == 1 or chosen[0] < chosen[-1]


def test_long_videos_give_distant_frames_too():
    np.random.seed(0)
    clips = [SeqFormerClip(5).frames(20, 40) for _ in range(50)]
    assert all(any(abs(frame - 20) > 3 for frame in clip) for clip in clips)
    assert len({tuple(clip) for clip in clips}) > 40


def test_best_pairs_and_best_queries():
    scores = torch.tensor([[0.9, 0.2], [0.8, 0.7], [0.04, 0.0004]])
    assert [row[:2] for row in select_pairs(scores, 3, 0.001)] == [(0, 0), (1, 0), (1, 1)]
    assert [row[:2] for row in select_pairs(scores, 10, 0.001)] == [(0, 0), (1, 0), (1, 1), (0, 1), (2, 0)]
    assert [row[:2] for row in select_queries(scores, 2, 0.05)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert select_queries(scores[2:], 2, 0.05) == []


@pytest.mark.parametrize("selection", ["pairs", "queries"])
@pytest.mark.parametrize("length", [1, 7])
def test_whole_videos_do_not_depend_on_how_they_are_cut(network, tmp_path, selection, length, monkeypatch):
    results = []
    for at_once in (7, 2):
        monkeypatch.setattr(network, "rules", Rules(selection=selection, frames_per_pass=at_once, min_score=0.0))
        recorder = QueryRecorder()
        results.append((network.predict_video(video(tmp_path, length, queries=recorder)), recorder.arrays()))
    (tracks, queries), (again, _) = results
    assert tracks
    assert [(track.query_id, track.label) for track in tracks] == [(track.query_id, track.label) for track in again]
    assert len({track.query_id for track in tracks}) < len(tracks)  # a query comes with several classes
    for track in tracks:
        assert len(track.segmentations) == len(track.frame_scores) == length
        assert all(
            (score > 0) == (rle is not None) for score, rle in zip(track.frame_scores, track.segmentations, strict=True)
        )
    assert set(queries["query_id"]) >= {track.query_id for track in tracks}
    assert queries["embedding"].shape[1] == 32
    assert sorted(set(queries["frame"])) == list(range(length))


def test_videos_beyond_the_memory_limit_go_clip_by_clip(network, tmp_path, monkeypatch):
    assert frame_bytes(network, (64, 96)) == 4 * 32 * (8 * 12 + 4 * 6 + 2 * 3)
    rules = {"clip_frames": 3, "class_threshold": 0.0, "match_threshold": 0.0}
    monkeypatch.setattr(network, "rules", Rules(whole_video_mib=0.0, **rules))
    recorder = QueryRecorder()
    tracks = network.predict_video(video(tmp_path / "long", 8, queries=recorder))
    assert tracks
    assert {len(track.segmentations) for track in tracks} == {8}
    assert recorder.arrays()["embedding"].shape == ((8 - 3 + 1) * 3 * 6, 32)
    # A video of one clip is the whole video, in either mode.
    single = [network.predict_video(video(tmp_path / "short", 3))]
    monkeypatch.setattr(network, "rules", Rules(**rules))
    assert single == [network.predict_video(video(tmp_path / "short", 3))]
    monkeypatch.setattr(network, "rules", Rules(whole_video_mib=0.0, **rules))
    assert network.predict_video(video(tmp_path / "one", 1))


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="no setting 'depth'"):
        config(settings={"depth": 3})
    with pytest.raises(ValueError, match="selection must be"):
        Rules(selection="all")
    assert "paramwise_cfg" not in config().optim_wrapper
    slow = config(settings={"backbone_lr": 0.1, "sampling_lr": 0.5}).optim_wrapper["paramwise_cfg"]["custom_keys"]
    assert {key: value["lr_mult"] for key, value in slow.items()} == {
        "backbone": 0.1,
        "sampling_offsets": 0.5,
        "decoder.reference": 0.5,
    }


def test_own_pretraining_is_taken_up(network, tmp_path):
    meta = {"method": "seqformer", "backbone": "r18_tiny", "fingerprint": "f"}
    save_weights(tmp_path / "same.pth", network.state_dict(), meta | {"classes": ["disc", "square", "star"]})
    save_weights(tmp_path / "other.pth", network.state_dict(), meta | {"classes": ["a", "b", "c"]})
    taken = model(seed=1)
    assert "0 start fresh" in load_initial(taken, tmp_path / "same.pth")
    for name, value in network.state_dict().items():
        assert torch.equal(taken.state_dict()[name], value), name
    assert "the classes differ" in load_initial(taken, tmp_path / "other.pth")
    assert not torch.equal(taken.class_heads[0].weight, network.class_heads[0].weight)
    assert torch.equal(taken.decoder.query_embed.weight, network.decoder.query_embed.weight)


def test_a_backbone_alone_is_taken_up_and_mistakes_are_named(network, tmp_path):
    backbone = {
        key.removeprefix("backbone."): value for key, value in network.state_dict().items() if "backbone" in key
    }
    torch.save(backbone | {"fc.weight": torch.zeros(3, 3)}, tmp_path / "imagenet.pth")
    taken = model(seed=1)
    before = taken.decoder.query_embed.weight.clone()
    assert "of the backbone loaded" in load_initial(taken, tmp_path / "imagenet.pth")
    assert torch.equal(taken.backbone.conv1.weight, network.backbone.conv1.weight)
    assert torch.equal(taken.decoder.query_embed.weight, before)
    torch.save({key: value for key, value in backbone.items() if key != "conv1.weight"}, tmp_path / "short.pth")
    with pytest.raises(InputError, match=r"no key backbone\.conv1\.weight"):
        load_initial(taken, tmp_path / "short.pth")
    torch.save({"model": {"detr.something.weight": torch.zeros(1)}}, tmp_path / "odd.pth")
    with pytest.raises(InputError, match=r"unknown key detr\.something"):
        load_released(taken, tmp_path / "odd.pth")
