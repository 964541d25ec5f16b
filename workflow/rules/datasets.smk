# Data into the contract: <split>.json, frames/, manifest.json; results/<scale>/datasets/<dataset>/.
# Every configured dataset can be prepared by naming its files, whether or not the scale lists it.

DATASET_TABLES = (
    []
    if CONFIG.entry == "figures"
    else [
        f"{OUT}/datasets/statistics.csv",
        f"{OUT}/datasets/presets.csv",
        *(f"{OUT}/datasets/{name}/strata_{unit}.parquet" for name in DATASETS for unit in ("videos", "objects")),
    ]
)


rule render_dataset:
    output:
        train=f"{OUT}/datasets/{{dataset}}/train.json",
        diagnostic=f"{OUT}/datasets/{{dataset}}/diagnostic.json",
        manifest=f"{OUT}/datasets/{{dataset}}/manifest.json",
        frames=directory(f"{OUT}/datasets/{{dataset}}/frames"),
    log:
        f"{OUT}/logs/datasets/{{dataset}}.log",
    benchmark:
        f"{OUT}/benchmarks/datasets/{{dataset}}.jsonl"
    wildcard_constraints:
        dataset=configured("synthetic", trained=True),
    conda:
        "../../envs/mindthegap.yaml"
    threads: ask("dataset", "cpus")
    resources:
        mem_mb=ask("dataset", "mem_mb"),
        runtime=ask("dataset", "runtime"),
        cpus_per_task=ask("dataset", "cpus"),
    params:
        spec=lambda wildcards: CONFIG.datasets[wildcards.dataset].model_dump(mode="json"),
        code=code("src/mindthegap/synth", "src/mindthegap/data"),
    message:
        "Rendering synthetic videos: {wildcards.dataset}"
    script:
        "../scripts/prepare_dataset.py"


# Weights come from another dataset: there is nothing to train on, so no train.json.
use rule render_dataset as render_diagnostic_dataset with:
    output:
        diagnostic=f"{OUT}/datasets/{{dataset}}/diagnostic.json",
        manifest=f"{OUT}/datasets/{{dataset}}/manifest.json",
        frames=directory(f"{OUT}/datasets/{{dataset}}/frames"),
    wildcard_constraints:
        dataset=configured("synthetic", trained=False),


# Frames of an archive are unpacked into the undeclared folder unpacked/ beside the outputs: Snakemake deletes declared
# outputs before every attempt, and a broken-off preparation continues from what is there.
rule prepare_folder:
    input:
        lambda wildcards: source_files(CONFIG.datasets[wildcards.dataset]),
    output:
        train=f"{OUT}/datasets/{{dataset}}/train.json",
        diagnostic=f"{OUT}/datasets/{{dataset}}/diagnostic.json",
        manifest=f"{OUT}/datasets/{{dataset}}/manifest.json",
    log:
        f"{OUT}/logs/datasets/{{dataset}}.log",
    benchmark:
        f"{OUT}/benchmarks/datasets/{{dataset}}.jsonl"
    wildcard_constraints:
        dataset=configured("folder", trained=True),
    conda:
        "../../envs/mindthegap.yaml"
    threads: ask("dataset", "cpus")
    resources:
        mem_mb=ask("dataset", "mem_mb"),
        runtime=ask("dataset", "runtime"),
        cpus_per_task=ask("dataset", "cpus"),
    params:
        spec=lambda wildcards: CONFIG.datasets[wildcards.dataset].model_dump(mode="json"),
        code=code("src/mindthegap/data", "src/mindthegap/formats"),
    message:
        "Checking and splitting {wildcards.dataset}"
    script:
        "../scripts/prepare_dataset.py"


use rule prepare_folder as prepare_diagnostic_folder with:
    output:
        diagnostic=f"{OUT}/datasets/{{dataset}}/diagnostic.json",
        manifest=f"{OUT}/datasets/{{dataset}}/manifest.json",
    wildcard_constraints:
        dataset=configured("folder", trained=False),


use rule prepare_folder as prepare_stills with:
    input:
        lambda wildcards: [file for file in [CONFIG.datasets[wildcards.dataset].annotations] if Path(file).is_file()],
    wildcard_constraints:
        dataset=configured("coco", trained=True),
    message:
        "Turning stills into videos of one frame: {wildcards.dataset}"


rule measure_strata:
    input:
        diagnostic=f"{OUT}/datasets/{{dataset}}/diagnostic.json",
    output:
        videos=f"{OUT}/datasets/{{dataset}}/strata_videos.parquet",
        objects=f"{OUT}/datasets/{{dataset}}/strata_objects.parquet",
    log:
        f"{OUT}/logs/strata/{{dataset}}.log",
    benchmark:
        f"{OUT}/benchmarks/strata/{{dataset}}.jsonl"
    wildcard_constraints:
        dataset=one_of(CONFIG.datasets),
    conda:
        "../../envs/mindthegap.yaml"
    threads: ask("oracle", "cpus")
    resources:
        mem_mb=ask("oracle", "mem_mb"),
        runtime=ask("oracle", "runtime"),
        cpus_per_task=ask("oracle", "cpus"),
    params:
        code=code("src/mindthegap/strata", "src/mindthegap/formats"),
    message:
        "Measuring what the videos and objects of {wildcards.dataset} are like"
    script:
        "../scripts/measure_strata.py"


rule tabulate_datasets:
    input:
        manifests=targets("datasets"),
        diagnostics=[path.replace("manifest.json", "diagnostic.json") for path in targets("datasets")],
    output:
        report(
            f"{OUT}/datasets/statistics.csv",
            caption="../report/dataset_statistics.rst",
            category="Data",
            labels={"dataset": "all", "item": "statistics"},
        ),
    log:
        f"{OUT}/logs/datasets/statistics.log",
    benchmark:
        f"{OUT}/benchmarks/datasets/statistics.jsonl"
    conda:
        "../../envs/mindthegap.yaml"
    resources:
        mem_mb=ask("oracle", "mem_mb"),
        runtime=ask("oracle", "runtime"),
    params:
        code=code("src/mindthegap/data", "src/mindthegap/evaluation"),
    message:
        "Putting the datasets beside the published ones"
    script:
        "../scripts/tabulate_datasets.py"


rule tabulate_presets:
    output:
        report(
            f"{OUT}/datasets/presets.csv",
            caption="../report/dataset_statistics.rst",
            category="Data",
            labels={"dataset": "synthetic presets", "item": "statistics"},
        ),
    log:
        f"{OUT}/logs/datasets/presets.log",
    benchmark:
        f"{OUT}/benchmarks/datasets/presets.jsonl"
    conda:
        "../../envs/mindthegap.yaml"
    threads: ask("dataset", "cpus")
    resources:
        mem_mb=ask("dataset", "mem_mb"),
        runtime=ask("dataset", "runtime"),
        cpus_per_task=ask("dataset", "cpus"),
    params:
        videos=40,
        code=code("src/mindthegap/synth", "src/mindthegap/data"),
    message:
        "Putting the synthetic presets beside the datasets that they imitate"
    script:
        "../scripts/tabulate_presets.py"


rule draw_contact_sheet:
    input:
        manifest=f"{OUT}/datasets/{{dataset}}/manifest.json",
        diagnostic=f"{OUT}/datasets/{{dataset}}/diagnostic.json",
    output:
        report(
            f"{OUT}/contact_sheets/{{dataset}}.png",
            caption="../report/contact_sheet.rst",
            category="Data",
            labels={"dataset": "{dataset}", "item": "contact sheet"},
        ),
    log:
        f"{OUT}/logs/contact_sheets/{{dataset}}.log",
    benchmark:
        f"{OUT}/benchmarks/contact_sheets/{{dataset}}.jsonl"
    wildcard_constraints:
        dataset=one_of(CONFIG.datasets),
    conda:
        "../../envs/mindthegap.yaml"
    resources:
        mem_mb=ask("paper", "mem_mb"),
        runtime=ask("paper", "runtime"),
    params:
        code=code("src/mindthegap/data"),
    message:
        "Drawing the contact sheet of {wildcards.dataset}"
    script:
        "../scripts/draw_contact_sheet.py"
