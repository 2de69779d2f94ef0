"""Action units as annotation sheets write them: read into units, sides, intensities, alternatives and marks.

What the sheets hold, and how it is read (the cell itself stays in `Sample.aus` as written):

==================  ====================================================================================================
"4+7"               units 4 and 7; "," ";" and "&" separate as "+" does
"L10", "R12"        the left, the right side alone
"A/L12", "B4"       any letters of A, B, L, M, R, T before the number are its side, kept as written: FACS uses A for an
                    asymmetric action, but the databases don't say what "A/L" is
"14A", "10A/B"      intensity A (trace) to E (maximum); a range of intensities
"R12 or R14"        alternatives; "/" between units says the same. "or" binds looser than "+", as the sheets' own
                    parentheses in "(R6 or R12)+R15" show: "6+12 or 14" is 6+12, or 14
"R14A or 17A"       as above: a side or a letter belongs to its own unit
"ref(7B)+43"        7B is marked as a reference: present in the frame of reference, so not part of the movement
"4?", "4(k)", "(4)" an uncertain unit; parentheses mark it where "or" doesn't need them
"14+soft focus"     a remark: words without digits, kept
"?"                 a remark: somebody saw something
"", "NULL", "nan"   nothing annotated
==================  ====================================================================================================
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from mer_pipe.types import DatasetError

_NOTHING = ("", "null", "none", "nan", "n/a", "-", "/")
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Unit:
    """One action unit.

    Attributes
    ----------
    number : its number in FACS, 1 to 99.
    side : "" for both sides; "L", "R" or, as written, letters of A, B, L, M, R, T joined by "/".
    intensity : "" where none is given, "A" to "E", or a range such as "A/B".
    reference : marked "ref(...)".
    uncertain : marked by "?", "(k)" or parentheses.
    """

    number: int
    side: str = ""
    intensity: str = ""
    reference: bool = False
    uncertain: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 99:
            raise ValueError(f"{self.number} is no action unit")
        if not re.fullmatch(r"(?:[ABLMRT](?:/[ABLMRT])*)?", self.side):
            raise ValueError(f"{self.side!r} is no side")
        if not re.fullmatch(r"(?:[A-E](?:/[A-E])?)?", self.intensity):
            raise ValueError(f"{self.intensity!r} is no intensity")

    def __str__(self) -> str:
        text = f"{self.side}{self.number}{self.intensity}{'?' if self.uncertain else ''}"
        return f"ref({text})" if self.reference else text


@dataclass(frozen=True, slots=True)
class Remark:
    """Words among the units ("soft focus"), or "?" alone."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Either:
    """Two or more readings of which one is meant; each is a tuple of what it holds together."""

    readings: tuple[tuple[Item, ...], ...]

    def __post_init__(self) -> None:
        if len(self.readings) < 2 or not all(self.readings):
            raise ValueError("an alternative needs two readings or more, none of them empty")
        if any(len(reading) == 1 and isinstance(reading[0], Either) for reading in self.readings):
            raise ValueError("alternatives of one alternative belong to the outer one")

    def __str__(self) -> str:
        return " or ".join(_joined(reading) for reading in self.readings)


Item = Unit | Either | Remark


@dataclass(frozen=True, slots=True)
class ActionUnits:
    """All that one cell says. ``str()`` gives the canonical text, and ``parse`` of that text the same value."""

    items: tuple[Item, ...] = ()

    def __str__(self) -> str:
        return str(self.items[0]) if len(self.items) == 1 else _joined(self.items)

    def units(self, *, with_alternatives: bool = False, with_doubtful: bool = False) -> frozenset[int]:
        """The numbers of the units that moved.

        Parameters
        ----------
        with_alternatives : False counts what every reading of an alternative holds ("L12 or R12" is 12, "12 or 14"
            nothing); True what any of them does.
        with_doubtful : whether units marked as uncertain or as a reference count.
        """
        return _numbers(self.items, with_alternatives, with_doubtful)

    def remarks(self) -> tuple[str, ...]:
        """The words among the units, in order."""
        return tuple(_remarks(self.items))


def parse(cell: object) -> ActionUnits:
    """Read the action units in a cell; see the module for the notation.

    Parameters
    ----------
    cell : text, an integer, or None.

    Raises
    ------
    DatasetError : the cell cannot be read; the message quotes it and says where it stops making sense.
    """
    text = "" if cell is None else unicodedata.normalize("NFKC", str(cell)).strip()
    if text.lower() in _NOTHING:
        return ActionUnits()
    if len(text) > _LONGEST:
        raise DatasetError(f"action units {text[:40]!r}... are {len(text)} characters long", "Correct the cell.")
    from mer_pipe.datasets.aus_grammar import Reader

    return ActionUnits(Reader(text).cell())


def units(cell: object, *, with_alternatives: bool = False, with_doubtful: bool = False) -> frozenset[int]:
    """The numbers of the units in a cell that moved; see `ActionUnits.units` and `parse`."""
    return parse(cell).units(with_alternatives=with_alternatives, with_doubtful=with_doubtful)


def _joined(items: tuple[Item, ...]) -> str:
    """Items with "+"; alternatives among others take parentheses."""
    alone = len(items) == 1
    return "+".join(f"({item})" if isinstance(item, Either) and not alone else str(item) for item in items)


def _numbers(items: tuple[Item, ...], alternatives: bool, doubtful: bool) -> frozenset[int]:
    found: set[int] = set()
    for item in items:
        if isinstance(item, Unit):
            if doubtful or not (item.uncertain or item.reference):
                found.add(item.number)
        elif isinstance(item, Either):
            readings = [_numbers(reading, alternatives, doubtful) for reading in item.readings]
            found |= frozenset.union(*readings) if alternatives else frozenset.intersection(*readings)
    return frozenset(found)


def _remarks(items: tuple[Item, ...]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Remark):
            yield item.text
        elif isinstance(item, Either):
            for reading in item.readings:
                yield from _remarks(reading)
