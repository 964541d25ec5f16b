# Gaps; results/<scale>/oracle/<dataset>/<method>-<backbone>/<seed>/.

ORACLE_FILES = {
    "gaps": "gaps.json",
    "association": "association.parquet",
    "tracks": "tracks.parquet",
    "failures": "failures.parquet",
    "strata": "strata.parquet",
    "oracle_tracking": "oracle_tracking.json",
    "oracle_classification": "oracle_classification.json",
}


rule diagnose_predictions:
    input:
        ground_truth=f"{OUT}/datasets/{{dataset}}/diagnostic.json",
        predictions=f"{OUT}/predictions/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.json",
        seen=seen_of,
    output:
        **{
            key: f"{OUT}/oracle/{{dataset}}/{{method}}-{{backbone}}/{{seed}}/{name}"
            for key, name in ORACLE_FILES.items()
        },
    log:
        f"{OUT}/logs/oracle/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/oracle/{{dataset}}/{{method}}-{{backbone}}/{{seed}}.jsonl"
    conda:
        "../../envs/mindthegap.yaml"
    threads: ask("oracle", "cpus")
    resources:
        mem_mb=ask("oracle", "mem_mb"),
        runtime=ask("oracle", "runtime"),
        cpus_per_task=ask("oracle", "cpus"),
    params:
        settings=CONFIG.oracle.model_dump(),
        code=code(
            "src/mindthegap/formats",
            "src/mindthegap/evaluation",
            "src/mindthegap/oracle",
            "src/mindthegap/data/lineage.py",
            "src/mindthegap/diagnosis",
            "src/mindthegap/failures",
            "src/mindthegap/strata",
        ),
    message:
        "Measuring the gaps of {wildcards.method} ({wildcards.backbone}) on {wildcards.dataset}, seed {wildcards.seed}"
    script:
        "../scripts/diagnose_predictions.py"
