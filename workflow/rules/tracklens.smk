# The page that shows the failures behind the gaps; results/<scale>/tracklens/. It opens from disk.
# A sweep holds the same videos many times over; its datasets are shown only where there are no others.
ON_PAGE = [cell for cell in EXPERIMENTS if cell.dataset not in SWEEPS] or EXPERIMENTS


rule build_tracklens:
    input:
        ground_truths=[f"{OUT}/datasets/{cell.dataset}/diagnostic.json" for cell in ON_PAGE],
        predictions=[f"{OUT}/predictions/{cell.path}.json" for cell in ON_PAGE],
        gaps=[f"{OUT}/oracle/{cell.path}/gaps.json" for cell in ON_PAGE],
        tracks=[f"{OUT}/oracle/{cell.path}/tracks.parquet" for cell in ON_PAGE],
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
        labels=[cell.path for cell in ON_PAGE],
        code=code("src/mindthegap/tracklens"),
    message:
        "Building the TrackLens page"
    script:
        "../scripts/build_tracklens.py"
