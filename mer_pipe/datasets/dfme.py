"""DFME (Zhao et al. 2023): micro-expressions at 200, 300 or 500 fps, a rate a row."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mer_pipe.datasets.clip_folders import find_clips, shared_names
from mer_pipe.datasets.places import Layout, check_root, find_sheet
from mer_pipe.datasets.rows import Entry, listing, marked_by_onset, plain_name, subject_name, subject_number, terms_of
from mer_pipe.datasets.sheets import Row, Sheet, read_sheet
from mer_pipe.datasets.tree import FrameFolder, loose, safe
from mer_pipe.types import DatasetError, Listing

RATES = (200.0, 300.0, 500.0)
"""The rates the database was filmed at; another one in a row is used and told."""

LAYOUT = Layout(
    title="DFME",
    expected="folders named as the sheet's Filename, each below a folder of its subject",
    sheet="DFME's annotation sheet",
    trees={"frames": ("DFME", "part_A", "part_B", "train", "test")},
)
_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex"),
    "offset": ("OffsetFrame", "Offset"),
    "emotion": ("Emotion", "Estimated Emotion"),
    "emotion_id": ("EmotionId",),
    "fps": ("Fps", "Frame rate"),
    "aus": ("AU", "AUs", "Action Units"),
}
_REQUIRED = ("subject", "clip", "onset", "apex", "offset", "emotion")


def list_clips(
    root: str | os.PathLike[str],
    *,
    sheet: str | os.PathLike[str] | None = None,
    class_set: str = "7",
    apex_policy: str = "sheet",
    offset_policy: str = "exclude",
    fps: float | None = None,
    missing_frames: str = "exclude",
    repeated_rows: str = "exclude",
    corrections: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the annotated micro-expressions of DFME.

    Parameters
    ----------
    root : the folder that holds the database.
    sheet : the annotation sheet (.xlsx or .csv). None: the one near the root.
    class_set : "7" or "3", see `mer_pipe.datasets.classes`; clips of other emotions are excluded.
    apex_policy : "sheet", "sheet_or_middle", "middle" or "motion", see `mer_pipe.datasets.marks.marks`.
    offset_policy : for an offset of 0 or none: "apex" ends the clip at its apex, "exclude" excludes it.
    fps : frames per second of rows that give none. None excludes them: the database has three rates.
    missing_frames, repeated_rows, corrections : see `mer_pipe.datasets.casme2.list_clips`.

    Raises
    ------
    DatasetError : the root, the sheet or an option cannot be used.
    """
    if fps is not None and not 0 < fps < 1e5:
        raise DatasetError(f"{fps} is no frame rate", "Give frames per second, or leave it out.")
    notes: list[str] = []
    path = check_root(root)
    annotation = find_sheet(path, sheet, _read, LAYOUT, notes)
    entries = marked_by_onset([_entry(row, fps) for row in annotation.rows])
    clips = find_clips(path, LAYOUT, None, loose, {loose(e.cells["clip"]) for e in entries}, notes, _subject)
    shared = shared_names(entries)

    def folder_of(entry: Entry, repairs: list[str]) -> FrameFolder:
        name = plain_name(entry.cells["clip"])
        subject = _subject(entry.cells["subject"])
        needed = subject if loose(name) in shared else None
        folder = clips.folder(loose(name), name, needed, repairs, prefer_subject=subject)
        if not entry.cells.get("fps"):
            repairs.append(f"frame rate not in the sheet: {entry.fps:g} as asked")
        elif entry.fps not in RATES:
            repairs.append(f"frame rate {entry.fps:g} is none of the database's 200, 300 and 500")
        return folder

    terms = terms_of(
        "dfme",
        annotation,
        class_set=class_set,
        apex_policy=apex_policy,
        offset_policy=offset_policy,
        fps=fps or RATES[0],  # every row that is not refused has its own
        version="emotion_id" if "emotion_id" in annotation.columns else "unknown",
        tree=clips.tree,
        missing_frames=missing_frames,
        repeated_rows=repeated_rows,
        corrections=corrections,
    )
    return listing(entries, terms, folder_of, notes)


def _subject(name: str) -> str | int:
    number = subject_number(name)
    return name.lower() if number is None else number


def _read(path: Path) -> Sheet:
    return read_sheet(path, _COLUMNS, _REQUIRED)


def _entry(row: Row, assumed: float | None) -> Entry:
    cell = row.cells.get("fps", "")
    rate, refused = assumed, None
    found = re.fullmatch(r"(\d{1,5}(?:\.\d{1,6})?) ?(?:fps)?", cell, re.IGNORECASE | re.ASCII)
    if found and float(found.group(1)) > 0:
        rate = float(found.group(1))
    elif cell or assumed is None:
        refused = f"fps {cell[:40]!r} is not a frame rate", "Correct the row." if cell else "Give its rate with fps=."
    subject = subject_name(row.cells["subject"], "sub{:03d}")
    return Entry(row.number, subject, safe(row.cells["clip"]), row.cells, fps=rate, refused=refused)
