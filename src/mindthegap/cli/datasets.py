"""``mindthegap datasets``: what of the configured data is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mindthegap.errors import InputError


def datasets(
    config: Annotated[Path, typer.Option(help="The configuration that names the datasets.")] = Path("config.yaml"),
    check: Annotated[
        bool, typer.Option("--check", help="Also read all annotations and the headers of all frames (minutes).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Lists the datasets of the configuration: present, missing (with what to get and where to put it), or wrong."""
    import json

    import yaml

    from mindthegap.config import parse_config
    from mindthegap.data.inventory import WRONG, inventory
    from mindthegap.files import read_text

    try:
        raw = yaml.safe_load(read_text(config, "YAML"))
    except yaml.YAMLError as error:
        problem = f"is not valid YAML ({str(error).splitlines()[0]})"
        raise InputError(config, "", problem, "correct the file") from None
    if not isinstance(raw, dict):
        raise InputError(config, "", "is not a section with keys", "name the experiment's config.yaml")
    found = inventory(parse_config(raw, str(config)).datasets, check=check)
    if as_json:
        typer.echo(json.dumps([status.to_dict() for status in found], indent=1))
    for status in found if not as_json else []:
        title = f" ({status.title})" if status.title != status.name else ""
        typer.echo("\n    ".join([f"{status.name}{title}: {status.state}", *status.details, *status.facts]))
    if any(status.state == WRONG for status in found):
        raise typer.Exit(2)
