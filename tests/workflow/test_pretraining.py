"""A training that others start from is a stage of the DAG, shared by all seeds."""

from __future__ import annotations

STAGE = {"method": "masktrack_rcnn", "dataset": "smoke_clips", "serves": ["masktrack_rcnn"], "settings": {"steps": 4}}


def with_pretraining(config: dict) -> None:
    config["scales"]["smoke"] |= {"pretraining": {"first": STAGE}, "seeds": [0, 1]}


def test_trainings_start_from_one_pretraining(project):
    project.edit(with_pretraining)
    assert project.due("train").count("pretrain_method") == 1
    project.run("--cores", "2", "train")
    pretrained = project.out / "pretraining/first/r18_tiny"
    assert len((pretrained / "history.jsonl").read_text().splitlines()) == 1
    for seed in "01":
        log = (project.out / f"logs/runs/smoke_clips/masktrack_rcnn-r18_tiny/{seed}.log").read_text()
        assert "Started from masktrack_rcnn (weights.pth)" in log
    assert project.due("train") == []
    project.edit(lambda config: config["scales"]["smoke"]["pretraining"]["first"]["settings"].update(steps=5))
    assert project.due("train") == ["pretrain_method", "train_method", "train_method"]
