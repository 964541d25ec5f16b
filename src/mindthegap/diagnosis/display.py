"""A diagnosis on a terminal."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mindthegap.diagnosis.content import failure_shares
from mindthegap.diagnosis.gaps import GAPS

if TYPE_CHECKING:
    import pandas as pd

    from mindthegap.diagnosis.report import Diagnosis

_PART_NAMES = {
    "ranking": "ranking, false tracks",
    "association": "own track lost the object",
    "selection": "other query had the better mask",
    "missed": "missed objects",
    "mask_quality": "mask quality",
}
_PRINTED_PARTS = {"tracking": ("ranking", "association", "selection"), "segmentation": ("missed", "mask_quality")}
"""The parts in the order in which the levels repair them."""
_LEVEL_NAMES = {
    "default": "as given",
    "oracle_tracking": "identities repaired",
    "oracle_classification": "identities and classes repaired",
}


def shown(value: float | None) -> Text:
    """Points with two decimals; negative ones in red, undefined ones as a dash."""
    if value is None:
        return Text("-")
    rounded = round(value, 2) + 0.0  # no "-0.00"
    return Text(f"{rounded:.2f}", style="red" if rounded < 0 else "")


def report(diagnosis: Diagnosis) -> RenderableType:
    """Levels, gaps of both objectives, failure modes, identity metrics, and what the solver proved."""
    warning = [Text(f"Warning: {diagnosis.warning}", style="red")] if diagnosis.warning else []
    lines = [Text(line) for line in (hedging_line(diagnosis), identity_line(diagnosis), solver_line(diagnosis)) if line]
    return Group(*warning, level_table(diagnosis), gap_table(diagnosis), failure_table(diagnosis), *lines)


def level_table(diagnosis: Diagnosis) -> Table:
    """AP, AP50 and AP75 of the three levels."""
    keys = diagnosis.keys
    title = " / ".join(part for part in (keys.dataset, keys.method, keys.backbone) if part)
    table = Table(title=_title(title or "Levels", diagnosis), title_justify="left")
    table.add_column(f"level ({diagnosis.objective} oracle)")
    for name in ("AP", "AP50", "AP75"):
        table.add_column(name, justify="right")
    levels = diagnosis.chain.summary()["levels"]
    for name, label in _LEVEL_NAMES.items():
        table.add_row(label, *(shown(levels[name][measure]) for measure in ("AP", "AP50", "AP75")))
    return table


def gap_table(diagnosis: Diagnosis) -> Table:
    """The gaps and their parts under both objectives, side by side."""
    order = [diagnosis.objective, *(name for name in diagnosis.chains if name != diagnosis.objective)]
    table = Table(title=_title("Gaps in points of AP", diagnosis), title_justify="left")
    table.add_column("gap")
    intervals = diagnosis.bootstrap.intervals() if diagnosis.bootstrap else {}
    for name in order:
        table.add_column(f"{name} oracle", justify="right")
        if intervals and name == diagnosis.objective:
            table.add_column("95 % interval", justify="right")
    for key, label, part in _gap_rows():
        cells: list[Text] = []
        for name in order:
            cells.append(shown(diagnosis.chains[name].gaps[key]))
            if intervals and name == diagnosis.objective:
                cells.append(interval_text(intervals.get(key)))
        table.add_row(Text(f"  {label}" if part else label, style="" if part else "bold"), *cells)
    return table


def _gap_rows() -> list[tuple[str, str, bool]]:
    """(flat name, label, whether it is a part) of every printed gap."""
    rows = []
    for gap in ("tracking", "classification", "segmentation"):
        rows.append((gap, gap, False))
        rows += [(f"{gap}.{part}", _PART_NAMES[part], True) for part in _PRINTED_PARTS.get(gap, ())]
    return [*rows, ("interaction_beyond_ranking", "interaction of the two orders", False)]


def failure_table(diagnosis: Diagnosis) -> Table:
    """What the events of each failure mode cost, and what of the gaps no event explains.

    The last column holds what leaving out the false rows of a mode alone would win; it is part of the ranking.
    """
    shares = failure_shares(diagnosis)
    table = Table(title=_title("Failure modes, points of each gap", diagnosis), title_justify="left")
    table.add_column("mode")
    for name in ("events", "tracking", "class", "segment.", "false rows"):
        table.add_column(name, justify="right")
    for entry in shares["modes"]:
        if entry["events"]:
            won = entry["ranking_points"]
            cells = [*(shown(entry[f"{gap}_points"]) for gap in GAPS), Text("") if won is None else shown(won)]
            table.add_row(entry["mode"], str(entry["events"]), *cells)
    rest = shares["unassigned"]
    table.add_row("(ranking, false tracks)", "", shown(rest["tracking"]["ranking"]))
    table.add_row("(grid of recall points)", "", *(shown(rest[gap]["grid"]) for gap in GAPS))
    return table


def identity_line(diagnosis: Diagnosis) -> str:
    """HOTA, DetA, AssA and IDF1 in a line; empty where no object counts."""
    scores = diagnosis.identity_metrics().class_average
    if scores is None:
        return ""
    named = ", ".join(f"{name} {getattr(scores, name):.2f}" for name in ("HOTA", "DetA", "AssA", "IDF1"))
    return f"Over all rows, mean of the classes: {named}."


def hedging_line(diagnosis: Diagnosis) -> str:
    """What the gaps are with one row per query; empty where no query has several."""
    hedging = diagnosis.hedging()
    if not hedging.hedged:
        return ""
    wrong = hedging.wrong_score
    classes = "" if wrong is None else f", {wrong:.0%} of the score on wrong classes"
    named = {f"{name} gap" if name in GAPS else name: value for name, value in hedging.points.items()}
    numbers = ", ".join(f"{name} {shown(value)}" for name, value in named.items())
    return (
        f"{hedging.rows_per_query:.1f} rows per query{classes}: the oracle of identities may choose the right class, "
        f"so errors count as ranking. With the best row of each query alone: {numbers}."
    )


def strata_table(frame: pd.DataFrame, synthetic: bool) -> Table:
    """``strata.parquet``, shortened: number of objects, AP and the three gaps with their intervals."""
    table = Table(title=marked("Gaps by stratum, 95 % intervals", synthetic), title_justify="left")
    table.add_column("stratum", overflow="fold", min_width=15)
    for name in ("objects", "AP", "tracking", "class", "segment."):
        table.add_column(name, justify="right", no_wrap=True)
    last = ""
    for row in frame.to_dict("records"):
        if row["attribute"] != last:
            last = row["attribute"]
            table.add_row(Text(last, style="bold"))
        note = "" if row["optimal"] else " (not proven optimal)"
        cells = [_bounded_cell(row, name) for name in GAPS]
        table.add_row(Text(f"  {row['stratum']}{note}"), str(row["objects"]), _cell(row["AP"]), *cells)
    return table


def _cell(value: float) -> Text:
    """A number of a table; NaN is undefined."""
    return shown(None if isnan(value) else value)


def _bounded_cell(row: dict[str, Any], name: str) -> Text:
    """A number of a stratum, its interval on a second line where there is one."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return _cell(row[name]) if isnan(low) else Text("\n").join([_cell(row[name]), interval_text([low, high])])


def interval_text(bounds: list[float] | None) -> Text:
    """``low .. high``."""
    return Text("-") if bounds is None else Text(f"{bounds[0] + 0.0:.1f} .. {bounds[1] + 0.0:.1f}")


def solver_line(diagnosis: Diagnosis) -> str:
    """One line on what was proved, more where something was not."""
    solver = diagnosis.solver
    if not solver["components"]:
        return "Optimal: no objects wanted the same masks in a way that needed an integer program."
    line = (
        f"{solver['name']}: {solver['status']}; {solver['components']} integer programs in {solver['videos']} videos, "
        f"largest relative gap {solver['max_relative_gap']:.2%}."
    )
    if solver["optimal"] < solver["components"]:
        bounds = ", ".join(f"{name} +{value:.2f}" for name, value in solver["bounds"].items() if value > 0)
        line += f" Without a proof the AP of these levels could be higher (points): {bounds}."
    return line


def _title(title: str, diagnosis: Diagnosis) -> str:
    """A table's title with what a reader of its numbers must know."""
    return marked(title, diagnosis.synthetic, bool(diagnosis.warning))


def marked(title: str, synthetic: bool, contaminated: bool = False) -> str:
    """Says "synthetic" where the ground truth is, and warns of weights that know the videos."""
    notes = ["synthetic data"] * synthetic + ["weights may have seen these videos"] * contaminated
    return f"{title} ({'; '.join(notes)})" if notes else title
