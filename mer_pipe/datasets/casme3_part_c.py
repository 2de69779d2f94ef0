"""CAS(ME)^3 part C (Li et al. 2022): 31 people in a mock crime, one video of 8 minutes each.

Its distributed layout was not seen. What is read follows public loaders (folders 01/a/color; a sheet with sub, count,
onset, offset, au and emotion, and no apex) and, beyond that, whatever tells itself by its content.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from mer_pipe.datasets.casme3_layout import FPS, LAYOUT_C, SUBJECT, passed_over, subject
from mer_pipe.datasets.classes import CLASS_SETS, label_column
from mer_pipe.datasets.clip_folders import Clips, find_clips
from mer_pipe.datasets.marks import NoFolder, Unusable
from mer_pipe.datasets.places import find_sheet, letters, shown
from mer_pipe.datasets.rows import Entry, Terms, listing, plain_name, subject_name, terms_of
from mer_pipe.datasets.sheets import Row, Sheet, read_sheet
from mer_pipe.datasets.tree import FrameFolder, frame_folder, loose, safe, subfolders
from mer_pipe.types import DatasetError, Listing

_COLUMNS = {
    "subject": ("Subject", "sub", "Subject ID"),
    "clip": ("Filename", "File name", "Video"),
    "count": ("count",),
    "onset": ("Onset", "OnsetFrame"),
    "apex": ("Apex", "ApexFrame"),
    "offset": ("Offset", "OffsetFrame"),
    "aus": ("AU", "AUs", "Action Units"),
    "objective": ("Objective class", "Objective classes"),
    "emotion": ("emotion", "Estimated emotion"),
    "type": ("Type", "Expression type", "macro/micro", "micro/macro"),
}
_REQUIRED = ("subject", "onset", "offset", "emotion")
_TYPE = re.compile(r"(?:(micro|me)|macro|mae)[ _-]*(?:expressions?)?", re.IGNORECASE)
_MICRO = re.compile(r"micro|(?<![a-z(])me(?![a-z)])", re.IGNORECASE)
_NESTED = 3
"""How many folders may lie between a subject's and its frames: 01/01/a/color."""


def list_part_c(root: Path, *, sheet, tree, class_set, expressions, **policies) -> Listing:
    """List the annotated expressions of part C; the parameters are those of `mer_pipe.datasets.casme3.list_clips`."""
    notes: list[str] = []
    annotation = find_sheet(root, sheet, _read, LAYOUT_C, notes, lambda name: passed_over(name, "C"), _says_micro)
    _check_columns(annotation, expressions, policies["apex_policy"])
    entries = [_entry(row, expressions) for row in annotation.rows]
    people = {str(n) for e in entries if (n := subject(e.cells["subject"])) is not None}
    clips = find_clips(root, LAYOUT_C, tree, _key_of, people, notes, subject, "subjects")
    _check_place(root, clips)
    terms = terms_of(
        "casme3",
        annotation,
        class_set=class_set,
        fps=FPS,
        version=_version(annotation.name),
        tree=clips.tree,
        **policies,
    )
    notes += _check_classes(entries, terms, annotation.name)
    kind = f"a column of expression types ({expressions} wanted)" if "type" in annotation.columns else "no type column"
    notes.append(
        f"part C read as one folder a subject, of {len(people)} in the sheet {len(clips.found)} there, with frames "
        f"numbered as the sheet counts them, {FPS:g} a second; sheet columns {', '.join(annotation.columns)}, {kind}; "
        "its distributed layout was not seen"
    )
    read = lru_cache(maxsize=4)(
        frame_folder
    )  # rows of one video follow each other, and a video has thousands of frames

    def folder_of(entry: Entry, repairs: list[str]) -> FrameFolder:
        number = subject(entry.cells["subject"])
        if number is None:
            raise Unusable(f"subject {entry.cells['subject'][:40]!r} is not a subject's number", "Correct the sheet.")
        names = _names_of(entry, number, clips.tree in ("clips", "cropped"))
        try:
            found = [f for c in clips.found.get(str(number), ()) for f in _videos(c.path, names, clips.tree, read)]
        except DatasetError as error:
            raise Unusable(error.message, error.fix) from None
        if not found:
            raise NoFolder(f"there is no folder of subject {number} with these frames", "Copy it from the database.")
        if len(found) > 1:
            several = ", ".join(os.path.relpath(f.path, root) for f in found[:3])
            raise Unusable(f"several folders could be the video of subject {number}: {several}", "Keep one of them.")
        return found[0]

    return listing(entries, terms, folder_of, notes)


def _read(path: Path) -> Sheet:
    return read_sheet(path, _COLUMNS, _REQUIRED, _says_micro)


def _says_micro(name: str) -> bool:
    return bool(_MICRO.search(re.sub(r"cas[ _]?\(?me\)?", "", name, flags=re.IGNORECASE)))


def _version(name: str) -> str:
    found = re.search(r"v(\d+)", name, re.IGNORECASE)
    return f"part C v{found.group(1)}" if found else "part C"


def _check_columns(sheet: Sheet, expressions: str, apex_policy: str) -> None:
    if expressions != "micro" and "type" not in sheet.columns:
        raise DatasetError(
            f"{sheet.name} has no column of expression types, so {expressions!r} cannot be chosen in it",
            "Give the sheet of macro-expressions with sheet=.",
        )
    if apex_policy == "sheet" and "apex" not in sheet.columns:
        raise DatasetError(
            f"{sheet.name} has no column of apexes",
            "Use apex_policy=middle for the frame halfway, or motion for an estimate from the frames.",
        )


def _check_place(root: Path, clips: Clips) -> None:
    """Refuse numbered folders that only happen to be somewhere below a root that says nothing of part C."""
    if not clips.tree and any(folder.above for folders in clips.found.values() for folder in folders):
        raise DatasetError(
            f"{root} was expected to hold {LAYOUT_C.expected}; it holds {shown(root)}",
            "Give part C's folder as the root, or call it part_C.",
        )


def _check_classes(entries: list[Entry], terms: Terms, sheet: str) -> list[str]:
    """A note where another class set reads most rows and this one few; DatasetError where it reads none."""
    column = label_column(terms.class_set)
    cells = Counter(e.cells[column].lower() for e in entries)
    reads = {
        name: sum(count for cell, count in cells.items() if cell in known)
        for name, known in CLASS_SETS["casme3"].items()
        if label_column(name) == column
    }
    here, best = reads[terms.class_set], max(reads.values(), default=0)
    others = " or ".join(name for name, count in reads.items() if count == best)
    if best and not here:
        held = ", ".join(repr(cell[:20]) for cell, _ in cells.most_common(4))
        raise DatasetError(f"no {column} in {sheet} is in class set {terms.class_set}: {held}", f"Use {others}.")
    if here * 2 < best:
        return [f"class set {terms.class_set} has the {column} of {here} of {len(entries)} rows, {others} of {best}"]
    return []


def _entry(row: Row, expressions: str) -> Entry:
    cells = {"apex": "", "clip": "", "aus": "", **row.cells}
    if cells["aus"].upper() == "NULL":
        cells["aus"] = ""
    number = subject(cells["subject"])
    # The people of part C are others than those of part A, whatever their numbers.
    who = f"C_{safe(cells['subject'])}" if number is None else subject_name(cells["subject"], "C_spNO.{}", SUBJECT)
    source, refused = {"part": "C"}, None
    if cells.get("objective"):
        source["objective_class"] = cells["objective"]
    if "type" in cells:
        found = _TYPE.fullmatch(cells["type"])
        kind = ("micro" if found.group(1) else "macro") if found else ""
        source["expression"] = kind
        if not kind:
            refused = f"type {cells['type'][:40]!r} is neither micro- nor macro-expression", "Correct the sheet."
        elif expressions not in ("both", kind):
            refused = f"a {kind}-expression", f"Choose expressions={kind} or both."
    return Entry(row.number, who, safe(cells["onset"]), cells, source=source, refused=refused)


def _key_of(folder: str) -> str | None:
    number = subject(folder)
    return None if number is None else str(number)


def _names_of(entry: Entry, number: int, clip_folders: bool) -> frozenset[str]:
    """What the folder inside the subject's may be called for this row; loosely, and none where nothing says."""
    cells = entry.cells
    names = {plain_name(cells["clip"])} if cells["clip"] else set()
    if clip_folders:
        named = cells.get("count") or cells["onset"]
        names |= {named, f"{number}_{named}", f"spNO.{number}_{named}"}
    return frozenset(map(loose, names))


def _videos(path: str, names: Collection[str], tree: str, read, depth: int = 0) -> list[FrameFolder]:
    """The folders of frames below a subject's: its colour folder, itself, or those of the folders in it."""
    inside = {name.lower(): name for name in subfolders(path)}
    colour = next((inside[name] for name in LAYOUT_C.inner if name in inside), None)
    own = read(os.path.join(path, colour) if colour else path)
    if own.files or colour:
        return [own]
    below = [name for name in inside.values() if letters(name) not in LAYOUT_C.skip]
    chosen = [name for name in below if loose(name) in names]
    # One video a subject needs no name; of clips, the only one that is there may be another row's.
    if not chosen and tree not in ("clips", "cropped"):
        chosen = below
    if depth + 1 >= _NESTED:
        return []
    return [f for name in chosen for f in _videos(os.path.join(path, name), names, tree, read, depth + 1)]
