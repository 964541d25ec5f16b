"""``mindthegap synth``: rendered video with exact ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mindthegap.errors import InputError


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
    workers: Annotated[int, typer.Option(min=1, help="Processes; the result does not depend on it.")] = 1,
) -> None:
    """Renders video with exact masks, identities and occlusion, as YouTube-VIS JSON.

    Options that are left out come from the preset. Writes diagnostic.json, frames/, manifest.json (and train.json).
    """
    given = {"frames": _range(frames, "--frames"), "objects": _range(objects, "--objects"), "occlusion": occlusion}
    knobs: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    raw: dict[str, Any] = {"preset": preset, "seed": seed, "height": height, "width": width, "amodal": amodal}
    raw["diagnostic"] = {"videos": videos, **knobs}
    if train_videos:
        raw["train"] = {"videos": train_videos, **knobs}
    else:
        raw["weights_from"] = preset
    _render(raw, out, workers)


def _range(text: str | None, option: str) -> list[int] | None:
    """``"12"`` or ``"12-20"`` as [min, max]."""
    if text is None:
        return None
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise InputError(option, "", f"{text!r} is neither a number nor a range", "write e.g. 12 or 12-20")
    return [int(first), int(last) if dash else int(first)]


def _render(raw: dict[str, Any], out: Path, workers: int) -> None:
    """Checks the options by the same model as ``config.yaml`` and renders."""
    from pydantic import ValidationError

    from mindthegap.config.datasets import SyntheticDataset
    from mindthegap.synth import render_dataset

    try:
        spec = SyntheticDataset.model_validate({"kind": "synthetic", **raw})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError("mindthegap synth", place, first["msg"], "see mindthegap synth --help") from None
    manifest = render_dataset(spec, out, out.resolve().name, workers=workers)
    for name, split in manifest["splits"].items():
        counts = f"{split['videos']} videos, {split['frames']} frames, {split['annotations']} objects"
        typer.echo(f"{out / split['file']}: {counts} ({name})")
