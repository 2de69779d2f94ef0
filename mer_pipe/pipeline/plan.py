"""What a build would make, and why: keys compared with the cache, without touching a pixel."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mer_pipe.pipeline.documents import canonical, digest
from mer_pipe.pipeline.events import Failed
from mer_pipe.pipeline.graph import Graph
from mer_pipe.pipeline.nodes import Cell, FrameSource
from mer_pipe.types import Excluded, MerError, Sample


@dataclass(frozen=True)
class ClipPlan:
    """One clip: its graph and the cells that are missing, inputs first."""

    graph: Graph
    missing: Mapping[str, Cell]

    @property
    def sample(self) -> Sample:
        return self.graph.sample

    @property
    def digests(self) -> dict[int, str]:
        """Digests of the frames that any cell reads, by position: with them a worker wires the same graph."""
        every = (source for cell in self.graph.cells.values() for source in cell.sources.values())
        return {source.position: source.digest for source in every if isinstance(source, FrameSource)}


@dataclass(frozen=True)
class Plan:
    """A whole build before it begins.

    Attributes
    ----------
    clips : the clips that can be built, ordered by id.
    excluded : the clips that can't, from the database's adapter.
    failed : clips whose frame files could not even be read.
    """

    clips: tuple[ClipPlan, ...]
    excluded: tuple[Excluded, ...] = ()
    failed: tuple[Failed, ...] = ()

    @property
    def missing(self) -> dict[str, int]:
        """Cells to make, by node, in the order of the graph."""
        counts: Counter[str] = Counter()
        for clip in self.clips:
            counts.update(cell.node.name for cell in clip.missing.values())
        order = {name: i for clip in self.clips for i, name in enumerate(clip.graph.nodes)}
        return dict(sorted(counts.items(), key=lambda item: order[item[0]]))

    @property
    def total(self) -> dict[str, int]:
        """All cells, by node."""
        counts: Counter[str] = Counter()
        for clip in self.clips:
            counts.update(cell.node.name for cell in clip.graph.cells.values())
        return dict(counts)

    def contents(self, without: Iterable[str] = ()) -> str:
        """Digest of what the published store will hold if all clips but those in `without` succeed."""
        left_out = set(without)
        return digest(
            canonical(
                {
                    "products": [_described(clip) for clip in self.clips[:1]],
                    "clips": [_contents(c) for c in self.clips if c.sample.id not in left_out],
                    "excluded": [[e.id, e.reason] for e in self.excluded],
                }
            )
        )


def make_plan(
    samples: Iterable[Sample],
    wire: Callable[[Sample, Callable[[int], str]], Graph],
    frame_digest: Callable[[Sample, int], str],
    has: Callable[[str], bool],
    excluded: Iterable[Excluded] = (),
    tick: Callable[[], None] = lambda: None,
) -> Plan:
    """Plan a build.

    Parameters
    ----------
    samples : the clips.
    wire : makes a clip's graph, given the digest of its frames by position.
    frame_digest : digest of the bytes of one frame of a clip.
    has : whether a key is in the cache.
    excluded : passed on.
    tick : called once a clip, for a progress bar.
    """
    clips: list[ClipPlan] = []
    failed: list[Failed] = []
    # A plan is 100,000 small objects that all stay: collecting garbage among them doubles the time and finds none.
    collecting = gc.isenabled()
    gc.disable()
    try:
        _plan_each(samples, wire, frame_digest, has, tick, clips, failed)
    finally:
        if collecting:
            gc.enable()
    return Plan(tuple(clips), tuple(sorted(excluded, key=lambda e: e.id)), tuple(failed))


def _plan_each(
    samples: Iterable[Sample],
    wire: Callable[[Sample, Callable[[int], str]], Graph],
    frame_digest: Callable[[Sample, int], str],
    has: Callable[[str], bool],
    tick: Callable[[], None],
    clips: list[ClipPlan],
    failed: list[Failed],
) -> None:
    for sample in sorted(samples, key=lambda s: s.id):
        try:
            graph = wire(sample, lambda position, sample=sample: frame_digest(sample, position))
            missing = graph.needed(has)
        except MerError as error:
            failed.append(Failed(sample.id, "", error.message, error.fix))
            tick()
            continue
        clips.append(ClipPlan(graph, missing))
        tick()


def _described(clip: ClipPlan) -> list:
    return [[p.path, p.dtype, {k: list(v) for k, v in p.leading.items()}, list(p.systems)] for p in clip.graph.products]


def _contents(clip: ClipPlan) -> list:
    sample = clip.sample
    keys = {path: [cell.key for cell in cells] for path, cells in clip.graph.targets.items()}
    return [described(sample), keys]


def described(sample: Sample) -> dict:
    """What a store says of a clip beside its arrays; never a path."""
    numbers = sample.frames.numbers
    return {
        "sample": sample.id,
        "database": sample.database,
        "subject": f"{sample.database}/{sample.subject}",
        "clip": sample.clip,
        "emotion": sample.emotion,
        "label": sample.label,
        "aus": sample.aus,
        "onset": numbers[sample.onset],
        "apex": numbers[sample.apex],
        "offset": numbers[sample.offset],
        "frames": sample.offset - sample.onset + 1,
        "fps": sample.fps,
        "repairs": list(sample.repairs),
        "source": dict(sample.source),
    }
