"""What changed between two builds, clip by clip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.report.one_clip import OneClip, in_order
from mer_pipe.report.page.data import ClipArrays
from mer_pipe.store.open import open_store, read_facts

ABSENT = "absent"
GRIDS = ("mark", "af", "frame")
"""Axes whose values are told; xarray takes an array that is named like one of its axes for a coordinate too."""


@dataclass(frozen=True)
class Change:
    """One array or coordinate of one clip that differs.

    Attributes
    ----------
    path : array ("flow_onset/flow") or coordinate ("apex").
    what : one sentence with the numbers.
    share : part of the values that differ, 0..1; 1 for coordinates.
    largest, mean : absolute differences in the array's own units; 0 for coordinates.
    """

    path: str
    what: str
    share: float = 1.0
    largest: float = 0.0
    mean: float = 0.0


@dataclass(frozen=True)
class Drift:
    """How a store differs from another one.

    Attributes
    ----------
    other : path of the other store, the older one of the two in every sentence.
    recipe : value by dotted name: (there, here).
    versions : the same for mer-pipe, libraries and stages.
    arrays : what is told of arrays that only one store has, or that differ in axes.
    added, removed : ids of clips that only this, or only the other, store has.
    clips : id -> what differs in it; clips that are equal are left out.
    same : how many clips of both stores are equal.
    """

    other: str
    recipe: Mapping[str, tuple[str, str]]
    versions: Mapping[str, tuple[str, str]]
    arrays: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    clips: Mapping[str, tuple[Change, ...]]
    same: int

    @property
    def nothing(self) -> bool:
        """Whether both stores hold the same clips with the same values (whatever made them)."""
        return not (self.arrays or self.added or self.removed or self.clips)


def compare(store: str | Path, other: str | Path) -> Drift:
    """Compare a store with another one, the older.

    Arrays whose files have equal digests are not read. AFs, marks and frames that both stores have are compared with each
    other. An array that cannot be read counts as a change.

    Raises
    ------
    StoreError : one of the stores is not there, or cut short.
    """
    trees = [open_store(path) for path in (store, other)]
    facts = [read_facts(path) for path in (store, other)]
    ids = [tree["sample"].values.tolist() for tree in trees]
    rows = [{name: row for row, name in enumerate(names)} for names in ids]
    paths = [_paths(tree) for tree in trees]
    equal = {
        path
        for path in paths[0] & paths[1]
        if ids[0] == ids[1] and _digests(facts[0], path) == _digests(facts[1], path)
    }
    clips, same = {}, 0
    for name in ids[0]:
        if name not in rows[1]:
            continue
        pair = [OneClip(t, f, r[name]) for t, f, r in zip(trees, facts, rows, strict=True)]
        changes = [*_coordinates(*pair), *_changes(*map(ClipArrays.of, pair), (paths[0] & paths[1]) - equal)]
        same += not changes
        if changes:
            clips[name] = tuple(changes)
    return Drift(
        other=str(other),
        recipe=_unlike(*(_flat(f.get("recipe", {})) for f in facts)),
        versions=_unlike(*map(_versions, facts, trees)),
        arrays=tuple(_grids(trees, paths)),
        added=tuple(name for name in ids[0] if name not in rows[1]),
        removed=tuple(name for name in ids[1] if name not in rows[0]),
        clips=clips,
        same=same,
    )


def _paths(tree: Any) -> set[str]:
    own = {str(group): tree[group].to_dataset(inherit=False).variables for group in tree.children}
    return {
        f"{group}/{name}" for group, arrays in own.items() for name, a in arrays.items() if a.dims[:1] == ("sample",)
    }


def _digests(facts: Mapping[str, Any], path: str) -> dict[str, Any]:
    group = path.partition("/")[0]
    # The axes lie beside the array: another AF grid over the same bytes is a change.
    return {
        name: told
        for name, told in facts["files"].items()
        if name.startswith((path + "/", f"{group}/af/", f"{group}/mark/"))
    }


def _coordinates(new: OneClip, old: OneClip) -> Iterator[Change]:
    here, there = new.coordinates, old.coordinates
    for name in dict.fromkeys((*here, *there)):
        a, b = there.get(name, ABSENT), here.get(name, ABSENT)
        if a != b:
            yield Change(name, f"{name}: {a or 'empty'} → {b or 'empty'}")


def _changes(new: ClipArrays, old: ClipArrays, paths: set[str]) -> Iterator[Change]:
    order = in_order({path.partition("/")[0] for path in paths})
    for path in sorted(paths, key=lambda p: (order.index(p.partition("/")[0]), p)):
        stage, _, name = path.partition("/")
        here, there = new.get(stage, name), old.get(stage, name)
        if here is None or there is None:
            yield Change(path, f"{path} cannot be read in the {'new' if here is None else 'old'} store")
            continue
        here, there = _common(here, there, new.one.leading(stage, name), old.one.leading(stage, name))
        if here.shape != there.shape:
            shapes = [" × ".join(map(str, a.shape)) for a in (there, here)]
            yield Change(path, f"{path}: {shapes[0]} → {shapes[1]}")
        elif here.size and not np.array_equal(
            here, there, equal_nan=here.dtype.kind == "f" and there.dtype.kind == "f"
        ):
            yield _difference(path, here, there, new.one.tree[path].attrs.get("units", ""))


def _common(
    here: np.ndarray, there: np.ndarray, new: dict[str, list], old: dict[str, list]
) -> tuple[np.ndarray, np.ndarray]:
    """Both arrays at the coordinates that both have."""
    for axis, dim in enumerate(new):
        if list(old)[axis : axis + 1] != [dim] or new[dim] == old[dim]:
            continue
        both = [value for value in new[dim] if value in old[dim]]
        here = here.take([new[dim].index(value) for value in both], axis)
        there = there.take([old[dim].index(value) for value in both], axis)
    return here, there


def _difference(path: str, here: np.ndarray, there: np.ndarray, units: str) -> Change:
    wide = [a.astype(np.float64) for a in (here, there)]
    differ = (wide[0] != wide[1]) & ~(np.isnan(wide[0]) & np.isnan(wide[1]))
    apart = np.nan_to_num(np.abs(wide[0] - wide[1]), nan=0.0)
    share = float(differ.mean())
    unit = f" {units}" if units not in ("", "1") and "," not in units else ""
    largest, mean = float(apart.max()), float(apart.mean())
    what = f"{path}: {100 * share:.3g} % of the values differ, by {mean:.3g}{unit} on average, {largest:.3g} at most"
    return Change(path, what, share, largest, mean)


def _grids(trees: list[Any], paths: list[set[str]]) -> Iterator[str]:
    for path in sorted(paths[0] - paths[1]):
        yield f"{path} is new"
    for path in sorted(paths[1] - paths[0]):
        yield f"{path} is gone"
    for path in sorted(paths[0] & paths[1]):
        stage = path.partition("/")[0]
        for dim in GRIDS:
            axes = [_axis(tree, stage, path, dim) for tree in trees]
            if axes[0] != axes[1]:
                for values, others, word in ((axes[0], axes[1], "new"), (axes[1], axes[0], "gone")):
                    only = ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values if v not in others)
                    if only:
                        yield f"{path}: {dim} {only} is {word}"


def _axis(tree: Any, stage: str, path: str, dim: str) -> list:
    held = dim in tree[path].dims and dim in tree[stage].coords
    return tree[stage][dim].values.tolist() if held else []


def _versions(facts: Mapping[str, Any], tree: Any) -> dict[str, Any]:
    found = {"mer-pipe": facts["mer_pipe"], **facts["libraries"]}
    for path in sorted(_paths(tree)):
        told = tree[path].attrs
        if "stage" in told:
            found[f"stage {told['stage']}"] = told.get("stage_version", "?")
    return found


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {path or "recipe": value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{path}.{key}" if path else str(key))
    return flat


def _unlike(here: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    names = dict.fromkeys((*here, *there))
    pairs = {name: (there.get(name, ABSENT), here.get(name, ABSENT)) for name in names}
    return {name: (str(a), str(b)) for name, (a, b) in pairs.items() if a != b and name != "name"}
