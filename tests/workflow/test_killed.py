"""A training killed without warning continues and ends in the same results, byte for byte."""

from __future__ import annotations

from pathlib import Path

from mindthegap.files import sha256_file

CELL = "smoke_clips/masktrack_rcnn-r18_tiny/0"
RUN = f"runs/{CELL}"


def test_a_killed_training_ends_in_the_same_results(finished, project):
    """The clock decides when to save, not what is computed, so only the killed run has to save often."""
    weights = project.out / RUN / "weights.pth"
    checkpoints = project.out / RUN / "work" / "checkpoints"
    target = str(weights.relative_to(project.folder))
    often = {"masktrack_rcnn": {"checkpoint_seconds": 0.01}}
    project.edit(lambda config: config["scales"]["smoke"].update(training=often))
    project.kill_when(("--cores", "2", target), lambda: any(checkpoints.glob("step_*.pth")))
    assert not weights.exists()
    project.run("--unlock")
    project.run("--cores", "2", "oracle")
    assert "continuing after step" in (project.out / "logs" / f"{RUN}.log").read_text()
    assert state(weights) == state(finished.out / RUN / "weights.pth")
    for name in (f"predictions/{CELL}.json", f"oracle/{CELL}/tracks.parquet", f"oracle/{CELL}/oracle_tracking.json"):
        assert sha256_file(project.out / name) == sha256_file(finished.out / name), name


def state(weights: Path) -> dict[str, bytes]:
    """Parameters as bytes; the file also holds the settings, of which one differs here."""
    import torch

    tensors = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}
