# Result files; results/<scale>/predictions/<dataset>/<method>-<backbone>/<seed>.json.


rule predict_tracks:
    input:
        manifest=f"{OUT}/datasets/{{dataset}}/manifest.json",
        split=f"{OUT}/datasets/{{dataset}}/diagnostic.json",
        weights=weights_of,
    output:
        predictions=f"{OUT}/predictions/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.json",
        speed=f"{OUT}/predictions/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.speed.json",
        seen=f"{OUT}/predictions/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.seen.json",
    log:
        f"{OUT}/logs/predictions/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/predictions/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.jsonl"
    wildcard_constraints:
        method=one_of(name for name in SCALE.methods if name not in SCALE.save_queries),
    conda:
        "../../envs/mindthegap.yaml"
    threads: ask("inference", "cpus")
    resources:
        mem_mb=ask("inference", "mem_mb"),
        runtime=ask("inference", "runtime"),
        cpus_per_task=ask("inference", "cpus"),
        gpu=ask("inference", "gpu"),
        nodes=1,
    params:
        preset=SCALE.preset,
        settings=lambda wildcards: SCALE.inference.get(wildcards.method, {}),
        cpu_threads=SCALE.resources_of("inference").cpus,
        gpus=SCALE.resources_of("inference").gpu,
        code=lambda wildcards: code_of(wildcards.method),
    message:
        "Tracking {wildcards.dataset} with {wildcards.method} ({wildcards.backbone}), seed {wildcards.seed}"
    script:
        "../scripts/predict_tracks.py"


use rule predict_tracks as predict_tracks_and_queries with:
    output:
        predictions=f"{OUT}/predictions/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.json",
        speed=f"{OUT}/predictions/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.speed.json",
        seen=f"{OUT}/predictions/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.seen.json",
        queries=f"{OUT}/predictions/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.queries.npz",
    wildcard_constraints:
        method=one_of(SCALE.save_queries),
