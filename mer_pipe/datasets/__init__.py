"""The databases that mer-pipe reads: one adapter each, found by name, loaded when asked for."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
from collections.abc import Callable
from typing import Any

from mer_pipe.types import DatasetError, Listing

ADAPTERS: dict[str, str] = {
    "casme2": "mer_pipe.datasets.casme2:list_clips",
    "samm": "mer_pipe.datasets.samm:list_clips",
    "smic": "mer_pipe.datasets.smic:list_clips",
    "megc2019": "mer_pipe.datasets.megc2019:list_clips",
    "casme": "mer_pipe.datasets.casme1:list_clips",
    "casme_sq": "mer_pipe.datasets.casme_squared:list_clips",
    "casme3": "mer_pipe.datasets.casme3:list_clips",
    "mmew": "mer_pipe.datasets.mmew:list_clips",
    "4dme": "mer_pipe.datasets.fourdme:list_clips",
    "dfme": "mer_pipe.datasets.dfme:list_clips",
    "demo": "mer_pipe.datasets.demo.listing:list_clips",
    "folder": "mer_pipe.datasets.folder:list_clips",
}
"""Database name -> "module:function" of its ``list_clips(root, **options) -> Listing``."""


def list_clips(database: str, root: str | os.PathLike[str] | None = None, **options: Any) -> Listing:
    """List the clips of a database.

    Parameters
    ----------
    database : a name of `ADAPTERS`.
    root : the folder the user keeps the database in; only "demo" needs none.
    options : of the adapter, see `options_of`.

    Raises
    ------
    DatasetError : unknown database or option, a root that is missing or of another layout, a sheet that cannot be read.
    """
    adapter = adapter_of(database)
    known = options_of(database)
    for name in options:
        if name not in known:
            raise DatasetError(f"{database} has no option {name!r}", _suggest(name, known))
    if root is None and inspect.signature(adapter).parameters["root"].default is inspect.Parameter.empty:
        raise DatasetError(f"{database} needs the folder that holds it", "Give its root.")
    return adapter(root, **options)


def adapter_of(database: str) -> Callable[..., Listing]:
    """The ``list_clips`` function of a database; raises DatasetError for an unknown name."""
    if database not in ADAPTERS:
        # "CASME II" is nearer to "casme2" than to "casme", which only a person can see.
        near = str(database).lower().replace("iii", "3").replace("ii", "2").replace("^", "")
        raise DatasetError(f"there is no database {database!r}", _suggest(near, ADAPTERS))
    module, function = ADAPTERS[database].split(":")
    return getattr(importlib.import_module(module), function)


def options_of(database: str) -> dict[str, Any]:
    """The options of a database's adapter with their defaults."""
    parameters = inspect.signature(adapter_of(database)).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _suggest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(known)}."
