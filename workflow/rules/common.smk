# Functions only: what the rules of all stages share.
import sys
from pathlib import Path

from mindthegap.config import experiments, parse_config
from mindthegap.data import source_files
from mindthegap.errors import EXIT_USER_ERROR, MindTheGapError
from mindthegap.synth.sweeps import sweep_points
from mindthegap.workflow import (
    check_published,
    check_writable,
    code_digest,
    missing_methods,
)

ROOT = Path(workflow.basedir).parent


def stop(error):
    """Ends Snakemake with one sentence instead of a traceback."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


try:
    CONFIG = parse_config(config, " + ".join(map(str, workflow.configfiles)) or "config.yaml")
    check_writable(f"{CONFIG.results}/{CONFIG.scale}")
    if CONFIG.entry == "training":
        from methods.runtime.configs import check_scale  # runs that train nothing need no methods

        check_scale(CONFIG.scales[CONFIG.scale])
except MindTheGapError as error:
    stop(error)

SCALE = CONFIG.scales[CONFIG.scale]
OUT = f"{CONFIG.results}/{CONFIG.scale}"
EXPERIMENTS = experiments(SCALE)
DATASETS = SCALE.prepared_datasets()
SWEEPS = sweep_points({name: CONFIG.datasets[name] for name in SCALE.datasets})
ON_SWEEPS = ("gap_vs_knob",)  # figures of the experiments on sweeps; the others show everything else
FIGURE_SUFFIXES = ["pdf", "svg", "png", "csv", "ipynb"]


def one_of(names):
    """A wildcard constraint that matches these names only; nothing when there are none."""
    return "|".join(names) or "(?!)"


wildcard_constraints:
    dataset="|".join(DATASETS),
    method="|".join(SCALE.methods),
    backbone="|".join(SCALE.backbones),
    seed="|".join(map(str, SCALE.seeds)),
    item="|".join(SCALE.paper),
    pretraining=one_of(SCALE.pretraining),


def targets(kind):
    """All files of one kind in this scale's matrix."""
    gaps = [f"{OUT}/oracle/{cell.path}/gaps.json" for cell in EXPERIMENTS]
    files = {
        "datasets": [f"{OUT}/datasets/{name}/manifest.json" for name in DATASETS],
        "contact_sheets": [f"{OUT}/contact_sheets/{name}.png" for name in SCALE.datasets],
        "weights": [f"{OUT}/runs/{cell.path}/weights.pth" for cell in EXPERIMENTS if trains(cell.dataset)],
        "predictions": [f"{OUT}/predictions/{cell.path}.json" for cell in EXPERIMENTS],
        "seen": [f"{OUT}/predictions/{cell.path}.seen.json" for cell in EXPERIMENTS],
        "gaps": gaps,
        "tracks": [path.replace("gaps.json", "tracks.parquet") for path in gaps],
        "paper": [f"{OUT}/paper/{item}/{item}.{suffix}" for item in SCALE.paper for suffix in FIGURE_SUFFIXES],
        "tracklens": [f"{OUT}/tracklens/index.html"],
        "record": [f"{OUT}/config.json", f"{OUT}/software.json"],
    }
    no_frames_needed = CONFIG.entry == "figures" and kind in (
        "datasets",
        "contact_sheets",
        "tracklens",
    )
    return [] if no_frames_needed else files[kind]


def of_item(name, item):
    """Files called ``name`` of the experiments that a figure shows."""
    cells = [cell for cell in EXPERIMENTS if (cell.dataset in SWEEPS) == (item in ON_SWEEPS)]
    return [f"{OUT}/oracle/{cell.path}/{name}" for cell in cells]


def sweep_manifests(item):
    """Manifests with the measured values of the sweeps, for a figure of them."""
    return [path for path in targets("datasets") if item in ON_SWEEPS and Path(path).parent.name in SWEEPS]


def configured(kind, *, trained):
    """A wildcard constraint: names of the datasets of one kind that are trained on, or that borrow weights."""
    return one_of(name for name, spec in CONFIG.datasets.items() if spec.kind == kind and trains(name) == trained)


def trains(dataset):
    """Whether methods are trained on this dataset, rather than borrowing weights."""
    return CONFIG.datasets[dataset].weights_from is None


def weights_of(wildcards):
    """The weights behind an experiment: its own, or those of the dataset it borrows from."""
    source = CONFIG.datasets[wildcards.dataset].weights_from or wildcards.dataset
    return f"{OUT}/runs/{source}/{wildcards.method}-{wildcards.backbone}/{wildcards.seed}/weights.pth"


def initial_weights_of(wildcards):
    """The pretraining that a training, or another pretraining, starts from; none if nothing serves it."""
    name = SCALE.pretraining_of(wildcards.get("pretraining") or wildcards.method)
    return f"{OUT}/pretraining/{name}/{wildcards.backbone}/weights.pth" if name else []


def seen_of(wildcards):
    """What the weights behind predictions have seen of the videos; published predictions may come without it."""
    name = f"predictions/{wildcards.dataset}/{wildcards.method}-{wildcards.backbone}/{wildcards.seed}.seen.json"
    if CONFIG.entry == "oracle" and not (Path(CONFIG.published) / name).is_file():
        return []
    return f"{OUT}/{name}"


def ask(stage, name):
    """A resource of a stage as Snakemake wants it; a retry gets more memory and time."""
    wanted = getattr(SCALE.resources_of(stage), name)
    if name == "mem_mb":
        return lambda wildcards, attempt: wanted * (attempt + 1) // 2
    if name == "runtime":
        return lambda wildcards, attempt: wanted * attempt
    return wanted


def code(*places):
    """Digest of the sources behind a rule: a changed meaning re-runs it, a changed comment does not."""
    return code_digest(ROOT, places)


def code_of(method):
    """Digest of the sources behind a method, those of methods that it builds on included."""
    from methods.runtime.registry import source_folders

    return code(*(f"methods/{folder}" for folder in source_folders(method)))


def refuse_what_cannot_train():
    """Stops a real run before its first job when a training is due that lacks its method or initial weights."""
    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name in ("train_method", "pretrain_method")]
    due = {(job.params.method, job.params.init_weights) for job in jobs}
    lacking = missing_methods(sorted({method for method, _ in due}), ROOT / "methods")
    if lacking:
        stop(
            f"no such method yet: {', '.join(lacking)} (methods/<name>/config.py is not there); take it out of "
            f"scales.{CONFIG.scale}.methods in config.yaml, or run the others: snakemake --config "
            f"'scales={{{CONFIG.scale}: {{methods: [masktrack_rcnn]}}}}'."
        )
    absent = sorted({path for _, path in due if path and not Path(path).is_file()})
    if absent:
        stop(
            f"initial weights are not there: {', '.join(absent)}; get them, or name your own in "
            f"scales.{CONFIG.scale}.init_weights."
        )
