"""Lists that say which clips a protocol takes: database, subject, clip and label in four columns, without a header."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mer_pipe.datasets.sheets import read_tables
from mer_pipe.datasets.tree import loose, subfolders
from mer_pipe.types import DatasetError

_ALIASES = {"casmeii": "casme2", "smichs": "smic"}


@dataclass(frozen=True)
class Member:
    """One row: its number, the database, subject and clip as written, and the label.

    `contradiction` names the rows that give the clip other labels; "" where none do.
    """

    number: int
    database: str
    subject: str
    clip: str
    label: str
    contradiction: str = ""


@dataclass(frozen=True)
class Members:
    """A list: the file's name and digest, each clip once, and notes on what was passed over."""

    name: str
    sha256: str
    rows: tuple[Member, ...]
    notes: tuple[str, ...]


def key_of(subject: str, clip: str) -> tuple[str, str]:
    """What a clip is matched by: the subject's number and the clip's name without case, separators and padding."""
    number = re.search(r"(\d+)$", subject)
    return str(int(number.group(1))) if number else loose(subject), loose(clip)


def find_members(
    root: Path, path: str | os.PathLike[str] | None, classes: Mapping[str, str], databases: tuple[str, ...]
) -> Members:
    """The list at `path`, or the one .csv in the root or a folder of it that is such a list.

    Raises DatasetError where there is none, or where a row of it makes no sense.
    """
    if path is not None:
        given = Path(path)
        return _read(given if given.is_absolute() or given.exists() else root / given, classes, databases)
    near: list[Path] = []
    for place in (root, *(root / name for name in subfolders(str(root)))):
        near += sorted(p for p in place.glob("*.[cC][sS][vV]") if not p.name.startswith((".", "~")))
    failed = ""
    for candidate in near:
        try:
            return _read(candidate, classes, databases)
        except DatasetError as error:
            failed = failed or error.message
    nearest = f"the nearest: {failed}" if failed else "there is no .csv file"
    raise DatasetError(
        f"no list of members in {root}: {nearest}",
        "Put combined_3class_gt.csv there, or give its path with members=.",
    )


def _read(path: Path, classes: Mapping[str, str], databases: tuple[str, ...]) -> Members:
    sha256, (table, *_) = read_tables(path)
    kept: dict[tuple[str, str, str], Member] = {}
    notes: list[str] = []
    for number, written in enumerate(table, 1):
        cells = [cell for cell in written if cell]
        if not cells:
            continue
        try:
            member = _member(number, cells, classes, databases)
        except ValueError as error:
            if not kept and number <= 3:
                notes.append(f"row {number} of {path.name} ({', '.join(cells[:4])}) is taken as a header")
                continue
            raise DatasetError(
                f"row {number} of {path.name} is no member: {error}", "Give the protocol's own list."
            ) from None
        key = (member.database, *key_of(member.subject, member.clip))
        first = kept.setdefault(key, member)
        if first is not member and first.label == member.label:
            notes.append(f"row {number} of {path.name} repeats row {first.number} and is ignored")
        elif first is not member:
            kept[key] = replace(first, contradiction=f"{first.contradiction or first.number}, {number}")
    if not kept:
        raise DatasetError(f"{path.name} names no member: rows such as smic,s01,s01_ne_01,0 are expected")
    return Members(path.name, sha256, tuple(kept.values()), tuple(notes))


def _member(number: int, cells: list[str], classes: Mapping[str, str], databases: tuple[str, ...]) -> Member:
    if len(cells) != 4:
        raise ValueError(f"{len(cells)} columns instead of database, subject, clip and label")
    name = re.sub(r"[^a-z0-9]", "", cells[0].lower())
    database = _ALIASES.get(name, name)
    if database not in databases:
        raise ValueError(f"{cells[0][:40]!r} is none of {', '.join(databases)}")
    label = classes.get(cells[3].lower().removesuffix(".0"))
    if label is None:
        raise ValueError(f"label {cells[3][:40]!r} is none of {', '.join(classes)}")
    return Member(number, database, cells[1], cells[2], label)
