"""What is known to be wrong in distributed annotation sheets, clip by clip, with a reason and a source.

Rows are named by database, subject and clip (and the sheet's onset, where a clip has several rows), never by their
position. A reviewed correction applies only where the sheet still reads as the table says, so that a repaired copy is
left alone. A user's own table comes on top.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mer_pipe.datasets.sheets import read_sheet, suggest
from mer_pipe.datasets.tree import loose
from mer_pipe.types import DatasetError

FIELDS = ("onset", "apex", "offset", "emotion", "aus", "exclude")
"""What a correction may set; "exclude" leaves the clip out."""


@dataclass(frozen=True)
class Correction:
    """One known fault of a sheet.

    Attributes
    ----------
    field : the cell that is wrong, one of `FIELDS`.
    reads : the cell's text in the distributed sheet; "=onset" where it repeats the onset; None whatever it reads.
    becomes : what to use instead; None where nobody knows: the cell stays, and the reason is told.
    reason, source : why, and where that comes from.
    """

    field: str
    reads: str | None
    becomes: str | None
    reason: str
    source: str


_SAMM_SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"

CORRECTIONS: Mapping[tuple[str, ...], tuple[Correction, ...]] = {
    ("casme2", "sub04", "EP12_01f"): (
        Correction(
            field="apex",
            reads="/",
            becomes=None,
            reason="the annotators gave this clip no apex",
            source="CASME2-coding-20140508.xlsx; the MEGC 2019 list leaves the clip out too",
        ),
    ),
    ("casme2", "sub05", "EP09_05f"): (
        Correction(
            field="apex",
            reads="=onset",
            becomes=None,
            reason="the sheet puts the apex on the onset, so nothing moves between them",
            source="CASME2-coding-20140508.xlsx; the MEGC 2019 list leaves the clip out",
        ),
    ),
    ("samm", "028", "028_4_1"): (
        Correction(
            field="apex",
            reads="1143",
            becomes=None,
            reason="the apex lies after the offset, 1134; digits may have changed places, but nobody knows which",
            source=_SAMM_SHEET,
        ),
    ),
    ("samm", "032", "032_3_1"): (
        Correction(
            field="apex",
            reads="1930",
            becomes=None,
            reason="the apex lies before the onset, 4896; nobody knows which frame was meant",
            source=_SAMM_SHEET,
        ),
    ),
}
"""(database, subject, clip) or (database, subject, clip, onset) -> the reviewed corrections of a row."""

_COLUMNS = {
    "database": ("database", "dataset"),
    "subject": ("subject",),
    "clip": ("clip", "filename"),
    "at_onset": ("at onset",),
    "field": ("field",),
    "reads": ("reads",),
    "becomes": ("becomes", "value"),
    "reason": ("reason",),
    "source": ("source",),
}


class Corrections:
    """The corrections of one database: the reviewed ones, and a user's table on top.

    Parameters
    ----------
    database : the database's name.
    table : a .csv or .xlsx with the columns ``subject``, ``clip``, ``field`` (one of `FIELDS`), ``becomes``, ``reason``
        and, if wanted, ``database``, ``at onset`` (the sheet's onset, where a clip has several rows), ``reads`` (applies
        only where the sheet reads so) and ``source``. Names match without case, separators and zero padding. None: the
        reviewed corrections alone.

    Raises
    ------
    DatasetError : the table cannot be read, or a row of it makes no sense.
    """

    def __init__(self, database: str, table: str | os.PathLike[str] | None = None) -> None:
        self.database = database
        self._mine: dict[tuple[str, ...], dict[str, tuple[int, str, Correction]]] = {}
        self._used: set[int] = set()
        self._name = ""
        if table is not None:
            self._read(Path(table))

    def of(self, subject: str, clip: str, onset: str = "") -> tuple[Correction, ...]:
        """The corrections of a clip, the user's last; `onset` is the sheet's text."""
        reviewed = CORRECTIONS.get((self.database, subject, clip), ())
        reviewed += CORRECTIONS.get((self.database, subject, clip, onset), ()) if onset else ()
        key = (_subject(subject), loose(clip))
        mine = {**self._mine.get(key, {}), **self._mine.get((*key, onset), {})}
        return reviewed + tuple(correction for *_, correction in mine.values())

    def mark_used(self, correction: Correction) -> None:
        """Remember that a user's correction met its row, for `unused`."""
        self._used.add(id(correction))

    def unused(self) -> list[str]:
        """One sentence for each of the user's corrections that met no row."""
        left = [
            (number, name, correction.field)
            for fields in self._mine.values()
            for number, name, correction in fields.values()
            if id(correction) not in self._used
        ]
        return [f"row {n} of {self._name} ({name}, {field}) was not used" for n, name, field in sorted(left)]

    def _read(self, path: Path) -> None:
        sheet = read_sheet(path, _COLUMNS, ("subject", "clip", "field", "becomes"))
        self._name = sheet.name
        for row in sheet.rows:
            cells, where = row.cells, f"row {row.number} of {sheet.name}"
            if cells.get("database") and cells["database"].lower() != self.database:
                continue
            field, becomes = cells["field"].lower(), cells["becomes"]
            if field not in FIELDS:
                raise DatasetError(f"{where} corrects {cells['field']!r}", suggest(field, FIELDS))
            if not (cells["subject"] and cells["clip"]):
                raise DatasetError(f"{where} names no subject or no clip", "Fill in both.")
            if field in FIELDS[:3] and not re.fullmatch(r"\d{1,9}", becomes, re.ASCII):
                raise DatasetError(f"{where} sets {field} to {becomes!r}", "Give a frame number.")
            if field in FIELDS[3:5] and not becomes:
                raise DatasetError(f"{where} sets {field} to nothing", "Give the text to use.")
            key = (_subject(cells["subject"]), loose(cells["clip"]))
            key += (cells["at_onset"],) if cells.get("at_onset") else ()
            fields = self._mine.setdefault(key, {})
            if field in fields:
                raise DatasetError(f"{where} and row {fields[field][0]} both correct the {field} of {cells['clip']}")
            reason = cells.get("reason") or "no reason given"
            source = ", ".join(part for part in (cells.get("source"), where) if part)
            name = "/".join(part for part in (cells.get("database"), cells["subject"], cells["clip"]) if part)
            mine = Correction(field, cells.get("reads") or None, becomes or None, reason, source)
            fields[field] = row.number, name, mine


def _subject(name: str) -> str:
    """A subject's number, however it is written ("sub04", "4"), else its name loosely."""
    number = re.fullmatch(r"\D*?0*(\d+)", name)
    return number.group(1) if number else loose(name)


def correction(database: str, subject: str, clip: str) -> Correction | None:
    """The reviewed correction of a clip's row, or None; for several of them, or a user's, see `Corrections`."""
    found = CORRECTIONS.get((database, subject, clip), ())
    return found[0] if found else None
