# Entry levels above training: files of a published folder, checked by hash, take the place of computed ones.

IMPORTED = {
    "training": [],
    "inference": targets("weights"),
    "oracle": targets("predictions"),
    "figures": targets("gaps") + targets("tracks"),
}[CONFIG.entry]
IMPORTED_NAMES = [path.removeprefix(f"{OUT}/") for path in IMPORTED]

if IMPORTED:
    try:
        check_published(CONFIG.published, IMPORTED_NAMES, CONFIG.entry)
    except MindTheGapError as error:
        stop(error)

# What the weights behind published predictions have seen; not everybody says it, and then every number warns.
if CONFIG.entry == "oracle":
    names = [path.removeprefix(f"{OUT}/") for path in targets("seen")]
    IMPORTED_NAMES += [name for name in names if Path(CONFIG.published, name).is_file()]


rule import_published_file:
    input:
        lambda wildcards: f"{CONFIG.published}/{wildcards.name}",
    output:
        f"{OUT}/{{name}}",
    log:
        f"{OUT}/logs/published/{{name}}.log",
    benchmark:
        f"{OUT}/benchmarks/published/{{name}}.jsonl"
    wildcard_constraints:
        name=one_of(IMPORTED_NAMES),
    conda:
        "../../envs/mindthegap.yaml"
    resources:
        mem_mb=500,
        runtime=30,
    params:
        folder=CONFIG.published,
    message:
        "Checking and copying published file {wildcards.name}"
    script:
        "../scripts/import_published_file.py"
