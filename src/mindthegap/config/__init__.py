"""Typed configuration of the experiment matrix."""

from mindthegap.config.experiments import Experiment, experiments
from mindthegap.config.loading import parse_config, parse_dataset, schema_text, write_schema
from mindthegap.config.models import METHODS, Config, Resources, Scale

__all__ = [
    "METHODS",
    "Config",
    "Experiment",
    "Resources",
    "Scale",
    "experiments",
    "parse_config",
    "parse_dataset",
    "schema_text",
    "write_schema",
]
