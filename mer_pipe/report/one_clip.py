"""One row of an open store: which clip is meant, its stages and arrays, its coordinates and title."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.store.open import open_store, read_facts
from mer_pipe.types import StoreError

if TYPE_CHECKING:
    import xarray

MARKS = ("onset", "apex", "offset")
ORDER = (
    "align", "scene", "register", "crop", "travel", "magnify", "features_mrn", "interpolate", "features_aman",
    "gray", "flow_onset", "flow_offset", "strain", "dynamic", "motion",
)  # fmt: skip
"""The groups of a pipeline in the order in which they are made; others follow by name."""


def in_order(stages: Iterable[str]) -> list[str]:
    """Groups of a store in the order of `ORDER`."""
    return sorted(stages, key=lambda stage: (ORDER.index(stage) if stage in ORDER else len(ORDER), stage))


@dataclass(frozen=True)
class OneClip:
    """One row of an open store."""

    tree: xarray.DataTree
    facts: Mapping[str, Any]
    row: int

    @property
    def stages(self) -> list[str]:
        return in_order(self.tree.children)

    def names(self, stage: str) -> list[str]:
        # Not `data_vars`: xarray takes an array that is named like one of its axes for a coordinate.
        own = self.tree[stage].to_dataset(inherit=False).variables
        return sorted(str(name) for name, array in own.items() if array.dims[:1] == ("sample",))

    def kind(self, stage: str, name: str) -> str:
        array = self.tree[f"{stage}/{name}"]
        lead = self.leading(stage, name)
        dims = [str(dim) for dim in array.dims if dim != "sample" and dim not in lead]
        return pictures.kind_of(dims, array.attrs.get("units", ""), array.dtype)

    def about(self, stage: str, name: str) -> str:
        return self.tree[f"{stage}/{name}"].attrs.get("long_name", "")

    def leading(self, stage: str, name: str) -> dict[str, list]:
        """The axes that one picture does not hold, with their values."""
        array = self.tree[f"{stage}/{name}"]
        lead = {}
        for dim in array.dims[1:]:
            if dim not in ("mark", "af", "frame"):
                break
            there = dim in self.tree[stage].coords
            lead[str(dim)] = self.tree[stage][dim].values.tolist() if there else list(range(array.sizes[dim]))
        return lead

    def values(self, stage: str, name: str) -> np.ndarray:
        """The whole clip at once: it is one chunk of the store, read and checked as one however little is asked for.

        Raises
        ------
        StoreError : the array is damaged.
        """
        try:
            return self.tree[f"{stage}/{name}"][self.row].values
        except (ValueError, RuntimeError, OSError) as error:
            raise StoreError(
                f"{stage}/{name} of this clip cannot be read: {error}", "see mer-pipe verify STORE"
            ) from error

    @property
    def coordinates(self) -> dict[str, Any]:
        found = {str(name): c for name, c in self.tree.coords.items() if c.dims == ("sample",)}
        order = [*self.facts["coordinates"].split()]
        return {name: found[name].values[self.row : self.row + 1].tolist()[0] for name in ["sample", *order]}

    @property
    def title(self) -> str:
        told = self.coordinates
        emotion, label = told.get("emotion", ""), told.get("label", "")
        mood = f"{emotion} ({label})" if emotion and label and emotion != label else label or emotion or "no label"
        aus = f"AU {told['aus']}" if told.get("aus") else "no AUs"
        marks = ", ".join(f"{mark} {told[mark]}" for mark in MARKS if mark in told)
        return " · ".join([told["sample"], mood, aus, marks])


def open_clip(store_path: str | Path, clip: str) -> OneClip:
    tree = open_store(store_path)
    facts = read_facts(store_path)
    return OneClip(tree, facts, _find(tree["sample"].values.tolist(), clip, facts))


def _find(ids: list[str], clip: str, facts: Mapping[str, Any]) -> int:
    wanted = clip.strip("/")
    if wanted in ids:
        return ids.index(wanted)
    found = [i for i, name in enumerate(ids) if name.endswith("/" + wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise StoreError(f"{clip!r} names {len(found)} clips", f"write one of {_list([ids[i] for i in found])}")
    for what in ("excluded", "failed"):
        for entry in facts.get(what, ()):
            name = entry.get("id") or entry.get("sample", "")
            if name == wanted or name.endswith("/" + wanted):
                how = "excluded" if what == "excluded" else f"it failed in {entry.get('stage') or 'planning'}"
                raise StoreError(f"{name} is not in the store, {how}: {entry['reason']}", entry.get("fix", ""))
    near = [name for name in ids if wanted in name]
    if not near:
        ends = {end: name for name in ids for end in _ends(name)}
        near = list(dict.fromkeys(ends[end] for end in difflib.get_close_matches(wanted, list(ends), 5, 0.6)))
    advice = f"did you mean {_list(near)}?" if near else f"the store holds {_list(ids)}"
    raise StoreError(f"the store has no clip {clip!r}", advice)


def _ends(name: str) -> Iterator[str]:
    parts = name.split("/")
    for first in range(len(parts)):
        yield "/".join(parts[first:])


def _list(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
