# Data into the contract: <split>.json, frames/, manifest.json; results/<scale>/datasets/<dataset>/.


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
        dataset=one_of(filter(trains, SYNTHETIC)),
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
        dataset=one_of(name for name in SYNTHETIC if not trains(name)),


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
        dataset=one_of(filter(trains, FOLDERS)),
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
        dataset=one_of(name for name in FOLDERS if not trains(name)),


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
