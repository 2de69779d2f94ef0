"""The order of a clip's stage calls: inputs first, and those that read the same raw frames side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from mer_pipe.pipeline.graph import calls
from mer_pipe.pipeline.nodes import Cell, Frame, FrameSource, Node


def in_order(nodes: Mapping[str, Node], cells: Iterable[Cell]) -> Iterator[list[Cell]]:
    """The calls that make `cells`, each a list of cells of one node.

    A node that reads raw frames comes as soon as its other inputs are there. Where several such nodes may come, their
    calls alternate in the order of the frames: each frame is then decoded once for all of them, while no more frames are
    held than one call reads.

    Parameters
    ----------
    nodes : all nodes of the graph, in dependency order.
    cells : what is to be made.
    """
    wanted: dict[str, list[Cell]] = {}
    for cell in cells:
        wanted.setdefault(cell.node.name, []).append(cell)
    places = {name: place for place, name in enumerate(nodes)}
    after = {name: _after(nodes[name], places) for name in wanted}
    for _, names in groupby(sorted(wanted, key=lambda name: (after[name], places[name])), after.__getitem__):
        # The lists are one where the node reads no frame, or is alone behind its inputs.
        made = [call for name in names for call in calls(sorted(wanted[name], key=_first_frame))]
        yield from sorted(made, key=lambda call: (_first_frame(call[0]), places[call[0].node.name]))


def _after(node: Node, places: Mapping[str, int]) -> float:
    """The place behind which a node's calls come: its own, or that of its last input where it reads raw frames."""
    if not any(isinstance(wanted, Frame) for wanted in node.inputs.values()):
        return places[node.name]
    behind = (places[wanted.node] for wanted in node.inputs.values() if not isinstance(wanted, Frame))
    return max(behind, default=-1) + 0.5  # between that input and what is wired after it


def _first_frame(cell: Cell) -> int:
    """The first raw frame that a cell reads; -1 where it reads none."""
    return min((source.position for source in cell.sources.values() if type(source) is FrameSource), default=-1)
