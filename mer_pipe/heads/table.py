"""The clips of a store as a table: who is in it, what it shows, and which row of the arrays it is. No array is read here.

Imports torch (for `Inputs`) when a table is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mer_pipe.datasets.aus import Either, Item, Unit, parse
from mer_pipe.store.open import read_facts
from mer_pipe.types import DatasetError, StoreError

if TYPE_CHECKING:
    from mer_pipe.heads.head import Inputs, Need

_COLUMNS = ("sample", "subject", "database", "label", "aus")


@dataclass(frozen=True)
class Table:
    """The labelled clips of a store, in its order. A clip's *position* is its place here; `rows` leads to the arrays.

    Attributes
    ----------
    path : the store.
    checksum : of the store's root: it tells one store from another that takes its place.
    inputs : what the shape of a network may depend on.
    rows : (n,) int64, each clip's place along the sample axis of the store's arrays.
    samples, subjects, databases : of each clip; subjects as "database/subject".
    labels : index of each clip's class in `inputs.classes`.
    units : (n, units) float32, 1 where the clip shows the action unit `inputs.units[j]`.
    left_out : ids of the clips without a label, which nothing is trained or tested on.
    notes : what a reader should know: action units that cannot be read, clips that are left out.
    """

    path: Path
    checksum: str
    inputs: Inputs
    rows: np.ndarray
    samples: tuple[str, ...]
    subjects: tuple[str, ...]
    databases: tuple[str, ...]
    labels: tuple[int, ...]
    units: np.ndarray
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.samples)


def read_table(path: str | Path, needs: Sequence[Need] = ()) -> Table:
    """The table of a store, and of its arrays what is known before any is read.

    Parameters
    ----------
    path : the store.
    needs : the arrays that a head reads.

    Raises
    ------
    StoreError : there is no store, it is damaged, or it lacks an array; the message says which build makes that.
    """
    from mer_pipe.heads.head import Inputs

    path = Path(path)
    facts = read_facts(path)
    _check_needs(path, facts, needs)
    columns = {name: _column(path, name) for name in _COLUMNS}
    rows = [row for row, label in enumerate(columns["label"]) if label]
    left_out = tuple(columns["sample"][row] for row, label in enumerate(columns["label"]) if not label)
    kept = {name: tuple(values[row] for row in rows) for name, values in columns.items()}
    classes = tuple(sorted(set(kept["label"])))
    moved, notes = _moved(kept["sample"], kept["aus"])
    units = tuple(sorted(frozenset().union(*moved)))
    shown = np.array([[unit in found for unit in units] for found in moved], np.float32).reshape(len(rows), len(units))
    if left_out:
        some = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
        notes.append(f"{len(left_out)} of {len(left_out) + len(rows)} clips have no label and are left out: {some}")
    metas = {need.array: json.loads((path / need.array / "zarr.json").read_bytes()) for need in needs}
    inputs = Inputs(
        shapes={name: tuple(meta["shape"][1:]) for name, meta in metas.items()},
        coordinates={name: _coordinates(path, facts, name, meta) for name, meta in metas.items()},
        classes=classes,
        units=units,
        recipe=facts.get("recipe", {}),
    )
    return Table(
        path,
        facts["checksum"],
        inputs,
        np.array(rows, np.int64),
        kept["sample"],
        kept["subject"],
        kept["database"],
        tuple(classes.index(label) for label in kept["label"]),
        shown,
        left_out,
        tuple(notes),
    )


def read_units(cell: object) -> frozenset[int]:
    """FACS numbers of the action units that a cell says have moved; of alternatives ("R12 or R14") the first reading.

    References and units that are marked as uncertain do not count, as in `mer_pipe.datasets.aus.units`.

    Raises
    ------
    DatasetError : the cell cannot be read.
    """
    return frozenset(_first_reading(parse(cell).items))


def _first_reading(items: Sequence[Item]) -> set[int]:
    found: set[int] = set()
    for item in items:
        if isinstance(item, Either):
            found |= _first_reading(item.readings[0])
        elif isinstance(item, Unit) and not (item.reference or item.uncertain):
            found.add(item.number)
    return found


def _moved(samples: Sequence[str], cells: Sequence[str]) -> tuple[list[frozenset[int]], list[str]]:
    moved, notes = [], []
    for sample, cell in zip(samples, cells, strict=True):
        try:
            moved.append(read_units(cell))
        except DatasetError as error:
            moved.append(frozenset())
            notes.append(f"{sample} counts as without action units: {error.message}")
    return moved, notes


def _check_needs(path: Path, facts: Mapping[str, Any], needs: Sequence[Need]) -> None:
    lacking = [need for need in needs if f"{need.array}/zarr.json" not in facts["files"]]
    if not lacking:
        return
    has = facts.get("recipe", {}).get("systems", [])
    # A build replaces its store whole: name what is there already too, or the next head would miss it.
    systems = list(dict.fromkeys([*has, *(need.system for need in lacking)]))
    command = f"mer-pipe build --dataset {facts.get('database', 'NAME')} --only {','.join(systems)} --store {path}"
    told = f"{path} has no {' and no '.join(need.array for need in lacking)}"
    raise StoreError(told, f"{command} makes it (with the --root, --recipe and --set that the store was built with)")


def _column(path: Path, name: str) -> tuple[str, ...]:
    return tuple(str(value) for value in _whole(path, name))


def _coordinates(path: Path, facts: Mapping[str, Any], name: str, meta: Mapping[str, Any]) -> dict[str, tuple]:
    group = name.rpartition("/")[0]
    found = {}
    for dim in meta.get("dimension_names") or ():
        at = f"{group}/{dim}"
        # An array may be named like one of its own axes; a coordinate has that axis alone.
        if at != name and f"{at}/zarr.json" in facts["files"]:
            found[dim] = tuple(_whole(path, at).tolist())
    return found


def _whole(path: Path, name: str) -> np.ndarray:
    import zarr

    try:
        return np.asarray(zarr.open_array(str(path / name), mode="r", zarr_format=3)[...])
    except (ValueError, OSError, RuntimeError) as error:
        fix = f"mer-pipe verify {path} lists all that is; build it again from the cache"
        raise StoreError(f"{path} is damaged: {name} cannot be read: {error}", fix) from error
