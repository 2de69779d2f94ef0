"""One clip through its graph: make the missing cells, check them, commit them. Runs on any worker."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.pipeline.events import Failed, Made, Observer, Remade, Settled, Started
from mer_pipe.pipeline.graph import Graph
from mer_pipe.pipeline.nodes import Cell, CellSource, FrameSource, Node, Product, Source, StackSource
from mer_pipe.pipeline.order import in_order
from mer_pipe.store.cache import Cache, DamagedEntry
from mer_pipe.types import ArraySpec, ClipError, Frames, MachineError, MerError, ModelError, Sample, StoreError

Loader = Callable[[Frames, Sequence[int]], list[np.ndarray]]
"""Decodes the frames at the given positions: (H, W, 3) uint8 each."""


@dataclass(frozen=True)
class Job:
    """One clip's work, small enough to send to another machine. `nodes` and `products` are those of its Graph."""

    sample: Sample
    nodes: tuple[Node, ...]
    products: tuple[Product, ...]
    digests: dict[int, str]
    cache: Path
    load: Loader

    @classmethod
    def of(cls, graph: Graph, digests: dict[int, str], cache: Path, load: Loader) -> Job:
        return cls(graph.sample, tuple(graph.nodes.values()), graph.products, digests, cache, load)


def run(job: Job, tell: Observer) -> Settled | Failed:
    """Make all that the job's products need and the cache lacks.

    A clip's own trouble comes back as `Failed`; what would stop every clip (a full disk, an unusable model) is raised.

    Raises
    ------
    StoreError : the cache cannot be written.
    ModelError : a model file that the stages share cannot be used.
    MachineError : a library that a stage imports is not there.
    """
    graph = Graph(job.sample, job.nodes, job.products, job.digests.__getitem__)
    work = _Work(graph, Cache(job.cache), job.load, tell)
    # Each damaged entry costs one more round; a store that is damaged faster than it is written is not ours to mend.
    for _ in range(1 + len(graph.cells)):
        try:
            work.make_missing()
            return Settled(job.sample.id, work.made)
        except DamagedEntry as damage:
            tell(Remade(job.sample.id, damage.key, damage.why))
        except (StoreError, ModelError, MachineError):
            raise
        except ImportError as error:
            raise MachineError.from_import(error) from error
        except MerError as error:
            return work.failed(error.message, error.fix)
        except MemoryError:
            return work.failed("out of memory", "build with fewer --workers or a smaller crop.size")
        except Exception as error:  # a stage's fault must not stop the other clips; its type and place are kept
            return work.failed(_unforeseen(error), "please report this with the clip's sizes")
    return work.failed("cache entries are damaged again and again", "check the disk under --cache")


class _Work:
    def __init__(self, graph: Graph, cache: Cache, load: Loader, tell: Observer) -> None:
        self.graph = graph
        self.cache = cache
        self.frames = _Frames(graph.sample.frames, load)
        self.tell = tell
        self.at = ""
        self.made: Counter[str] = Counter()

    def failed(self, reason: str, fix: str) -> Failed:
        return Failed(self.graph.sample.id, self.at, reason, fix, self.made)

    def make_missing(self) -> None:
        for call in in_order(self.graph.nodes, self.graph.needed(self.cache.has).values()):
            name = self.at = call[0].node.name
            self.tell(Started(self.graph.sample.id, name, len(call)))
            start = time.perf_counter()
            self.make(call)
            self.made[name] += len(call)
            self.tell(Made(self.graph.sample.id, name, len(call), time.perf_counter() - start))

    def make(self, call: list[Cell]) -> None:
        stage = call[0].node.stage
        inputs = self.inputs(call)
        many = bool(stage.stacks) or stage.along is not None
        if stage.along is not None:
            axis = list(call[0].node.over).index(stage.along)
            inputs[stage.along] = tuple(float(cell.at[axis]) for cell in call)
        outputs = stage(**inputs)
        specs = stage.returns
        if set(outputs) != set(specs):
            raise ClipError(f"the stage returned {sorted(outputs)}, not {sorted(specs)}")
        entries = []
        for i, cell in enumerate(call):
            arrays = {}
            for name, spec in specs.items():
                if many and len(outputs[name]) != len(call):
                    raise ClipError(f"the stage returned {len(outputs[name])} values of {name} for {len(call)}")
                arrays[name] = _checked(outputs[name][i] if many else outputs[name], name, spec)
            entries.append((cell.key, cell.text, arrays))
        self.cache.put(entries)

    def inputs(self, call: list[Cell]) -> dict[str, Any]:
        stage = call[0].node.stage
        opened: dict[str, dict[str, np.ndarray]] = {}

        def read(source: CellSource) -> np.ndarray:
            if source.key not in opened:
                try:
                    opened[source.key] = self.cache.get(source.key)
                except KeyError:  # it was there when the work was planned: another process removed it
                    raise DamagedEntry(source.key, "removed while the build ran") from None
            array = opened[source.key][source.output]
            if source.row is None:
                return array
            if not 0 <= source.row < len(array):
                raise ClipError(f"row {source.row} of {source.output} is asked for, which has {len(array)}")
            return array[source.row]

        decoded = self.frames.read([s.position for cell in call for s in cell.sources.values() if _is_frame(s)])
        inputs: dict[str, Any] = {}
        for name, first in call[0].sources.items():
            if name in stage.stacks:
                each = [cell.sources[name] for cell in call]
                stack = [decoded[source.position] if _is_frame(first) else read(source) for source in each]
                inputs[name] = stack if _is_frame(first) else np.stack(stack)
            elif _is_frame(first):
                inputs[name] = decoded[first.position]
            elif isinstance(first, StackSource):
                inputs[name] = np.stack([read(source) for source in first.items])
            else:
                inputs[name] = read(first)
        return inputs


class _Frames:
    """The raw frames of one clip. What a call reads is held until the next call, which may read it too."""

    def __init__(self, frames: Frames, load: Loader) -> None:
        self.frames = frames
        self.load = load
        self.held: dict[int, np.ndarray] = {}

    def read(self, positions: Sequence[int]) -> dict[int, np.ndarray]:
        """The frames at `positions`, by position. All others are let go, first."""
        self.held = {p: self.held[p] for p in positions if p in self.held}
        absent = sorted(set(positions) - set(self.held))
        self.held.update(zip(absent, self.load(self.frames, absent) if absent else (), strict=True))
        if len({image.shape for image in self.held.values()}) > 1:
            self.load(self.frames, positions)  # raises, and names the file
        return self.held


def _is_frame(source: Source) -> bool:
    return type(source) is FrameSource


def _checked(array: np.ndarray, name: str, spec: ArraySpec) -> np.ndarray:
    array = np.asarray(array)
    try:
        spec.check(array)
    except ClipError as error:
        raise ClipError(f"{name}: {error.message}", "this is a fault of the stage: please report it") from None
    return array


def _unforeseen(error: Exception) -> str:
    """One line for an error that no stage foresaw: type, text, and the last line of our own code that it passed."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "mer_pipe" in file:
            place = f" at {Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}{place}"
