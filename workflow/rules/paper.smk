# Figures and tables, one executed notebook each; results/<scale>/paper/<item>/<item>.{pdf,svg,png,csv,ipynb}.


rule draw_paper_item:
    input:
        notebook=f"{ROOT}/notebooks/{{item}}.ipynb",
        gaps=lambda wildcards: of_item("gaps.json", wildcards.item),
        tracks=lambda wildcards: of_item("tracks.parquet", wildcards.item),
        manifests=lambda wildcards: sweep_manifests(wildcards.item),
    output:
        report(
            f"{OUT}/paper/{{item}}/{{item}}.png",
            caption="../report/paper_item.rst",
            category="Paper",
            labels={"item": "{item}", "kind": "figure"},
        ),
        report(
            f"{OUT}/paper/{{item}}/{{item}}.csv",
            caption="../report/paper_item.rst",
            category="Paper",
            labels={"item": "{item}", "kind": "data"},
        ),
        f"{OUT}/paper/{{item}}/{{item}}.pdf",
        f"{OUT}/paper/{{item}}/{{item}}.svg",
        f"{OUT}/paper/{{item}}/{{item}}.ipynb",
    log:
        f"{OUT}/logs/paper/{{item}}.log",
        notebook=f"{OUT}/logs/paper/{{item}}.ipynb",
    benchmark:
        f"{OUT}/benchmarks/paper/{{item}}.jsonl"
    conda:
        "../../envs/mindthegap.yaml"
    resources:
        mem_mb=ask("paper", "mem_mb"),
        runtime=ask("paper", "runtime"),
    params:
        title=SCALE.title,
        points=lambda wildcards: SWEEPS if wildcards.item in ON_SWEEPS else {},
        code=code("src/mindthegap/plots"),
    message:
        "Drawing {wildcards.item}"
    script:
        "../scripts/draw_paper_item.py"
