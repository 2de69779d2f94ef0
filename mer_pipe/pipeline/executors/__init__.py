"""Where jobs run: in this process, or on a dask cluster. Both give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mer_pipe.pipeline.events import Failed, Observer, Settled
from mer_pipe.pipeline.runner import Job, run

Executor = Callable[[Iterable[Job], Observer], Iterator[Settled | Failed]]
"""Runs jobs and yields an outcome a job, in any order; each event of each job is told to the observer."""


def serial(jobs: Iterable[Job], tell: Observer) -> Iterator[Settled | Failed]:
    """Run the jobs one after the other in this process."""
    for job in jobs:
        outcome = run(job, tell)
        tell(outcome)
        yield outcome
