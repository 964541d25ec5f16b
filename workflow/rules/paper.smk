# Figures and tables, one executed notebook each; results/<scale>/paper/<item>/<item>.{pdf,svg,png,csv,ipynb}.
from mindthegap.synth.sweeps import sweep_points

ON_SWEEPS = ("gap_vs_knob",)
SWEEPS = sweep_points({name: CONFIG.datasets[name] for name in SCALE.datasets})
SWEEP_MANIFESTS = [f"{OUT}/datasets/{name}/manifest.json" for name in SWEEPS if targets("datasets")]


def of_item(name, item):
    """Files called ``name`` of the experiments that a figure shows: those on sweeps, or all others."""
    return [
        f"{OUT}/oracle/{cell.path}/{name}" for cell in EXPERIMENTS if (cell.dataset in SWEEPS) == (item in ON_SWEEPS)
    ]


rule draw_paper_item:
    input:
        notebook=f"{ROOT}/notebooks/{{item}}.ipynb",
        gaps=lambda wildcards: of_item("gaps.json", wildcards.item),
        tracks=lambda wildcards: of_item("tracks.parquet", wildcards.item),
        manifests=lambda wildcards: SWEEP_MANIFESTS if wildcards.item in ON_SWEEPS else [],
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
