"""The clips and arrays of a published store, read one clip at a time."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.export.settings import ExportError
from mer_pipe.store.open import read_facts
from mer_pipe.types import StoreError


@dataclass(frozen=True)
class Clip:
    """One row of a store.

    Attributes
    ----------
    row : its place along `sample`.
    told : its coordinates by name, "sample" (its id) among them; plain values, None for NaN.
    """

    row: int
    told: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.told["sample"]

    @property
    def person(self) -> str:
        """The subject's name without its database."""
        return self.told["subject"].partition("/")[2] or self.told["subject"]


@dataclass(frozen=True)
class ArrayFacts:
    """What a store says of an array: `dims`, `shape` and `dtype` are those of one clip."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    units: str
    about: str
    stage: str
    stage_version: int
    coordinates: Mapping[str, list]

    @property
    def nbytes(self) -> int:
        """Bytes of one clip."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    @property
    def shows_faces(self) -> bool:
        """Whether a face can be seen in it: pictures do, flow and strain (told by their unit) hardly."""
        return {"y", "x"} <= set(self.dims) and not self.units.startswith("px")


class Source:
    """An open store.

    Parameters
    ----------
    path : a published store.

    Raises
    ------
    StoreError : there is none at `path`, or it is not whole.
    """

    def __init__(self, path: str | Path) -> None:
        import zarr

        self.path = Path(path)
        self.facts = read_facts(path)
        self._root = zarr.open_group(str(path), mode="r", zarr_format=3, use_consolidated=False)
        self._held: dict[str, Any] = {}
        for group, members in self._root.groups():
            for name, array in members.arrays():
                if array.metadata.dimension_names[:1] == ("sample",):
                    self._held[f"{group}/{name}"] = array

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        names = ["sample", *self.facts["coordinates"].split()]
        # A table has no word for a number that is none (an fps that is not known).
        columns = [[None if cell != cell else cell for cell in self._whole(name)] for name in names]
        return tuple(
            Clip(row, dict(zip(names, cells, strict=True))) for row, cells in enumerate(zip(*columns, strict=True))
        )

    @cached_property
    def arrays(self) -> dict[str, ArrayFacts]:
        """All arrays by name, "group/array", sorted."""
        return {name: self._told(name) for name in sorted(self._held)}

    def chosen(self, names: Sequence[str]) -> tuple[ArrayFacts, ...]:
        """The arrays of these names; a group stands for all of its own, "all" for every one. Each comes once.

        Raises
        ------
        ExportError : the store has no such array.
        """
        found: dict[str, ArrayFacts] = {}
        for name in names:
            own = [n for n in self.arrays if name in (n, n.partition("/")[0], "all")]
            if not own:
                near = difflib.get_close_matches(name, list(self.arrays), 1, 0.5)
                hint = f" (did you mean {near[0]}?)" if near else ""
                raise ExportError(f"the store has no array {name!r}{hint}", f"it holds {', '.join(self.arrays)}")
            found |= {n: self.arrays[n] for n in own}
        return tuple(found.values())

    def read(self, name: str, clip: Clip) -> np.ndarray:
        """One clip's values of an array, in the store's own dtype.

        Raises
        ------
        StoreError : its bytes are damaged.
        """
        try:
            return np.asarray(self._held[name][clip.row], order="C")
        except (ValueError, RuntimeError, OSError) as error:
            raise StoreError(
                f"{name} of {clip.id} cannot be read: {error}", f"see mer-pipe verify {self.path}"
            ) from error

    def _whole(self, name: str) -> list:
        try:
            return self._root[name][...].tolist()
        except (ValueError, RuntimeError, OSError, KeyError) as error:
            raise StoreError(f"{name} cannot be read: {error}", f"see mer-pipe verify {self.path}") from error

    def _told(self, name: str) -> ArrayFacts:
        array, group = self._held[name], name.partition("/")[0]
        dims = tuple(array.metadata.dimension_names[1:])
        there = [dim for dim in dims if f"{group}/{dim}" in self._root and f"{group}/{dim}" not in self._held]
        told = dict(array.attrs)
        return ArrayFacts(
            name,
            dims,
            tuple(array.shape[1:]),
            str(array.dtype),
            told.get("units", ""),
            told.get("long_name", ""),
            told.get("stage", ""),
            told.get("stage_version", 0),
            {dim: self._whole(f"{group}/{dim}") for dim in there},
        )
