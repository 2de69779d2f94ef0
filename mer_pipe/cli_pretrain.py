"""The verb ``mer-pipe pretrain``."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import click

from mer_pipe import console
from mer_pipe.cli_words import print_json
from mer_pipe.pretrain.events import Began, Ended, Event, Reading, Stepped, Testing
from mer_pipe.pretrain.settings import MODES, PRECISIONS, TAKES, Settings
from mer_pipe.types import MerError

_DEFAULT = Settings()


@click.command()
@click.option("--root", type=click.Path(), help="Folder with fer2013.csv and fer2013new.csv.")
@click.option("--pixels", type=click.Path(), metavar="CSV", help="FER2013's sheet.  [default: fer2013.csv in the root]")
@click.option("--votes", type=click.Path(), metavar="CSV", help="FER+'s sheet.  [default: fer2013new.csv in the root]")
@click.option("--out", type=click.Path(), default="pretrained", show_default=True,
              help="Folder of the run: weights, report, card, curve, and the checkpoint while it trains.")  # fmt: skip
@click.option("--mode", type=click.Choice(MODES), default=_DEFAULT.mode, show_default=True,
              help="How ten votes become a label.")  # fmt: skip
@click.option("--epochs", type=int, default=_DEFAULT.epochs, show_default=True, help="Passes over Training.")
@click.option("--batch", type=int, default=_DEFAULT.batch, show_default=True, help="Images a step.")
@click.option("--lr", type=float, default=_DEFAULT.lr, show_default=True, help="Highest learning rate.")
@click.option(
    "--size", type=int, default=_DEFAULT.size, show_default=True, help="Side of a face in px, while it trains."
)
@click.option("--last-size", type=int, default=_DEFAULT.last_size, show_default=True,
              help="Side in the last epochs: that at which features are taken.")  # fmt: skip
@click.option("--last-epochs", type=int, default=_DEFAULT.last_epochs, show_default=True,
              help="Epochs at the last size, of all epochs.")  # fmt: skip
@click.option("--take", type=click.Choice(TAKES), default=_DEFAULT.take, show_default=True,
              help="The epoch that is kept; best: on PublicTest.")  # fmt: skip
@click.option("--keep-repeats", "repeats", is_flag=True, help="Train on images that are also in a test part.")
@click.option("--init", type=click.Path(), metavar="FILE", help="ResNet-18 weights to begin with, as ImageNet's.")
@click.option("--precision", type=click.Choice(PRECISIONS), default=_DEFAULT.precision, show_default=True,
              help="auto: bfloat16 on a GPU that has it, else float32.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("--seed", type=int, default=_DEFAULT.seed, show_default=True, help="Of all that is drawn.")
@click.option("--write-fake", metavar="FOLDER", type=click.Path(),
              help="Write a generated pair of sheets to FOLDER instead, to try this verb on.")  # fmt: skip
@click.option("--images", type=int, default=400, show_default=True, help="Rows of the generated sheets.")
@click.option("-n", "--dry-run", is_flag=True, help="Read and count; say what would be trained, and train nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def pretrain(root: str | None, pixels: str | None, votes: str | None, out: str, init: str | None, device: str,
             write_fake: str | None, images: int, dry_run: bool, as_json: bool, **asked: Any) -> None:  # fmt: skip
    """Train the features' ResNet-18 on FER+, from your own copy of its two sheets.

    \b
      mer-pipe pretrain --root FER --out ferplus
      mer-pipe build --dataset demo --set features.weights=ferplus/resnet18-ferplus.safetensors

    The same command goes on where it was stopped. fer2013.csv holds FER2013's pixels, fer2013new.csv the votes of FER+.
    """
    if write_fake is not None:
        _write_fake(write_fake, images, asked["seed"], dry_run, as_json)
        return
    settings = Settings(**asked)
    from mer_pipe.pretrain import run

    tell = _Progress(as_json)
    prepared = run.prepare(
        _sheet(pixels, root, "fer2013.csv", "--pixels"),
        _sheet(votes, root, "fer2013new.csv", "--votes"),
        Path(out).expanduser(),
        settings,
        init=Path(init) if init else None,
        device=device,
        tell=tell,
    )
    if dry_run:
        plan = {
            "settings": dataclasses.asdict(prepared.settings),
            "device": str(prepared.device),
            "data": prepared.data,
        }
        print_json(plan) if as_json else _show_plan(prepared)
        return
    told, changed = run.run(prepared, tell)
    if as_json:
        print_json({**told, "changed": changed})
    else:
        _show_report(prepared, told, changed)


def _sheet(path: str | None, root: str | None, name: str, option: str) -> Path:
    if path is None and root is None:
        raise MerError(f"it is not said where {name} is", f"give its folder with --root, or its path with {option}")
    return Path(path).expanduser() if path is not None else Path(root or "").expanduser() / name


def _write_fake(folder: str, images: int, seed: int, dry_run: bool, as_json: bool) -> None:
    from mer_pipe.pretrain.fake import check, write_fake

    root = check(folder, images, seed)
    if dry_run:
        click.echo(f"would write two sheets of {images} generated faces to {folder}")
        return
    counts = write_fake(root, images, seed)
    if as_json:
        print_json({"folder": str(root), "images": counts})
        return
    click.echo(f"{folder}: " + ", ".join(f"{count} {part}" for part, count in counts.items()))
    click.echo(f"next: mer-pipe pretrain --root {folder}")


class _Progress:
    """Hears a training and tells it on the standard error: a line an epoch, and the time left at most every ten seconds."""

    def __init__(self, quiet: bool) -> None:
        self.out = console.terminal(stderr=True)
        self.quiet = quiet
        self.last = time.monotonic()

    def __call__(self, event: Event) -> None:
        if self.quiet:
            return
        line = ""
        if isinstance(event, Began):
            again = f", going on after epoch {event.done}" if event.done else ""
            line = f"{event.images} images, {event.epochs} epochs on {event.device}, {event.precision}{again}"
        elif isinstance(event, Ended):
            line = (
                f"epoch {event.epoch}: loss {event.loss:.4f}, PublicTest accuracy {event.accuracy:.4f}, "
                f"macro F1 {event.macro_f1:.4f}, {event.seconds:.0f} s"
            )
        elif isinstance(event, Testing):
            line = f"testing on {event.images} images"
        elif time.monotonic() - self.last > 10:
            if isinstance(event, Reading):
                line = f"{event.done} of {event.rows} rows read"
            elif isinstance(event, Stepped):
                left = event.seconds / event.step * (event.steps - event.step)
                line = f"epoch {event.epoch}: step {event.step} of {event.steps}, {left:.0f} s left of it"
        if line:
            self.last = time.monotonic()
            self.out.print(line, markup=False)


def _show_counts(prepared: Any) -> None:
    from rich.table import Table

    out = console.terminal()
    data = prepared.data
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for part in data["images"]:
        table.add_column(part, justify="right")
    for emotion in next(iter(data["images"].values())):
        table.add_row(emotion, *(str(counts[emotion]) for counts in data["images"].values()))
    table.add_row("used", *(str(sum(counts.values())) for counts in data["images"].values()), style="bold")
    for reason in dict.fromkeys(reason for reasons in data["left_out"].values() for reason in reasons):
        table.add_row(reason, *(str(reasons.get(reason, 0)) for reasons in data["left_out"].values()), style="dim")
    out.print(table)
    for row in data["unusable_rows"]:
        out.print(f"excluded  {row['id']}: {row['reason']}", markup=False)


def _show_plan(prepared: Any) -> None:
    _show_counts(prepared)
    s = prepared.settings
    sizes = f"{s.epochs - s.last_epochs} epochs at {s.size} px, {s.last_epochs} at {s.last_size} px"
    click.echo(f"would train {sizes}, mode {s.mode}, on {prepared.device} in {s.precision}: nothing was trained: -n")


def _show_report(prepared: Any, told: dict[str, Any], changed: bool) -> None:
    if changed:
        _show_counts(prepared)
    for part in ("PublicTest", "PrivateTest"):
        one = told[part]
        click.echo(f"{part}: accuracy {one['accuracy']:.4f}, macro F1 {one['macro_f1']:.4f}, {one['images']} images")
    weights = prepared.out / told["weights"]["file"]
    click.echo(f"{weights}: epoch {told['epoch']}" + ("" if changed else ", up to date"))
    click.echo(f"read:  {prepared.out / 'card.md'}")
    click.echo(f"next:  mer-pipe build --set features.weights={weights} ...")
