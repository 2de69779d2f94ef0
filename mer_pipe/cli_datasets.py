"""The verbs of ``mer-pipe datasets``."""

from __future__ import annotations

from pathlib import Path

import click

from mer_pipe import console
from mer_pipe.cli_words import pairs, print_json
from mer_pipe.types import MerError


def complete_database(ctx: click.Context, param: click.Parameter, text: str) -> list[str]:
    """Names of databases for the shell's tab completion."""
    from mer_pipe.datasets import ADAPTERS

    return [name for name in ADAPTERS if name.startswith(text)]


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def datasets(ctx: click.Context, as_json: bool) -> None:
    """List the databases, show what is in one, write the demo or a fake."""
    if ctx.invoked_subcommand is not None:
        return
    from mer_pipe.datasets import ADAPTERS, options_of

    options = {name: options_of(name) for name in ADAPTERS}
    if as_json:
        print_json(options)
    else:
        console.databases(console.terminal(), options)


@datasets.command("show")
@click.argument("name", shell_complete=complete_database)
@click.option("--root", type=click.Path(), help="Folder of the database.")
@click.option("--set", "values", multiple=True, metavar="KEY=VALUE", help="An option of the database, as class_set=3.")
@click.option(
    "--corrections", type=click.Path(), metavar="CSV", help="Your own corrections, on top of the reviewed ones."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show_dataset(name: str, root: str | None, values: tuple[str, ...], corrections: str | None, as_json: bool) -> None:
    """Count the clips of a database per class and subject; list repairs and exclusions."""
    from mer_pipe import api
    from mer_pipe.datasets.published import compare

    options = pairs(values) | ({"corrections": corrections} if corrections else {})
    request = api.make_request(name, root, values={f"dataset.{k}": v for k, v in options.items()})
    listing = api.list_clips(request)
    beside = compare(listing, name)
    if as_json:
        from dataclasses import asdict

        from mer_pipe.pipeline.plan import described

        clips = [described(s) for s in listing.samples]
        excluded = [asdict(e) for e in listing.excluded]
        print_json({"clips": clips, "excluded": excluded, "notes": list(listing.notes), "published": beside})
    else:
        console.listing(console.terminal(), name, listing, beside)


@datasets.command("fake")
@click.argument("name")
@click.argument("folder", type=click.Path())
@click.option(
    "--clips", default=12, show_default=True, type=click.IntRange(1), help="Ordinary clips; faults come on top."
)
@click.option("--seed", default=0, show_default=True, help="Another seed gives other faces and rows.")
@click.option("--part", metavar="A|C", help="Part of a database that comes in parts (casme3).")
@click.option("--no-quirks", is_flag=True, help="Leave out the faults that the distributed database has.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
def write_fake(name: str, folder: str, clips: int, seed: int, part: str | None, no_quirks: bool, dry_run: bool) -> None:
    """Write a small generated copy of a licensed database, in its layout and with its faults, to try tools on."""
    path = _new_folder(folder)
    from mer_pipe.datasets import fake

    if dry_run:
        if name not in fake.DATABASES:
            raise MerError(f"there is no fake of {name!r}", f"take one of {', '.join(fake.DATABASES)}")
        click.echo(f"would write {clips} clips in the layout of {name} to {folder}")
        return
    expected = fake.write(name, path, clips=clips, seed=seed, quirks=not no_quirks, part=part)
    click.echo(f"{folder}: {len(expected.samples)} clips that can be used, {len(expected.excluded)} that cannot")
    click.echo(f"next: mer-pipe datasets show {name} --root {folder}")


@datasets.command("demo")
@click.argument("folder", type=click.Path())
@click.option("--subjects", default=4, show_default=True, type=click.IntRange(1), help="Number of faces.")
@click.option("--clips", default=6, show_default=True, type=click.IntRange(1), help="Clips of each.")
@click.option("--seed", default=0, show_default=True, help="Another seed gives other motions.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
def write_demo(folder: str, subjects: int, clips: int, seed: int, dry_run: bool) -> None:
    """Write the generated demo database to FOLDER, in CASME II's layout, with its true motion."""
    path = _new_folder(folder)
    if dry_run:
        click.echo(f"would write {subjects * clips} clips of {subjects} generated faces to {folder}")
        return
    from mer_pipe.datasets import demo

    demo.generate(path, subjects=subjects, clips=clips, seed=seed)
    click.echo(f"{folder}: {subjects * clips} clips of {subjects} generated faces")
    click.echo(f"next: mer-pipe build --dataset casme2 --root {folder} --recipe demo")


def _new_folder(folder: str) -> Path:
    path = Path(folder).expanduser()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise MerError(f"{folder} exists and is not empty", "name a new folder")
    return path
