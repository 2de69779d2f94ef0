"""CAS(ME)^3 (Li et al. 2022), part A: 860 annotated micro-expressions of 94 people in long videos at 30 fps; and part C."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mer_pipe.datasets.casme3_layout import FPS, LAYOUT_A, LONGEST, PARTS, SUBJECT, check_part, passed_over
from mer_pipe.datasets.casme3_layout import subject as _subject
from mer_pipe.datasets.casme3_part_c import list_part_c
from mer_pipe.datasets.clip_folders import find_clips
from mer_pipe.datasets.marks import Unusable
from mer_pipe.datasets.places import check_root, find_sheet
from mer_pipe.datasets.rows import Entry, listing, plain_name, subject_name, terms_of
from mer_pipe.datasets.sheets import Row, Sheet, read_sheet, suggest
from mer_pipe.datasets.tree import FrameFolder, loose, safe
from mer_pipe.types import DatasetError, Listing

EXPRESSIONS = ("micro", "macro", "both")
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
    part: str = "A",
    sheet: str | os.PathLike[str] | None = None,
    tree: str | None = None,
    expressions: str = "micro",
    class_set: str = "7",
    apex_policy: str = "sheet",
    offset_policy: str = "exclude",
    longest: int = LONGEST,
    missing_frames: str = "exclude",
    repeated_rows: str = "exclude",
    corrections: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the annotated micro-expressions of CAS(ME)^3, part A or part C, colour frames.

    A video has several micro-expressions, so a clip of part A is named by video and onset ("spNO.1/a_355"), as the
    database's own clip folders are. Part C has one video a subject: its clips are named by their onsets, and its people,
    who are others than those of part A, by the part ("C_spNO.1/355"). Part C's distributed layout was not seen; the
    listing's notes say how it was read.

    Parameters
    ----------
    root : the folder that holds the database, or one of its trees.
    part : "A" (emotional videos) or "C" (mock crime). Part B has no labels.
    sheet : the micro-expression sheet (.xlsx or .csv). None: the one near the root; sheets whose names say
        macro-expressions or another part are passed over.
    tree : which frames: "part_a" or "part_c" (whole videos), "clips" or "cropped". None: the first of these that is
        there.
    expressions : "micro", "macro" or "both": only for a sheet of part C with a column of expression types.
    class_set : "7", "4" or "3", or "objective" or "objective7" for the objective classes, see `mer_pipe.datasets.classes`;
        clips outside it are excluded.
    apex_policy : "sheet", "sheet_or_middle", "middle" or "motion", see `mer_pipe.datasets.marks.marks`. Public loaders
        know no apexes of part C: choose "middle" or "motion" there.
    offset_policy : for an offset of 0 or none: "apex" ends the clip at its apex, "exclude" excludes it.
    longest : most frames from onset to offset; a longer "clip" is excluded.
    missing_frames, repeated_rows, corrections : see `mer_pipe.datasets.casme2.list_clips`.

    Raises
    ------
    DatasetError : the root, the sheet or an option cannot be used.
    """
    if longest < 2:
        raise DatasetError(f"no clip is at most {longest} frames long", "Give the most frames a clip may have.")
    if part not in PARTS:
        raise DatasetError(f"there is no labelled part {part!r}", suggest(str(part), PARTS))
    if expressions not in EXPRESSIONS:
        raise DatasetError(f"there are no {expressions!r} expressions", suggest(str(expressions), EXPRESSIONS))
    path = check_root(root)
    check_part(path, sheet, part)
    policies = {
        "apex_policy": apex_policy,
        "offset_policy": offset_policy,
        "longest": longest,
        "missing_frames": missing_frames,
        "repeated_rows": repeated_rows,
        "corrections": corrections,
    }
    if part == "C":
        return list_part_c(path, sheet=sheet, tree=tree, class_set=class_set, expressions=expressions, **policies)
    if expressions != "micro":
        raise DatasetError(
            "part A has its macro-expressions in a sheet of their own", "Give that sheet with sheet=, not expressions=."
        )
    notes: list[str] = []
    annotation = find_sheet(path, sheet, _read, LAYOUT_A, notes, lambda name: passed_over(name, "A"))
    entries = [_entry(row) for row in annotation.rows]
    wanted = {key for e in entries for key in (loose(e.cells["clip"]), _clip_key(e))}
    clips = find_clips(path, LAYOUT_A, tree, loose, wanted, notes, _subject)

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
        fps=FPS,
        version=_version(annotation.name),
        tree=clips.tree,
        **policies,
    )
    return listing(entries, terms, folder_of, notes)


def _read(path: Path) -> Sheet:
    return read_sheet(path, _COLUMNS, _REQUIRED)


def _version(name: str) -> str:
    found = re.search(r"v(\d+)", name, re.IGNORECASE)
    return f"v{found.group(1)}" if found else "unknown"


def _entry(row: Row) -> Entry:
    subject = subject_name(row.cells["subject"], "spNO.{}", SUBJECT)
    objective = row.cells.get("objective", "")
    source = {"objective_class": objective} if objective else {}
    return Entry(row.number, subject, safe(f"{row.cells['clip']}_{row.cells['onset']}"), row.cells, source=source)


def _clip_key(entry: Entry) -> str:
    return loose(f"{entry.subject}_{entry.cells['clip']}_{entry.cells['onset']}")
