"""The typed source of ``config.yaml``: what may be written there, in which range, and what it means.

``workflow/schemas/config.schema.json`` is generated from these models (``make schema``).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mindthegap.config.datasets import Dataset, with_members

Method = Literal["masktrack_rcnn", "crossvis", "iai", "vistr", "ifc", "seqformer", "ms_sts_vis"]
Backbone = Literal["r18_tiny", "r50", "r101", "swin_l"]
EntryLevel = Literal["training", "inference", "oracle", "figures"]
PaperItem = Literal["gap_bars", "gap_bars_best_row", "gap_vs_length", "gap_vs_knob"]
Stage = Literal["dataset", "training", "inference", "oracle", "paper"]

METHODS: tuple[str, ...] = get_args(Method)
STAGES: tuple[str, ...] = get_args(Stage)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]*$")]


def _typed(value: object) -> object:
    """Numbers and booleans in a nested ``--config`` arrive as text, and YAML takes 1e-3 (without a point) for text."""
    if not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return value == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


Settings = dict[str, Annotated[Any, BeforeValidator(_typed)]]


class StrictModel(BaseModel):
    """A section of the configuration: unknown keys are errors, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Resources(StrictModel):
    """What one job of a stage asks for; names follow Snakemake's standard resources."""

    cpus: int = Field(2, ge=1, description="CPU cores of a job; also its number of compute threads.")
    mem_mb: int = Field(4000, ge=100, description="Main memory in MiB; a retry asks for half as much again.")
    runtime: int = Field(60, ge=1, description="Wall-clock limit in minutes; a retry asks for as much again.")
    gpu: int = Field(0, ge=0, description="Number of GPUs; 0 runs on the CPU.")


class Oracle(StrictModel):
    """How the gaps are computed; see the docstrings of ``mindthegap.oracle``."""

    objective: Literal["tight", "iou"] = Field(
        "tight", description="Which oracle fills oracle_*.json; both are always computed."
    )
    solver: Literal["HiGHS", "CBC"] = Field("HiGHS", description="ILP solver behind PuLP.")
    time_limit_s: float = Field(60.0, gt=0, description="Limit per connected component; bounds are reported beyond it.")
    bootstrap: int = Field(1000, ge=0, description="Resamples of the videos for the intervals; 0 leaves them out.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap.")


class Pretraining(StrictModel):
    """A training whose weights other trainings start from, as the papers' start from COCO."""

    method: Method = Field(description="Method that is trained; its own settings apply.")
    dataset: Name = Field(description="Name from the section 'datasets'; its train split is used.")
    serves: list[Name] = Field(
        min_length=1, description="Methods whose trainings start from these weights, or pretrainings that do, by name."
    )
    seed: int = Field(0, ge=0, description="Seed; one pretraining serves all seeds of a method, as in the papers.")
    settings: Settings = Field({}, description="Changes to the method's training settings, e.g. clips of one frame.")
    init_weights: dict[Backbone, str] = Field(
        {}, description="Local path of the weights that the pretraining itself starts from, per backbone."
    )


class Scale(StrictModel):
    """One experiment matrix: every dataset x method x backbone x seed, and what its jobs may use."""

    title: str = Field(description="One line for figures and pages.")
    datasets: list[Name] = Field(min_length=1, description="Names from the section 'datasets', sweeps included.")
    methods: list[Method] = Field(min_length=1, description="Folders of methods/; trained in this order.")
    backbones: list[Backbone] = Field(min_length=1, description="Backbones of every method.")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, description="One training per seed.")
    paper: list[PaperItem] = Field(["gap_bars"], description="Figures and tables: notebooks/<item>.ipynb.")
    preset: Literal["smoke", "demo", "paper"] = Field(
        description="Which of a method's own configurations is used: tiny, CPU-sized, or the published one."
    )
    amp: bool = Field(False, description="Automatic mixed precision in training (GPU only).")
    training: dict[Method, Settings] = Field({}, description="Changes to a method's training settings.")
    inference: dict[Method, Settings] = Field({}, description="Changes to a method's inference settings.")
    init_weights: dict[Method, dict[Backbone, str]] = Field(
        {}, description="Local path of the weights that a training starts from, per method and backbone."
    )
    save_queries: list[Method] = Field(
        [], description="Methods whose query embeddings are written beside the predictions, as <seed>.queries.npz."
    )
    pretraining: dict[Name, Pretraining] = Field({}, description="Trainings that others start from, by name.")
    resources: dict[Stage, Resources] = Field({}, description="What a job of each stage asks for.")

    @model_validator(mode="after")
    def _one_start(self) -> Scale:
        """A training starts from one set of weights, and from somewhere."""
        served: dict[str, str] = {}
        for name, pretraining in self.pretraining.items():
            for target in pretraining.serves:
                if target in served:
                    raise ValueError(f"pretraining: '{served[target]}' and '{name}' both serve {target}; keep one")
                self._check_served(name, target)
                served[target] = name
        for name in self.pretraining:
            if name in METHODS:
                raise ValueError(f"pretraining: '{name}' is the name of a method; give the pretraining another one")
            if name in self._starts(name):
                raise ValueError(f"pretraining: '{name}' starts from itself in the end; break the circle of 'serves'")
        return self

    def _check_served(self, name: str, target: str) -> None:
        """A pretraining serves a method or another pretraining that has no other start."""
        if target in METHODS:
            if target in self.init_weights:
                raise ValueError(f"{target} is in init_weights and served by pretraining.{name}; keep one of them")
        elif target not in self.pretraining:
            known = ", ".join([*METHODS, *self.pretraining])
            raise ValueError(f"pretraining.{name}.serves: '{target}' is no method and no pretraining; known: {known}")
        elif self.pretraining[target].init_weights:
            problem = f"pretraining.{target} has init_weights and is served by pretraining.{name}"
            raise ValueError(f"{problem}; keep one of them")

    def pretraining_of(self, target: str) -> str | None:
        """Name of the pretraining that a method's trainings, or another pretraining, start from."""
        return next((name for name, stage in self.pretraining.items() if target in stage.serves), None)

    def training_priority(self, method: Method) -> int:
        """Which of the waiting trainings start first: those of the method that is listed first. Predictions have 0."""
        return len(self.methods) - self.methods.index(method)

    def pretraining_priority(self, name: str) -> int:
        """Pretrainings start before trainings, and among them the one with the longest chain of others behind it."""
        served = [target for target in self.pretraining[name].serves if target in self.pretraining]
        behind = max((self.pretraining_priority(target) for target in served), default=len(self.methods))
        return behind + 1

    def prepared_datasets(self) -> list[str]:
        """Every dataset of the scale: those that are diagnosed, and those that only a pretraining reads."""
        return list(dict.fromkeys([*self.datasets, *self._pretraining_datasets()]))

    def _starts(self, target: str) -> list[str]:
        """Pretrainings behind a method or a pretraining, the nearest first; in a circle, each once."""
        chain: list[str] = []
        name = self.pretraining_of(target)
        while name is not None and name not in chain:
            chain.append(name)
            name = self.pretraining_of(name)
        return chain

    def _pretraining_datasets(self) -> list[str]:
        """Datasets of the pretrainings behind the methods of the scale."""
        needed = {name for method in self.methods for name in self._starts(method)}
        return [stage.dataset for name, stage in self.pretraining.items() if name in needed]

    def resources_of(self, stage: Stage) -> Resources:
        """What a job of a stage asks for; the defaults where the configuration is silent."""
        return self.resources.get(stage, Resources())


class Config(StrictModel):
    """The whole of ``config.yaml``."""

    scale: Name = Field("demo", description="Which entry of 'scales' is run: snakemake --config scale=NAME.")
    entry: EntryLevel = Field(
        "training", description="Where to start: from data, published weights, predictions, or tables."
    )
    published: str | None = Field(
        None,
        description="Folder with published files for the entry levels above training; laid out like results/<scale>.",
    )
    results: str = Field("results", description="Folder for everything produced.")
    oracle: Oracle = Oracle()
    datasets: Annotated[dict[Name, Dataset], AfterValidator(with_members)] = Field(
        description="Every dataset that a scale may name."
    )
    scales: dict[Name, Scale] = Field(description="The experiment matrices.")

    @model_validator(mode="after")
    def _references_exist(self) -> Config:
        """Names that point to other sections must be there."""
        _require(self.scale, self.scales, "scale", "scales")
        for name, scale in self.scales.items():
            for dataset in scale.datasets:
                _require(dataset, self.datasets, f"scales.{name}.datasets", "datasets")
                self._check_weights_source(name, dataset)
            self._check_figures(name, scale)
            for key, stage in scale.pretraining.items():
                place = f"scales.{name}.pretraining.{key}.dataset"
                _require(stage.dataset, self.datasets, place, "datasets")
                if self.datasets[stage.dataset].weights_from is not None:
                    raise ValueError(f"{place}: '{stage.dataset}' has no train split; name a dataset that has one")
        if self.entry != "training" and self.published is None:
            raise ValueError(
                f"entry: {self.entry} starts from published files, but 'published' is not set; "
                "write published: <folder with SHA256SUMS>, or entry: training"
            )
        return self

    def _check_figures(self, name: str, scale: Scale) -> None:
        """The figure of sweeps needs a sweep, by its name or by one of its datasets."""
        listed = [self.datasets[dataset] for dataset in scale.datasets]
        if "gap_vs_knob" in scale.paper and not any(getattr(spec, "sweep", spec.kind == "sweep") for spec in listed):
            raise ValueError(
                f"scales.{name}.paper: gap_vs_knob shows sweeps, and this scale lists none; add one to its datasets, "
                "e.g. sweep_length, or take gap_vs_knob out"
            )

    def _check_weights_source(self, scale: str, dataset: str) -> None:
        """A dataset that borrows weights needs its source in the same scale, and the source must train."""
        source = self.datasets[dataset].weights_from
        if source is None:
            return
        _require(source, self.datasets, f"datasets.{dataset}.weights_from", "datasets")
        if source not in self.scales[scale].datasets:
            raise ValueError(
                f"scales.{scale}.datasets: '{dataset}' takes its weights from '{source}', which this scale does not "
                f"list; add '{source}' to it"
            )
        if self.datasets[source].weights_from is not None:
            raise ValueError(f"datasets.{dataset}.weights_from: '{source}' borrows its weights itself; name its source")


def _require(name: str, known: dict[str, Any], place: str, section: str) -> None:
    """Raises a sentence that lists what could have been written instead of ``name``."""
    if name not in known:
        raise ValueError(f"{place}: '{name}' is not in '{section}'; known there: {', '.join(sorted(known))}")
