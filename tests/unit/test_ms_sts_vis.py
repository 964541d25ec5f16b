"""MS-STS VIS: each addition alone, what it may and may not see, and the two players' gradients."""

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from seqformer_tools import TINY, batch, config, images, model, video
from torch.nn import functional

from methods.ms_sts_vis import model as ms_sts
from methods.ms_sts_vis.adversary import Discriminator, Scene, discriminator_loss, network_loss
from methods.ms_sts_vis.attention import AttentionOptions, MultiScaleTemporalAttention, TemporalAttention
from methods.ms_sts_vis.checkpoint import load_initial, load_released
from methods.ms_sts_vis.config import TRAINING, VARIANTS
from methods.runtime import registry
from methods.runtime.weights import save_weights
from methods.seqformer.inference import Rules
from mindthegap.errors import ConfigError, InputError

SHAPES = [(4, 6), (2, 3), (1, 2)]
OPTIONS = AttentionOptions(width=8, heads=2, hidden=16, dropout=0.0)


def variant(name, **changes):
    return model("ms_sts_vis", settings={"variant": name}, **changes)


def outputs(network, frames=3):
    clips = images(2, frames)
    with torch.no_grad():
        return network(clips, mode="tensor")


def take_over(network, other):
    """Gives a network the weights of another one where both have them; what only it has stays fresh."""
    state = {key: value for key, value in other.state_dict().items() if key in network.state_dict()}
    network.load_state_dict(state, strict=False)


@pytest.fixture(scope="module")
def seqformer():
    return model("seqformer")


@pytest.mark.parametrize("name", list(VARIANTS))
def test_fresh_additions_change_nothing(seqformer, name):
    """Every variant computes what SeqFormer does with SeqFormer's weights; ``baseline`` has nothing else."""
    network = variant(name, seed=1)
    take_over(network, seqformer)
    for mine, plain in zip(outputs(network), outputs(seqformer), strict=True):
        torch.testing.assert_close(mine, plain, atol=1e-6, rtol=1e-6)
    added = network.state_dict().keys() - seqformer.state_dict().keys()
    parts = {"msts": "encoder", "temporal_attn": "decoder", "discriminator": "adversary"}
    assert {part for part in parts if any(part in key for key in added)} == {
        part for part, switch in zip(parts, VARIANTS[name], strict=True) if switch
    }
    if name == "baseline":
        assert not added


@pytest.mark.parametrize("fuse", ["time", "channel"])
@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_trained_additions_do_something(name, fuse):
    network = model("ms_sts_vis", settings={"variant": name, "fuse": fuse})
    before = outputs(network)
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if ("msts" in key or "temporal_attn" in key) and "out_proj.weight" in key:
                parameter.normal_(std=0.3)
    after = outputs(network)
    assert (before[1] - after[1]).abs().max() > 1e-3


def attention(fuse="time"):
    torch.manual_seed(0)
    module = MultiScaleTemporalAttention(16, AttentionOptions(8, 2, 16, 0.0, fuse))
    torch.nn.init.normal_(module.out_proj.weight)
    return module.eval()


def tokens(frames=3):
    return torch.randn(2, frames, sum(rows * columns for rows, columns in SHAPES), 16)


@torch.no_grad()
def test_intra_scale_attention_stays_in_its_pixel():
    module, before = attention(), tokens()
    after = before.clone()
    after[1, 2, 9] += 1.0
    changed = (module.intra(module.in_proj(before)) - module.intra(module.in_proj(after))).abs().amax(-1) > 1e-7
    assert changed.nonzero().tolist() == [[1, frame, 9] for frame in range(3)]


@torch.no_grad()
@pytest.mark.parametrize("fuse", ["time", "channel"])
def test_inter_scale_attention_goes_from_coarse_to_fine(fuse):
    module, before = attention(fuse), tokens()
    starts = [0, 24, 30, 32]
    for source in range(3):
        after = before.clone()
        after[:, :, starts[source] : starts[source + 1]] += 1.0
        difference = (module(before, SHAPES) - module(after, SHAPES)).abs().amax(dim=(0, 1, 3))
        reached = [bool((difference[starts[k] : starts[k + 1]] > 1e-6).any()) for k in range(3)]
        assert reached == [k in (source, source - 1) for k in range(3)], source


@torch.no_grad()
def test_only_the_outputs_that_are_used_are_computed():
    """Queries are the scale's own T tokens; computing all 2T and dropping half, as the figure draws it, is the same."""
    module = attention()
    own, received = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 8)
    joined = torch.cat([module.inter_proj(own), module.inter_proj(received)], dim=1)
    normed = module.inter_norm1(joined).transpose(1, 2).flatten(0, 1)
    mixed = joined + module.inter_attn(normed, normed, normed)[0].view(2, 5, 6, 8).transpose(1, 2)
    mixed = mixed + module.inter_ffn(module.inter_norm2(mixed))
    torch.testing.assert_close(module.inter(own, received), mixed[:, :3])


@torch.no_grad()
def test_box_queries_attend_within_their_query():
    torch.manual_seed(0)
    module, before = TemporalAttention(16, OPTIONS).eval(), torch.randn(1, 3, 4, 16)
    after = before.clone()
    after[0, 1, 2] += torch.randn(16)
    changed = (module(before) - module(after)).abs().amax(-1) > 1e-7
    assert changed.nonzero().tolist() == [[0, frame, 2] for frame in range(3)]
    module.reset_parameters()
    assert torch.equal(module(before), before)


def test_sizes_of_the_paper():
    """The discriminator's size is the authors'; both attentions stay within the 1.3 M that the paper's plot leaves."""
    discriminator = Discriminator()
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == 2_891_008
    height, width = 72, 104
    maps = [torch.rand(2, 256, -(-height // stride), -(-width // stride)) for stride in (8, 16, 32)]
    with torch.no_grad():
        patches = discriminator(torch.rand(2, 3, 9, 13), maps, torch.rand(2, 1, 9, 13)).sigmoid()
    assert patches.shape == (2, 1, 3, 4)
    assert ((patches > 0) & (patches < 1)).all()
    options = AttentionOptions()
    encoder, decoder = MultiScaleTemporalAttention(256, options), TemporalAttention(256, options)
    added = [6 * sum(parameter.numel() for parameter in part.parameters()) for part in (encoder, decoder)]
    assert [round(count / 1e6, 2) for count in added] == [0.82, 0.30]


def scene():
    generator = torch.Generator().manual_seed(0)
    features = [torch.rand(2, 8, *size, generator=generator).requires_grad_() for size in ((8, 12), (4, 6), (2, 3))]
    fake = torch.rand(2, 1, 8, 12, generator=generator).requires_grad_()
    real = (torch.rand(2, 1, 8, 12, generator=generator) > 0.5).float()
    return Scene(torch.rand(2, 3, 8, 12, generator=generator), features, real, fake)


def test_each_player_teaches_itself_only():
    discriminator, shown = Discriminator(8, 4, (8, 8)), scene()
    loss, accuracy = discriminator_loss(discriminator, shown)
    loss.backward()
    assert all(parameter.grad is not None for parameter in discriminator.parameters())
    assert shown.fake.grad is None
    assert all(level.grad is None for level in shown.features)
    assert 0 <= accuracy <= 1
    discriminator.zero_grad()
    fooling, difference = network_loss(discriminator, shown)
    (fooling + difference).backward()
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert shown.fake.grad.abs().sum() > 0
    assert all(level.grad.abs().sum() > 0 for level in shown.features)


def test_losses_are_the_cross_entropies():
    discriminator, shown = Discriminator(8, 4, (8, 8)), scene()
    with torch.no_grad():
        real, fake = (
            discriminator(shown.images, shown.features, masks).sigmoid() for masks in (shown.real, shown.fake)
        )
    assert discriminator_loss(discriminator, shown)[0].item() == pytest.approx(
        float(-real.log().mean() - (1 - fake).log().mean()), abs=1e-5
    )
    fooling, difference = network_loss(discriminator, shown)
    assert fooling.item() == pytest.approx(float(-fake.log().mean()), abs=1e-5)
    assert difference.item() == pytest.approx(float((real - fake).abs().mean()), abs=1e-6)


def test_players_see_frames_with_objects(monkeypatch):
    network = variant("full").train()
    inputs, samples = batch()
    output = network.match_clips(inputs, samples)
    shown = ms_sts.scene_of(inputs, output)
    assert shown.images.shape == (5, 3, 8, 12)  # of six frames one shows nothing
    assert [tuple(level.shape) for level in shown.features] == [(5, 32, 8, 12), (5, 32, 4, 6), (5, 32, 2, 3)]
    wanted = torch.zeros(64, 96)
    wanted[8:40, 8:40] = wanted[20:60, 50:90] = 1
    sampled = wanted[2::4, 2::4][None, None]
    torch.testing.assert_close(shown.real[0], functional.avg_pool2d(sampled, 2)[0])
    for step, plays in ((0, False), (5, False), (6, True)):  # half of the smoke scale's 12 steps
        monkeypatch.setattr(ms_sts, "training_step", lambda step=step: step)
        assert bool(network.loss(inputs, samples)["loss_adversarial"] > 0) is plays
    for clip in samples:
        for frame in clip.video_data_samples:
            frame.gt_instances = frame.gt_instances[:0]
    assert network.loss(inputs, samples)["loss_discriminator"] == 0


def test_gradients_are_clipped_by_player():
    settings = {"backbone_lr": 0.1, "sampling_lr": 0.1, "addition_lr": 2.0, "discriminator_lr": 0.5, "clip_norm": 1.0}
    network = variant("full")
    wrapper_cfg = config("ms_sts_vis", settings=settings).optim_wrapper.to_dict()
    constructor, paramwise = wrapper_cfg.pop("constructor"), wrapper_cfg.pop("paramwise_cfg")
    build = {"type": constructor, "optim_wrapper_cfg": wrapper_cfg, "paramwise_cfg": paramwise}
    wrapper = OPTIM_WRAPPER_CONSTRUCTORS.build(build)(network)
    rates = {group["lr"]: group["second_player"] for group in wrapper.optimizer.param_groups}
    assert rates == pytest.approx({5e-4: False, 5e-5: False, 1e-3: False, 2.5e-4: True})
    assert wrapper.optimizer.param_groups[0]["lr"] == 5e-4
    counted = sum(parameter.numel() for group in wrapper.optimizer.param_groups for parameter in group["params"])
    assert counted == sum(parameter.numel() for parameter in network.parameters())
    for name, parameter in network.named_parameters():
        parameter.grad = torch.full_like(parameter, 100.0 if name.startswith("discriminator") else 1e-6)
    wrapper._clip_grad()
    second = torch.cat([value.grad.flatten() for value in network.discriminator.parameters()])
    assert second.norm().item() == pytest.approx(1.0, abs=1e-3)
    assert network.decoder.reference.bias.grad.tolist() == pytest.approx([1e-6, 1e-6])  # untouched by the other's norm


def test_videos_need_no_discriminator(tmp_path, monkeypatch):
    trained = variant("full")
    network = variant("full", inference={})
    assert network.discriminator is None
    network.load_state_dict(trained.state_dict(), strict=True)
    assert network.predict_video(video(tmp_path / "short", 4)) == trained.predict_video(video(tmp_path / "short", 4))
    rules = {"clip_frames": 3, "class_threshold": 0.0, "whole_video_mib": 0.0}
    monkeypatch.setattr(network, "rules", Rules(**rules))
    assert {len(track.segmentations) for track in network.predict_video(video(tmp_path / "long", 7))} == {7}
    assert network.predict_video(video(tmp_path / "one", 1))


@torch.no_grad()
def test_chunks_of_frames_change_nothing(tmp_path):
    """What sees several frames is not cut; all else may be."""
    found = []
    for frames_per_pass in (1, 8):
        network = variant("full", inference={"frames_per_pass": frames_per_pass, "whole_video_mib": 512.0})
        for layer in network.encoder.encoder.layers:
            torch.nn.init.constant_(layer.msts.out_proj.weight, 0.05)
        found.append(network.predict_video(video(tmp_path, 5)))
    assert found[0]
    assert [track.segmentations for track in found[0]] == [track.segmentations for track in found[1]]
    assert [track.score for track in found[0]] == pytest.approx([track.score for track in found[1]], abs=1e-6)


def test_seqformers_weights_are_taken_up(seqformer, tmp_path):
    network = variant("full", seed=1)
    meta = {"method": "seqformer", "backbone": "r18_tiny", "fingerprint": "f", "classes": ["disc", "square", "star"]}
    save_weights(tmp_path / "seqformer.pth", seqformer.state_dict(), meta)
    line = load_initial(network, tmp_path / "seqformer.pth")
    assert line.startswith(f"Started from seqformer (seqformer.pth): {len(seqformer.state_dict())} tensors loaded")
    for mine, plain in zip(outputs(network), outputs(seqformer), strict=True):
        torch.testing.assert_close(mine, plain, atol=1e-6, rtol=1e-6)
    with pytest.raises(InputError, match="released none"):
        load_released(network, tmp_path / "seqformer.pth")


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="'variant' must be one of 'baseline', 'encoder'"):
        config("ms_sts_vis", settings={"variant": "all"})
    with pytest.raises(ValueError, match="fuse must be"):
        AttentionOptions(fuse="sum")
    assert TRAINING["paper"]["channels"] == 256
    assert TINY["channels"] == config("ms_sts_vis").model.discriminator.channels


def test_a_change_in_what_a_method_builds_on_is_a_change_of_the_method():
    assert {"ms_sts_vis", "seqformer", "runtime"} <= set(registry.source_folders("ms_sts_vis"))
    assert registry.source_folders("masktrack_rcnn") == ("masktrack_rcnn", "runtime")
