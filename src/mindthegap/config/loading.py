"""Checks a configuration and says in plain sentences what to write instead."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from mindthegap.config.datasets import CocoDataset, FolderDataset, Prepared, SweepDataset, SyntheticDataset
from mindthegap.config.models import Config
from mindthegap.errors import ConfigError
from mindthegap.files import write_text

_PLAIN = {
    "missing": "is missing; write it",
    "dict_type": "must be a section with keys, not {input!r}",
    "list_type": "must be a list, such as [{input}], not {input!r}",
    "int_parsing": "must be a whole number, not {input!r}",
    "int_type": "must be a whole number, not {input!r}",
    "int_from_float": "must be a whole number, not {input!r}",
    "float_parsing": "must be a number, not {input!r}",
    "float_type": "must be a number, not {input!r}",
    "bool_parsing": "must be true or false, not {input!r}",
    "bool_type": "must be true or false, not {input!r}",
    "string_type": "must be text, not {input!r}; put it in quotes",
}


def parse_config(raw: Mapping[str, Any], source: str = "config.yaml") -> Config:
    """Validates a configuration that was read from YAML and merged with the command line.

    Where a scale names a sweep, the result lists the sweep's datasets.

    Args:
        raw: The nested mapping.
        source: Name shown in errors.

    Raises:
        ConfigError: With one line per problem: place, what is wrong, what to write.
    """
    try:
        return _flat(Config.model_validate(dict(raw)))
    except ValidationError as error:
        lines = [_sentence(details, raw) for details in error.errors()]
        raise ConfigError("\n".join(f"{source}: {line}" for line in dict.fromkeys(lines))) from None


def _flat(config: Config) -> Config:
    """The configuration without sweeps, which their datasets stand for."""
    groups = {
        name: list(spec.members(name)) for name, spec in config.datasets.items() if isinstance(spec, SweepDataset)
    }
    scales = {}
    for key, scale in config.scales.items():
        names = (name for listed in scale.datasets for name in groups.get(listed, [listed]))
        scales[key] = scale.model_copy(update={"datasets": list(dict.fromkeys(names))})
    datasets = {name: spec for name, spec in config.datasets.items() if name not in groups}
    return config.model_copy(update={"datasets": datasets, "scales": scales})


def parse_dataset(raw: Mapping[str, Any]) -> SyntheticDataset | FolderDataset | CocoDataset:
    """One entry of the section ``datasets`` that was validated before and travelled as plain data."""
    dataset: SyntheticDataset | FolderDataset | CocoDataset = TypeAdapter(Prepared).validate_python(raw)
    return dataset


def _sentence(details: ErrorDetails, raw: Mapping[str, Any]) -> str:
    """One problem in words; pydantic's own message where none of ours fits."""
    place = ".".join(str(part) for part in _visible(details["loc"], raw))
    kind, given = details["type"], details["input"]
    if kind == "extra_forbidden":
        return f"{place}: this key is unknown{_suggestion(details['loc'])}."
    if kind == "value_error":
        return f"{place}: ".lstrip(": ") + f"{details['ctx']['error']}."
    if kind == "union_tag_invalid":
        return f"{place}.kind: {given.get('kind')!r} is unknown; write one of {details['ctx']['expected_tags']}."
    if kind == "union_tag_not_found":
        return f"{place}.kind: is missing; write kind: synthetic, sweep, folder or coco."
    if kind in _PLAIN:
        return f"{place}: {_PLAIN[kind].format(input=given)}."
    return f"{place}: {details['msg']}, not {given!r}."


def _visible(loc: tuple[int | str, ...], raw: Any) -> list[int | str]:
    """The parts of a place that the user wrote: pydantic adds the tag of a union to the path."""
    parts: list[int | str] = []
    for position, part in enumerate(loc):
        inside = isinstance(raw, list) and isinstance(part, int) and part < len(raw)
        if (isinstance(raw, Mapping) and part in raw) or inside:
            raw = raw[part]
        elif position < len(loc) - 1:
            continue
        if part != "[key]":
            parts.append(part)
    return parts


def _suggestion(loc: tuple[int | str, ...]) -> str:
    """The closest key that exists at this place, and all that do."""
    known = sorted(_known_keys(loc[:-1]))
    if not known:
        return "; remove it"
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return (f"; did you mean '{close[0]}'?" if close else ";") + f" Known here: {', '.join(known)}"


def _known_keys(loc: tuple[int | str, ...]) -> set[str]:
    """Keys that the generated JSON-Schema allows at ``loc``."""
    schema = Config.model_json_schema()
    definitions = schema.get("$defs", {})
    node: Any = schema
    for part in loc:
        node = _step(_resolve(node, definitions), part, definitions)
    return set(_resolve(node, definitions).get("properties", {}))


def _resolve(node: Any, definitions: Mapping[str, Any]) -> Any:
    """Follows a ``$ref`` of the JSON-Schema."""
    while "$ref" in node:
        node = definitions[node["$ref"].rsplit("/", 1)[-1]]
    return node


def _step(node: Any, part: int | str, definitions: Mapping[str, Any]) -> Any:
    """The sub-schema under one part of a place; a union's tag selects its member."""
    if part in node.get("properties", {}):
        return node["properties"][part]
    mapping = node.get("discriminator", {}).get("mapping", {})
    if part in mapping:
        return definitions[mapping[part].rsplit("/", 1)[-1]]
    for member in node.get("anyOf", []) + node.get("oneOf", []):
        resolved = _resolve(member, definitions)
        if resolved.get("title") == part or part in resolved.get("properties", {}):
            return resolved
    pattern: dict[str, Any] = next(iter(node.get("patternProperties", {}).values()), {})
    extra = node.get("additionalProperties", {})
    return pattern or (extra if isinstance(extra, dict) else {})


def schema_text(model: type[BaseModel] = Config) -> str:
    """The JSON-Schema of the configuration as it is committed."""
    return json.dumps(model.model_json_schema(), indent=2, sort_keys=True) + "\n"


def write_schema(path: str | Path) -> None:
    """Writes the JSON-Schema that editors use to complete and check ``config.yaml``."""
    write_text(path, schema_text())
