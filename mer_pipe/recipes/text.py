"""Recipes as people write them: YAML files and --set values in, plain JSON out."""

from __future__ import annotations

import hashlib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from mer_pipe.recipes.recipe import BUILT_IN, Recipe, nearest
from mer_pipe.recipes.wiring import Models
from mer_pipe.stages.magnify import EulerianClip
from mer_pipe.types import RecipeError

_KINDS = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}


def read_recipe(name: str) -> Recipe:
    """A built-in recipe by its name, or a YAML file.

    A file holds the values that differ from the built-in recipe named by its ``base`` (``default`` when left out).

    Raises
    ------
    RecipeError : no such recipe; not YAML; an unknown name or a value of another type in it.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = Path(name)
    if not path.exists():
        raise RecipeError(f"there is no recipe {name!r}{nearest(name, BUILT_IN)}", "name a YAML file or one of "
                          + ", ".join(BUILT_IN))  # fmt: skip
    values = read_yaml(path)
    base = values.pop("base", "default")
    if base not in BUILT_IN:
        raise RecipeError(f"base {base!r} is not a built-in recipe", f"take one of {', '.join(BUILT_IN)}")
    return _filled(BUILT_IN[base], {"name": path.stem} | values, "")


def read_yaml(path: Path) -> dict[str, Any]:
    """The values of a YAML file, by name; sections as dicts.

    Raises
    ------
    RecipeError : it cannot be read, or holds no mapping.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{path.name} is not readable as YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path.name} holds no mapping of names to values")
    return values


Settings = typing.TypeVar("Settings")


def with_values(recipe: Settings, values: Mapping[str, Any]) -> Settings:
    """The recipe, or the settings of a head, with some values replaced, by dotted name or in nested sections.

    All are replaced at once: values that only go together may come in any order. Text is read as the value's own type.

    Raises
    ------
    RecipeError : an unknown name, or a value that cannot be read.
    """
    together: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        section = together
        for part in path:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise RecipeError(f"{part} is given a value and {name} another", "give one of them")
        if isinstance(value, Mapping) and isinstance(section.get(last), dict):
            section[last].update(value)
        else:
            section[last] = dict(value) if isinstance(value, Mapping) else value
    return _filled(recipe, together, "")


def plain(recipe: Recipe, models: Models | None = None) -> dict[str, Any]:
    """The recipe as plain JSON values. With `models`, file names give way to the digests of the files."""
    told = _told(recipe)
    del told["evm"]["fps"]
    told["align"]["model"] = models.landmarker.digest if models and models.landmarker else ""
    told["dataset"] = {name: _without_place(value) for name, value in told["dataset"].items()}
    if models is not None:
        told["features"]["weights"] = models.features.digest
        told["magnify"]["weights"] = models.magnifier.digest if models.magnifier else ""
    return told


def _without_place(value: Any) -> Any:
    """An option of a database as it was given, but a path as its last name, with the digest of the file that it names."""
    if not isinstance(value, str) or not (Path(value).expanduser().exists() or Path(value).is_absolute()):
        return value
    path = Path(value).expanduser()
    if not path.is_file():
        return path.name
    with path.open("rb") as file:
        return f"{path.name} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _told(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _told(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _told(v) for k, v in value.items()}
    return [_told(v) for v in value] if isinstance(value, tuple | list) else value


def _filled(section: Any, values: Mapping[str, Any], path: str) -> Any:
    hints = typing.get_type_hints(type(section))
    known = {f.name: hints[f.name] for f in fields(section)}
    if isinstance(section, EulerianClip):
        del known["fps"]  # each clip has its own
    changed = {}
    for name, value in values.items():
        full = f"{path}.{name}" if path else str(name)
        if name not in known:
            there = f"the keys of {path or type(section).__name__.lower()} are {', '.join(known)}"
            raise RecipeError(f"unknown key {full!r}{nearest(str(name), known)}", there)
        old = getattr(section, name)
        if is_dataclass(old):
            if not isinstance(value, Mapping):
                inner = [f.name for f in fields(old)]
                raise RecipeError(f"{full} is a section", f"set one of its keys: {', '.join(inner)}")
            changed[name] = _filled(old, value, full)
        elif isinstance(old, Mapping):
            if not isinstance(value, Mapping):
                raise RecipeError(f"{full} is a section", f"set one of its keys, as {full}.class_set=3")
            changed[name] = {**old, **value}
        else:
            changed[name] = _read_value(known[name], value, full)
    try:
        return replace(section, **changed)
    except RecipeError:
        raise
    except (ValueError, TypeError) as error:
        raise RecipeError(f"{path or type(section).__name__.lower()}: {error}") from error


def _read_value(kind: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = [k for k in typing.get_args(kind) if k is not type(None)]
        if value is None or value == "none":
            return None
        return _read_value(options[0], value, name)
    try:
        if origin is tuple:
            inner = typing.get_args(kind)[0]
            return tuple(_read_value(inner, v, name) for v in _items(value))
        if kind is bool:
            if isinstance(value, bool):
                return value
            return {"true": True, "yes": True, "false": False, "no": False}[str(value).lower()]
        if kind is int and (isinstance(value, bool) or float(value) != int(float(value))):
            raise ValueError
        if kind in (int, float):
            if isinstance(value, bool):
                raise ValueError
            return kind(float(value))
        if kind is str and isinstance(value, str | int | float):
            return str(value)
        raise ValueError
    except (ValueError, KeyError, TypeError, OverflowError, RecipeError):
        wanted = "a list of numbers" if origin is tuple else _KINDS.get(kind, str(kind))
        raise RecipeError(f"{name}={value!r} is not {wanted}", _grid_help(origin)) from None


def _items(value: Any) -> list[Any]:
    """A list as YAML gives it, or as text: "2,4,6", "2..13" in steps of one, "2..12/32" for 32 even values."""
    if isinstance(value, list | tuple):
        return list(value)
    text = str(value).strip()
    if ".." not in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    first, _, rest = text.partition("..")
    last, _, count = rest.partition("/")
    low, high = float(first), float(last)
    if count:
        number = int(count)
        return [low + (high - low) * i / (number - 1) for i in range(number)] if number > 1 else [low]
    if not (high - low).is_integer() or not 0 <= high - low <= 1000:
        raise ValueError
    return [low + i for i in range(int(high - low) + 1)]


def _grid_help(origin: Any) -> str:
    return 'write "2,4,6", "2..13" (steps of one) or "2..12/32" (32 even values)' if origin is tuple else ""


def differences(recipe: Recipe) -> dict[str, Any]:
    """What the recipe sets otherwise than the default, by dotted name: what a methods section must tell."""
    return dict(_unlike(_told(recipe), _told(Recipe()), ""))


def _unlike(new: Any, old: Any, path: str) -> Iterator[tuple[str, Any]]:
    for key in new:
        full = f"{path}.{key}" if path else key
        if isinstance(new[key], dict) and isinstance(old.get(key), dict):
            yield from _unlike(new[key], old[key], full)
        elif new[key] != old.get(key):
            yield full, new[key]
