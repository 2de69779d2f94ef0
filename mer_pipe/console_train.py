"""What a person sees of training: progress with an estimate, and the table of runs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mer_pipe.console import count, escaped, seconds
from mer_pipe.heads.events import Begun, Event, Noted, Trained

if TYPE_CHECKING:
    from rich.console import Console

    from mer_pipe.heads.evaluate import Figure, Row
    from mer_pipe.heads.plan import Planned


@contextmanager
def progress(console: Console, workers: int, quiet: bool = False) -> Iterator[Any]:
    """An observer that shows a run: a bar on a terminal, a line now and then elsewhere."""
    if console.is_terminal and not quiet:
        with _Bar(console, workers) as shown:
            yield shown.tell
    else:
        yield _Lines(console, workers).tell if not quiet else (lambda event: None)


class _Clock:
    """Folds done and the time left."""

    def __init__(self, workers: int) -> None:
        self.workers = max(1, workers)
        self.total = self.done = self.right = self.clips = 0
        self.spent = 0.0
        self.feed = ""

    def __call__(self, event: Event) -> Iterator[str]:
        """Take an event in; the lines that it is worth."""
        if isinstance(event, Noted):
            yield f"[dim]{escaped(event.text)}[/]"
        elif isinstance(event, Begun):
            self.total, self.done = event.folds - event.kept, 0
            kept = f", {event.kept} of them trained before" if event.kept else ""
            epochs = f" of {count(event.epochs, 'epoch')}" if event.epochs else ""
            yield f"{count(event.folds, 'fold')}{epochs}{kept}"
        elif isinstance(event, Trained):
            if not self.feed:
                self.feed = event.feed
                yield f"[dim]clips come {escaped(self.feed)}[/]"
            self.done += 1
            self.spent += event.seconds
            self.right += event.right
            self.clips += event.clips

    @property
    def note(self) -> str:
        if not self.done:
            return ""
        left = (self.total - self.done) * self.spent / self.done / self.workers
        return f"{self.right} of {count(self.clips, 'test clip')} right so far, about {seconds(left)} left"


class _Lines:
    """For logs and pipes: a line when a fold is done, at most every ten seconds."""

    def __init__(self, console: Console, workers: int) -> None:
        self.console, self.clock, self.last = console, _Clock(workers), time.monotonic()

    def tell(self, event: Event) -> None:
        for line in self.clock(event):
            self.console.print(line)
        if isinstance(event, Trained) and time.monotonic() - self.last > 10:
            self.last = time.monotonic()
            self.console.print(f"{self.clock.done} of {count(self.clock.total, 'fold')}: {self.clock.note}")


class _Bar:
    """For a terminal: one bar, the fold that was trained last, what is left."""

    def __init__(self, console: Console, workers: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.console, self.clock, self.row = console, _Clock(workers), None
        self.bars = Progress(
            TextColumn("folds", style="bold"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
            transient=True,
        )

    def __enter__(self) -> _Bar:
        self.bars.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.bars.__exit__(*error)

    def tell(self, event: Event) -> None:
        for line in self.clock(event):
            self.console.print(line)
        if isinstance(event, Begun):
            self.row = self.bars.add_task("folds", total=self.clock.total, note="")
        elif isinstance(event, Trained) and self.row is not None:
            self.bars.update(self.row, advance=1, note=f"{escaped(event.fold)} · {self.clock.note}")


def planned(console: Console, found: Planned, last_line: str = "") -> None:
    """What a run would train."""
    facts = found.facts
    people = len({clip["subject"] for clip in facts["clips"]})
    learnt = f", {_millions(found.parameters)}" if found.parameters else ""
    console.print(f"[bold]{facts['title']}[/]{learnt}")
    console.print(
        f"{count(len(facts['clips']), 'clip')} of {count(people, 'subject')}, "
        f"{len(facts['classes'])} classes ({escaped(', '.join(facts['classes']))})"
    )
    sizes = sorted(len(fold["test"]) for fold in facts["folds"])
    console.print(
        f"{facts['protocol']}: {count(len(facts['folds']), 'fold')} of {sizes[0]}..{sizes[-1]} test clips, "
        f"{count(len(found.request.seeds), 'seed')}, on {found.request.device}"
    )
    if facts["left_out"]:
        some = ", ".join(facts["left_out"][:3]) + (" ..." if len(facts["left_out"]) > 3 else "")
        console.print(f"[yellow]left out[/]  {count(len(facts['left_out']), 'clip')} without a class: {escaped(some)}")
    for note in found.notes:
        console.print(f"[dim]{escaped(note)}[/]")
    for caution in facts["cautions"]:
        console.print(f"[yellow]mind[/]      {caution}")
    if last_line:
        console.print(last_line)


def _millions(number: int) -> str:
    return f"{number / 1e6:.1f} million parameters" if number >= 1e5 else count(number, "parameter")


def results(console: Console, rows: list[Row]) -> None:
    """The table of runs: ours with spread and interval, the largest class alone, and what the paper prints."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    settings = list(dict.fromkeys(key for row in rows for key in row.settings))
    for name in ("head", "on", *settings, "Acc", "UF1", "UAR"):
        table.add_column(name, no_wrap=name not in settings)
    blank = [""] * len(settings)
    for row in rows:
        told = [str(_short(row.settings.get(key, ""))) for key in settings]
        figures = (row.acc, row.uf1, row.uar)
        table.add_row(row.head, f"{row.database}, {row.protocol}", *told, *map(_told, figures), style="bold")
        spans = (f"{f.low:.2f}..{f.high:.2f}" for f in figures)
        table.add_row("  interval", count(row.clips, "clip"), *blank, *spans, style="dim")
        largest = (f"{value:.3f}" for value in row.majority)
        table.add_row("  largest class", f"{row.classes} classes", *blank, *largest, style="dim")
        if row.theirs:
            theirs = ["-" if v is None else f"{v:.3f}" for v in (row.theirs.acc, row.theirs.uf1, row.theirs.uar)]
            clips = count(row.theirs.clips, "clip") if row.theirs.clips else "clips untold"
            table.add_row("  their paper", f"{clips}, {row.theirs.protocol}", *blank, *theirs, style="dim")
    console.print(table)
    seeds = "; ".join(", ".join(map(str, group)) for group in sorted({row.seeds for row in rows}))
    console.print(f"[dim]mean over seeds ({seeds}) ± standard deviation; interval: 95 %, bootstrap over subjects[/]")
    for caution in dict.fromkeys(f"{row.run}: {text}" for row in rows for text in row.cautions):
        console.print(f"[yellow]mind[/]  {escaped(caution)}")


def per_class(console: Console, row: Row) -> None:
    """Recall, precision and F1 of each class, and the confusion matrix, of all seeds together."""
    from rich.table import Table

    from mer_pipe.heads.metrics import from_confusion

    whole = from_confusion(sum(m.confusion for m in row.per_seed), row.per_seed[0].classes)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("class", "clips", "F1", "recall", "precision", "  said:", *whole.classes):
        table.add_column(name, justify="left" if name == "class" else "right", no_wrap=True)
    for i, name in enumerate(whole.classes):
        figures = [_plain(value[i]) for value in (whole.f1, whole.recall, whole.precision)]
        counts = [str(n) for n in whole.confusion[i]]
        table.add_row(name, str(whole.confusion[i].sum()), *figures, "", *counts)
    console.print(table)


def _told(figure: Figure) -> str:
    return f"{figure.mean:.3f}" + ("" if figure.spread is None else f" ± {figure.spread:.3f}")


def _plain(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"


def _short(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(v, int | float) for v in value):
        steps = {b - a for a, b in itertools.pairwise(value)}
        if len(value) > 3 and steps == {1.0}:
            return f"{value[0]:g}..{value[-1]:g}"
        return ",".join(f"{v:g}" for v in value)
    return "all" if value == [] else value
