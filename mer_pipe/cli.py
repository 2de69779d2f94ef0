"""The command line: parse, call one function, show what it returns. Nothing heavy is imported before a verb runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mer_pipe import __version__, console
from mer_pipe.cli_datasets import complete_database, datasets
from mer_pipe.cli_export import export
from mer_pipe.cli_pretrain import pretrain
from mer_pipe.cli_train import evaluate, train
from mer_pipe.cli_train_magnifier import train_magnifier
from mer_pipe.cli_words import pairs, print_json
from mer_pipe.types import MerError

if TYPE_CHECKING:
    from mer_pipe.api import Prepared, Request

FAILED_CLIPS = 3
TO_DO = 4

EPILOG = """
\b
Exit codes
  0  done, or nothing to do
  1  an error: the line says what happened and what to do
  2  the command line is wrong
  3  built, but some clips failed (they are listed, and in the store)
  4  status: something is to be made; verify: something is damaged; doctor: something is missing
  130  interrupted: what was finished is kept

\b
Tab completion:  eval "$(_MER_PIPE_COMPLETE=bash_source mer-pipe)"   (zsh_source, fish_source)
"""


class Verbs(click.Group):
    """Verbs in the order of use, one-line errors, and a nearest match for a mistyped verb."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.commands, 1)
            if near and "mean" not in error.message:
                error.message += f" Did you mean {near[0]}?"
            raise


@click.group(
    cls=Verbs, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="mer-pipe")
def cli() -> None:
    """Prepare micro-expression databases once, and train every system from one store.

    Try it:  mer-pipe build --dataset demo   then   mer-pipe inspect demo.zarr
    """


def _build_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        [
            click.option("--dataset", required=True, metavar="NAME", shell_complete=complete_database,
                         help="Database to read: see mer-pipe datasets."),
            click.option("--root", type=click.Path(), help="Folder of the database; the demo needs none."),
            click.option("--store", type=click.Path(), help="Where the store goes.  [default: NAME.zarr here]"),
            click.option("--cache", type=click.Path(), envvar="MERPIPE_CACHE",
                         help="Folder of finished values, shared by all builds.  [default: the user's cache folder]"),
            click.option("--recipe", metavar="NAME|FILE",
                         help="A built-in recipe or a YAML file.  [default: default; demo for the demo]"),
            click.option("--set", "values", multiple=True, metavar="KEY=VALUE",
                         help="Set one value of the recipe, as magnify.method=eulerian. Repeatable."),
            click.option("--only", metavar="A,B", help="Build only what these systems need: aman,mrn,uamrn,ruan,msmmt."),
            click.option("--limit", type=click.IntRange(1), metavar="N", help="Take only the first N clips."),
            click.option("--corrections", type=click.Path(), metavar="CSV",
                         help="Your own corrections of the sheet, on top of the reviewed ones."),
            click.option("--landmarker", type=click.Path(), help="MediaPipe's face_landmarker.task."),
        ]
    ):  # fmt: skip
        verb = option(verb)
    return verb


@cli.command()
@_build_options
@click.option("--workers", type=click.IntRange(0), metavar="N",
              help="One-thread processes; 0 runs in this one.  [default: one a core]")  # fmt: skip
@click.option("--memory", metavar="GIB", type=click.FloatRange(0.1), help="Memory limit of each worker, in GiB.")
@click.option("--scheduler", metavar="ADDRESS", help="Use the dask cluster at this address instead.")
@click.option("--log", type=click.Path(dir_okay=False), help="Append every event to this file as a line of JSON.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def build(workers: int | None, memory: float | None, scheduler: str | None, log: str | None, dry_run: bool, as_json: bool,
          **asked: Any) -> None:  # fmt: skip
    """Make all that is missing and publish one store.

    \b
      mer-pipe build --dataset demo
      mer-pipe build --dataset casme2 --root /data/CASME2 --store casme2.zarr
      mer-pipe build --dataset folder --root my_videos --only mrn --set mrn.af=2,4,8
    """
    from mer_pipe import api
    from mer_pipe.pipeline.executors import serial

    prepared = _prepare(_request(asked), quiet=as_json)
    if dry_run:
        _show_status(prepared, as_json, last_line="nothing was made: -n")
        return
    cores = len(os.sched_getaffinity(0))
    count = min(cores if workers is None else workers, sum(bool(clip.missing) for clip in prepared.plan.clips))
    if scheduler or (count > 0 and workers != 0):
        from mer_pipe.pipeline.executors.cluster import Cluster

        executor: Any = Cluster(count, scheduler, int(memory * 2**30) if memory else None)
    else:
        executor = serial
    out = console.terminal(stderr=True)
    with console.progress(out, max(1, count), Path(log) if log else None) as tell:
        built = api.build(prepared, executor, tell)
    if as_json:
        print_json(
            {
                "store": str(built.store),
                "clips": len(built.clips),
                "excluded": len(prepared.plan.excluded),
                "failed": [vars(f) | {"made": dict(f.made)} for f in built.failed],
                "made": dict(built.made),
                "changed": built.changed,
                "seconds": round(built.seconds, 3),
            }
        )
    else:
        console.summary(console.terminal(), prepared, built)
    if built.failed:
        sys.exit(FAILED_CLIPS)


@cli.command()
@_build_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(as_json: bool, **asked: Any) -> None:
    """Say what a build would make, by stage. Exit code 4 when there is something."""
    prepared = _prepare(_request(asked), quiet=as_json)
    if _show_status(prepared, as_json):
        sys.exit(TO_DO)


@cli.command()
@_build_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def explain(as_json: bool, **asked: Any) -> None:
    """Say why each value would be made (again)."""
    from mer_pipe import api

    prepared = _prepare(_request(asked), quiet=as_json)
    told = api.explain(prepared)
    if as_json:
        print_json(told)
    else:
        console.explanation(console.terminal(), told)


@cli.command()
@click.argument("store", type=click.Path())
@click.argument("clip", required=False)
@click.option("--stage", metavar="NAME", help="Stage to draw or to tell of: a group of the store.  [default: magnify]")
@click.option("--af", metavar="A,B", help="Amplification factors to draw, as 4,8,12.  [default: all]")
@click.option("--compare", nargs=2, metavar="A B", help="Magnify the clip in two ways: each a recipe, values as "
              "magnify.method=eulerian, another store, or the word stored.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False),
              help="Write a strip (.png), or a film from onset through the AFs and back (.gif, .mp4).")  # fmt: skip
@click.option("--show", is_flag=True, help="Show the pictures in this terminal.")
@click.option("--libraries", is_flag=True, help="Also list the versions of the libraries that made the store.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def inspect(store: str, clip: str | None, stage: str | None, af: str | None, compare: tuple[str, str] | None,
            output: str | None, show: bool, libraries: bool, as_json: bool) -> None:  # fmt: skip
    """Look into a store: its arrays, classes, exclusions; one stage; one clip, as numbers, pictures or a film.

    \b
      mer-pipe inspect demo.zarr
      mer-pipe inspect demo.zarr --stage magnify
      mer-pipe inspect demo.zarr sub01/EP01_01
      mer-pipe inspect demo.zarr sub01/EP01_01 --show
      mer-pipe inspect demo.zarr sub01/EP01_01 --stage flow_onset -o flow.png
      mer-pipe inspect demo.zarr sub01/EP01_01 --af 4,8,12 -o sweep.gif
      mer-pipe inspect demo.zarr sub01/EP01_01 --compare stored magnify.method=eulerian -o two.png
    """
    from mer_pipe.report import inspect as looking

    if clip is None:
        if output or af or compare or show:
            raise MerError("a picture needs a clip", f"name one: mer-pipe inspect {store} CLIP -o strip.png")
        if stage:
            told = looking.stage_facts(store, stage)
            print_json(looking.as_json(told)) if as_json else console.terminal().print(looking.render_stage(told))
            return
        from mer_pipe.recipes import Recipe, plain

        found = looking.overview(store, plain(Recipe()))
        if as_json:
            print_json(looking.as_json(found))
        else:
            console.terminal().print(looking.render(found, libraries))
        return
    if output or show or compare:
        _draw(store, clip, stage, af, compare, output, show, as_json)
        return
    if stage or af:
        raise MerError("--stage and --af choose a picture", "say where it goes: -o strip.png, or --show")
    facts = looking.clip_facts(store, clip)
    if as_json:
        print_json(facts)
    else:
        console.terminal().print(looking.render_clip(facts))


def _draw(store: str, clip: str, stage: str | None, af: str | None, compare: tuple[str, str] | None,
          output: str | None, show: bool, as_json: bool) -> None:  # fmt: skip
    """The pictures of one clip: a strip or a comparison into a file or this terminal, or a film."""
    from mer_pipe.report import inline
    from mer_pipe.report.clips import clip_panels

    factors = tuple(_number(part) for part in af.split(",")) if af else None
    suffix = Path(output).suffix.lower() if output else ".png"
    if suffix not in (".png", *(() if compare else (".gif", ".mp4"))):
        kinds = ".png" if compare else ".png, .gif or .mp4"
        raise MerError(f"{output} names no kind of picture that is written here", f"end its name in {kinds}")
    how = inline.protocol(os.environ, sys.stdout.isatty()) if show else ""
    if compare:
        if stage not in (None, "magnify"):
            raise MerError("--compare is about magnify", f"leave --stage {stage} out")
        from mer_pipe.api import compare_recipes

        found = compare_recipes(store, clip, *compare, factors)
        print_json(found.as_json()) if as_json else console.terminal().print(found.table)
        panels = found.panels
    elif suffix != ".png":
        from mer_pipe.report.sweep import clip_sweep, write_sweep

        sweep = clip_sweep(store, clip, stage or "magnify", factors)
        click.echo(f"{output}: {sweep.title}, {write_sweep(output, sweep)}")
        panels = clip_panels(store, clip, stage or "magnify", factors) if show else None
    else:
        panels = clip_panels(store, clip, stage or "magnify", factors)
    if output and suffix == ".png":
        from mer_pipe.report.pictures import write_png

        image = panels.strip()
        write_png(Path(output), image)
        click.echo(f"{output}: {panels.title}, {image.shape[1]} x {image.shape[0]} px", err=as_json)
    if show:
        click.echo(inline.shown(panels, how, *inline.size()), nl=False, color=True)


for verb in (train, evaluate, export, pretrain, train_magnifier, datasets):
    cli.add_command(verb)


@cli.command()
@click.argument("store", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Folder of the report, or its file.  [default: STORE-report]")
@click.option("--single-file", is_flag=True, help="Everything in one HTML file, with smaller pictures.")
@click.option("--shareable", is_flag=True, help="Leave out every picture in which a face can be seen.")
@click.option("--against", metavar="STORE", type=click.Path(), help="Tell what changed since this other store.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
def report(
    store: str, output: str | None, single_file: bool, shareable: bool, against: str | None, dry_run: bool
) -> None:
    """Write an HTML report that opens in a browser without a server or a network.

    \b
      mer-pipe report casme2.zarr
      mer-pipe report casme2.zarr --shareable --single-file -o casme2.html
    """
    from mer_pipe.recipes import Recipe, plain
    from mer_pipe.report.page import write_report
    from mer_pipe.store.open import read_facts

    name = Path(store).name.removesuffix(".zarr") + "-report"
    out = Path(output or (f"{name}.html" if single_file else name))
    if dry_run:
        read_facts(store)
        click.echo(f"would write the report of {store} to {out}")
        return
    page = write_report(
        store, out, single_file=single_file, shareable=shareable, against=against, default=plain(Recipe())
    )
    click.echo(f"open {page}" + ("" if shareable else " (it shows faces: mind the database's licence)"))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def models(as_json: bool) -> None:
    """List the model files that stages read, and where they are."""
    from mer_pipe import models as known

    rows = [vars(row) for row in known.status()]
    if as_json:
        print_json(rows)
    else:
        console.models(console.terminal(), rows)


@cli.command()
@click.argument("store", type=click.Path(), required=False)
@click.option("--cache", type=click.Path(), envvar="MERPIPE_CACHE", help="Check this cache instead of a store.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def verify(store: str | None, cache: str | None, as_json: bool) -> None:
    """Read a whole store, or the cache, and compare every byte with its checksums."""
    from mer_pipe import api
    from mer_pipe.store.verify import verify_cache, verify_store

    place = Path(store) if store else Path(cache).expanduser() if cache else api.default_cache()
    problems = verify_store(place) if store else verify_cache(place)
    if as_json:
        print_json({"place": str(place), "problems": problems})
    for problem in () if as_json else problems:
        click.echo(f"{place}: {problem}")
    if not problems and not as_json:
        click.echo(f"{place}: all checksums match")
    if problems:
        if not as_json:
            again = (
                "run the same mer-pipe build again: it is written anew" if store else "the next build makes it again"
            )
            click.echo(f"{len(problems)} damaged; {again}")
        sys.exit(TO_DO)


@cli.command()
@click.option("--cache", type=click.Path(), envvar="MERPIPE_CACHE", help="Cache folder.  [default: the user's]")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def gc(cache: str | None, dry_run: bool, as_json: bool) -> None:
    """Remove cache entries that the latest build of no store reads, and what killed builds left."""
    from mer_pipe import api
    from mer_pipe.store.gc import collect, find_garbage

    place = Path(cache).expanduser() if cache else api.default_cache()
    garbage = find_garbage(place)
    if not dry_run:
        collect(place, garbage)
    counts = {
        "cache": str(place),
        "entries": len(garbage.entries),
        "leftovers": len(garbage.leftovers),
        "bytes": garbage.bytes,
        "kept": garbage.kept,
        "removed": not dry_run,
    }
    if as_json:
        print_json(counts)
    else:
        from mer_pipe.report.terminal import human

        did = "would remove" if dry_run else "removed"
        what = f"{counts['entries']} entries and {counts['leftovers']} leftovers"
        click.echo(f"{place}: {did} {what}, {human(garbage.bytes)}; {garbage.kept} entries stay")


@cli.command()
@click.option("--cache", type=click.Path(), envvar="MERPIPE_CACHE", help="Cache folder.  [default: the user's]")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(cache: str | None, as_json: bool) -> None:
    """Check this machine: packages, system libraries, model files, disk. Exit code 4 when something is missing."""
    from mer_pipe import api
    from mer_pipe.doctor import examine

    checks = examine(Path(cache).expanduser() if cache else api.default_cache())
    if as_json:
        print_json([vars(check) for check in checks])
    else:
        console.diagnosis(console.terminal(), checks)
    if not all(check.ok for check in checks if check.needed):
        sys.exit(TO_DO)


def _request(asked: dict[str, Any]) -> Request:
    from mer_pipe import api

    only = tuple(part.strip().lower() for part in (asked.pop("only") or "").split(",") if part.strip())
    values = pairs(asked.pop("values"))
    if corrections := asked.pop("corrections"):
        values["dataset.corrections"] = corrections
    return api.make_request(asked.pop("dataset"), asked.pop("root"), only=only, values=values, **asked)


def _prepare(request: Request, quiet: bool) -> Prepared:
    from mer_pipe import api

    out = console.terminal(stderr=True)
    if quiet or not out.is_terminal:
        return api.prepare(request)
    with out.status(f"listing {request.database}") as state:
        return api.prepare(request, lambda done, total: state.update(f"planning: {done} of {total} clips"))


def _show_status(prepared: Prepared, as_json: bool, last_line: str = "") -> bool:
    from mer_pipe import api

    found = api.status(prepared)
    if as_json:
        print_json(found)
    else:
        console.status(console.terminal(), prepared, found, last_line)
    return not found["up_to_date"]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise MerError(f"--af: {text!r} is not a number", "write --af 4,8,12") from None


def main() -> None:
    """Entry point: errors become one line and an exit code."""
    from mer_pipe.pipeline.threads import ONE_THREAD

    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    try:
        cli(prog_name="mer-pipe", standalone_mode=False)
    except MerError as error:
        click.echo(f"mer-pipe: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nmer-pipe: interrupted; what was finished is kept, run the same command to go on", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
