"""The verb ``mer-pipe export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mer_pipe import console
from mer_pipe.export.settings import (
    CLASSES,
    FORMATS,
    LAYOUTS,
    ORDERS,
    SOURCES,
    TAKES,
    ExportError,
    Settings,
    read_scaling,
)

_OPTION = {"source": "--from"}


@click.command()
@click.argument("store", type=click.Path())
@click.argument("format", type=click.Choice(FORMATS))
@click.option("-o", "--output", required=True, type=click.Path(), metavar="DIR", help="New folder to write.")
@click.option("--classes", type=click.Choice(CLASSES), help="The store's labels, or negative, positive, surprise.  "
              "[default: store]")  # fmt: skip
@click.option("--layout", type=click.Choice(LAYOUTS), help="Of pictures: STSTNet's tree, one folder, or all that HTNet "
              "reads.  [default: loso]")  # fmt: skip
@click.option("--from", "source", type=click.Choice(SOURCES), help="Where pictures come from.  [default: the first that "
              "the store has]")  # fmt: skip
@click.option("--order", type=click.Choice(ORDERS), help="Colours that hold u, v, strain in pictures.  [default: rgb]")
@click.option("--scaling", metavar="minmax|fixed:PX,STRAIN", help="How values become 8 bits: over each clip's own range, "
              "or between fixed limits.  [default: minmax]")  # fmt: skip
@click.option("--size", type=click.IntRange(1), metavar="PX", help="Side of a picture.  [default: 28]")
@click.option("--arrays", metavar="A,B", help="Arrays to write as they are: names, groups, or all.")
@click.option("--shard", type=click.IntRange(1), metavar="MIB", help="Size of a tar of webdataset.  [default: 256]")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
def export(store: str, format: str, output: str, dry_run: bool, **asked: Any) -> None:
    """Write a store as files that public trainers read, without computing anything anew.

    \b
      mer-pipe export casme2.zarr pictures -o ststnet --classes 3
      mer-pipe export casme2.zarr pictures -o htnet --layout htnet --classes 3
      mer-pipe export casme2.zarr numpy -o arrays --arrays flow_onset/flow,strain/strain
      mer-pipe export casme2.zarr webdataset -o shards --arrays magnify
      mer-pipe export casme2.zarr huggingface -o folder
    """
    given = {name: value for name, value in asked.items() if value is not None}
    for name in given:
        if name not in TAKES[format]:
            known = ", ".join(_option(own) for own in TAKES[format])
            raise ExportError(f"{format} has no {_option(name)}", f"it takes {known}")
    if "scaling" in given:
        given["scaling"] = read_scaling(given["scaling"])
    if "arrays" in given:
        given["arrays"] = tuple(part.strip() for part in given["arrays"].split(",") if part.strip())

    from mer_pipe.export.plan import prepare
    from mer_pipe.export.write import check_place, summary, write

    plan, out = prepare(store, Settings(format, **given)), Path(output).expanduser()
    check_place(plan, out)
    if not dry_run:
        shown = console.terminal(stderr=True)
        if shown.is_terminal:
            with shown.status(f"exporting {store}") as state:
                write(plan, out, lambda done, total: state.update(f"exporting: {done} of {total} clips"))
        else:
            write(plan, out)
    for line in summary(plan, output, not dry_run):
        click.echo(line)
    if not dry_run:
        held = "it holds pictures of faces" if plan.shows_faces else "it is derived from faces"
        click.echo(f"{held}: mind the database's licence")


def _option(name: str) -> str:
    return _OPTION.get(name, f"--{name}")
