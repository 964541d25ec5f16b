"""A training killed without warning continues and ends in the same weights."""

from __future__ import annotations

from mindthegap.files import sha256_file

RUN = "runs/smoke_clips/masktrack_rcnn-r18_tiny/0"


def test_a_killed_training_ends_in_the_same_weights(finished, project):
    weights = project.out / RUN / "weights.pth"
    work = project.out / RUN / "work"
    target = str(weights.relative_to(project.folder))
    project.kill_when(("--cores", "2", target), lambda: any(work.glob("*.pth")))
    assert not weights.exists()
    project.run("--unlock")
    project.run("--cores", "2", target)
    assert sha256_file(weights) == sha256_file(finished.out / RUN / "weights.pth")
    log = (project.out / "logs" / f"{RUN}.log").read_text()
    assert "resum" in log.lower()
