"""The verb ``mer-pipe train-magnifier``."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import click

from mer_pipe import console
from mer_pipe.cli_words import pairs, print_json
from mer_pipe.pretrain.magnifier.events import Began, Ended, Event, Stepped
from mer_pipe.pretrain.magnifier.settings import PRECISIONS, Settings, changed

_DEFAULT = Settings()


@click.command("train-magnifier")
@click.option("--out", type=click.Path(), default="magnifier", show_default=True,
              help="Folder of the run: weights, report, card, curve, and the checkpoint while it trains.")  # fmt: skip
@click.option("--steps", type=int, default=_DEFAULT.steps, show_default=True, help="Steps of the optimizer.")
@click.option("--width", type=int, default=_DEFAULT.width, show_default=True,
              help="Channels of the decoder; 64 as published.")  # fmt: skip
@click.option("--batch", type=int, default=_DEFAULT.batch, show_default=True, help="Scenes a step.")
@click.option("--size", type=int, default=_DEFAULT.size, show_default=True, help="Side of a scene in px.")
@click.option("--lr", type=float, default=_DEFAULT.lr, show_default=True, help="Highest learning rate.")
@click.option("--set", "values", multiple=True, metavar="KEY=VALUE",
              help="Any other setting, as reach=10. Repeatable; -n lists them.")  # fmt: skip
@click.option("--precision", type=click.Choice(PRECISIONS), default=_DEFAULT.precision, show_default=True,
              help="auto: bfloat16 on a GPU that has it, else float32.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("--seed", type=int, default=_DEFAULT.seed, show_default=True, help="Of all that is drawn.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be trained, and train nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def train_magnifier(out: str, values: tuple[str, ...], device: str, dry_run: bool, as_json: bool, **asked: Any) -> None:
    """Train the learned magnifier from generated and public-domain pictures.

    \b
      mer-pipe train-magnifier --out magnifier
      mer-pipe build --dataset demo --set magnify.method=learned --set magnify.weights=magnifier/magnifier.safetensors

    The same command goes on where it was stopped. Nothing is downloaded: photographs are those that scikit-image ships.
    """
    settings = changed(Settings(**asked), pairs(values))
    from mer_pipe.pretrain.magnifier import run

    prepared = run.prepare(Path(out).expanduser(), settings, device)
    if dry_run:
        plan = {"device": str(prepared.device), **prepared.identity}
        print_json(plan) if as_json else _show_plan(prepared)
        return
    told, new = run.run(prepared, _Progress(as_json))
    if as_json:
        print_json({**told, "changed": new})
    else:
        _show_report(prepared, told, new)


class _Progress:
    """Hears a training and tells it on the standard error: a line a round, and the time left at most every ten seconds."""

    def __init__(self, quiet: bool) -> None:
        self.out = console.terminal(stderr=True)
        self.quiet = quiet
        self.last = time.monotonic()

    def __call__(self, event: Event) -> None:
        if self.quiet:
            return
        line = ""
        if isinstance(event, Began):
            again = f", going on after step {event.done}" if event.done else ""
            line = f"{event.steps} steps on {event.device}, {event.precision}{again}"
        elif isinstance(event, Ended):
            line = (
                f"step {event.step}: loss {event.loss:.4f}, validation SSIM {event.likeness:.4f}, {event.seconds:.0f} s"
            )
        elif isinstance(event, Stepped) and time.monotonic() - self.last > 10:
            line = f"step {event.step} of {event.steps}, {_spoken(event.left)} left"
        if line:
            self.last = time.monotonic()
            self.out.print(line, markup=False)


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _show_plan(prepared: Any) -> None:
    from mer_pipe.pretrain.magnifier.sources import LICENCES, VALIDATION

    for name, licence in LICENCES.items():
        click.echo(f"{name}: {licence}" + (", for validation alone" if name in VALIDATION else ""))
    for name, value in dataclasses.asdict(prepared.settings).items():
        click.echo(f"  {name} {value}")
    s = prepared.settings
    click.echo(
        f"would train {s.steps} steps of {s.batch} scenes at width {s.width} on {prepared.device} in {s.precision}: "
        "nothing was trained: -n"
    )


def _show_report(prepared: Any, told: dict[str, Any], new: bool) -> None:
    rows = told["validation"]
    for name, value in rows["learned"].items():
        click.echo(f"{name}: SSIM {value:.4f}, of the target left as it is {rows['copy'][name]:.4f}")
    weights = prepared.out / told["weights"]["file"]
    click.echo(f"{weights}: {told['weights']['values']:,} values" + ("" if new else ", up to date"))
    click.echo(f"read:  {prepared.out / 'card.md'}")
    click.echo(f"next:  mer-pipe build --set magnify.method=learned --set magnify.weights={weights} ...")
