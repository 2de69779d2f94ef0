"""What a person sees of a build: progress with an estimate, and a summary. Listens to events; decides nothing."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_pipe.pipeline.events import Event, Failed, Made, Planned, Publishing, Remade, Settled, Started, Suspected

if TYPE_CHECKING:
    from rich.console import Console

    from mer_pipe.api import Prepared
    from mer_pipe.doctor import Check
    from mer_pipe.pipeline.build import Built
    from mer_pipe.types import Listing


def terminal(stderr: bool = False) -> Console:
    """A rich console on one of the standard streams; neither lines nor tables are folded when it is a pipe or a file."""
    from rich.console import Console

    shown = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if shown or "COLUMNS" in os.environ else 160
    return Console(stderr=stderr, highlight=False, soft_wrap=not shown, width=width)


class Clock:
    """Time per cell of each stage, and from it the time left.

    Parameters
    ----------
    workers : how many cells are made at once.
    """

    def __init__(self, workers: int) -> None:
        self.workers = max(1, workers)
        self.todo: dict[str, int] = {}
        self.done: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.clips = 0
        self.settled = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Planned):
            self.todo = dict(event.cells)
            self.clips = event.clips
        elif isinstance(event, Made):
            self.done[event.node] += event.cells
            self.seconds[event.node] += event.seconds
        elif isinstance(event, Settled | Failed):
            self.settled += 1

    @property
    def left(self) -> float | None:
        """Seconds left, or None until every stage with work has been timed once."""
        total = 0.0
        for node, cells in self.todo.items():
            rest = cells - self.done[node]
            if rest > 0 and not self.done[node]:
                return None
            total += max(rest, 0) * self.seconds[node] / max(1, self.done[node])
        return total / self.workers


@contextmanager
def progress(console: Console, workers: int, log: Path | None = None) -> Iterator[Any]:
    """An observer that shows a build: a live table on a terminal, a line now and then elsewhere; and a JSON log.

    Parameters
    ----------
    console : where to show it.
    workers : for the estimate.
    log : file to which every event is appended as a line of JSON.
    """
    shown = _Live(console, workers) if console.is_terminal else _Lines(console, workers)
    with contextlog(log) as write, shown:

        def tell(event: Event) -> None:
            write(event)
            shown.tell(event)

        yield tell


@contextmanager
def contextlog(path: Path | None) -> Iterator[Any]:
    """A function that appends an event to a JSON-lines file; it does nothing when `path` is None."""
    if path is None:
        yield lambda event: None
        return
    with path.open("a") as file:

        def write(event: Event) -> None:
            file.write(json.dumps({"event": type(event).__name__, "time": time.time(), **asdict(event)}) + "\n")
            file.flush()

        yield write


class _Lines:
    """For logs and pipes: a line when a clip settles, at most every ten seconds, and every failure."""

    def __init__(self, console: Console, workers: int) -> None:
        self.console = console
        self.clock = Clock(workers)
        self.last = time.monotonic()
        self.begun = self.last

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass

    def tell(self, event: Event) -> None:
        self.clock(event)
        if isinstance(event, Planned) and event.cells:
            self.console.print(f"{sum(event.cells.values())} values to make over {count(event.clips, 'clip')}")
        elif isinstance(event, Failed | Suspected | Remade):
            self.console.print(_line(event), soft_wrap=True)
        elif isinstance(event, Settled) and time.monotonic() - self.last > 10:
            self.last = time.monotonic()
            left = self.clock.left
            about = "" if left is None else f", about {seconds(left)} left"
            clips = f"{self.clock.settled} of {self.clock.clips} clips"
            self.console.print(f"{clips} after {seconds(self.last - self.begun)}{about}")


class _Live:
    """For a terminal: one row a stage, with what it costs, and the whole with its estimate."""

    def __init__(self, console: Console, workers: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.console = console
        self.clock = Clock(workers)
        self.bars = Progress(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
            transient=True,
        )
        self.rows: dict[str, Any] = {}
        self.whole: Any = None

    def __enter__(self) -> None:
        self.bars.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.bars.__exit__(*error)

    def tell(self, event: Event) -> None:
        self.clock(event)
        if isinstance(event, Planned):
            for node, cells in event.cells.items():
                self.rows[node] = self.bars.add_task(node, total=cells, note="")
            if event.cells:
                self.whole = self.bars.add_task("all", total=sum(event.cells.values()), note="")
        elif isinstance(event, Started) and self.whole is not None:
            self.bars.update(self.whole, note=self._note(f"{event.sample} {event.node}"))
        elif isinstance(event, Made) and self.whole is not None:
            per_cell = self.clock.seconds[event.node] / max(1, self.clock.done[event.node])
            if event.node in self.rows:
                self.bars.update(self.rows[event.node], advance=event.cells, note=f"{1e3 * per_cell:.0f} ms each")
            self.bars.update(self.whole, advance=event.cells)
        elif isinstance(event, Publishing):
            if "publish" not in self.rows:
                self.rows["publish"] = self.bars.add_task("publish", total=event.total, note="")
            self.bars.update(self.rows["publish"], completed=event.done)
        elif isinstance(event, Failed | Suspected | Remade):
            self.console.print(_line(event), soft_wrap=True, highlight=False)

    def _note(self, now: str) -> str:
        left = self.clock.left
        return now if left is None else f"about {seconds(left)} left · {now}"


def _line(event: Failed | Suspected | Remade) -> str:
    if isinstance(event, Failed):
        return f"[red]failed[/] {escaped(str(event))}"
    if isinstance(event, Suspected):
        where = f", {event.stage}" if event.stage else ""
        return f"[yellow]worker died[/] at {escaped(event.sample + where)}; it is tried again alone at the end"
    return f"[yellow]damaged[/] cache entry {event.key[:12]} of {escaped(event.sample)} is made again"


def escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def seconds(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def summary(console: Console, prepared: Prepared, built: Built) -> None:
    """How a build ended, and what to do next."""
    plan = prepared.plan
    made = sum(built.made.values())
    if not built.changed and not made:
        did = "is up to date"
    elif built.changed:
        did = f"published: {count(made, 'value')} made" if made else "published anew: every value was there"
    else:
        did = f"is unchanged: {count(made, 'value')} made"
    console.print(
        f"[bold]{escaped(str(built.store))}[/] {did}, {count(len(built.clips), 'clip')}, {seconds(built.seconds)}"
    )
    for line in _left_out(plan.excluded, built.failed):
        console.print(line)
    from mer_pipe.report.inspect import overview

    found = overview(built.store)
    for warning in found.warnings:
        console.print(f"[yellow]look at[/]   {escaped(str(warning))}")
    if found.random_weights:
        console.print(
            f"[yellow]features are from random weights[/] (features.weights is {found.random_weights}): for trying the "
            "pipeline, not for results"
        )
    console.print(f"look:  mer-pipe inspect {escaped(str(built.store))}")


def _left_out(excluded: tuple, failed: tuple) -> Iterator[str]:
    for failure in failed:
        yield f"[red]failed[/]    {escaped(str(failure))}"
    reasons: dict[str, list[str]] = {}
    for one in excluded:
        reasons.setdefault(one.reason, []).append(one.id)
    for reason, ids in reasons.items():
        more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
        yield f"[yellow]excluded[/]  {escaped(', '.join(ids[:3]) + more)}: {escaped(reason)}"


def status(console: Console, prepared: Prepared, found: dict[str, Any], last_line: str) -> None:
    """What a build would make."""
    from rich.table import Table

    plan = prepared.plan
    for note in prepared.notes:
        console.print(f"[dim]{escaped(note)}[/]")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stage")
    table.add_column("to make", justify="right")
    table.add_column("of", justify="right")
    for name, counts in found["stages"].items():
        style = "" if counts["missing"] else "dim"
        table.add_row(name, str(counts["missing"]), str(counts["total"]), style=style)
    console.print(table)
    clips = f"{found['complete']} of {found['clips']} clips complete"
    console.print(f"{clips}, {len(plan.excluded)} excluded; the store: {escaped(found['store'])}")
    for line in _left_out(plan.excluded, plan.failed):
        console.print(line)
    if last_line:
        console.print(last_line)


def explanation(console: Console, told: dict[str, dict[str, str]]) -> None:
    """Reasons, the same ones of many clips and values gathered in one line."""
    if not told:
        console.print("nothing would be made")
        return
    gathered: dict[tuple[str, str], list[str]] = {}
    for clip, reasons in told.items():
        for cell, reason in reasons.items():
            gathered.setdefault((cell.partition("[")[0], reason), []).append(clip)
    for (node, reason), clips in gathered.items():
        distinct = list(dict.fromkeys(clips))
        where = distinct[0] if len(distinct) == 1 else f"{len(distinct)} clips"
        values = f"{len(clips)} values" if len(clips) > 1 else "1 value"
        console.print(f"[bold]{node}[/]  {escaped(reason)}  [dim]({values}, {escaped(where)})[/]")


def databases(console: Console, options: dict[str, dict[str, Any]]) -> None:
    """The adapters and what can be set for each."""
    for name, known in options.items():
        told = ", ".join(f"{k}={v}" for k, v in known.items() if v is not None)
        console.print(f"[bold]{name}[/]  [dim]{escaped(told)}[/]")
    console.print("set an option with --set dataset.KEY=VALUE; count clips with mer-pipe datasets show NAME --root DIR")


def listing(console: Console, name: str, found: Listing, beside: list[str]) -> None:
    """Counts per class and subject, repairs, exclusions, and the published counts."""
    from rich.table import Table

    for note in found.notes:
        console.print(f"[dim]{escaped(note)}[/]")
    labels = sorted({s.label for s in found.samples})
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("subject", *(label or "(none)" for label in labels), "all"):
        table.add_column(column, justify="left" if column == "subject" else "right")
    for subject in sorted({s.subject for s in found.samples}):
        counts = Counter(s.label for s in found.samples if s.subject == subject)
        table.add_row(subject, *(str(counts[label] or "") for label in labels), str(sum(counts.values())))
    counts = Counter(s.label for s in found.samples)
    table.add_row("all", *(str(counts[label]) for label in labels), str(len(found.samples)), style="bold")
    console.print(table)
    for sample in found.samples:
        for repair in sample.repairs:
            console.print(f"[yellow]noted[/]  {escaped(sample.id)}: {escaped(repair)}")
    for one in found.excluded:
        console.print(f"[yellow]excluded[/]  {escaped(one.id)}: {escaped(one.reason)}. {escaped(one.fix)}")
    for line in beside:
        console.print(f"[dim]{escaped(line)}[/]")
    subjects = len({(s.database, s.subject) for s in found.samples})
    clips = f"{count(len(found.samples), 'clip')} of {count(subjects, 'subject')}"
    console.print(f"{name}: {clips}, {len(found.excluded)} excluded")


def models(console: Console, rows: list[dict[str, Any]]) -> None:
    """Model files and where they are."""
    for row in rows:
        style = {"ready": "green", "absent": "yellow"}.get(row["state"], "red")
        console.print(f"[bold]{row['name']}[/]  [{style}]{row['state']}[/]  {row['purpose']}, {row['licence']}")
        console.print(f"  {escaped(row['path'])}\n  sha256 {row['sha256']}\n  from {row['url']}", style="dim")


def diagnosis(console: Console, checks: list[Check]) -> None:
    """One line a check; what to do for those that fail."""
    for check in checks:
        mark = "[green]ok[/]     " if check.ok else "[red]missing[/]" if check.needed else "[yellow]without[/]"
        console.print(f"{mark}  {check.name}  [dim]{escaped(check.told)}[/]")
        if not check.ok and check.fix:
            console.print(f"         {escaped(check.fix)}")
