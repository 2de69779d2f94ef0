"""Words that several verbs read and write: KEY=VALUE pairs and JSON."""

from __future__ import annotations

import json
from typing import Any

import click

from mer_pipe.types import MerError


def pairs(values: tuple[str, ...], option: str = "--set") -> dict[str, str]:
    """The values of a repeated KEY=VALUE option by key; MerError for one without "="."""
    for value in values:
        if "=" not in value:
            raise MerError(f"{option} {value} has no value", f"write {option} KEY=VALUE")
    return {key.strip(): value for key, _, value in (v.partition("=") for v in values)}


def print_json(value: Any) -> None:
    """Print plain values as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
