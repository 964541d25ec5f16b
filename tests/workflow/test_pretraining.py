"""A training that others start from is a stage of the DAG, shared by all seeds; one may start from another."""

from __future__ import annotations


def stage(serves: str) -> dict:
    return {"method": "masktrack_rcnn", "dataset": "smoke_clips", "serves": [serves], "settings": {"steps": 4}}


def with_pretraining(config: dict) -> None:
    stages = {"first": stage("second"), "second": stage("masktrack_rcnn")}
    config["scales"]["smoke"] |= {"pretraining": stages, "seeds": [0, 1]}


def test_trainings_start_from_one_pretraining_and_that_from_another(project):
    project.edit(with_pretraining)
    assert project.due("train").count("pretrain_method") == 2
    project.run("--cores", "2", "train")
    assert len((project.out / "pretraining/first/r18_tiny/history.jsonl").read_text().splitlines()) == 1
    logs = project.out / "logs"
    for name in ("pretraining/second/r18_tiny", "runs/smoke_clips/masktrack_rcnn-r18_tiny/0"):
        assert "Started from masktrack_rcnn (weights.pth)" in (logs / f"{name}.log").read_text()
    assert project.due("train") == []
    project.edit(lambda config: config["scales"]["smoke"]["pretraining"]["second"]["settings"].update(steps=5))
    assert project.due("train") == ["pretrain_method", "train_method", "train_method"]
