"""Configurations of networks from given values alone."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

Config = TypeVar("Config")


def make(config_class: type[Config], values: Mapping[str, Any]) -> Config:
    """Returns a configuration with the class's own defaults for what `values` lacks.

    gin fills in what a call leaves out from the bindings in force, which may be those of another
    model; what is passed explicitly it leaves alone.

    Args:
      config_class: such as T5Config.
      values: by field name.
    """
    fields: Any = config_class
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(fields)
        if field.default is not dataclasses.MISSING
    }
    return config_class(**{**defaults, **values})
