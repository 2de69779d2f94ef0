"""Write an export beside its place and rename it there: it appears whole or not at all, and never over something else."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import mer_pipe
from mer_pipe.export.arrays import CLIPS, write_numpy, write_shards
from mer_pipe.export.encode import document, table
from mer_pipe.export.imagefolder import SPLIT, write_imagefolder
from mer_pipe.export.pictures import FLAT, HTNET_TABLE, STSTNET, places, write_pictures
from mer_pipe.export.plan import Plan, Tick
from mer_pipe.export.settings import ExportError
from mer_pipe.store.durable import cannot_write, sync_folder, temporary_name
from mer_pipe.store.publish import sweep

WRITERS = {
    "pictures": write_pictures,
    "numpy": write_numpy,
    "webdataset": write_shards,
    "huggingface": write_imagefolder,
}
LABELS, SIDECAR = "labels.csv", "export.json"
MOST = 5
"""Left out clips that a line names; all are in the sidecar."""


def write(plan: Plan, out: str | Path, tick: Tick = lambda done, total: None) -> None:
    """Write an export to the folder `out`, which is absent or empty. The same store and settings give the same bytes.

    One clip is held at a time, whatever the size of the store.

    Parameters
    ----------
    tick : called with clips done and in total.

    Raises
    ------
    ExportError : `out` is not an empty folder, or cannot be written.
    StoreError : an array is damaged.
    """
    out = Path(os.path.realpath(out))
    check_place(plan, out)
    sweep(out)
    work = out.parent / temporary_name(out.name)
    try:
        work.mkdir(parents=True)
        rows, told = WRITERS[plan.settings.format](plan, work, tick)
        (work / LABELS).write_bytes(table(rows))
        (work / SIDECAR).write_bytes(document(sidecar(plan) | told, indent=2))
        os.sync()  # one for all: a tree of 30,000 pictures takes a minute file by file
        os.rename(work, out)  # refuses a folder that is no longer empty
        sync_folder(out.parent)
    except OSError as error:
        raise _cannot_write(error, out) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_place(plan: Plan, out: Path) -> None:
    """Raise ExportError unless `out` is absent or an empty folder, outside the store."""
    store = plan.source.path.resolve()
    if out.resolve() == store or store in out.resolve().parents:
        raise ExportError(f"{out} is inside the store, which an export never changes", "name another folder with -o")
    try:
        empty = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    except OSError as error:
        raise _cannot_write(error, out) from error
    if not empty:
        raise ExportError(f"{out} exists and is not empty: an export never overwrites", "name a new folder with -o")


def sidecar(plan: Plan) -> dict[str, Any]:
    """What `export.json` says of every export: where it came from, never when, by whom or to which place."""
    facts, classes = plan.source.facts, plan.classes
    described = {a.name: a for a in (*plan.pictured, *plan.arrays)}
    return {
        "format": plan.settings.format,
        **({"layout": plan.layout} if plan.layout else {}),
        "mer_pipe": mer_pipe.__version__,
        "store": {
            "contents": facts.get("contents", ""),
            "checksum": facts["checksum"],
            "mer_pipe": facts["mer_pipe"],
            "database": facts.get("database", ""),
            "excluded": len(facts.get("excluded", ())),
            "failed": len(facts.get("failed", ())),
        },
        "arrays": {
            name: {
                "dims": list(a.dims),
                "shape": list(a.shape),
                "dtype": a.dtype,
                "units": a.units,
                "about": a.about,
                "stage": a.stage,
                "stage_version": a.stage_version,
                "coordinates": dict(a.coordinates),
            }
            for name, a in described.items()
        },
        "classes": {name: index for index, name in enumerate(classes.names)},
        "classes_by": classes.rule,
        "clips": len(plan.entries),
        "subjects": len(plan.folds),
        "left_out": [{"sample": left.sample, "reason": left.reason} for left in classes.left_out],
    }


def summary(plan: Plan, out: str | Path, written: bool) -> list[str]:
    """What an export holds, or would hold, in lines."""
    did = f"{out}:" if written else f"would write to {out}:"
    lines = [f"{did} {len(plan.entries)} clips of {len(plan.folds)} subjects, {_files(plan)}"]
    counts = Counter(entry.label for entry in plan.entries)
    lines.append("classes: " + ", ".join(f"{i} {name} ({counts[name]})" for i, name in enumerate(plan.classes.names)))
    reasons: dict[str, list[str]] = {}
    for left in plan.classes.left_out:
        reasons.setdefault(left.reason, []).append(left.sample)
    for reason, names in reasons.items():
        more = f" and {len(names) - MOST} more, see {SIDECAR}" if len(names) > MOST else ""
        lines.append(f"left out, {reason}: {len(names)} clips: {', '.join(names[:MOST])}{more}")
    return [*lines, *(f"note: {note}" for note in plan.notes)]


def _files(plan: Plan) -> str:
    settings = plan.settings
    if settings.format == "numpy":
        return f"{len(plan.entries)} .npz in {CLIPS}, {_size(plan)}"
    if settings.format == "webdataset":
        return f"tar shards of {settings.shard} MiB, {_size(plan)}"
    how = f"{settings.size} x {settings.size} px of {' + '.join(a.name for a in plan.pictured)}"
    if settings.format == "huggingface":
        beside = f", arrays of {_size(plan)}" if plan.arrays else ""
        return f"{len(plan.entries)} pictures in {SPLIT}, {how}{beside}"
    folder = {"loso": STSTNET, "flat": FLAT, "htnet": "datasets"}[plan.layout]
    count = sum(len(places(plan, entry)) for entry in plan.entries)
    table_too = f", faces and {HTNET_TABLE}" if plan.layout == "htnet" else ""
    return f"{count} pictures in {folder}, {how}{table_too}"


def _size(plan: Plan) -> str:
    size = len(plan.entries) * sum(array.nbytes for array in plan.arrays)
    return f"{size / 2**20:.1f} MiB of {', '.join(array.name for array in plan.arrays)}"


def _cannot_write(error: OSError, out: Path) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ExportError(f"the disk is full: could not write {out}", "free space, or choose another place with -o")
    if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
        return ExportError(f"{out} was filled while the export was made", "name a new folder with -o")
    return cannot_write(error, out)
