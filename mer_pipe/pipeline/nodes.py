"""The words of a graph: nodes and what they read, products, and the cells that a clip's graph is made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mer_pipe.types import Stage

At = tuple[float, ...]
"""Coordinates of a cell, in the order of its node's `over`."""


@dataclass(frozen=True)
class Frame:
    """An input: a raw frame of the clip, at `position`, or at the cell's own ``frame`` coordinate when None."""

    position: int | None = None


@dataclass(frozen=True)
class Value:
    """An input: one output of another node; coordinates that `at` leaves out are those of the cell that asks."""

    node: str
    output: str
    at: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Stack:
    """An input: an output of another node at several values of one coordinate, stacked on a new leading axis."""

    node: str
    output: str
    along: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """An input: one row of an output's leading axis; `row` is an index, or the coordinate whose value is the index."""

    node: str
    output: str
    row: int | str


Input = Frame | Value | Stack | Row


@dataclass(frozen=True)
class Node:
    """A stage in its place in the graph.

    Attributes
    ----------
    name : unique in the graph.
    stage : what is called.
    inputs : the stage's inputs by name.
    over : coordinates that the node is mapped over, in order, each with the values that may be asked for.
    """

    name: str
    stage: Stage
    inputs: Mapping[str, Input]
    over: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Product:
    """One array of the published store: the same axes for every clip.

    Attributes
    ----------
    group, name : where it lies in the store.
    node, output : what fills it.
    leading : axes between ``sample`` and the output's own, with their coordinate values, the same for every clip.
    at : for this clip, the cells' coordinates in C order of `leading`.
    dtype : dtype in the store; None keeps the output's.
    systems : the published systems that read it.
    about : one line for the reader of the store.
    """

    group: str
    name: str
    node: str
    output: str
    leading: Mapping[str, tuple[float | str, ...]]
    at: tuple[At, ...]
    dtype: str | None = None
    systems: tuple[str, ...] = ()
    about: str = ""

    @property
    def path(self) -> str:
        return f"{self.group}/{self.name}"


class FrameSource(NamedTuple):
    """A raw frame that a cell reads: its position in the clip and the digest of its bytes."""

    position: int
    digest: str


class CellSource(NamedTuple):
    """An output of another cell that a cell reads, whole or one row of it."""

    key: str
    output: str
    row: int | None = None


class StackSource(NamedTuple):
    """Outputs of several cells that a cell reads as one array, in the order of its leading axis."""

    items: tuple[CellSource, ...]


Source = FrameSource | CellSource | StackSource


class Cell(NamedTuple):
    """One value of a node: its coordinates, its key, the document behind the key, and what it is made from."""

    node: Node
    at: At
    key: str
    text: str
    sources: dict[str, Source]

    @property
    def name(self) -> str:
        if not self.at:
            return self.node.name
        return f"{self.node.name}[{','.join(f'{c}={v:g}' for c, v in zip(self.node.over, self.at, strict=True))}]"

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.text)

    def input_keys(self) -> Iterator[str]:
        for source in self.sources.values():
            if type(source) is CellSource:
                yield source.key
            elif type(source) is StackSource:
                yield from (item.key for item in source.items)
