# Weights; results/<scale>/runs/<dataset>/<method>-<backbone>/<seed>/.
# Checkpoints of a training in progress lie in the undeclared folder work/ beside the outputs: Snakemake deletes
# declared outputs before every attempt, and a killed training must continue from its last checkpoint.


rule train_method:
    input:
        manifest=f"{OUT}/datasets/{{dataset}}/manifest.json",
        train=f"{OUT}/datasets/{{dataset}}/train.json",
    output:
        weights=f"{OUT}/runs/{{dataset}}/{{method}}-{{backbone}}/{{seed}}/weights.pth",
        history=f"{OUT}/runs/{{dataset}}/{{method}}-{{backbone}}/{{seed}}/history.jsonl",
    log:
        f"{OUT}/logs/runs/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/runs/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.jsonl"
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
        work=f"{OUT}/runs/{{dataset}}/{{method}}-{{backbone}}/{{seed}}/work",
        preset=SCALE.preset,
        settings=lambda wildcards: SCALE.training.get(wildcards.method, {}),
        cpu_threads=SCALE.resources_of("training").cpus,
        gpus=SCALE.resources_of("training").gpu,
        amp=SCALE.amp,
        init_weights=lambda wildcards: SCALE.init_weights.get(wildcards.method, {}).get(wildcards.backbone),
        code=lambda wildcards: code("methods/runtime", f"methods/{wildcards.method}"),
    message:
        "Training {wildcards.method} ({wildcards.backbone}) on {wildcards.dataset}, seed {wildcards.seed}"
    script:
        "../scripts/train_method.py"
