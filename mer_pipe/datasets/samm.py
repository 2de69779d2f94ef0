"""SAMM (Davison et al. 2016): 159 annotated clips of 29 people at 200 fps, gray, read by the sheet from the user's copy."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mer_pipe.datasets.clip_folders import find_clips
from mer_pipe.datasets.places import Layout, check_root, find_sheet
from mer_pipe.datasets.rows import Entry, listing, plain_name, subject_name, subject_number, terms_of
from mer_pipe.datasets.sheets import Row, Sheet, read_sheet
from mer_pipe.datasets.tree import FrameFolder, loose, safe
from mer_pipe.types import DatasetError, Listing

FPS = 200.0
LAYOUT = Layout(
    title="SAMM",
    expected="folders 006/006_1_2, 007/007_3_1 ...",
    sheet="SAMM_Micro_FACS_Codes_v2.xlsx",
    trees={"raw": ("SAMM", "SAMM_dataset", "SAMM_raw", "raw"), "cropped": ("SAMM_cropped", "SAMM_crop", "cropped")},
)
_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("Onset Frame", "Onset"),
    "apex": ("Apex Frame", "Apex"),
    "offset": ("Offset Frame", "Offset"),
    "duration": ("Duration",),
    "micro": ("Micro",),
    "aus": ("Action Units", "AUs", "AU"),
    "emotion": ("Estimated Emotion", "Emotion"),
    "objective": ("Objective Classes", "Objective Class"),
    "inducement": ("Inducement Code",),
    "remarks": ("Notes",),
}
_REQUIRED = ("subject", "clip", "onset", "apex", "offset", "emotion")
_CLIP = re.compile(r"0*(\d{1,3})_(\d{1,4})_(\d{1,4})", re.ASCII)
_SUBJECT = "samm|subject|sub|s"


def list_clips(
    root: str | os.PathLike[str],
    *,
    sheet: str | os.PathLike[str] | None = None,
    tree: str | None = None,
    class_set: str = "5",
    apex_policy: str = "sheet",
    missing_frames: str = "exclude",
    repeated_rows: str = "exclude",
    corrections: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the annotated micro-expressions of SAMM.

    Parameters
    ----------
    root : the folder that holds the database, or the one of the subjects.
    sheet : the annotation sheet (.xlsx or .csv). None: the one near the root.
    tree : which frames: "raw" or "cropped". None: the first of these that is there.
    class_set : "5", "3", "7" (without other), "8" (every emotion), "objective" (I to V) or "objective7"; see
        `mer_pipe.datasets.classes`. Clips outside the set are excluded.
    apex_policy : "sheet" takes the annotated apex, which excludes the two clips whose apex is a misprint;
        "sheet_or_middle" takes these two halfway; "middle" takes every clip's frame halfway; "motion" estimates it.
    missing_frames, repeated_rows, corrections : see `mer_pipe.datasets.casme2.list_clips`.

    Raises
    ------
    DatasetError : the root, the sheet or an option cannot be used.
    """
    notes: list[str] = []
    path = check_root(root)
    annotation = find_sheet(path, sheet, _read, LAYOUT, notes)
    entries = [_entry(row) for row in annotation.rows]
    clips = find_clips(path, LAYOUT, tree, loose, {loose(e.cells["clip"]) for e in entries}, notes)

    def folder_of(entry: Entry, repairs: list[str]) -> FrameFolder:
        name = plain_name(entry.cells["clip"])
        _check(entry, repairs)
        return clips.folder(loose(name), name, None, repairs)

    terms = terms_of(
        "samm",
        annotation,
        class_set=class_set,
        apex_policy=apex_policy,
        fps=FPS,
        version=_version(annotation.name),
        tree=clips.tree,
        missing_frames=missing_frames,
        repeated_rows=repeated_rows,
        corrections=corrections,
    )
    return listing(entries, terms, folder_of, notes)


def _read(path: Path) -> Sheet:
    sheet = read_sheet(path, _COLUMNS, _REQUIRED, worksheet="MICRO_ONLY")
    # CASME II's sheets have these columns too.
    if not any(_CLIP.fullmatch(row.cells["clip"]) for row in sheet.rows):
        raise DatasetError(f"{path.name} names no clip as SAMM does, such as 006_1_2", "Give SAMM's own sheet.")
    return sheet


def _version(name: str) -> str:
    found = re.search(r"v(\d+)", name, re.IGNORECASE)
    return f"v{found.group(1)}" if found else "unknown"


def _entry(row: Row) -> Entry:
    cells = row.cells
    kind = cells.get("micro", "")
    refused = (f"a macro-expression ({kind})", "") if kind.lower().startswith("macro") else None
    names = {"objective": "objective_class", "inducement": "inducement", "remarks": "remarks"}
    source = {name: cells[column] for column, name in names.items() if cells.get(column)}
    subject = subject_name(cells["subject"], "{:03d}", _SUBJECT)
    return Entry(row.number, subject, _clip(cells["clip"]), cells, source=source, refused=refused)


def _clip(cell: str) -> str:
    """A clip's name with its subject in three digits, as the sheet has it: spreadsheets drop the padding."""
    found = _CLIP.fullmatch(cell)
    return f"{int(found.group(1)):03d}_{int(found.group(2))}_{int(found.group(3))}" if found else safe(cell)


def _check(entry: Entry, repairs: list[str]) -> None:
    """Tell where a row contradicts itself: its duration, or the subject in its clip's name."""
    cells = entry.cells
    marks = [cells[mark] for mark in ("onset", "offset")]
    duration = cells.get("duration", "")
    if duration and all(m.isdecimal() for m in marks):
        frames = int(marks[1]) - int(marks[0]) + 1
        if duration != str(frames):
            repairs.append(
                f"the sheet's duration is {duration}, onset {marks[0]} to offset {marks[1]} is {frames} frames"
            )
    within, said = subject_number(entry.clip.split("_")[0]), subject_number(cells["subject"], _SUBJECT)
    if within is not None and within != said:
        repairs.append(f"the sheet says subject {cells['subject']}, the clip's name {within:03d}: the sheet counts")
