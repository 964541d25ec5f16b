"""Several methods on the same videos, with paired intervals of every difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mindthegap.diagnosis.diagnose import diagnose
from mindthegap.diagnosis.display import interval_text, marked, shown, solver_line
from mindthegap.diagnosis.intervals import CONFIDENCE, interval
from mindthegap.diagnosis.report import Diagnosis, check_folder
from mindthegap.diagnosis.stratified import QUANTITIES
from mindthegap.errors import MindTheGapError
from mindthegap.evaluation.display import plain_text
from mindthegap.files import atomic_path, write_json
from mindthegap.oracle import Objective, SolverName
from mindthegap.oracle.sums import Floats

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

SCHEMA_VERSION = 1
_HEADINGS = {
    "AP": "AP",
    "AP_tracking": "AP_T",
    "AP_classification": "AP_TC",
    "tracking": "tracking",
    "classification": "class",
    "segmentation": "segment.",
}
_PRINTED = tuple(_HEADINGS)
_PAIR = 2
_IDENTITY_SCORES = ("HOTA", "DetA", "AssA", "IDF1")
_COMPARED = ("AP", "tracking", "classification", "segmentation")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Diagnoses of several result files for the same ground truth.

    Attributes:
        names: Name of each method, in the order given.
        diagnoses: By name.
    """

    names: tuple[str, ...]
    diagnoses: Mapping[str, Diagnosis]

    @property
    def synthetic(self) -> bool:
        """Whether the ground truth is synthetic."""
        return self.diagnoses[self.names[0]].synthetic

    @property
    def contaminated(self) -> bool:
        """Whether the weights behind one of the methods have, or may have, seen the videos in training."""
        return any(diagnosis.warning for diagnosis in self.diagnoses.values())

    def to_frame(self) -> pd.DataFrame:
        """``comparison.csv``: one row per method.

        AP of the levels and every gap in points with intervals; HOTA, DetA, AssA and IDF1 as means of the classes; rows
        per query, and AP and gaps with the best row of each query alone (``best_row_*``).
        """
        import pandas as pd

        rows = []
        for name in self.names:
            diagnosis = self.diagnoses[name]
            row: dict[str, Any] = {"method": name, "objective": diagnosis.objective, "synthetic": diagnosis.synthetic}
            row["contaminated"] = bool(diagnosis.warning)
            intervals = diagnosis.bootstrap.intervals() if diagnosis.bootstrap else {}
            for quantity, value in points_of(diagnosis).items():
                row[quantity] = value
                if diagnosis.bootstrap:
                    row[f"{quantity}_low"], row[f"{quantity}_high"] = intervals[quantity] or (None, None)
            scores = diagnosis.identity_metrics().class_average
            row |= {name: getattr(scores, name, None) for name in _IDENTITY_SCORES}
            hedging = diagnosis.hedging()
            row["rows_per_query"] = hedging.rows_per_query
            row |= {f"best_row_{name}": value for name, value in hedging.points.items()}
            rows.append({**row, "solver_status": diagnosis.solver["status"]})
        return pd.DataFrame(rows)

    def differences(self) -> pd.DataFrame:
        """``differences.csv``: second minus first, for every pair of methods and every quantity.

        ``low`` and ``high`` bound the difference over resamples of the videos that are the same for both methods;
        ``excludes_zero`` says whether 0 lies outside. Undefined values are missing.
        """
        rows = []
        for first, second in combinations(self.names, 2):
            one, two = self.diagnoses[first], self.diagnoses[second]
            theirs = points_of(two)
            for quantity, value in points_of(one).items():
                samples = [diagnosis.bootstrap.values[quantity] for diagnosis in (one, two) if diagnosis.bootstrap]
                videos = one.bootstrap.videos if one.bootstrap else 0
                rows.append((first, second, quantity, *_change(value, theirs[quantity], samples, videos)))
        return _difference_frame(rows, ())

    def stratum_differences(self) -> pd.DataFrame:
        """``differences_by_stratum.csv``: the same for every row of ``strata.parquet``."""
        rows = []
        for first, second in combinations(self.names, 2):
            pairs = zip(*(self.diagnoses[name].stratum_gaps() for name in (first, second)), strict=True)
            for one, two in pairs:
                for quantity, column in QUANTITIES.items():
                    samples = [part.samples[quantity] for part in (one, two) if part.samples]
                    change = _change(one.points[quantity], two.points[quantity], samples, one.resampled)
                    rows.append((first, second, column, *change, one.attribute, one.stratum))
        return _difference_frame(rows, ("attribute", "stratum"))

    def to_dict(self) -> dict[str, Any]:
        """``comparison.json``: each method's ``gaps.json`` without solver times, and the differences."""
        methods = {}
        for name in self.names:
            content = self.diagnoses[name].to_dict()
            content["solver"] = {key: value for key, value in content["solver"].items() if "seconds" not in key}
            methods[name] = content
        frame = self.differences().astype(object)
        differences = frame.where(frame.notna(), None).to_dict("records")
        return {
            "schema_version": SCHEMA_VERSION,
            "synthetic": self.synthetic,
            "confidence": CONFIDENCE,
            "methods": methods,
            "differences": differences,
        }

    def write(self, out_dir: str | Path, *, progress: bool = False) -> Path:
        """Writes ``comparison.csv``, the two tables of differences, ``comparison.json`` and the oracle folders.

        Args:
            out_dir: The folder.
            progress: Shows progress bars on standard error.

        Raises:
            MindTheGapError: The disk refuses.
        """
        folder = Path(out_dir)
        for name in self.names:
            self.diagnoses[name].write(folder / name, progress=progress)
        frames = {"comparison": self.to_frame(), "differences": self.differences()}
        frames["differences_by_stratum"] = self.stratum_differences()
        for stem, frame in frames.items():
            with atomic_path(folder / f"{stem}.csv") as temporary:
                frame.to_csv(temporary, index=False, lineterminator="\n")
        write_json(folder / "comparison.json", self.to_dict(), indent=2)
        return folder

    def tables(self) -> list[Table]:
        """One table of the methods, and one of the differences to the first with their intervals."""
        objective = self.diagnoses[self.names[0]].objective
        found = [_table(self._marked(f"Gaps in points of AP ({objective} oracle)"), _PRINTED)]
        for name in self.names:
            points = points_of(self.diagnoses[name])
            found[0].add_row(Text(name), *(shown(points[quantity]) for quantity in _PRINTED))
        if len(self.names) > 1:
            found.append(_table(self._marked(f"Differences to {escape(self.names[0])}, 95 % intervals"), _COMPARED))
            frame = self.differences().set_index(["first", "second", "quantity"])
            for other in self.names[1:]:
                cells = [_difference(frame.loc[(self.names[0], other, quantity)]) for quantity in _COMPARED]
                found[1].add_row(Text(f"{other} - {self.names[0]}"), *cells)
        hedged = any(diagnosis.hedging().hedged for diagnosis in self.diagnoses.values())
        return [*found, self._best_rows_table()] if hedged else found

    def _marked(self, title: str) -> str:
        return marked(title, self.synthetic, self.contaminated)

    def _best_rows_table(self) -> Table:
        """The gaps once more, for methods that report a query under several classes."""
        table = _table(self._marked("Gaps with the best row of each query alone"), _COMPARED)
        table.add_column("rows per query", justify="right", no_wrap=True)
        for name in self.names:
            hedging = self.diagnoses[name].hedging()
            cells = [shown(hedging.points[quantity]) for quantity in _COMPARED]
            table.add_row(Text(name), *cells, shown(hedging.rows_per_query))
        return table

    def unproven(self) -> list[str]:
        """One sentence for each method whose oracle is not proven optimal."""
        named = [(name, self.diagnoses[name]) for name in self.names]
        return [f"{name}: {solver_line(d)}" for name, d in named if d.solver["optimal"] < d.solver["components"]]

    def __rich__(self) -> RenderableType:
        warnings = [f"Warning: {name}: {d.warning}" for name, d in self.diagnoses.items() if d.warning]
        return Group(*(Text(line, style="red") for line in warnings), *self.tables(), *map(Text, self.unproven()))

    def __repr__(self) -> str:
        return plain_text(self.__rich__())


def _table(title: str, quantities: Sequence[str]) -> Table:
    """An empty table with a column per quantity."""
    table = Table(title=title, title_justify="left")
    table.add_column("method", overflow="fold", min_width=16)
    for quantity in quantities:
        table.add_column(_HEADINGS[quantity], justify="right", no_wrap=True)
    return table


def _difference(entry: Any) -> Text:
    """A difference, its interval on a second line where there is one."""
    cell = shown(None if np.isnan(entry["points"]) else float(entry["points"]))
    if np.isnan(entry["low"]):
        return cell
    return Text("\n").join([cell, interval_text([float(entry["low"]), float(entry["high"])])])


def points_of(diagnosis: Diagnosis) -> dict[str, float | None]:
    """AP of the printed levels and every gap, by the names of the bootstrap."""
    levels = diagnosis.chain.levels
    aps = {"AP": "default", "AP_tracking": "tracking", "AP_classification": "both"}
    return {**{name: levels[level].evaluation.AP for name, level in aps.items()}, **diagnosis.gaps}


def _change(first: float | None, second: float | None, samples: Sequence[Floats], videos: int) -> tuple[Any, ...]:
    """Second minus first, the ends of its interval over common resamples, and whether 0 lies outside of it."""
    points = None if first is None or second is None else second - first
    bounds = interval(samples[1] - samples[0], videos) if len(samples) == _PAIR else None
    if bounds is None:
        return points, None, None, None
    return points, *bounds, not bounds[0] <= 0 <= bounds[1]


def _difference_frame(rows: list[tuple[Any, ...]], extra: tuple[str, ...]) -> pd.DataFrame:
    """Differences as a table; the columns in ``extra`` come after the methods."""
    import pandas as pd

    columns = ["first", "second", "quantity", "points", "low", "high", "excludes_zero", *extra]
    kinds = {"points": "float64", "low": "float64", "high": "float64", "excludes_zero": "boolean"}
    frame = pd.DataFrame(rows, columns=columns).astype(kinds)
    return frame[["first", "second", *extra, *columns[2:7]]]


def compare(
    gt_path: str | Path,
    results_paths: Sequence[str | Path],
    *,
    names: Sequence[str] | None = None,
    objective: Objective = "tight",
    out_dir: str | Path | None = None,
    solver: SolverName = "HiGHS",
    time_limit: float = 60.0,
    workers: int = 1,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: bool = False,
    trained_on: Sequence[str | Path] | None = None,
) -> Comparison:
    """Diagnoses several result files for one ground truth and compares them, resampling the same videos for all.

    Args:
        gt_path: Ground-truth JSON.
        results_paths: Result JSONs, at least one.
        names: A name per result file; by default the file's, with a number where names repeat.
        objective: See ``diagnose``.
        out_dir: Also writes the comparison and every oracle folder there.
        solver: See ``diagnose``.
        time_limit: See ``diagnose``.
        workers: See ``diagnose``.
        bootstrap: Resamples of the videos for paired intervals, 0 for none.
        seed: Seed of the resampling.
        progress: Shows progress bars on standard error.
        trained_on: What the weights were trained on (see ``diagnose``): one list for all methods, or one per method.

    Raises:
        InputError: A file cannot be used as it is.
        MindTheGapError: There are no result files, names repeat, or lists and methods differ in number.
    """
    labels = _names(results_paths, names)
    known = _lists(trained_on, len(labels))
    if out_dir is not None:
        for label, path in zip(labels, results_paths, strict=True):
            check_folder(Path(out_dir) / label, path)
    diagnoses = {
        label: diagnose(
            gt_path,
            path,
            keys={"method": label},
            objective=objective,
            solver=solver,
            time_limit=time_limit,
            workers=workers,
            bootstrap=bootstrap,
            seed=seed,
            progress=progress,
            trained_on=seen,
        )
        for label, path, seen in zip(labels, results_paths, known, strict=True)
    }
    comparison = Comparison(labels, diagnoses)
    if out_dir is not None:
        comparison.write(out_dir, progress=progress)
    return comparison


def _lists(trained_on: Sequence[str | Path] | None, methods: int) -> Sequence[str | Path | None]:
    """For each method, the videos it was trained on."""
    given: list[str | Path | None] = [*trained_on] if trained_on else [None]
    if len(given) not in (1, methods):
        raise MindTheGapError(
            f"{len(given)} lists of training videos for {methods} result files: give one, or one each."
        )
    return given * methods if len(given) == 1 else given


def _names(paths: Sequence[str | Path], names: Sequence[str] | None) -> tuple[str, ...]:
    """Names that are different and can be folders."""
    if not paths:
        raise MindTheGapError("There is nothing to compare: name at least one result file.")
    if names is not None:
        if len(names) != len(paths) or len(set(names)) != len(names):
            raise MindTheGapError(f"{len(paths)} result files need as many different names.")
        if any(name in ("", ".", "..") or "/" in name or "\\" in name for name in names):
            raise MindTheGapError("A method's name becomes a folder: leave out slashes, and do not leave it empty.")
        return tuple(names)
    found: list[str] = []
    for path in paths:
        stem, label, number = Path(path).stem, Path(path).stem, 1
        while label in found:
            number += 1
            label = f"{stem}-{number}"
        found.append(label)
    return tuple(found)
