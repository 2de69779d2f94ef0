"""The stages wired over one clip: which values exist, what each is made from, and the key that names it.

A *node* is a stage in its place; a *cell* is one value of a node (``magnify`` at AF 4). Cells are found by walking back from
the products that a store publishes, so what no product needs is never planned. A cell's key is the SHA-256 of its
*document*: stage, version, parameters and the keys of its inputs. No pixel is read to compute it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mer_pipe.types import ArraySpec, Sample, Stage

FORMAT = 1
"""Raised when documents or entries change their form: every key changes with it."""


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values have equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(text: str) -> str:
    """SHA-256 of UTF-8 text, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


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
    at : for this clip, the cells' coordinates in C order of `leading`, one tuple a cell.
    dtype : dtype in the store; None keeps the output's.
    systems : the published systems that read it.
    about : one line for the reader of the store.
    """

    group: str
    name: str
    node: str
    output: str
    leading: Mapping[str, tuple[float | str, ...]]
    at: tuple[tuple[float, ...], ...]
    dtype: str | None = None
    systems: tuple[str, ...] = ()
    about: str = ""

    @property
    def path(self) -> str:
        return f"{self.group}/{self.name}"


@dataclass(frozen=True)
class FrameSource:
    """A raw frame that a cell reads: its position in the clip and the digest of its bytes."""

    position: int
    digest: str


@dataclass(frozen=True)
class CellSource:
    """An output of another cell that a cell reads, whole or one row of it."""

    key: str
    output: str
    row: int | None = None


Source = FrameSource | CellSource | tuple[CellSource, ...]


@dataclass(frozen=True)
class Cell:
    """One value of a node: its coordinates, its key, the document behind the key, and what it is made from."""

    node: Node
    at: tuple[float, ...]
    key: str
    text: str
    sources: Mapping[str, Source]

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
            for one in source if isinstance(source, tuple) else (source,):
                if isinstance(one, CellSource):
                    yield one.key


class Graph:
    """The stages over one clip, demand-driven from the products.

    Parameters
    ----------
    sample : the clip.
    nodes : in dependency order: a node reads only nodes before it.
    products : what is to be published.
    digests : digest of the bytes of the frame at a position; asked only for frames that some cell reads.
    """

    def __init__(
        self, sample: Sample, nodes: Iterable[Node], products: Iterable[Product], digests: Callable[[int], str]
    ) -> None:
        self.sample = sample
        self.products = tuple(products)
        self.nodes: dict[str, Node] = {}
        for node in nodes:
            for name, wanted in node.inputs.items():
                if not isinstance(wanted, Frame) and wanted.node not in self.nodes:
                    raise ValueError(f"{node.name}.{name} reads {wanted.node}, which is not wired before it")
            if node.name in self.nodes:
                raise ValueError(f"two nodes are called {node.name}")
            self.nodes[node.name] = node
        self._digests = digests
        self._frozen = {name: _FrozenNode(node) for name, node in self.nodes.items()}
        self._made: dict[tuple[str, tuple[float, ...]], Cell] = {}

    @cached_property
    def targets(self) -> dict[str, tuple[Cell, ...]]:
        """For each product's path, its cells in C order of the leading axes."""
        return {p.path: tuple(self.cell(p.node, at) for at in p.at) for p in self.products}

    @cached_property
    def cells(self) -> dict[str, Cell]:
        """All cells that the products need, by key, inputs before those that read them."""
        self.targets  # noqa: B018  walking the targets makes every cell
        return {cell.key: cell for cell in self._made.values()}

    def needed(self, has: Callable[[str], bool]) -> dict[str, Cell]:
        """The cells to make, inputs first, when `has` tells which keys are there.

        Nothing behind a cell that is there is asked for: intermediate results may have been thrown away.
        """
        wanted: set[str] = set()
        todo = [cell.key for cells in self.targets.values() for cell in cells]
        seen: set[str] = set()
        while todo:
            key = todo.pop()
            if key in seen:
                continue
            seen.add(key)
            if not has(key):
                wanted.add(key)
                todo.extend(self.cells[key].input_keys())
        return {key: cell for key, cell in self.cells.items() if key in wanted}

    def spec(self, product: Product) -> ArraySpec:
        return self.nodes[product.node].stage.returns[product.output]

    def cell(self, name: str, at: tuple[float, ...]) -> Cell:
        """The cell of node `name` at coordinates `at`, made with all that it reads."""
        found = self._made.get((name, at))
        if found is not None:
            return found
        frozen = self._frozen[name]
        node = frozen.node
        coordinates = dict(zip(node.over, at, strict=True))
        for coordinate, value in coordinates.items():
            if value not in frozen.allowed[coordinate]:
                raise ValueError(f"{name} is not wired at {coordinate}={value:g}")
        sources = {key: self._resolve(wanted, coordinates) for key, wanted in node.inputs.items()}
        text = frozen.text(coordinates, sources)
        cell = Cell(node, at, digest(text), text, sources)
        self._made[name, at] = cell
        return cell

    def _resolve(self, wanted: Input, coordinates: Mapping[str, float]) -> Source:
        if isinstance(wanted, Frame):
            position = int(coordinates["frame"]) if wanted.position is None else wanted.position
            return FrameSource(position, self._digests(position))
        if isinstance(wanted, Stack):
            return tuple(CellSource(self.cell(wanted.node, (v,)).key, wanted.output) for v in wanted.values)
        if isinstance(wanted, Row):
            row = int(coordinates[wanted.row]) if isinstance(wanted.row, str) else wanted.row
            return CellSource(self.cell(wanted.node, ()).key, wanted.output, row)
        at = tuple(wanted.at[c] if c in wanted.at else coordinates[c] for c in self.nodes[wanted.node].over)
        return CellSource(self.cell(wanted.node, at).key, wanted.output)


class _FrozenNode:
    """A node with the constant part of its cells' documents written once: planning makes 100,000 of them."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.allowed = {coordinate: frozenset(values) for coordinate, values in node.over.items()}
        stage = node.stage
        self._tail = (
            f'"parameters":{canonical(stage.parameters())},"stage":{canonical(stage.name)},"version":{stage.version}}}'
        )
        if stage.along is not None and stage.along not in node.over:
            raise ValueError(f"{node.name} is not wired over {stage.along}, which its stage maps")

    def text(self, coordinates: Mapping[str, float], sources: Mapping[str, Source]) -> str:
        along = self.node.stage.along
        at = f'"at":{{"{along}":{float(coordinates[along])!r}}},' if along else ""
        inputs = ",".join(f'"{name}":{_source_text(sources[name])}' for name in sorted(sources))
        return f'{{{at}"format":{FORMAT},"inputs":{{{inputs}}},{self._tail}'


def _source_text(source: Source) -> str:
    if isinstance(source, tuple):
        return f"[{','.join(_source_text(one) for one in source)}]"
    if isinstance(source, FrameSource):
        return f'{{"frame":"{source.digest}"}}'
    row = "" if source.row is None else f',"row":{source.row}'
    return f'{{"key":"{source.key}","output":"{source.output}"{row}}}'


def calls(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """Group cells of one node into calls: all that share the inputs which are not stacked, `Stage.most` at a time."""
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        stage = cell.node.stage
        if stage.along is None and not stage.stacks:
            yield [cell]
            continue
        shared = tuple((n, cell.sources[n]) for n in sorted(cell.sources) if n not in stage.stacks)
        groups.setdefault(shared, []).append(cell)
    for group in groups.values():
        most = group[0].node.stage.most
        for first in range(0, len(group), most):
            yield group[first : first + most]
