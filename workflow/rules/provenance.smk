# What produced the results: the effective configuration, the software, and checksums to publish them with.


rule record_run:
    output:
        config=f"{OUT}/config.json",
        software=f"{OUT}/software.json",
    log:
        f"{OUT}/logs/record_run.log",
    benchmark:
        f"{OUT}/benchmarks/record_run.jsonl"
    conda:
        "../../envs/mindthegap.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        config=CONFIG.model_dump(mode="json"),
        lock=code("envs/requirements.lock"),
        code=code("src", "methods", "workflow/rules", "workflow/scripts"),
    message:
        "Recording configuration and software"
    script:
        "../scripts/record_run.py"


rule publish:
    input:
        weights=targets("weights"),
        predictions=targets("predictions"),
        seen=targets("seen"),
        gaps=targets("gaps"),
        tracks=targets("tracks"),
    output:
        f"{OUT}/SHA256SUMS",
    log:
        f"{OUT}/logs/publish.log",
    benchmark:
        f"{OUT}/benchmarks/publish.jsonl"
    conda:
        "../../envs/mindthegap.yaml"
    resources:
        mem_mb=500,
        runtime=30,
    message:
        "Writing {output}, so that others can enter at any level"
    script:
        "../scripts/publish.py"


rule report:
    input:
        contents=targets("paper") + targets("contact_sheets"),
        config=f"{OUT}/config.json",
    output:
        f"{OUT}/report.zip",
    log:
        f"{OUT}/logs/report.log",
    benchmark:
        f"{OUT}/benchmarks/report.jsonl"
    conda:
        "../../envs/mindthegap.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        snakefile=workflow.main_snakefile,
        targets=targets("paper") + targets("contact_sheets"),
    message:
        "Packing the report {output}"
    script:
        "../scripts/pack_report.py"
