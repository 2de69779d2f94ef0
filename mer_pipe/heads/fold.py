"""One fold of one seed, whole: open the store, train, predict, keep. Runs in a process of its own or in the trainer's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mer_pipe.heads.events import Trained
from mer_pipe.heads.plan import Request, pick_device
from mer_pipe.heads.protocols import Fold, inner_split
from mer_pipe.heads.runs import Predictions, open_run
from mer_pipe.types import TrainingError

if TYPE_CHECKING:
    import torch

    from mer_pipe.heads.head import Batch, Clips, Head, Need
    from mer_pipe.heads.table import Table


@dataclass(frozen=True)
class Task:
    """Fold `number` of a run, for one seed."""

    request: Request
    number: int
    seed: int


def train_fold(task: Task) -> Trained:
    """Train one fold in this process and write what comes of it into the run's folder; the last file tells that it is done.

    Raises
    ------
    MerError : the fold cannot be trained.
    """
    from mer_pipe.heads.training import fit, predict, views

    request, head = task.request, task.request.head
    begun = time.perf_counter()
    run = open_run(request.out)
    fold = run.folds[task.number]
    contents = run.facts["store"]["contents"]
    source = open_source(str(request.store), contents, head.needs, request.device, request.backend)
    train, watched = _sides(head, source, fold, task.seed)
    if request.shuffle_labels:
        train = Shuffled(train, fold.name, task.seed)
    fitted = fit(head, source.table.inputs, train, watched, fold.name, task.seed, source.device)
    test = source.clips(fold.test)
    probabilities = predict(head, fitted.network, test, task.seed, fold.name)
    classes = source.table.inputs.classes
    found = Predictions(
        fold.name,
        task.seed,
        tuple(source.table.samples[i] for i in fold.test),
        tuple(classes[source.table.labels[i]] for i in fold.test),
        tuple(classes[k] for k in probabilities.argmax(1)),
        tuple(tuple(float(p) for p in row) for row in probabilities),
        fitted.epoch,
    )
    if request.views:
        from mer_pipe.heads.keeping import save_views

        save_views(run.place(task.seed, task.number, "npz"), views(head, fitted.network, test, task.seed, fold.name))
    if request.checkpoints:
        from mer_pipe.heads.keeping import save_network

        save_network(run, task.seed, task.number, fitted.network, found)
    run.save(task.number, found, fitted.curve)
    right = sum(a == b for a, b in zip(found.truth, found.predicted, strict=True))
    feed = f"{source.feed.backend}: {source.feed.why}"
    return Trained(fold.name, task.seed, len(found.samples), right, found.epoch, time.perf_counter() - begun, feed)


def _sides(head: Head, source: Source, fold: Fold, seed: int) -> tuple[Clips, Clips | None]:
    """The clips to train on, and those by which the epoch is chosen."""
    table = source.table
    if head.training.selection == "inner":
        inner = inner_split(fold, table.subjects, table.labels, head.training.validation, seed)
        return source.clips(inner.train), source.clips(inner.test)
    watched = source.clips(fold.test) if head.training.selection == "test_peek" else None
    return source.clips(fold.train), watched


class Source:
    """A store opened for a head: table, feed, and clips of a fold.

    Parameters
    ----------
    contents : what the store must hold: its digest when the run was planned.

    Raises
    ------
    TrainingError : it holds something else by now.
    """

    def __init__(self, store: str, contents: str, needs: tuple[Need, ...], device: str, backend: str) -> None:
        from mer_pipe.heads.clips import StoreClips
        from mer_pipe.heads.feeding import open_feed
        from mer_pipe.heads.table import read_table
        from mer_pipe.store.open import read_facts

        if read_facts(store)["contents"] != contents:
            raise TrainingError(f"{store} was built anew since this run was planned", "choose another --out")
        self.table: Table = read_table(Path(store), needs)
        self.device = pick_device(device)
        self.feed = open_feed(Path(store), tuple(need.array for need in needs), self.device, backend)
        self._clips = StoreClips

    def clips(self, positions: tuple[int, ...]) -> Clips:
        return self._clips(self.feed, self.table, positions)


@lru_cache(maxsize=1)
def open_source(store: str, contents: str, needs: tuple[Need, ...], device: str, backend: str) -> Source:
    """The source of these arguments, kept for the next fold of this process."""
    return Source(store, contents, needs, device, backend)


class Shuffled:
    """Training clips whose labels and action units are dealt out anew among them."""

    def __init__(self, clips: Clips, fold: str, seed: int) -> None:
        import torch

        from mer_pipe.heads.training import seed_all

        seed_all(seed, fold, "shuffled labels")
        order = torch.randperm(len(clips)).to(clips.labels.device)
        self.clips = clips
        self.labels, self.units = clips.labels[order], clips.units[order]

    def __len__(self) -> int:
        return len(self.clips)

    def batch(self, positions: torch.Tensor) -> Batch:
        return self._relabelled(self.clips.batch(positions))

    def batches(self, positions: Iterable[torch.Tensor]) -> Iterator[Batch]:
        return map(self._relabelled, self.clips.batches(positions))

    def _relabelled(self, batch: Batch) -> Batch:
        return replace(batch, labels=self.labels[batch.positions], units=self.units[batch.positions])
