"""Where jobs run: in this process, or on a dask cluster. Both give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mer_pipe.pipeline.events import Failed, Observer, Settled
from mer_pipe.pipeline.runner import Job, run

Executor = Callable[[Iterable[Job], Observer], Iterator[Settled | Failed]]
"""Runs jobs and yields an outcome a job, in any order; each event of each job is told to the observer."""

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
    ),
    "1",
)
"""Environment of a worker. Operations split over threads stall each other; a clip per one-thread process scales."""


def serial(jobs: Iterable[Job], tell: Observer) -> Iterator[Settled | Failed]:
    """Run the jobs one after the other in this process."""
    for job in jobs:
        outcome = run(job, tell)
        tell(outcome)
        yield outcome
