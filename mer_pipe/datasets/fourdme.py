"""4DME (Li et al. 2022): 267 annotated micro-expressions, read from the gray videos at 60 fps."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mer_pipe.datasets.clip_folders import find_clips, shared_names
from mer_pipe.datasets.places import Layout, check_root, find_sheet
from mer_pipe.datasets.rows import Entry, listing, marked_by_onset, plain_name, subject_name, subject_number, terms_of
from mer_pipe.datasets.sheets import Row, Sheet, read_sheet
from mer_pipe.datasets.tree import FrameFolder, loose, safe
from mer_pipe.types import Listing

FPS = 60.0
LAYOUT = Layout(
    title="4DME",
    expected="gray_micro with folders named as the sheet's fold_name inside",
    sheet="4DME_Labelling_Micro_release v1.xlsx",
    trees={
        "gray": ("gray_micro", "gray_micro_register_final", "gray_video"),
        "gray_cropped": ("gray_micro_crop", "gray_micro_cropped"),
    },
    skip=("depth", "depthmicro", "rgbmicro", "dimicro"),
)
_COLUMNS = {
    "subject": ("sub_ID", "Subject"),
    "clip": ("fold_name", "folder name", "video_number", "Filename"),
    "onset": ("Onset", "OnsetFrame"),
    "apex": ("Apex", "ApexFrame"),
    "offset": ("Offset", "OffsetFrame"),
    "aus": ("AUs", "AU", "Action Units"),
    "emotion": ("Emotion", "Estimated Emotion"),
}
_REQUIRED = ("subject", "clip", "onset", "apex", "offset", "emotion")


def list_clips(
    root: str | os.PathLike[str],
    *,
    sheet: str | os.PathLike[str] | None = None,
    tree: str | None = None,
    class_set: str = "5",
    apex_policy: str = "sheet",
    offset_policy: str = "exclude",
    missing_frames: str = "exclude",
    repeated_rows: str = "exclude",
    corrections: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the annotated micro-expressions of 4DME, gray videos.

    Parameters
    ----------
    root : the folder that holds the database, or one of its trees.
    sheet : the annotation sheet (.xlsx or .csv). None: the one near the root.
    tree : which frames: "gray" or "gray_cropped". None: the first of these that is there.
    class_set : "5" or "3", see `mer_pipe.datasets.classes`. Clips of another emotion, and of two at once
        ("Negative+Repression"), are excluded.
    apex_policy : "sheet", "sheet_or_middle", "middle" or "motion", see `mer_pipe.datasets.marks.marks`.
    offset_policy : for an offset of 0 or none: "apex" ends the clip at its apex, "exclude" excludes it.
    missing_frames, repeated_rows, corrections : see `mer_pipe.datasets.casme2.list_clips`.

    Raises
    ------
    DatasetError : the root, the sheet or an option cannot be used.
    """
    notes: list[str] = []
    path = check_root(root)
    annotation = find_sheet(
        path, sheet, _read, LAYOUT, notes, lambda name: "macro-expressions" if "macro" in name.lower() else ""
    )
    entries = marked_by_onset([_entry(row) for row in annotation.rows])
    clips = find_clips(path, LAYOUT, tree, loose, {loose(e.cells["clip"]) for e in entries}, notes, _subject)
    shared = shared_names(entries)

    def folder_of(entry: Entry, repairs: list[str]) -> FrameFolder:
        name = plain_name(entry.cells["clip"])
        subject = _subject(entry.cells["subject"])
        needed = subject if loose(name) in shared else None
        return clips.folder(loose(name), name, needed, repairs, prefer_subject=subject)

    terms = terms_of(
        "4dme",
        annotation,
        class_set=class_set,
        apex_policy=apex_policy,
        offset_policy=offset_policy,
        fps=FPS,
        version=_version(annotation.name),
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


def _version(name: str) -> str:
    found = re.search(r"release[ _-]?v?(\d+)", name, re.IGNORECASE)
    return f"release v{found.group(1)}" if found else "unknown"


def _entry(row: Row) -> Entry:
    return Entry(row.number, subject_name(row.cells["subject"], "S{:02d}"), safe(row.cells["clip"]), row.cells)
