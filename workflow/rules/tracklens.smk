# The page that shows the failures behind the gaps; results/<scale>/tracklens/. It opens from disk.


rule build_tracklens:
    input:
        ground_truths=[f"{OUT}/datasets/{cell.dataset}/diagnostic.json" for cell in EXPERIMENTS],
        predictions=targets("predictions"),
        gaps=targets("gaps"),
        tracks=targets("tracks"),
    output:
        index=f"{OUT}/tracklens/index.html",
    log:
        f"{OUT}/logs/tracklens.log",
    benchmark:
        f"{OUT}/benchmarks/tracklens.jsonl"
    conda:
        "../../envs/mindthegap.yaml"
    resources:
        mem_mb=ask("paper", "mem_mb"),
        runtime=ask("paper", "runtime"),
    params:
        title=SCALE.title,
        labels=[cell.path for cell in EXPERIMENTS],
        code=code("src/mindthegap/tracklens"),
    message:
        "Building the TrackLens page"
    script:
        "../scripts/build_tracklens.py"
