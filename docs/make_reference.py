"""Write docs/reference/ from the code: `python docs/make_reference.py`. With --check, only say which page is old."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
import sys
import tempfile
import typing
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

import mer_pipe.stages
from mer_pipe import api
from mer_pipe.cli import EPILOG, cli
from mer_pipe.heads import HEADS, head_of
from mer_pipe.heads.head import Training
from mer_pipe.recipes import BUILT_IN, Recipe, differences
from mer_pipe.store.cache import Cache
from mer_pipe.store.publish import SHARD_BYTES
from mer_pipe.types import ArraySpec, Stage, Weights

HERE = Path(__file__).resolve().parent / "reference"
COMMAND = "python docs/make_reference.py"
NOTE = f"<!-- Written by `{COMMAND}`. Do not edit. -->\n"


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {
        "cli.md": cli_page(),
        "recipe.md": recipe_page(),
        "stages.md": stages_page(),
        "store.md": store_page(),
        "heads.md": heads_page(),
    }


def old_pages() -> list[str]:
    """Names of the pages on disk that differ from what the code gives."""
    return [name for name, text in pages().items() if not (HERE / name).exists() or (HERE / name).read_text() != text]


# Command line


def cli_page() -> str:
    """Verbs, arguments and options, from click."""
    out = [NOTE, "# Command line\n", _prose(cli.help), _prose(EPILOG)]
    for words, command in _commands(cli, ("mer-pipe",)):
        usage = " ".join(command.collect_usage_pieces(click.Context(command)))
        out.append(f"## {' '.join(words)}\n\n```\n{' '.join(words)} {usage}\n```\n")
        out.append(_prose(command.help))
        rows = [(f"`{names}`", text) for names, text in _options(command)]
        out.append(_table(("option", "meaning"), rows) if rows else "No options.\n")
    return "\n".join(out)


def _commands(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*words, name))


def _options(command: click.Command) -> Iterator[tuple[str, str]]:
    context = click.Context(command)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in record[0]:
            yield record


def _prose(text: str | None) -> str:
    """Help text as Markdown: what follows click's no-wrap mark is kept as it is, line by line."""
    out = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
        kept = "\b" in block
        lines = [line for line in block.replace("\b", "").splitlines() if line.strip()]
        if kept:
            out.append("```\n" + inspect.cleandoc("\n".join(lines)) + "\n```\n")
        elif lines:
            out.append(" ".join(line.strip() for line in lines) + "\n")
    return "\n".join(out)


# Recipe


def recipe_page() -> str:
    """Every value of a recipe by its dotted name."""
    out = [
        NOTE,
        "# Recipe\n",
        "A recipe holds every number that can change a result. Set one value with `--set NAME=VALUE`, several in a YAML "
        "file for `--recipe`. A list of numbers is written `2,4,6`, `2..13` (steps of one) or `2..12/32` (32 even "
        "values). An unknown name is an error that suggests the nearest. "
        "[Another recipe](../how-to/another-recipe.md) shows how.\n",
        "## Built-in recipes\n",
    ]
    told = {name: differences(recipe) for name, recipe in BUILT_IN.items()}
    rows = [(f"`{name}`", _settings(values) or "the values below") for name, values in told.items()]
    out.append(_table(("name", "differs from `default` in"), rows))
    sections: dict[str, list[tuple[str, str, str]]] = {}
    for name, default, text in _values(Recipe(), ""):
        sections.setdefault(name.rpartition(".")[0], []).append((f"`{name}`", default, text))
    for section, rows in sections.items():
        kind = _section(section)
        out.append(f"## {section or 'The recipe itself'}\n")
        out.append(f"{_summary(kind)}\n")
        out.append(_table(("name", "default", "meaning"), rows))
    return "\n".join(out)


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"`{k}={_shown(v)}`" for k, v in values.items() if k != "name")


def _section(path: str) -> type:
    value: Any = Recipe()
    for part in filter(None, path.split(".")):
        value = getattr(value, part)
    return type(value)


def _values(section: Any, path: str) -> Iterator[tuple[str, str, str]]:
    for field in dataclasses.fields(section):
        value, name = getattr(section, field.name), f"{path}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _values(value, f"{name}.")
        elif name == "dataset":
            yield (
                "dataset",
                "the adapter's",
                f"{_told(type(section), name)}, as `dataset.class_set`; see [databases](../datasets.md)",
            )
        elif name == "evm.fps":
            continue  # each clip has its own
        else:
            yield name, f"`{_shown(value)}`", _told(type(section), field.name)


def _default(f: dataclasses.Field, needed: Collection[str]) -> str:
    """How a page tells the default of a stage's field."""
    if f.name in needed:
        return ""
    return "in the package" if f.default is dataclasses.MISSING else f"`{_shown(f.default)}`"


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        steps = np.diff(value) if len(value) > 3 and not isinstance(value[0], str) else []
        if len(steps) and np.allclose(steps, steps[0]):
            return f"{value[0]:g}..{value[-1]:g}" + ("" if steps[0] == 1 else f"/{len(value)}")
        return ",".join(map(_shown, value))
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or '""'


# What docstrings say of a field

IN_PROSE = {
    "low": "lower end of the temporal band, Hz",
    "high": "upper end of the temporal band, Hz; raised where a clip is too short for it",
    "filter": '"butterworth" (second order, zero phase) or "ideal"',
    "noise_floor": "how far a motion must stand out of the noise to be magnified; 0 magnifies all of it",
}
"""Fields whose docstring points to a paragraph instead of telling them in a line."""


def _told(kind: type, field: str) -> str:
    """The docstring's line on a field; a stage that is "by `function`" leaves its parameters to that function."""
    found = _lines(kind).get(field)
    if found is None:
        for name in re.findall(r"`([\w.]+)`", (kind.__doc__ or "").partition("\n\n")[0]):
            found = found or _lines(_resolve(kind, name)).get(field)
    if found is None:
        raise SystemExit(f"{kind.__name__}.{field} has no line in a docstring")
    for name in re.findall(r"(?:see|as for|as) `([\w.]+)`", found):
        more = _lines(_resolve(kind, name)).get(field)
        found = more or found
    if found.startswith("see `"):
        found = IN_PROSE.get(field, found)
    return found.rstrip(".")


def _resolve(kind: type, name: str) -> Any:
    """A name as a docstring in the module of `kind` means it."""
    home = sys.modules[kind.__module__]
    first, _, rest = name.partition(".")
    if not rest:
        return getattr(home, first, None)
    return getattr(importlib.import_module(f"{home.__package__}.{first}"), rest, None)


def _lines(thing: Any) -> dict[str, str]:
    """`name, name : text` lines of a docstring, with their continuation lines."""
    found: dict[str, str] = {}
    if not (thing and thing.__doc__):
        return found
    names: list[str] = []
    for line in inspect.cleandoc(thing.__doc__).splitlines():
        begins = re.match(r"^(\w+(?:, \w+)*) : (.*)", line)
        if begins:
            names = begins[1].split(", ")
            found |= dict.fromkeys(names, begins[2].strip())
        elif names and line.startswith("    "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return found


def _summary(kind: type) -> str:
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())


# Stages


def stages_page() -> str:
    """Every stage class: name, version, inputs, arrays, parameters."""
    out = [
        NOTE,
        "# Stages\n",
        "A stage is a frozen dataclass: its fields are its parameters, its `version` is raised whenever its numbers "
        "change. Name, version and parameters enter the key of every value it makes. "
        "[Add a stage](../how-to/add-a-stage.md) shows a whole one.\n",
    ]
    stages = _stages()
    out.append(
        _table(
            ("class", "name", "version"),
            [(f"[{s.__name__}](#{s.__name__.lower()})", f"`{s.name}`", str(s.version)) for s in stages],
        )
    )
    for stage in stages:
        out += _stage(stage)
    return "\n".join(out)


def _stages() -> list[type[Stage]]:
    package = mer_pipe.stages
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.rpartition(".")[2].startswith("_"):
            importlib.import_module(module.name)
    ours = [s for s in _below(Stage) if s.__module__.startswith(f"{package.__name__}.")]
    return sorted(ours, key=lambda s: (s.name, s.__name__))


def _below(kind: type) -> Iterator[type]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


def _stage(stage: type[Stage]) -> Iterator[str]:
    hints = typing.get_type_hints(stage)
    needed = {
        f.name: Weights("random:0")
        for f in dataclasses.fields(stage)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and hints[f.name] is Weights
    }
    yield f"## {stage.__name__}\n"
    yield f"{_summary(stage)}\n"
    yield f"`from {stage.__module__} import {stage.__name__}`; name `{stage.name}`, version {stage.version}.\n"
    inputs = [name for name in inspect.signature(stage.__call__).parameters if name != "self"]
    told = []
    for name in inputs:
        if name in stage.stacks:
            told.append(f"`{name}` (one a value, on a leading axis)")
        elif name == stage.along:
            told.append(f"`{name}` (the values that are missing, all in one call)")
        else:
            told.append(f"`{name}`")
    yield f"Inputs: {', '.join(told)}.\n"
    rows = [_array_row(name, spec) for name, spec in stage(**needed).returns.items()]
    yield _table(("returns", "axes", "type", "unit", "range", "what"), rows)
    fields = [f for f in dataclasses.fields(stage) if f.metadata.get("key", True)]
    rows = [
        (f"`{f.name}`", _default(f, needed), _told(stage, f.name))
        for f in fields
        if not (stage.__name__ == "EulerianClip" and f.name == "fps")
    ]
    if rows:
        yield _table(("parameter", "default", "meaning"), rows)


def _array_row(name: str, spec: ArraySpec) -> tuple[str, ...]:
    sizes = spec.shape or (None,) * len(spec.dims)
    axes = ", ".join(d if n is None else f"{d}={n}" for d, n in zip(spec.dims, sizes, strict=True)) or "a number"
    ends = ("" if end is None else f"{end:g}" for end in (spec.low, spec.high))
    span = "..".join(ends) if spec.low is not None or spec.high is not None else "any"
    return f"`{name}`", axes, spec.dtype, spec.unit, span, spec.about


# Heads


def heads_page() -> str:
    """Every head: what it reads, its settings, how it is trained."""
    out = [
        NOTE,
        "# Heads\n",
        "A head is a published system: network, loss and training over arrays of a store. Set one value with "
        "`mer-pipe train --set NAME=VALUE`, several in a YAML file for `--settings`. What the papers leave open and why the "
        "defaults are these: [heads](../explanation/heads.md).\n",
        "## How every head is trained\n",
        f"{_summary(Training)}\n",
        _table(("name", "default", "meaning"), _head_rows(Training(), "training.")),
    ]
    for name in HEADS:
        head = head_of(name)
        how = dataclasses.asdict(head.training)
        unlike = {f"training.{k}": v for k, v in how.items() if v != getattr(Training(), k)}
        reads = ", ".join(f"`{need.array}`" for need in head.needs)
        out.append(f"## {name}\n\n{_summary(type(head))}\n")
        out.append(f"Reads {reads}: `mer-pipe build --only {head.needs[0].system}` makes them.\n")
        out.append(f"Training: {_settings(unlike) or 'as above'}.\n")
        rows = [row for row in _head_rows(head, "") if row[0] != "`training`"]
        out.append(_table(("name", "default", "meaning"), rows))
    return "\n".join(out)


def _head_rows(settings: Any, path: str) -> list[tuple[str, str, str]]:
    rows = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            rows.append((f"`{field.name}`", "", ""))
            continue
        told = next((t for kind in type(settings).__mro__ if (t := _lines(kind).get(field.name))), None)
        if told is None:
            raise SystemExit(f"{type(settings).__name__}.{field.name} has no line in a docstring")
        shown = "all" if value == () else _shown(value)
        rows.append((f"`{path}{field.name}`", f"`{shown}`", told.rstrip(".")))
    return rows


# Store

COORDINATES = {
    "sample": "id of the clip: database/subject/clip",
    "database": "name of the adapter",
    "subject": "database/subject: subjects of two databases never merge",
    "clip": "name of the clip within its subject",
    "emotion": "the label as the sheet writes it",
    "label": "the class under the class set in use",
    "aus": "action units as the sheet writes them",
    "onset": "frame number of the onset, as in the file name or video",
    "apex": "frame number of the apex",
    "offset": "frame number of the offset",
    "frames": "frames from onset to offset, both included",
    "fps": "frames per second",
    "repairs": "what was corrected or guessed, sentences joined by `; `; empty for most clips",
    "source": "where the row came from: sheet, sheet version and sha256, policies",
}
ATTRIBUTES = {
    "format": "always `mer-pipe-store`",
    "format_version": "of this layout",
    "mer_pipe": "version that wrote the store",
    "libraries": "versions of the libraries that made the arrays",
    "coordinates": "names of the clips' coordinates",
    "database": "name of the adapter",
    "recipe": "every value of the recipe; model files are told by their sha256",
    "notes": "what the adapter chose among several (tree, sheet)",
    "contents": "sha256 over clips and keys: two stores with one value hold the same arrays",
    "excluded": "clips that cannot be used: id, reason, fix",
    "failed": "clips that could not be finished: sample, stage, reason, fix",
    "files": "size and sha256 of every other file of the store",
    "checksum": "sha256 of these attributes",
}
ABOUT_ARRAY = ("units", "long_name", "stage", "stage_version", "parameters", "systems")


def store_page() -> str:
    """The layout of a store of the default recipe, read back from one that is published with zeros for values."""
    with tempfile.TemporaryDirectory() as folder:
        root, order = publish_zeros(_one_still_clip(Path(folder)))
        whole = json.loads((root / "zarr.json").read_text())["attributes"]
        found = {
            path.parent.relative_to(root).as_posix(): json.loads(path.read_text()) for path in root.rglob("zarr.json")
        }
    arrays = {name: meta for name, meta in found.items() if meta["node_type"] == "array"}
    data = {name: arrays[name] for name in order}
    small = {name: meta for name, meta in arrays.items() if name not in data}
    columns = {name: meta for name, meta in small.items() if "/" not in name}
    _same_names("coordinates", columns, COORDINATES)
    _same_names("attributes of the root", whole, ATTRIBUTES)
    codecs = {_codecs(meta) for meta in data.values()}
    if len(codecs) != 1:
        raise SystemExit(f"arrays differ in their codecs: {codecs}")
    chunks = [_inner(meta)["chunk_shape"] for meta in data.values()]
    if not all(chunk == [1, *meta["shape"][1:]] for chunk, meta in zip(chunks, data.values(), strict=True)):
        raise SystemExit("a chunk is not one clip: describe the layout anew")
    groups = {name.rpartition("/")[0] for name in data}
    grids = [(f"`{n}`", _dtype(m), m["attributes"].get("long_name", "")) for n, m in sorted(small.items()) if "/" in n]
    out = [
        NOTE,
        "# Store\n",
        f"A store is one Zarr v3 group, format version {whole['format_version']}. The clips' coordinates lie in its root, "
        "each stage's arrays in a group of their own, with `sample` as the first axis. It is written once and never "
        "appended to; a build replaces it whole. `mer_pipe.open` gives it as an xarray DataTree; every Zarr v3 reader "
        "can read it.\n",
        "## Arrays of the default recipe\n",
        f"{len(data)} arrays in {len(groups)} groups. Sizes are given where the recipe fixes them; the others are "
        "`crop.size` for y and x, or `msmmt.size` in `dynamic` and `motion`.\n",
        _table(
            ("array", "axes after `sample`", "type", "unit", "read by", "what"),
            [_data_row(name, meta) for name, meta in data.items()],
        ),
        "Each array carries the attributes " + ", ".join(f"`{name}`" for name in ABOUT_ARRAY) + ".\n",
        "## Coordinates of the clips\n",
        _table(("name", "type", "what"), [(f"`{n}`", _dtype(columns[n]), COORDINATES[n]) for n in COORDINATES]),
        "## Coordinates of the arrays\n",
        _table(("name", "type", "what"), grids),
        "## Attributes of the root\n",
        _table(("name", "what"), [(f"`{n}`", text) for n, text in ATTRIBUTES.items()]),
        "## Bytes\n",
        f"Codecs: {codecs.pop()}. A chunk is one clip, one run of bytes in its shard. A shard holds "
        f"as many clips as fit in {SHARD_BYTES >> 20} MiB. Empty chunks are written: a missing one is damage, never zeros.\n",
    ]
    return "\n".join(out)


def publish_zeros(request: api.Request) -> tuple[Path, list[str]]:
    """Publish the store of a request as if every finished value were zero; its path and its arrays'. No stage runs."""
    cache = Cache(request.cache)
    graphs = [clip.graph for clip in api.prepare(request).plan.clips]
    for graph in graphs:
        entries = {}
        for product in graph.products:
            specs = graph.nodes[product.node].stage.returns
            zeros = {name: np.zeros(_sizes(spec), spec.dtype) for name, spec in specs.items()}
            entries |= {cell.key: (cell.key, cell.text, zeros) for cell in graph.targets[product.path]}
        cache.put(entries.values())
    built = api.build(api.prepare(request))
    if built.made:
        raise SystemExit(f"the store of zeros was not only zeros: {built.made} was made")
    return built.store, [product.path for product in graphs[0].products]


def _one_still_clip(folder: Path) -> api.Request:
    """The default recipe over one clip of five tiny frames."""
    clip = folder / "data" / "subject" / "clip"
    clip.mkdir(parents=True)
    for number in range(5):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(clip / f"{number}.png")
    (folder / "model").write_bytes(b"")
    return api.make_request(
        "folder",
        folder / "data",
        store=folder / "zeros.zarr",
        cache=folder / "cache",
        values={"dataset": {"apex_policy": "middle", "fps": 25.0}},
        landmarker=str(folder / "model"),
    )


def _sizes(spec: ArraySpec) -> tuple[int, ...]:
    return tuple(size or 1 for size in spec.shape or (None,) * len(spec.dims))


def _data_row(name: str, meta: dict[str, Any]) -> tuple[str, ...]:
    told = meta["attributes"]
    axes = ", ".join(
        f"{dim}={size}" if size > 1 else str(dim)
        for dim, size in zip(meta["dimension_names"][1:], meta["shape"][1:], strict=True)
    )
    systems = "all" if len(told["systems"]) == 5 else ", ".join(told["systems"])
    return f"`{name}`", axes, meta["data_type"], told["units"], systems, told["long_name"]


def _dtype(meta: dict[str, Any]) -> str:
    return str(meta["data_type"])


def _inner(meta: dict[str, Any]) -> dict[str, Any]:
    return next(codec["configuration"] for codec in meta["codecs"] if codec["name"] == "sharding_indexed")


def _codecs(meta: dict[str, Any]) -> str:
    inner = " then ".join(f"`{codec['name']}`" for codec in _inner(meta)["codecs"])
    index = " then ".join(f"`{codec['name']}`" for codec in _inner(meta)["index_codecs"])
    return f"`sharding_indexed`, each chunk {inner}, the index {index}"


def _same_names(what: str, found: Any, told: Any) -> None:
    if set(found) != set(told):
        raise SystemExit(f"{what}: describe {sorted(set(found) ^ set(told))} in {Path(__file__).name}")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    if "--check" in sys.argv[1:]:
        old = old_pages()
        sys.exit(f"old: {', '.join(old)}; run  {COMMAND}" if old else 0)
    HERE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (HERE / name).write_text(text)


if __name__ == "__main__":
    main()
