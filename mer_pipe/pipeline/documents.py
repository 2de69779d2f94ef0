"""The document behind a key: what a cell is made by and from, as canonical JSON, and its digest."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mer_pipe.pipeline.nodes import At, CellSource, FrameSource, Node, Source
from mer_pipe.types import Stage

FORMAT = 1
"""Raised when documents or entries change their form: every key changes with it."""


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values have equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(text: str) -> str:
    """SHA-256 of UTF-8 text, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


class Writer:
    """Writes the documents of a node's cells."""

    def __init__(self, node: Node) -> None:
        stage = node.stage
        if stage.along is not None and stage.along not in node.over:
            raise ValueError(f"{node.name} is not wired over {stage.along}, which its stage maps")
        self._along = stage.along
        self._axis = 0 if stage.along is None else list(node.over).index(stage.along)
        self._tail = _tail(stage)
        self._last: dict[str, tuple[Source, str]] = {}

    def text(self, at: At, sources: Mapping[str, Source]) -> str:
        """`sources` come in the order of their names: the text is canonical JSON."""
        inputs = []
        for name, source in sources.items():
            last = self._last.get(name)
            if last is None or last[0] is not source:
                last = self._last[name] = source, f'"{name}":{_source_text(source)}'
            inputs.append(last[1])
        head = f'{{"at":{{"{self._along}":{float(at[self._axis])!r}}},' if self._along else "{"
        return f'{head}"format":{FORMAT},"inputs":{{{",".join(inputs)}{self._tail}'


@functools.lru_cache(maxsize=1024)
def _tail(stage: Stage) -> str:
    """The end of a document, which all clips share."""
    return (
        f'}},"parameters":{canonical(stage.parameters())},"stage":{canonical(stage.name)},"version":{stage.version}}}'
    )


def _source_text(source: Source) -> str:
    if type(source) is CellSource:
        row = "" if source.row is None else f',"row":{source.row}'
        return f'{{"key":"{source.key}","output":"{source.output}"{row}}}'
    if type(source) is FrameSource:
        return f'{{"frame":"{source.digest}"}}'
    return f"[{','.join(map(_source_text, source.items))}]"
