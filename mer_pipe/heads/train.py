"""Train a head on every fold of a protocol: what is missing, in parallel processes; every prediction is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mer_pipe.heads.events import Begun, Noted, Observer, Trained
from mer_pipe.heads.fold import Task, train_fold
from mer_pipe.heads.plan import Planned
from mer_pipe.heads.runs import Run, create
from mer_pipe.observing import unfailing
from mer_pipe.types import MachineError, MerError


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
    tasks = [Task(request, number, seed) for seed in request.seeds for number in range(len(run.folds))]
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


def _results(tasks: list[Task], workers: int, run: Run) -> Iterator[Trained | MerError]:
    if workers < 2:
        for task in tasks:
            yield _settled(lambda task=task: train_fold(task), run, task)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin) as pool:
        waiting = {pool.submit(train_fold, task): task for task in tasks}
        try:
            for future in as_completed(waiting):
                yield _settled(future.result, run, waiting[future])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _settled(result: Callable[[], Trained], run: Run, task: Task) -> Trained | MerError:
    from concurrent.futures.process import BrokenProcessPool

    name = run.folds[task.number].name
    try:
        return result()
    except MerError as error:
        return error
    except BrokenProcessPool:
        told = f"a worker process died while {name} was waiting or trained (out of memory?)"
        return MachineError(told, "run the same command again with fewer --workers")


def _begin() -> None:
    """Begin a worker: one thread, and an end with the process that waits for its folds, were that one killed."""
    import multiprocessing
    import os
    import threading

    import torch

    torch.set_num_threads(1)

    def end_with(parent) -> None:
        parent.join()
        os._exit(1)  # what is finished is on the disk; a fold in hand would be trained for nobody

    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=end_with, args=(parent,), daemon=True).start()
