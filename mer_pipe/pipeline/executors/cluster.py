"""Run jobs on dask.distributed: a local cluster of one-thread processes, or one that is there already."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from mer_pipe.observing import unfailing
from mer_pipe.pipeline.events import Failed, Made, Observer, Remade, Settled, Started, Suspected
from mer_pipe.pipeline.runner import Job, run
from mer_pipe.pipeline.threads import ONE_THREAD
from mer_pipe.types import MerError

TOPIC = "mer-pipe"
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
"""glibc's malloc keeps what a stage frees for the next call. dask's own setting gives it back at once, and a seventh of a
build then goes into fresh pages."""
_TOLD = {kind.__name__: kind for kind in (Started, Made, Remade)}


class Cluster:
    """An executor on dask.distributed.

    A job whose worker dies is not given to another worker at once: it is kept as a suspect and tried once more, alone,
    after all others are settled. If its worker dies again, that clip has failed.

    Parameters
    ----------
    workers : number of one-thread processes of a local cluster.
    scheduler : address of an existing scheduler instead; its workers must see the same files under the same paths.
    memory : bytes each local worker may take before it is stopped; None shares the machine's memory equally.
    timeout : seconds to wait for `scheduler` to answer.
    """

    def __init__(
        self, workers: int = 2, scheduler: str | None = None, memory: int | None = None, timeout: float = 20
    ) -> None:
        self.workers = workers
        self.scheduler = scheduler
        self.memory = memory
        self.timeout = timeout

    def __call__(self, jobs: Iterable[Job], tell: Observer) -> Iterator[Settled | Failed]:
        def listen(event: tuple[float, dict[str, Any]]) -> None:
            tell(_TOLD[event[1]["kind"]](**event[1]["told"]))

        with self._client() as client:
            client.subscribe_topic(TOPIC, listen)
            width = 2 * max(self.workers, len(client.scheduler_info(n_workers=-1)["workers"]))
            suspects: list[Job] = []
            for job, outcome in _settle(client, jobs, width):
                if outcome is None:
                    suspects.append(job)
                    tell(Suspected(job.sample.id, _last_stage(job)))
                    continue
                tell(outcome)
                yield outcome
            for suspect in suspects:
                for _, outcome in _settle(client, [suspect], 1):
                    if outcome is None:
                        outcome = self._died(suspect)
                        _crumb(suspect).unlink(missing_ok=True)
                    tell(outcome)
                    yield outcome

    def _died(self, job: Job) -> Failed:
        limit = f" (limit {self.memory / 2**30:.1f} GiB)" if self.memory else ""
        return Failed(
            job.sample.id,
            _last_stage(job),
            f"the worker process died twice on this clip: killed, or out of memory{limit}",
            "give workers more memory with fewer --workers, then run the same command",
        )

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        import dask
        from distributed import Client, LocalCluster

        settings = {
            "distributed.scheduler.allowed-failures": 0,  # a suspect goes to quarantine, not to the next worker
            "distributed.scheduler.worker-saturation": 1.0,  # and takes no queued clip down with it
            "distributed.nanny.pre-spawn-environ": {**ONE_THREAD, **KEEP_MEMORY},
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.worker.memory.terminate": 0.95,
        }
        quiet = logging.getLogger("distributed")
        level = quiet.level
        with dask.config.set(settings), contextlib.ExitStack() as stack:
            if self.scheduler is not None:
                try:
                    yield stack.enter_context(Client(self.scheduler, timeout=self.timeout, set_as_default=False))
                except OSError as error:
                    raise MerError(
                        f"no dask scheduler answers at {self.scheduler} ({error})", "check --scheduler"
                    ) from error
                return
            quiet.setLevel(logging.CRITICAL)
            stack.callback(quiet.setLevel, level)
            cluster = LocalCluster(
                n_workers=self.workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=self.memory if self.memory else "auto",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(cluster)
            yield stack.enter_context(Client(cluster, set_as_default=False))


def _settle(client: Any, jobs: Iterable[Job], width: int) -> Iterator[tuple[Job, Settled | Failed | None]]:
    """Keep `width` jobs submitted; yield each with its outcome, None when its worker died."""
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    waiting = iter(jobs)
    running: dict[Any, Job] = {}

    def submit(job: Job) -> Any:
        future = client.submit(_remote, job, pure=False, retries=0)
        running[future] = job
        return future

    completed = as_completed([submit(job) for job in islice(waiting, width)], loop=client.loop)
    for future in completed:
        job = running.pop(future)
        error = future.exception()
        if error is not None and not isinstance(error, KilledWorker):
            client.cancel(list(running))
            raise error
        yield job, None if error is not None else future.result()
        future.release()
        for following in islice(waiting, 1):
            completed.add(submit(following))


def _remote(job: Job) -> Settled | Failed:
    from distributed import get_worker

    worker = get_worker()
    crumb = _crumb(job)
    crumb.parent.mkdir(parents=True, exist_ok=True)

    def tell(event: Any) -> None:
        if isinstance(event, Started):
            crumb.write_text(event.node)
        worker.log_event(TOPIC, {"kind": type(event).__name__, "told": asdict(event)})

    outcome = run(job, unfailing(tell, "the build"))
    crumb.unlink(missing_ok=True)
    return outcome


def _crumb(job: Job) -> Path:
    """The file that tells at which stage a worker died: a message in flight would die with it."""
    return job.cache / "at_work" / hashlib.sha256(job.sample.id.encode()).hexdigest()[:32]


def _last_stage(job: Job) -> str:
    try:
        return _crumb(job).read_text()
    except OSError:
        return ""
