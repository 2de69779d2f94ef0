"""Train a head on every fold of a protocol: plan, run what is missing in parallel processes, keep every prediction."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_pipe.heads.events import Begun, Noted, Observer, Trained
from mer_pipe.heads.protocols import Fold, inner_split, make_folds
from mer_pipe.heads.runs import Predictions, Run, create
from mer_pipe.observing import unfailing
from mer_pipe.types import MachineError, MerError, RecipeError, TrainingError

if TYPE_CHECKING:
    import torch

    from mer_pipe.heads.head import Batch, Clips, Head
    from mer_pipe.heads.table import Table

PEEKED = "the epoch was chosen on the test clips: not comparable with honest figures"
SHUFFLED = "trained on shuffled labels: a check that nothing leaks, not a result"
RANDOM = "features are from random weights: for trying the pipeline, not for results"


@dataclass(frozen=True)
class Request:
    """A training run as it was asked for.

    Attributes
    ----------
    head : with its settings.
    store : the published store.
    out : the run's folder; a run that is there goes on.
    protocol, folds : see `mer_pipe.heads.protocols.make_folds`.
    seeds : one whole run each.
    shuffle_labels : train on permuted labels, test on the true ones: accuracy must fall to chance.
    device : "auto", "cpu", "cuda" or "cuda:1".
    backend : how clips reach the device, see `mer_pipe.heads.feeding.open_feed`.
    workers : processes that train folds side by side; 0 trains in this one.
    checkpoints : keep each fold's network.
    views : keep what the head shows of each test clip (attention, AU-CAM).
    """

    head: Head
    store: Path
    out: Path
    protocol: str = "loso"
    folds: int = 5
    seeds: tuple[int, ...] = (0,)
    shuffle_labels: bool = False
    device: str = "auto"
    backend: str = "auto"
    workers: int = 0
    checkpoints: bool = False
    views: bool = False


@dataclass(frozen=True)
class Planned:
    """A run that can start: its folds are checked and nothing is written yet.

    Attributes
    ----------
    request : as asked, with the device resolved.
    facts : what run.json says.
    notes : what the user should know of the store.
    parameters : of one network that are learnt.
    """

    request: Request
    facts: dict[str, Any]
    notes: tuple[str, ...]
    parameters: int


def plan(request: Request) -> Planned:
    """Read the store's table, make and check the folds, and make one network: what cannot be is told before any training.

    Raises
    ------
    MerError : the store lacks an array or is damaged; a setting, the protocol, a checkpoint or the device cannot be used.
    """
    import mer_pipe
    from mer_pipe.heads.feeding import BACKENDS
    from mer_pipe.heads.table import read_table
    from mer_pipe.store.open import read_facts

    head = request.head
    if request.backend not in BACKENDS:
        raise RecipeError(f"there is no backend {request.backend!r}", f"take one of {', '.join(BACKENDS)}")
    table = read_table(request.store, head.needs)
    known = read_facts(request.store)
    folds = make_folds(request.protocol, table.subjects, table.databases, table.labels, request.folds)
    if head.training.selection == "inner":
        for fold in folds:
            inner_split(fold, table.subjects, table.labels, head.training.validation, 0)
    cautions = []
    if head.training.selection == "test_peek":
        cautions.append(PEEKED)
    if request.shuffle_labels:
        cautions.append(SHUFFLED)
    weights = str(known["recipe"].get("features", {}).get("weights", ""))
    if weights.startswith("random:") and any(need.array.startswith("features_") for need in head.needs):
        cautions.append(RANDOM)
    facts = {
        "mer_pipe": mer_pipe.__version__,
        "head": head.name,
        "title": head.title,
        "settings": _settings(head),
        "protocol": request.protocol,
        "shuffled_labels": request.shuffle_labels,
        "store": {name: known[name] for name in ("contents", "database")} | {"recipe": known["recipe"].get("name", "")},
        "classes": table.inputs.classes,
        "axes": {dim: values for array in table.inputs.coordinates.values() for dim, values in array.items()},
        "cautions": cautions,
        "clips": [
            {"sample": s, "subject": p, "database": d, "label": table.inputs.classes[k]}
            for s, p, d, k in zip(table.samples, table.subjects, table.databases, table.labels, strict=True)
        ],
        "left_out": list(table.left_out),
        "folds": [dataclasses.asdict(fold) for fold in folds],
    }
    device = str(pick_device(request.device))
    learnt = sum(p.numel() for p in head.network(table.inputs).parameters() if p.requires_grad)
    return Planned(replace(request, device=device), facts, table.notes, learnt)


def _settings(head: Head) -> dict[str, Any]:
    """The head's settings; a checkpoint is told by its name and digest, never by its place."""
    from mer_pipe.stages.weights import file_digest

    told = dataclasses.asdict(head)
    path = told.get("weights", "")
    if path and not path.startswith("random:"):
        told["weights"] = f"{Path(path).name} {file_digest(path)}"
    return told


def train(planned: Planned, tell: Observer = lambda event: None) -> Run:
    """Train every fold that is not on disk yet, and write the run's card.

    Raises
    ------
    TrainingError : `out` holds another run, or a fold cannot be trained; the other folds are trained all the same.
    MachineError : too little memory.
    """
    from mer_pipe.heads.card import write_card

    request = planned.request
    tell = unfailing(tell, "the training")
    run = create(request.out, planned.facts)
    tasks = [_Task(request, number, seed) for seed in request.seeds for number in range(len(run.folds))]
    todo = [task for task in tasks if run.predictions(task.seed, task.number) is None]
    for note in planned.notes:
        tell(Noted(note))
    tell(Begun(len(tasks), len(tasks) - len(todo), request.head.training.epochs))
    failed: list[MerError] = []
    for done in _results(todo, min(request.workers, len(todo)), run):
        if isinstance(done, Trained):
            tell(done)
        else:
            failed.append(done)
    if failed:
        first, finished = failed[0], len(todo) - len(failed)
        more = f" (and {len(failed) - 1} folds more)" if len(failed) > 1 else ""
        kept = f"{finished} folds were finished and are kept" if finished else ""
        raise type(first)(first.message + more, "; ".join(filter(None, (first.fix, kept))))
    write_card(run)
    return run


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" takes a GPU where PyTorch sees one.

    Raises
    ------
    MachineError : PyTorch knows no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        said = str(error).splitlines()[0]
        raise MachineError(f"device {name!r} cannot be used: {said}", "take --device cpu, or auto") from None
    return device


@dataclass(frozen=True)
class _Task:
    request: Request
    number: int
    seed: int


def _results(tasks: list[_Task], workers: int, run: Run) -> Iterator[Trained | MerError]:
    if workers < 2:
        for task in tasks:
            yield _settled(lambda task=task: _train_fold(task), run, task)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _one_thread) as pool:
        waiting = {pool.submit(_train_fold, task): task for task in tasks}
        try:
            for future in as_completed(waiting):
                yield _settled(future.result, run, waiting[future])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _settled(result: Callable[[], Trained], run: Run, task: _Task) -> Trained | MerError:
    from concurrent.futures.process import BrokenProcessPool

    name = run.folds[task.number].name
    try:
        return result()
    except MerError as error:
        return error
    except BrokenProcessPool:
        told = f"a worker process died while {name} was waiting or trained (out of memory?)"
        return MachineError(told, "run the same command again with fewer --workers")


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _train_fold(task: _Task) -> Trained:
    from mer_pipe.heads.training import fit, predict, views

    request, head = task.request, task.request.head
    begun = time.perf_counter()
    run = create(request.out, _facts(request.out))
    fold = run.folds[task.number]
    source = _source(str(request.store), head.needs, request.device, request.backend)
    if source.contents != run.facts["store"]["contents"]:
        raise TrainingError(f"{request.store} was built anew since this run was planned", "choose another --out")
    train, watched = _sides(head, source, fold, task.seed)
    if request.shuffle_labels:
        train = _Shuffled(train, fold.name, task.seed)
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


def _facts(out: Path) -> dict[str, Any]:
    from mer_pipe.heads.runs import open_run

    return dict(open_run(out).facts)


def _sides(head: Head, source: _Source, fold: Fold, seed: int) -> tuple[Clips, Clips | None]:
    """The clips to train on, and those by which the epoch is chosen."""
    table = source.table
    if head.training.selection == "inner":
        inner = inner_split(fold, table.subjects, table.labels, head.training.validation, seed)
        return source.clips(inner.train), source.clips(inner.test)
    watched = source.clips(fold.test) if head.training.selection == "test_peek" else None
    return source.clips(fold.train), watched


class _Source:
    """A store, opened once in each process."""

    def __init__(self, store: str, needs: tuple[Any, ...], device: str, backend: str) -> None:
        from mer_pipe.heads.clips import StoreClips
        from mer_pipe.heads.feeding import open_feed
        from mer_pipe.heads.table import read_table
        from mer_pipe.store.open import read_facts

        self.contents = read_facts(store)["contents"]
        self.table: Table = read_table(Path(store), needs)
        self.device = pick_device(device)
        self.feed = open_feed(Path(store), tuple(need.array for need in needs), self.device, backend)
        self._clips = StoreClips

    def clips(self, positions: tuple[int, ...]) -> Clips:
        return self._clips(self.feed, self.table, positions)


@lru_cache(maxsize=1)
def _source(store: str, needs: tuple[Any, ...], device: str, backend: str) -> _Source:
    return _Source(store, needs, device, backend)


class _Shuffled:
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
