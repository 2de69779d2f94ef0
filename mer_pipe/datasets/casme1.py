"""CASME (Yan et al. 2013): 189 annotated clips of 19 people at 60 fps, read by the sheet from the user's own copy."""

from __future__ import annotations

import os
from pathlib import Path

from mer_pipe.datasets.clip_folders import find_clips
from mer_pipe.datasets.marks import Unusable
from mer_pipe.datasets.places import Layout, check_root, find_sheet
from mer_pipe.datasets.rows import Entry, listing, plain_name, subject_name, subject_number, terms_of
from mer_pipe.datasets.sheets import Row, Sheet, read_sheet
from mer_pipe.datasets.tree import FrameFolder, loose, safe
from mer_pipe.types import Listing

FPS = 60.0
LAYOUT = Layout(
    title="CASME",
    expected="CASME_raw_selected or Cropped, with folders sub01, sub02 ... inside",
    sheet="CASME.xlsx",
    trees={
        "raw_selected": ("CASME_raw_selected", "CASME1_raw_selected", "raw_selected"),
        "raw": ("CASME_raw", "CASME-RAW", "raw"),
        "cropped": ("Cropped", "Cropped2", "CASME_cropped"),
    },
)
_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("OnsetF", "OnsetFrame", "Onset"),
    "apex": ("ApexF1", "ApexFrame1", "ApexF", "ApexFrame", "Apex"),
    "apex2": ("ApexF2", "ApexFrame2"),
    "offset": ("OffsetF", "OffsetFrame", "Offset"),
    "aus": ("AU", "AUs", "Action Units"),
    "emotion": ("Emotion", "Estimated Emotion"),
}
_REQUIRED = ("subject", "clip", "onset", "apex", "offset", "emotion")


def list_clips(
    root: str | os.PathLike[str],
    *,
    sheet: str | os.PathLike[str] | None = None,
    tree: str | None = None,
    class_set: str = "4",
    apex_policy: str = "sheet",
    missing_frames: str = "exclude",
    repeated_rows: str = "exclude",
    corrections: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the annotated clips of CASME.

    Parameters
    ----------
    root : the folder that holds the database, or one of its trees.
    sheet : the annotation sheet (.xlsx or .csv). None: the one near the root.
    tree : which frames: "raw_selected", "raw" or "cropped". None: the first of these that is there.
    class_set : "4" or "8", see `mer_pipe.datasets.classes`; clips of other emotions are excluded.
    apex_policy : "sheet", "sheet_or_middle", "middle" or "motion", see `mer_pipe.datasets.marks.marks`. The annotated
        apex is ApexF1; a second apex is in `source`.
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
        number = subject_number(entry.cells["subject"])
        if number is None:
            raise Unusable(f"subject {entry.cells['subject']!r} is not a subject's number", "Correct the sheet.")
        return clips.folder(loose(name), name, number, repairs)

    terms = terms_of(
        "casme",
        annotation,
        class_set=class_set,
        apex_policy=apex_policy,
        fps=FPS,
        version="apex1+2" if "apex2" in annotation.columns else "apex1",
        tree=clips.tree,
        missing_frames=missing_frames,
        repeated_rows=repeated_rows,
        corrections=corrections,
    )
    return listing(entries, terms, folder_of, notes)


def _read(path: Path) -> Sheet:
    return read_sheet(path, _COLUMNS, _REQUIRED)


def _entry(row: Row) -> Entry:
    second = row.cells.get("apex2", "")
    return Entry(
        row.number,
        subject_name(row.cells["subject"], "sub{:02d}"),
        safe(row.cells["clip"]),
        row.cells,
        source={} if second in ("", "0", "/") else {"apex2": second},
    )
