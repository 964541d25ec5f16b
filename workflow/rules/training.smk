# Weights; results/<scale>/runs/<dataset>/<method>-<backbone>/<seed>/.
# Checkpoints of a training in progress lie in the undeclared folder work/ beside the outputs: Snakemake deletes
# declared outputs before every attempt, and a killed training must continue from its last checkpoint.


rule train_method:
    input:
        manifest=f"{OUT}/datasets/{{dataset}}/manifest.json",
        train=f"{OUT}/datasets/{{dataset}}/train.json",
        initial=initial_weights_of,
    output:
        weights=f"{OUT}/runs/{{dataset}}/{{method}}-{{backbone}}/{{seed}}/weights.pth",
        history=f"{OUT}/runs/{{dataset}}/{{method}}-{{backbone}}/{{seed}}/history.jsonl",
    log:
        f"{OUT}/logs/runs/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/runs/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.jsonl"
    priority: lambda wildcards: SCALE.training_priority(wildcards.method)
    conda:
        "../../envs/mindthegap.yaml"
    threads: ask("training", "cpus")
    resources:
        mem_mb=ask("training", "mem_mb"),
        runtime=ask("training", "runtime"),
        cpus_per_task=ask("training", "cpus"),
        gpu=ask("training", "gpu"),
        nodes=1,
    params:
        method="{method}",
        seed="{seed}",
        work=f"{OUT}/runs/{{dataset}}/{{method}}-{{backbone}}/{{seed}}/work",
        preset=SCALE.preset,
        settings=lambda wildcards: SCALE.training.get(wildcards.method, {}),
        cpu_threads=SCALE.resources_of("training").cpus,
        gpus=SCALE.resources_of("training").gpu,
        amp=SCALE.amp,
        init_weights=lambda wildcards: SCALE.init_weights.get(wildcards.method, {}).get(wildcards.backbone),
        code=lambda wildcards: code_of(wildcards.method),
    message:
        "Training {wildcards.method} ({wildcards.backbone}) on {wildcards.dataset}, seed {wildcards.seed}"
    script:
        "../scripts/train_method.py"


# One pretraining serves several methods and all their seeds, as the papers' COCO weights do.
use rule train_method as pretrain_method with:
    input:
        manifest=lambda wildcards: f"{OUT}/datasets/{SCALE.pretraining[wildcards.pretraining].dataset}/manifest.json",
        train=lambda wildcards: f"{OUT}/datasets/{SCALE.pretraining[wildcards.pretraining].dataset}/train.json",
        initial=initial_weights_of,
    output:
        weights=f"{OUT}/pretraining/{{pretraining}}/{{backbone}}/weights.pth",
        history=f"{OUT}/pretraining/{{pretraining}}/{{backbone}}/history.jsonl",
    log:
        f"{OUT}/logs/pretraining/{{pretraining}}/{{backbone}}.log",
    benchmark:
        f"{OUT}/benchmarks/pretraining/{{pretraining}}/{{backbone}}.jsonl"
    priority: lambda wildcards: SCALE.pretraining_priority(wildcards.pretraining)
    params:
        method=lambda wildcards: SCALE.pretraining[wildcards.pretraining].method,
        seed=lambda wildcards: SCALE.pretraining[wildcards.pretraining].seed,
        work=f"{OUT}/pretraining/{{pretraining}}/{{backbone}}/work",
        preset=SCALE.preset,
        settings=lambda wildcards: SCALE.pretraining[wildcards.pretraining].settings,
        cpu_threads=SCALE.resources_of("training").cpus,
        gpus=SCALE.resources_of("training").gpu,
        amp=SCALE.amp,
        init_weights=lambda wildcards: SCALE.pretraining[wildcards.pretraining].init_weights.get(wildcards.backbone),
        code=lambda wildcards: code_of(SCALE.pretraining[wildcards.pretraining].method),
    message:
        "Pretraining {params.method} ({wildcards.backbone}), which other trainings start from"
