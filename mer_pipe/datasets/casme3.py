"""CAS(ME)^3 part A (Li et al. 2022): 860 annotated micro-expressions of 94 people in long videos at 30 fps."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mer_pipe.datasets.clip_folders import find_clips
from mer_pipe.datasets.marks import Unusable
from mer_pipe.datasets.places import Layout, check_root, find_sheet
from mer_pipe.datasets.rows import Entry, listing, plain_name, subject_name, subject_number, terms_of
from mer_pipe.datasets.sheets import Row, Sheet, read_sheet
from mer_pipe.datasets.tree import FrameFolder, loose, safe
from mer_pipe.types import DatasetError, Listing

FPS = 30.0
LONGEST = 120
"""Frames beyond which a row is taken for a slip of the pen: 4 s, where a micro-expression lasts half a second."""

LAYOUT = Layout(
    title="CAS(ME)^3 part A",
    expected="part_A with folders spNO.1/a/color inside, or the micro-expression clips spNO.1_a_355",
    sheet="cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
    trees={
        "part_a": ("part_A", "part_A_split"),
        "clips": ("Part_A_ME_clip", "part_A_ME_clips", "ME_A"),
        "cropped": ("part_A_cropped", "ME_A_cropped"),
    },
    inner=("color", "colour", "frame"),
    skip=("depth",),
)
_SUBJECT = "spno|sp|subject|sub|s"
_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("Onset", "OnsetFrame"),
    "apex": ("Apex", "ApexFrame"),
    "offset": ("Offset", "OffsetFrame"),
    "aus": ("AU", "AUs", "Action Units"),
    "objective": ("Objective class", "Objective classes"),
    "emotion": ("emotion", "Estimated emotion"),
}
_REQUIRED = ("subject", "clip", "onset", "apex", "offset", "emotion")


def list_clips(
    root: str | os.PathLike[str],
    *,
    sheet: str | os.PathLike[str] | None = None,
    tree: str | None = None,
    class_set: str = "7",
    apex_policy: str = "sheet",
    offset_policy: str = "exclude",
    longest: int = LONGEST,
    missing_frames: str = "exclude",
    repeated_rows: str = "exclude",
    corrections: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the annotated micro-expressions of CAS(ME)^3, part A, colour frames.

    A video has several micro-expressions, so a clip is named by video and onset ("a_355"), as the database's own clip
    folders are.

    Parameters
    ----------
    root : the folder that holds the database, or one of its trees.
    sheet : the micro-expression sheet (.xlsx or .csv). None: the one near the root; macro-expression sheets are passed
        over.
    tree : which frames: "part_a" (whole videos), "clips" or "cropped". None: the first of these that is there.
    class_set : "7", "4" or "3", or "objective" or "objective7" for the objective classes, see `mer_pipe.datasets.classes`;
        clips outside it are excluded.
    apex_policy : "sheet", "sheet_or_middle", "middle" or "motion", see `mer_pipe.datasets.marks.marks`.
    offset_policy : for an offset of 0 or none: "apex" ends the clip at its apex, "exclude" excludes it.
    longest : most frames from onset to offset; a longer "clip" is excluded.
    missing_frames, repeated_rows, corrections : see `mer_pipe.datasets.casme2.list_clips`.

    Raises
    ------
    DatasetError : the root, the sheet or an option cannot be used.
    """
    if longest < 2:
        raise DatasetError(f"no clip is at most {longest} frames long", "Give the most frames a clip may have.")
    notes: list[str] = []
    path = check_root(root)
    annotation = find_sheet(path, sheet, _read, LAYOUT, notes, lambda name: not re.search("mae|macro", name, re.I))
    entries = [_entry(row) for row in annotation.rows]
    wanted = {key for e in entries for key in (loose(e.cells["clip"]), _clip_key(e))}
    clips = find_clips(path, LAYOUT, tree, loose, wanted, notes, _subject)

    def folder_of(entry: Entry, repairs: list[str]) -> FrameFolder:
        name = plain_name(entry.cells["clip"])
        number = _subject(entry.cells["subject"])
        if number is None:
            raise Unusable(f"subject {entry.cells['subject']!r} is not a subject's number", "Correct the sheet.")
        key = _clip_key(entry)
        if key in clips.found:
            return clips.folder(key, f"{entry.subject}_{name}_{entry.cells['onset']}", None, repairs)
        return clips.folder(loose(name), name, number, repairs)

    terms = terms_of(
        "casme3",
        annotation,
        class_set=class_set,
        apex_policy=apex_policy,
        offset_policy=offset_policy,
        fps=FPS,
        longest=longest,
        version=_version(annotation.name),
        tree=clips.tree,
        missing_frames=missing_frames,
        repeated_rows=repeated_rows,
        corrections=corrections,
    )
    return listing(entries, terms, folder_of, notes)


def _subject(name: str) -> int | None:
    return subject_number(name, _SUBJECT)


def _read(path: Path) -> Sheet:
    return read_sheet(path, _COLUMNS, _REQUIRED)


def _version(name: str) -> str:
    found = re.search(r"v(\d+)", name, re.IGNORECASE)
    return f"v{found.group(1)}" if found else "unknown"


def _entry(row: Row) -> Entry:
    subject = subject_name(row.cells["subject"], "spNO.{}", _SUBJECT)
    objective = row.cells.get("objective", "")
    source = {"objective_class": objective} if objective else {}
    return Entry(row.number, subject, safe(f"{row.cells['clip']}_{row.cells['onset']}"), row.cells, source=source)


def _clip_key(entry: Entry) -> str:
    return loose(f"{entry.subject}_{entry.cells['clip']}_{entry.cells['onset']}")
