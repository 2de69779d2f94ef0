"""A whole build: run what the plan lacks, remember it, publish what can be published."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.observing import unfailing
from mer_pipe.pipeline.events import Failed, Observer, Planned, Publishing, Settled
from mer_pipe.pipeline.executors import Executor
from mer_pipe.pipeline.nodes import Product
from mer_pipe.pipeline.plan import ClipPlan, Plan, described
from mer_pipe.pipeline.runner import Job, Loader, run
from mer_pipe.store.cache import Cache, DamagedEntry
from mer_pipe.store.journal import Journal
from mer_pipe.store.open import read_facts
from mer_pipe.store.publish import ArrayPlan, publish
from mer_pipe.types import MerError, StoreError


@dataclass(frozen=True)
class Built:
    """How a build ended.

    Attributes
    ----------
    store : the published store.
    clips : ids of the clips in it.
    failed : clips that are not in it, with stage, reason and fix.
    made : cells made, by node.
    changed : whether the store was written (False: it was up to date).
    seconds : wall time.
    """

    store: Path
    clips: tuple[str, ...]
    failed: tuple[Failed, ...]
    made: Mapping[str, int]
    changed: bool
    seconds: float


def build(
    plan: Plan,
    cache: Path,
    store: Path,
    executor: Executor,
    load: Loader,
    facts: Mapping[str, Any],
    tell: Observer = lambda event: None,
) -> Built:
    """Make all that is missing, then publish.

    Parameters
    ----------
    plan : from `make_plan`.
    cache : the cache folder.
    store : where the store is published.
    executor : runs the jobs.
    load : decodes raw frames.
    facts : what the store tells of itself beside its arrays (recipe and the like), plain JSON.
    tell : hears every event.

    Raises
    ------
    StoreError : the cache or the store cannot be written.
    ModelError : a model that the stages share cannot be used.
    MerError : no clip could be finished.
    """
    begun = time.perf_counter()
    tell = unfailing(tell, "the build")
    made: Counter[str] = Counter()
    failed = {failure.sample: failure for failure in plan.failed}
    tell(Planned(len(plan.clips), plan.missing))
    for failure in plan.failed:
        tell(failure)
    journal = Journal(cache, store)
    by_id = {clip.sample.id: clip for clip in plan.clips}
    unfinished = (Job.of(clip.graph, clip.digests, cache, load) for clip in plan.clips if clip.missing)
    outcomes: Iterable[Settled | Failed] = executor(unfinished, tell) if plan.missing else ()
    for outcome in outcomes:
        made.update(outcome.made)
        if isinstance(outcome, Failed):
            failed[outcome.sample] = outcome
        else:
            _remember(journal, by_id[outcome.sample])
    clips = [clip for clip in plan.clips if clip.sample.id not in failed]
    if not clips:
        first = next(iter(failed.values()), None)
        raise MerError(
            f"no clip could be built: {len(failed)} failed, {len(plan.excluded)} are excluded",
            f"the first failure is: {first}" if first else "see mer-pipe datasets show for why",
        )
    facts = {
        **facts,
        "contents": plan.contents(without=failed),
        "excluded": [asdict(e) for e in plan.excluded],
        "failed": [_told(failed[name]) for name in sorted(failed)],
    }
    changed = not _is_current(store, facts)
    if changed or journal.is_new:
        for clip in clips:
            _remember(journal, clip)
    if changed:
        rows = [_row(clip) for clip in clips]
        reader = _Reader(Cache(cache), clips, cache, load, tell)
        publish(store, rows, list(_arrays(clips)), facts, reader, lambda done, total: tell(Publishing(done, total)))
        made.update(reader.made)
    ids = tuple(clip.sample.id for clip in clips)
    return Built(store, ids, tuple(failed.values()), dict(made), changed, time.perf_counter() - begun)


def _remember(journal: Journal, clip: ClipPlan) -> None:
    journal.write(clip.sample.id, {cell.name: key for key, cell in clip.graph.cells.items()})


def _is_current(store: Path, facts: Mapping[str, Any]) -> bool:
    try:
        there = read_facts(store)
    except StoreError:
        return False  # absent or damaged: publishing says so where it matters
    return all(there.get(name) == value for name, value in facts.items())


def _told(failure: Failed) -> dict[str, str]:
    return {"sample": failure.sample, "stage": failure.stage, "reason": failure.reason, "fix": failure.fix}


def _row(clip: ClipPlan) -> dict[str, Any]:
    row = described(clip.sample)
    return row | {
        "repairs": "; ".join(row["repairs"]),
        "source": "; ".join(f"{k}={v}" for k, v in sorted(row["source"].items())),
    }


def _arrays(clips: list[ClipPlan]) -> Iterator[ArrayPlan]:
    first = clips[0].graph
    for product in first.products:
        spec = first.spec(product)
        cells = tuple(tuple((cell.key, product.output) for cell in clip.graph.targets[product.path]) for clip in clips)
        yield ArrayPlan(
            group=product.group,
            name=product.name,
            leading=product.leading,
            spec=spec,
            dtype=product.dtype or spec.dtype,
            cells=cells,
            attributes=_attributes(first.nodes[product.node], product),
        )


def _attributes(node: Any, product: Product) -> dict[str, Any]:
    # A parameter that follows the clip (its fps) is told as it is for the first; the coordinates hold each clip's own.
    told = {
        "stage": node.stage.name,
        "stage_version": node.stage.version,
        "parameters": node.stage.parameters(),
        "systems": list(product.systems),
    }
    return told | ({"long_name": product.about} if product.about else {})


class _Reader:
    """Reads cells for publishing; one that was lost or damaged since it was made is made again first."""

    def __init__(self, cache: Cache, clips: list[ClipPlan], root: Path, load: Loader, tell: Observer) -> None:
        self.cache, self.root, self.load, self.tell = cache, root, load, tell
        self.clips = clips
        self.made: Counter[str] = Counter()
        self._owner: dict[str, ClipPlan] = {}

    def __call__(self, key: str) -> dict[str, np.ndarray]:
        try:
            return self.cache.get(key)
        except (DamagedEntry, KeyError):
            if not self._owner:
                self._owner = {key: clip for clip in self.clips for key in clip.graph.cells}
            clip = self._owner[key]
            outcome = run(Job.of(clip.graph, clip.digests, self.root, self.load), self.tell)
            self.made.update(outcome.made)
            if isinstance(outcome, Failed):
                raise StoreError(f"a cache entry was lost and could not be made again: {outcome}") from None
            return self.cache.get(key)
