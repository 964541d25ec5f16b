"""``mindthegap synth``: rendered video with exact ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mindthegap.errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mindthegap.config.datasets import SyntheticDataset

Model = TypeVar("Model", bound="BaseModel")


def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; made if it does not exist.")],
    preset: Annotated[str, typer.Option(help="synth_ytvis19, synth_ytvis21 or synth_ovis.")] = "synth_ytvis19",
    videos: Annotated[int, typer.Option(min=1, help="Number of videos in diagnostic.json.")] = 20,
    train_videos: Annotated[int, typer.Option(min=0, help="Number of further videos in train.json.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same videos.")] = 0,
    frames: Annotated[str | None, typer.Option(help="Frames of a video: N or MIN-MAX.")] = None,
    objects: Annotated[str | None, typer.Option(help="Objects of a video: N or MIN-MAX.")] = None,
    occlusion: Annotated[float | None, typer.Option(min=0, max=1, help="Share of object-frames covered.")] = None,
    height: Annotated[int, typer.Option(min=32, help="Height of a frame in pixels.")] = 96,
    width: Annotated[int, typer.Option(min=32, help="Width of a frame in pixels.")] = 160,
    amodal: Annotated[bool, typer.Option("--amodal", help="Also write the masks without occlusion.")] = False,
    sweep: Annotated[
        str | None,
        typer.Option(help="KNOB=V1,V2,...: one dataset per value of length, density or occlusion, all else equal."),
    ] = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="Also print the statistics beside the published ones of the real sets.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the result does not depend on it.")] = 1,
) -> None:
    """Renders video with exact masks, identities and occlusion, as YouTube-VIS JSON.

    Options that are left out come from the preset. Writes diagnostic.json, frames/, manifest.json (and train.json); a
    sweep writes a folder of these per value, and sweep.csv with the wanted and the measured values.
    """
    given = {"frames": _range(frames, "--frames"), "objects": _range(objects, "--objects"), "occlusion": occlusion}
    knobs: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    raw: dict[str, Any] = {"preset": preset, "seed": seed, "height": height, "width": width, "amodal": amodal}
    raw["diagnostic"] = {"videos": videos, **knobs}
    if sweep is not None:
        if train_videos:
            raise InputError("--train-videos", "", "does not go with --sweep", "render the train split on its own")
        specs = _members(raw, sweep, out)
    elif train_videos:
        raw["train"] = {"videos": train_videos, **knobs}
        specs = {out: _checked({"kind": "synthetic", **raw})}
    else:
        specs = {out: _checked({"kind": "synthetic", "weights_from": preset, **raw})}
    manifests = {folder: _render(spec, folder, workers) for folder, spec in specs.items()}
    if sweep is not None:
        _print_sweep(out, list(specs))
    if describe:
        _print_statistics(manifests)


def _range(text: str | None, option: str) -> list[int] | None:
    """``"12"`` or ``"12-20"`` as [min, max]."""
    if text is None:
        return None
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise InputError(option, "", f"{text!r} is neither a number nor a range", "write e.g. 12 or 12-20")
    return [int(first), int(last) if dash else int(first)]


def _members(raw: dict[str, Any], sweep: str, out: Path) -> dict[Path, SyntheticDataset]:
    """A folder below ``out`` for each value of ``KNOB=V1,V2,...``."""
    from mindthegap.config.rendered import SPLIT_KEYS, SweepDataset

    knob, equals, text = sweep.partition("=")
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if knob not in SPLIT_KEYS or not equals or not values:
        problem = f"{sweep!r} is not KNOB=V1,V2,... with a knob of {', '.join(SPLIT_KEYS)}"
        raise InputError("--sweep", "", problem, "write e.g. --sweep length=8,16,32")
    if SPLIT_KEYS[knob] in raw["diagnostic"]:
        raise InputError(f"--{SPLIT_KEYS[knob]}", "", "is what the sweep varies", "leave it out")
    entry = {"kind": "sweep", "knob": knob, "values": values, "weights_from": raw["preset"], **raw}
    spec = _validated(SweepDataset, entry)
    return {out / name: member for name, member in spec.members(f"sweep_{knob}").items()}


def _checked(raw: dict[str, Any]) -> SyntheticDataset:
    """Checks the options by the same model as ``config.yaml``."""
    from mindthegap.config.datasets import SyntheticDataset

    return _validated(SyntheticDataset, raw)


def _validated(model: type[Model], raw: dict[str, Any]) -> Model:
    """An instance of a pydantic model; its first complaint as one sentence."""
    from pydantic import ValidationError

    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise InputError("mindthegap synth", place, problem, "see mindthegap synth --help") from None


def _render(spec: SyntheticDataset, out: Path, workers: int) -> dict[str, Any]:
    """Renders one dataset and prints what it holds."""
    from mindthegap.synth import render_dataset

    manifest: dict[str, Any] = render_dataset(spec, out, out.resolve().name, workers=workers)
    for name, split in manifest["splits"].items():
        counts = f"{split['videos']} videos, {split['frames']} frames, {split['annotations']} objects"
        typer.echo(f"{out / split['file']}: {counts} ({name})")
    return manifest


def _print_sweep(out: Path, folders: list[Path]) -> None:
    """Writes and prints wanted and measured values."""
    from mindthegap.data.staging import MANIFEST
    from mindthegap.files import atomic_path
    from mindthegap.synth.sweeps import sweep_table

    table = sweep_table(folder / MANIFEST for folder in folders)
    with atomic_path(out / "sweep.csv") as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    for row in table.itertuples():
        typer.echo(f"{row.dataset}: {row.knob} {row.wanted:g} wanted, {row.achieved:g} {row.unit} measured")


def _print_statistics(manifests: Mapping[Path, dict[str, Any]]) -> None:
    """Prints all splits beside the published sets."""
    from mindthegap.data.described import described_with_linking
    from mindthegap.formats import read_ground_truth

    truths = (read_ground_truth(folder / "diagnostic.json") for folder in manifests)
    typer.echo(described_with_linking(list(manifests.values()), truths).to_string(index=False, na_rep="-"))
