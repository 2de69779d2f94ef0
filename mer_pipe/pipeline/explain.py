"""Why a cell is made again: its document beside the one that was built last."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mer_pipe.pipeline.graph import Graph
from mer_pipe.pipeline.nodes import Cell, FrameSource, Source, StackSource


def reasons(
    graph: Graph,
    missing: Mapping[str, Cell],
    last: Mapping[str, str],
    document: Callable[[str], str | None],
) -> dict[str, str]:
    """One reason for each missing cell, by cell name.

    Parameters
    ----------
    graph, missing : the clip's graph, and its cells to make.
    last : cell name -> key when the clip was last built; empty when it never was.
    document : the text behind a key, None when its entry is gone.
    """
    return {cell.name: _reason(graph, cell, last, document) for cell in missing.values()}


def _reason(graph: Graph, cell: Cell, last: Mapping[str, str], document: Callable[[str], str | None]) -> str:
    if not last:
        return "never built"
    before = last.get(cell.name)
    if before is None:
        if cell.node.name not in {name.partition("[")[0] for name in last}:
            return f"{cell.node.name} is new"
        return f"{cell.name.partition('[')[2].rstrip(']') or cell.name} is new"
    if before == cell.key:
        return "its entry is gone from the cache"
    text = document(before)
    if text is None:
        return "an input or parameter changed; the entry that would tell which is gone"
    changes = _changes(graph, cell, json.loads(text), last)
    return "; ".join(changes) or "its document changed"


def _changes(graph: Graph, cell: Cell, old: Mapping[str, Any], last: Mapping[str, str]) -> list[str]:
    new = cell.document
    name = cell.node.name
    if old.get("format") != new["format"]:
        return [f"cache format {old.get('format')} -> {new['format']}"]
    if old.get("stage") != new["stage"]:
        return [f"{name} is made by {new['stage']} instead of {old.get('stage')}"]
    found = []
    if old["version"] != new["version"]:
        found.append(f"{name} version {old['version']} -> {new['version']}")
    found += [f"{name}.{change}" for change in _differences(old["parameters"], new["parameters"])]
    for key, source in cell.sources.items():
        if old["inputs"].get(key) == new["inputs"][key]:
            continue
        found.append(_input_change(graph, key, source, last))
    return list(dict.fromkeys(found))


def _input_change(graph: Graph, key: str, source: Source, last: Mapping[str, str]) -> str:
    """Name the cause if it is at hand (another frame), else the cell that changed, which has a reason of its own."""
    if isinstance(source, FrameSource):
        number = graph.sample.frames.numbers[source.position]
        return f"{key} is frame {number} now, or that frame's bytes changed"
    items = source.items if isinstance(source, StackSource) else (source,)
    read = [graph.cells[one.key] for one in items]
    changed = [cell.name for cell in read if last.get(cell.name) != cell.key]
    if not changed:  # the values are the old ones, but others of them are read
        return (
            f"{key} is {read[0].name} now"
            if len(read) == 1
            else f"{key} is {len(read)} values of {read[0].node.name} now"
        )
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"{changed[0]}{more} changed"


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            inner = f"{path}.{key}" if path else key
            found += _differences(old.get(key), new.get(key), inner)
        return found
    return [] if old == new else [f"{path} {_shown(old)} -> {_shown(new)}"]


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return f"{text[:18]}..." if len(text) > 40 else text
