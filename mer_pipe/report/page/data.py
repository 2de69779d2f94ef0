"""What the pages show, read from a store; an array that cannot be read becomes a hole with a name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.report.inspect import Overview, overview
from mer_pipe.report.one_clip import OneClip
from mer_pipe.report.page.measures import Flag, Measures, flags, measure
from mer_pipe.store.open import open_store, read_facts
from mer_pipe.types import StoreError

KEEP = 8 << 20
"""Larger arrays of a clip, which are features, are read and let go."""


@dataclass(frozen=True)
class Clip:
    """One clip of a report.

    Attributes
    ----------
    row : in the store.
    name : of its page and thumbnail: letters that every file system and URL takes.
    told : its coordinates by name.
    measures, flags : see `mer_pipe.report.page.measures`.
    """

    row: int
    name: str
    told: Mapping[str, Any]
    measures: Measures
    flags: tuple[Flag, ...]

    @property
    def id(self) -> str:
        return self.told["sample"]

    @property
    def short(self) -> str:
        """The id without the database."""
        return self.id.partition("/")[2] or self.id

    @property
    def label(self) -> str:
        return self.told.get("label", "")

    @property
    def aus(self) -> list[str]:
        """The action units one by one, as the sheet writes them ("L4", "12")."""
        return [au for au in re.split(r"[^0-9A-Za-z]+", self.told.get("aus", "")) if au]


@dataclass
class ClipArrays:
    """The arrays of one clip. One that cannot be read is remembered as a hole, and is None.

    Attributes
    ----------
    one : the row of the open store.
    held : paths of all arrays of the store, in the order of the pipeline.
    holes : path of an array -> what reading it said.
    """

    one: OneClip
    held: tuple[str, ...]
    holes: dict[str, str] = field(default_factory=dict)
    _read: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, one: OneClip) -> ClipArrays:
        return cls(one, tuple(f"{stage}/{name}" for stage in one.stages for name in one.names(stage)))

    def get(self, stage: str, name: str) -> np.ndarray | None:
        """One array, or None where the store has none or it is damaged."""
        path = f"{stage}/{name}"
        if path in self._read:
            return self._read[path]
        if path in self.holes or path not in self.held:
            return None
        try:
            values = self.one.values(stage, name)
        # What a damaged shard raises depends on which of its bytes it is: a checksum, an index, a length.
        except Exception as error:
            self.holes[path] = " ".join(str(error).split()) or type(error).__name__
            return None
        if values.nbytes <= KEEP:
            self._read[path] = values
        return values

    def marks(self) -> list[str]:
        """What the first axis of the crops holds."""
        return self.one.leading("crop", "image").get("mark", []) if "crop/image" in self.held else []

    def mark(self, name: str) -> np.ndarray | None:
        """The aligned frame at a mark, (y, x, 3) uint8."""
        crops, marks = self.get("crop", "image"), self.marks()
        return crops[marks.index(name)] if crops is not None and name in marks else None

    def flow(self) -> np.ndarray | None:
        """The flow that a contact sheet shows: from the onset, or of the magnified clip in a store without that one."""
        if "flow_onset/flow" in self.held:
            return self.get("flow_onset", "flow")
        moved = self.get("motion", "motion")
        return None if moved is None else moved[..., :2]

    def strain(self) -> np.ndarray | None:
        """The strain that a contact sheet shows, as `flow`."""
        if "strain/strain" in self.held:
            return self.get("strain", "strain")
        moved = self.get("motion", "motion")
        return None if moved is None else moved[..., 2]

    def scan(self) -> None:
        """Read every array once, so that all holes are known."""
        for path in self.held:
            self.get(*path.split("/"))


@dataclass(frozen=True)
class Source:
    """An open store and all that is known of it before a page is written.

    Attributes
    ----------
    path : of the store.
    tree, facts, seen : its arrays, root attributes and overview.
    clips : in the store's order.
    held : paths of all arrays, in the order of the pipeline.
    scales : full scale of the contact sheet's flow (px), strain (px/px) and dynamic image: one for all clips.
    """

    path: Path
    tree: Any
    facts: Mapping[str, Any]
    seen: Overview
    clips: tuple[Clip, ...]
    held: tuple[str, ...]
    scales: Mapping[str, float]

    def arrays(self, clip: Clip) -> ClipArrays:
        return ClipArrays(OneClip(self.tree, self.facts, clip.row), self.held)


def read_source(store: str | Path, default: Mapping[str, Any] | None = None) -> Source:
    """Open a store, measure its clips and find what stands out.

    Raises
    ------
    StoreError : there is no store, it is cut short, or its list of clips is damaged.
    """
    path = Path(store)
    tree, facts = open_store(path), read_facts(path)
    try:
        seen = overview(path, default)
        if seen.differs:
            # A model that a recipe needs not, and so does not name, is no difference.
            seen = replace(seen, differs={name: value for name, value in seen.differs.items() if value != ""})
        told = list(_rows(tree, facts))
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(
            f"{path} is damaged: its list of clips cannot be read ({error})", "build it again from the cache"
        ) from error
    measured, fields = [], {"flow": [], "strain": [], "dynamic": []}
    held = ClipArrays.of(OneClip(tree, facts, 0)).held
    for row in range(len(told)):
        arrays = ClipArrays(OneClip(tree, facts, row), held)
        found_here = measure(_onset_to_apex(arrays), arrays.get("crop", "image"), arrays.marks())
        # Grey levels would not compare with the other clips' px.
        measured.append(Measures(same=found_here.same) if "flow_onset/flow" in arrays.holes else found_here)
        for name, found in (("flow", arrays.flow()), ("strain", arrays.strain())):
            if found is not None:
                fields[name].append(_scale(name, found))
        if (dynamic := arrays.get("dynamic", "image")) is not None:
            fields["dynamic"].append(_scale("dynamic", dynamic))
    found = flags(told, measured)
    for t, own in zip(told, found, strict=True):
        own += [Flag("warned", warning.text) for warning in seen.warnings if warning.sample == t["sample"]]
    clips = tuple(
        Clip(row, _name(row, t["sample"]), t, m, tuple(f))
        for row, (t, m, f) in enumerate(zip(told, measured, found, strict=True))
    )
    scales = {name: _common(values) for name, values in fields.items()}
    return Source(path, tree, facts, seen, clips, held, scales)


def _rows(tree: Any, facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names = ["sample", *facts["coordinates"].split()]
    columns = {name: tree[name].values.tolist() for name in names}
    for row in range(len(columns["sample"])):
        yield {name: values[row] for name, values in columns.items()}


def _onset_to_apex(arrays: ClipArrays) -> np.ndarray | None:
    """The flow from onset to apex; one that ends in a magnified apex measures the magnifier too."""
    if "flow_onset/flow" not in arrays.held or "magnified" in arrays.one.about("flow_onset", "flow"):
        return None
    return arrays.get("flow_onset", "flow")


def _scale(name: str, values: np.ndarray) -> float:
    if name == "flow":
        return pictures.flow_scale(values)
    return pictures.heat_scale(values, least=1e-3) if name == "strain" else pictures.signed_scale(values)


def _common(scales: list[float]) -> float:
    # Three quarters of the clips stay within the scale: one wild clip must not make all the others pale.
    return float(np.percentile(scales, 75, method="inverted_cdf")) if scales else 1.0


def _name(row: int, clip: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", clip.partition("/")[2] or clip).strip("-")
    return f"{row + 1:04d}-{plain[:60]}"
