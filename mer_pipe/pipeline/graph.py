"""The stages wired over one clip: which values exist, what each is made from, and the key that names it.

A *node* is a stage in its place; a *cell* is one value of a node (``magnify`` at AF 4). Cells are found by walking back from
the products that a store publishes, so what no product needs is never planned. A cell's key is the SHA-256 of its
*document*: stage, version, parameters and the keys of its inputs. No pixel is read to compute it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mer_pipe.pipeline.documents import Writer, digest
from mer_pipe.pipeline.nodes import (
    At,
    Cell,
    CellSource,
    Frame,
    FrameSource,
    Input,
    Node,
    Product,
    Row,
    Source,
    Stack,
    StackSource,
    Value,
)
from mer_pipe.types import ArraySpec, Sample


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
        self._frames: dict[int, FrameSource] = {}
        self._made: dict[str, dict[At, Cell]] = {}
        for node in self.nodes.values():
            self._made[node.name] = {}
        self._make(self._demanded())

    @functools.cached_property
    def targets(self) -> dict[str, tuple[Cell, ...]]:
        """For each product's path, its cells in C order of the leading axes."""
        return {p.path: tuple(self._made[p.node][at] for at in p.at) for p in self.products}

    @functools.cached_property
    def cells(self) -> dict[str, Cell]:
        """All cells that the products need, by key, inputs before those that read them."""
        return {cell.key: cell for made in self._made.values() for cell in made.values()}

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

    def cell(self, name: str, at: At = ()) -> Cell:
        """The cell of node `name` at coordinates `at`; KeyError when no product needs it."""
        return self._made[name][at]

    def _demanded(self) -> dict[str, dict[At, None]]:
        """Which coordinates of each node are needed: from the products back to the first nodes."""
        demanded: dict[str, dict[At, None]] = {name: {} for name in self.nodes}
        for product in self.products:
            demanded[product.node].update(dict.fromkeys(product.at))
        for node in reversed(self.nodes.values()):
            ats = demanded[node.name]
            if not ats:
                continue
            for axis, (coordinate, allowed) in enumerate(node.over.items()):
                strange = {at[axis] for at in ats} - set(allowed)
                if strange:
                    raise ValueError(f"{node.name} is not wired at {coordinate}={sorted(strange)}")
            for wanted in node.inputs.values():
                if isinstance(wanted, Stack):
                    demanded[wanted.node].update(dict.fromkeys((value,) for value in wanted.values))
                elif isinstance(wanted, Row):
                    demanded[wanted.node][()] = None
                elif isinstance(wanted, Value):
                    select = self._selector(node, wanted)
                    demanded[wanted.node].update(dict.fromkeys(map(select, ats)))
        return demanded

    def _make(self, demanded: Mapping[str, Iterable[At]]) -> None:
        """Keys of all demanded cells, node by node; a plan makes 100,000 of them, so what is constant is written once."""
        for node in self.nodes.values():
            made = self._made[node.name]
            writer = Writer(node)
            getters = [(name, self._getter(node, node.inputs[name])) for name in sorted(node.inputs)]
            for at in demanded[node.name]:
                sources = {name: get(at) for name, get in getters}
                text = writer.text(at, sources)
                made[at] = Cell(node, at, digest(text), text, sources)

    def _getter(self, node: Node, wanted: Input) -> Callable[[At], Source]:
        """A function from a cell's coordinates to what the cell reads; one that always gives the same when it can."""
        if isinstance(wanted, Frame):
            if wanted.position is None:
                axis = list(node.over).index("frame")
                return lambda at: self._frame(int(at[axis]))
            return _once(lambda: self._frame(wanted.position))
        made, output = self._made[wanted.node], wanted.output
        if isinstance(wanted, Stack):
            return _once(lambda: StackSource(tuple(CellSource(made[v,].key, output) for v in wanted.values)))
        if isinstance(wanted, Row):
            if isinstance(wanted.row, str):
                axis = list(node.over).index(wanted.row)
                return lambda at: CellSource(made[()].key, output, int(at[axis]))
            return _once(lambda: CellSource(made[()].key, output, wanted.row))
        select = self._selector(node, wanted)
        if not set(self.nodes[wanted.node].over) - set(wanted.at):
            return _once(lambda: CellSource(made[select(())].key, output))
        return lambda at: CellSource(made[select(at)].key, output)

    def _frame(self, position: int) -> FrameSource:
        found = self._frames.get(position)
        if found is None:
            found = self._frames[position] = FrameSource(position, self._digests(position))
        return found

    def _selector(self, node: Node, wanted: Value) -> Callable[[At], At]:
        """A function from the coordinates of a cell of `node` to those of the cell that it reads."""
        over = tuple(self.nodes[wanted.node].over)
        if not wanted.at and over == tuple(node.over):
            return lambda at: at
        own = list(node.over)
        picks = [(None, wanted.at[c]) if c in wanted.at else (own.index(c), 0.0) for c in over]
        return lambda at: tuple(fixed if axis is None else at[axis] for axis, fixed in picks)


def _once(make: Callable[[], Source]) -> Callable[[At], Source]:
    found: list[Source] = []

    def get(at: At) -> Source:
        if not found:
            found.append(make())
        return found[0]

    return get


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
