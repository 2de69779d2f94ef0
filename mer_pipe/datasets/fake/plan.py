"""What a fake database holds and what must come out of it; nothing here draws."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mer_pipe.types import Listing

Marks = tuple[int, int, int]
FEWEST, MOST = 8, 11
"""Frames of an ordinary clip."""


@dataclass(frozen=True)
class Expected:
    """What an adapter must make of a fake database.

    Attributes
    ----------
    database : the adapter's name.
    root : where the database was written.
    samples : id -> frame numbers of onset, apex and offset, for every clip that must be a sample.
    excluded : id -> words that the reason must hold, for every clip that must be excluded.
    repairs : id -> words that one of the sample's repairs must hold.
    notes : words that the listing's notes must hold.
    """

    database: str
    root: str
    samples: Mapping[str, Marks]
    excluded: Mapping[str, str] = field(default_factory=dict)
    repairs: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def differences(self, listing: Listing) -> list[str]:
        """How a listing differs from this, a sentence each; empty where it does not."""
        found = {s.id: s for s in listing.samples}
        reasons = {e.id: e.reason for e in listing.excluded}
        lines = [f"{i} is no sample: {reasons.get(i, 'not listed')}" for i in self.samples if i not in found]
        lines += [f"{i} is not excluded" for i in self.excluded if i not in reasons]
        lines += [f"{i} is listed unasked" for i in sorted({*found, *reasons} - {*self.samples, *self.excluded})]
        for name, sample in found.items():
            numbers = sample.frames.numbers
            marks = numbers[sample.onset], numbers[sample.apex], numbers[sample.offset]
            if name in self.samples and marks != self.samples[name]:
                lines.append(f"{name} has its marks at frames {marks}, not {self.samples[name]}")
            if name in self.repairs and not any(self.repairs[name] in repair for repair in sample.repairs):
                lines.append(f"{name} does not say {self.repairs[name]!r} in its repairs: {sample.repairs}")
        lines += [
            f"{name} is excluded for another reason than {words!r}: {reasons[name]}"
            for name, words in self.excluded.items()
            if name in reasons and words not in reasons[name]
        ]
        lines += [f"no note says {words!r}" for words in self.notes if not any(words in n for n in listing.notes)]
        return lines


@dataclass
class Scene:
    """One folder of frames: whose face, which numbers, and what happens when (marks and action units)."""

    folder: str
    name: str
    person: int
    numbers: set[int] = field(default_factory=set)
    events: list[tuple[Marks, str]] = field(default_factory=list)
    gray: bool = False


@dataclass(frozen=True)
class Table:
    """A sheet: its file below the root (.xlsx or .csv), and its pages; a .csv has one."""

    path: str
    pages: Mapping[str, Sequence[Sequence[object]]]


class Draft:
    """A fake database in the making: folders, sheets and expectations, drawn from one seed.

    Parameters
    ----------
    database : the adapter's name.
    clips : how many ordinary clips.
    seed : of every number drawn.
    quirks : whether the database's known faults are in it, one of each.
    left_out : emotions, in lower case, that ordinary clips don't show.
    """

    def __init__(self, database: str, clips: int, seed: int, quirks: bool, left_out: Collection[str] = ()) -> None:
        self.database, self.clips, self.seed, self.quirks = database, clips, seed, quirks
        self.left_out = left_out
        self.rng = np.random.default_rng([seed, 11, zlib.crc32(database.encode())])
        self.scenes: dict[str, Scene] = {}
        self.tables: list[Table] = []
        self.empties: list[str] = []
        self.samples: dict[str, Marks] = {}
        self.excluded: dict[str, str] = {}
        self.repairs: dict[str, str] = {}
        self.notes: list[str] = []

    def marks(self, onset: int | None = None) -> Marks:
        """Onset, apex and offset of a clip of FEWEST to MOST frames."""
        count = int(self.rng.integers(FEWEST, MOST + 1))
        first = int(self.rng.integers(2, 150)) if onset is None else onset
        return first, first + int(self.rng.integers(3, count - 2)), first + count - 1

    def ordinary(self, acts: Sequence[tuple], each: int = 4) -> Iterator[tuple]:
        """(person from 1, clip of the person from 1, *act) for each ordinary clip; an act starts with its emotion."""
        kept = [act for act in acts if act[0].lower() not in self.left_out]
        for index in range(self.clips):
            yield index // each + 1, index % each + 1, *kept[index % len(kept)]

    def film(
        self,
        folder: str,
        name: str,
        person: int,
        marks: Marks,
        units: str,
        *,
        before: int = 0,
        after: int = 0,
        without: Sequence[int] = (),
        gray: bool = False,
    ) -> None:
        """Frames onset - before .. offset + after in a folder, named by a pattern ("img{}.jpg"); adds to a folder."""
        scene = self.scenes.setdefault(folder, Scene(folder, name, person, gray=gray))
        scene.numbers |= set(range(marks[0] - before, marks[2] + after + 1)) - set(without)
        scene.events.append((marks, "+".join(u.lstrip("LR") for u in units.split("+"))))

    def empty(self, folder: str) -> None:
        """A folder without anything in it."""
        self.empties.append(folder)

    def sample(self, name: str, marks: Marks, repair: str = "") -> None:
        """A clip ("subject/clip") that must be a sample with these marks."""
        self.samples[f"{self.database}/{name}"] = marks
        if repair:
            self.repairs[f"{self.database}/{name}"] = repair

    def exclude(self, name: str, why: str) -> None:
        """A clip ("subject/clip") that must be excluded for a reason that holds these words."""
        self.excluded[f"{self.database}/{name}"] = why

    def table(
        self,
        path: str,
        *rows: Sequence[object],
        title: str = "Sheet1",
        more: Mapping[str, Sequence[Sequence[object]]] | None = None,
    ) -> None:
        """Add a sheet of these rows, and further pages by title."""
        self.tables.append(Table(path, {title: rows, **(more or {})}))

    def expected(self, root: str) -> Expected:
        """What must come out, once the database is written to `root`."""
        return Expected(
            self.database, root, dict(self.samples), dict(self.excluded), dict(self.repairs), tuple(self.notes)
        )
