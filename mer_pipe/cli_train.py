"""The verbs that train heads and judge them: ``mer-pipe train`` and ``mer-pipe evaluate``."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mer_pipe import console, console_train
from mer_pipe.cli_words import pairs, print_json
from mer_pipe.types import MerError, RecipeError

if TYPE_CHECKING:
    from mer_pipe.heads.head import Head
    from mer_pipe.heads.plan import Request


def complete_head(ctx: click.Context, param: click.Parameter, text: str) -> list[str]:
    """Names of heads for the shell's tab completion."""
    from mer_pipe.heads import HEADS

    return [name for name in HEADS if name.startswith(text)]


@click.command()
@click.option(
    "--head",
    required=True,
    metavar="NAME",
    shell_complete=complete_head,
    help="aman, mrn, uamrn, ruan, msmmt or probe; or your own, as my_module:MyHead.",
)
@click.option("--store", required=True, type=click.Path(), help="The published store.")
@click.option(
    "--protocol",
    default="loso",
    show_default=True,
    type=click.Choice(["loso", "cde", "lodo", "kfold"]),
    help="Who is tested: each subject; the MEGC 2019 composite; each database; parts of subjects.",
)
@click.option("--folds", default=5, show_default=True, type=click.IntRange(2), metavar="K", help="Parts of kfold.")
@click.option(
    "--seeds", default=1, show_default=True, type=click.IntRange(1), metavar="N", help="Whole runs, seeds 0 to N-1."
)
@click.option(
    "--set",
    "values",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one value of the head, as training.epochs=20. Repeatable.",
)
@click.option("--settings", type=click.Path(dir_okay=False), metavar="YAML", help="Values of the head from a file.")
@click.option(
    "--grid",
    multiple=True,
    metavar="KEY=VALUE",
    help="One run for each value given of KEY; several KEYs are crossed. Repeatable.",
)
@click.option(
    "--out", type=click.Path(), help="Folder of the run; one that is there goes on.  [default: HEAD-PROTOCOL-STORE]"
)
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda or cuda:1.")
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="How clips reach the device: resident, pinned, gds, mapped or zarr.",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    metavar="N",
    help="Folds trained side by side.  [default: one a core on a CPU, 1 on a GPU]",
)
@click.option("--checkpoints", is_flag=True, help="Keep each fold's network, as safetensors.")
@click.option("--views", is_flag=True, help="Keep attention, AU-CAM and the like of each test clip.")
@click.option("--shuffle-labels", is_flag=True, help="Train on permuted labels: a check that nothing leaks.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be trained, and train nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def train(head: str, store: str, settings: str | None, values: tuple[str, ...], grid: tuple[str, ...], out: str | None,
          workers: int | None, seeds: int, dry_run: bool, as_json: bool, **asked: Any) -> None:  # fmt: skip
    """Train a published system on every fold of a protocol, and keep every prediction.

    \b
      mer-pipe train --head mrn --store casme2.zarr --protocol loso
      mer-pipe train --head aman --store casme2.zarr --seeds 3 --set training.epochs=20
      mer-pipe train --head mrn --store casme2.zarr --grid planes=0 --grid planes=3 --out planes
    """
    from mer_pipe.heads.evaluate import table
    from mer_pipe.heads.plan import Request, plan
    from mer_pipe.heads.train import train as run_all

    chosen = _settled(_head(head), settings, values)
    name = Path(store).name.removesuffix(".zarr")
    place = Path(out or f"{chosen.name}-{asked['protocol']}-{name}")
    request = Request(chosen, Path(store), place, seeds=tuple(range(seeds)), **asked)
    terminal = console.terminal()
    runs, done = [], []
    for one in _crossed(request, grid):
        found = plan(one)
        if workers is None:
            count = len(os.sched_getaffinity(0)) if found.request.device == "cpu" else 1
        else:
            count = workers
        found = replace(found, request=replace(found.request, workers=count))
        if not as_json:
            console_train.planned(terminal, found, "nothing was trained: -n" if dry_run else "")
        if dry_run:
            done.append({"out": str(one.out), **{k: v for k, v in found.facts.items() if k != "clips"}})
            continue
        with console_train.progress(console.terminal(stderr=True), count, quiet=as_json) as tell:
            runs.append(run_all(found, tell))
    if dry_run:
        if as_json:
            print_json(done)
        return
    rows = table(runs)
    if as_json:
        print_json([row.as_json() for row in rows])
        return
    console_train.results(terminal, rows)
    terminal.print(f"look:  mer-pipe evaluate {place}")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path())
@click.option("--per-class", is_flag=True, help="Also recall, precision and F1 of each class, and confusion matrices.")
@click.option(
    "--pictures",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Draw confusion matrices, and the views that were kept, into this folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def evaluate(runs: tuple[str, ...], per_class: bool, pictures: str | None, as_json: bool) -> None:
    """Compute the metrics of runs from their predictions, in one table beside what the papers print.

    Predictions of all folds are pooled. RUNS are folders of runs, or folders that hold several.

    \b
      mer-pipe evaluate mrn-loso-casme2 aman-loso-casme2
      mer-pipe evaluate planes --per-class --pictures pictures
    """
    from mer_pipe.heads.evaluate import table
    from mer_pipe.heads.runs import find_runs

    found = find_runs(list(runs))
    rows = table(found)
    if as_json:
        print_json([row.as_json() for row in rows])
    else:
        out = console.terminal()
        console_train.results(out, rows)
        for row in rows if per_class else ():
            out.print(f"\n[bold]{console.escaped(row.run)}[/], {row.database}")
            console_train.per_class(out, row)
    if pictures:
        _draw(found, Path(pictures), quiet=as_json)


def _draw(runs: list[Any], folder: Path, quiet: bool) -> None:
    from mer_pipe.heads.evaluate import confusion
    from mer_pipe.heads.keeping import read_views, viewed_labels
    from mer_pipe.report.pictures import write_png
    from mer_pipe.report.trained import confusion_picture, view_pictures

    for run in runs:
        drawn = {"confusion": confusion_picture(confusion(run), run.classes, _caption(run))}
        for seed in run.seeds()[:1]:
            drawn |= view_pictures(read_views(run, seed), _caption(run), run.axes, viewed_labels(run, seed))
        for name, image in drawn.items():
            place = folder / f"{run.path.name}-{name}.png"
            write_png(place, image)
            click.echo(f"{place}: {image.shape[1]} x {image.shape[0]} px", err=quiet)


def _caption(run: Any) -> str:
    facts = run.facts
    told = f"{facts['title']}, {facts['store']['database']}, {facts['protocol']}, {len(facts['clips'])} clips"
    return "\n".join([told, *(f"mind: {text}" for text in run.cautions)])


def _head(name: str) -> Head:
    from mer_pipe.heads import head_of
    from mer_pipe.heads.head import Head

    if ":" not in name:
        return head_of(name)
    import importlib
    import sys

    module, _, kind = name.partition(":")
    # The console script's path begins at its own folder; a head of the user's own lies where the user is.
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), kind)()
    except (ImportError, AttributeError, TypeError) as error:
        raise RecipeError(
            f"head {name!r} cannot be made: {error}", "name it as my_module:MyHead, from its folder"
        ) from None
    if not isinstance(found, Head):
        raise RecipeError(f"{name} is no head", "derive it from mer_pipe.heads.head.Head")
    return found


def _settled(head: Head, settings: str | None, values: tuple[str, ...]) -> Head:
    from mer_pipe.recipes import read_yaml, with_values

    if settings:
        if not Path(settings).exists():
            raise RecipeError(f"there is no file {settings}")
        head = with_values(head, read_yaml(Path(settings)))
    return with_values(head, pairs(values))


def _crossed(request: Request, grid: tuple[str, ...]) -> list[Request]:
    """The runs of a grid: every value of every key with every value of the others, each in a folder of its name."""
    from mer_pipe.recipes import with_values

    alternatives: dict[str, list[str]] = {}
    for text in grid:
        key, value = next(iter(pairs((text,), "--grid").items()))
        alternatives.setdefault(key, []).append(value)
    if not alternatives:
        return [request]
    found = []
    for chosen in itertools.product(*alternatives.values()):
        values = dict(zip(alternatives, chosen, strict=True))
        folder = ",".join(f"{key}={value}" for key, value in values.items())
        if "/" in folder or folder in (".", ".."):
            raise MerError(f"--grid {folder} names no folder", "leave the / out")
        found.append(replace(request, head=with_values(request.head, values), out=request.out / folder))
    return found
