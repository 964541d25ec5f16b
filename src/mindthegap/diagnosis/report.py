"""The result of a diagnosis: frozen, and ready for JSON, data frames, terminals and the oracle folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mindthegap.data.lineage import Seen
from mindthegap.diagnosis.chain import PRINTED_LEVELS, Chain
from mindthegap.diagnosis.content import gaps_content
from mindthegap.diagnosis.display import report
from mindthegap.diagnosis.export import result_entries
from mindthegap.diagnosis.hedging import Hedging, measure_hedging
from mindthegap.diagnosis.intervals import Bootstrap
from mindthegap.diagnosis.sharing import LEVELS
from mindthegap.diagnosis.stratified import StratumGaps, gap_frame, stratum_gaps, whole_gaps
from mindthegap.diagnosis.tables import Keys, association_table, tracks_table, with_keys
from mindthegap.errors import InputError, MindTheGapError
from mindthegap.evaluation import OverlapTables
from mindthegap.evaluation.display import plain_text
from mindthegap.failures import (
    Event,
    FailureThresholds,
    IdentityMetrics,
    VideoLinking,
    exact_pair_iou,
    find_failures,
    identity_metrics,
    to_frame,
)
from mindthegap.files import atomic_path, disk_errors, write_json
from mindthegap.formats.model import GroundTruth, Results
from mindthegap.oracle import Objective, SolverSettings
from mindthegap.strata import boxes_of, strata

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

_Value = TypeVar("_Value")

FILES = (
    "oracle_tracking.json",
    "oracle_classification.json",
    "association.parquet",
    "tracks.parquet",
    "failures.parquet",
    "strata.parquet",
    "gaps.json",
)
"""The files of an oracle folder, in the order of writing: ``gaps.json`` says that the others are complete."""


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    """Where a result file loses AP.

    Attributes:
        keys: Names of the experiment.
        objective: The oracle whose gaps are the headline (``"tight"`` or ``"iou"``).
        chains: Levels and gaps by objective; both are always there.
        solver: What the solvers proved (see ``solver_report``).
        bootstrap: Resampled gaps of the headline objective; ``None`` if not asked for.
        tables: Overlap tables everything was computed from.
        source: The files' content; ``None`` if the diagnosis was made from tables alone.
        synthetic: Whether the ground truth is synthetic; every table then says so.
        seen: What the weights behind the results saw of the videos in training; every table warns if it was anything.
            ``None`` if nobody was asked.
    """

    keys: Keys
    objective: Objective
    chains: Mapping[Objective, Chain]
    solver: Mapping[str, Any]
    bootstrap: Bootstrap | None
    tables: OverlapTables
    source: tuple[GroundTruth, Results] | None
    synthetic: bool
    seen: Seen | None = None
    _computed: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def chain(self) -> Chain:
        """Levels and gaps of the headline objective."""
        return self.chains[self.objective]

    @property
    def warning(self) -> str:
        """What to say beside every number if the weights have, or may have, seen these videos in training."""
        return self.seen.sentence if self.seen else ""

    @property
    def gaps(self) -> Mapping[str, float | None]:
        """Flat gaps of the headline objective in points, e.g. ``gaps["tracking"]``, ``gaps["tracking.ranking"]``."""
        return self.chain.gaps

    def to_dict(self) -> dict[str, Any]:
        """The content of ``gaps.json``."""
        return gaps_content(self)

    def to_frame(self) -> pd.DataFrame:
        """One row per objective and gap: ``objective, gap, points, low, high`` (interval of the headline objective)."""
        import pandas as pd

        intervals = self.bootstrap.intervals() if self.bootstrap else {}
        rows = []
        for objective, chain in self.chains.items():
            points = {"AP": chain.levels["default"].evaluation.AP, **chain.gaps}
            for name, value in points.items():
                low, high = (intervals.get(name) if objective == self.objective else None) or (None, None)
                rows.append({"objective": objective, "gap": name, "points": value, "low": low, "high": high})
        return pd.DataFrame(rows).astype({"points": "float64", "low": "float64", "high": "float64"})

    def tracks(self) -> pd.DataFrame:
        """``tracks.parquet``: one row per object."""
        frame = tracks_table(self.tables, self.chain, self.keys)
        frame.insert(frame.columns.get_loc("synthetic") + 1, "contaminated", bool(self.warning))
        return frame

    def association(self) -> pd.DataFrame:
        """``association.parquet``: one row per level, object and frame with a chosen mask."""
        return association_table(self.tables, self.chain, self.keys)

    def linking(self) -> dict[int, VideoLinking]:
        """What the oracles chose, as the failure modes read it."""
        levels = self.chain.levels
        triples = zip(*(levels[name].linkings for name in ("ranking", "tracking", "both")), strict=True)
        return {
            ranking.video_id: VideoLinking(ranking.video_id, ranking.query, tracking.chosen, both.chosen)
            for ranking, tracking, both in triples
        }

    def failures(self) -> list[Event]:
        """Failure events with their cost."""
        return self._once("failures", self._find_failures)

    def _find_failures(self) -> list[Event]:
        geometry = pair_iou = None
        if self.source is not None:
            geometry, pair_iou = boxes_of(self.source[0]), exact_pair_iou(self.source[1])
        thresholds = FailureThresholds()
        return find_failures(self.tables, self.linking(), thresholds=thresholds, geometry=geometry, pair_iou=pair_iou)

    def hedging(self) -> Hedging:
        """Rows per query, and the gaps with the best row of each query alone."""
        settings = SolverSettings(self.solver["name"], self.solver["time_limit_s"])
        return self._once("hedging", lambda: measure_hedging(self.tables, self.chain, settings))

    def identity_metrics(self) -> IdentityMetrics:
        """HOTA, its parts and IDF1 of the rows as they are, over all of them (these metrics know no ranking)."""
        return self._once("identity_metrics", lambda: identity_metrics(self.tables))

    def strata(self, *, progress: bool = False) -> pd.DataFrame:
        """``strata.parquet``: ``stratum_gaps`` as a table (see ``gap_frame`` for the columns)."""
        frame = gap_frame(self.stratum_gaps(progress=progress))
        frame.insert(0, "synthetic", self.synthetic)
        frame.insert(1, "contaminated", bool(self.warning))
        return with_keys(frame, self.keys)

    def stratum_gaps(self, *, progress: bool = False) -> list[StratumGaps]:
        """Gaps of the whole, by IoU threshold and category, and by video length, density, occlusion, size and so on.

        Resampled as often, and from the same seed, as the whole.
        """
        return self._once("strata", lambda: self._stratify(progress))

    def _stratify(self, progress: bool) -> list[StratumGaps]:
        geometry = None if self.source is None else boxes_of(self.source[0])
        parts = stratum_gaps(
            self.tables,
            strata(self.tables, geometry),
            objective=self.objective,
            linkings={name: self.chain.levels[name].linkings for name in LEVELS},
            settings=SolverSettings(self.solver["name"], self.solver["time_limit_s"]),
            bootstrap=self.bootstrap.samples if self.bootstrap else 0,
            seed=self.bootstrap.seed if self.bootstrap else 0,
            progress=progress,
        )
        return [*whole_gaps(self.chain, self.bootstrap), *parts]

    def _once(self, name: str, compute: Callable[[], _Value]) -> _Value:
        """A result that several outputs need, computed when it is first asked for."""
        if name not in self._computed:
            self._computed[name] = compute()
        found: _Value = self._computed[name]
        return found

    def write(self, out_dir: str | Path, *, progress: bool = False) -> Path:
        """Writes the oracle folder; the same input gives the same bytes but for the solver's times in ``gaps.json``.

        Every file is complete or absent, and ``gaps.json`` comes last.

        Args:
            out_dir: The folder.
            progress: Shows a progress bar on standard error.

        Returns:
            The folder.

        Raises:
            MindTheGapError: The disk refuses, or the diagnosis was made without result masks.
        """
        if self.source is None:
            raise MindTheGapError("This diagnosis was made from tables alone: diagnose the files to write a folder.")
        folder = Path(out_dir)
        check_folder(folder, self.source[1].path)
        with disk_errors(folder):
            (folder / "gaps.json").unlink(missing_ok=True)
        self.stratum_gaps(progress=progress)
        for name, writer in self._writers(self.source[1]).items():
            writer(folder / name)
        return folder

    def _writers(self, results: Results) -> dict[str, Callable[[Path], None]]:
        """How each file is written, in order."""

        def tracks_of(name: str) -> Callable[[Path], None]:
            level = self.chain.levels[PRINTED_LEVELS[name]]
            return lambda path: write_json(path, result_entries(self.tables, level, results))

        keys = self.keys.columns()
        return {
            "oracle_tracking.json": tracks_of("oracle_tracking"),
            "oracle_classification.json": tracks_of("oracle_classification"),
            "association.parquet": lambda path: write_parquet(path, self.association()),
            "tracks.parquet": lambda path: write_parquet(path, self.tracks()),
            "failures.parquet": lambda path: write_parquet(path, to_frame(self.failures(), **keys)),
            "strata.parquet": lambda path: write_parquet(path, self.strata()),
            "gaps.json": lambda path: write_json(path, self.to_dict(), indent=2),
        }

    def __rich__(self) -> RenderableType:
        return report(self)

    def __repr__(self) -> str:
        return plain_text(report(self))


def check_folder(folder: Path, results_path: str | Path) -> None:
    """Refuses a place for the oracle folder that cannot work, before the work is done.

    Raises:
        InputError: The path leads through a file, or an output would replace the result file that is diagnosed.
    """
    with disk_errors(folder, place=True):
        files = [part for part in (folder, *folder.parents) if part.exists() and not part.is_dir()]
    if files:
        raise InputError(files[0], "", "is a file, so no folder can be written there", "name another folder with -o")
    given = Path(results_path).resolve()
    if given in [(folder / name).resolve() for name in FILES]:
        raise InputError(given, "", "would be replaced by this diagnosis", "name another folder with -o")


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Writes a table as Parquet, atomically."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)
