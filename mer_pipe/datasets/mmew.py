"""MMEW (Ben et al. 2021): 300 micro-expressions at 90 fps, cropped to 231 x 231 px, in folders of emotions."""

from __future__ import annotations

import os
from pathlib import Path

from mer_pipe.datasets.clip_folders import find_clips, same
from mer_pipe.datasets.places import Layout, check_root, find_sheet
from mer_pipe.datasets.rows import Entry, listing, plain_name, subject_name, terms_of
from mer_pipe.datasets.sheets import Row, Sheet, read_sheet
from mer_pipe.datasets.tree import FrameFolder, loose, safe
from mer_pipe.types import Listing

FPS = 90.0
LAYOUT = Layout(
    title="MMEW",
    expected="Micro_Expression with folders such as anger/S01-01-001 inside",
    sheet="MMEW_Micro_Exp.xlsx",
    trees={"micro": ("Micro_Expression", "Micro_Expressions", "MMEW_Micro")},
    skip=("macroexpression", "macroexpressions"),
)
# The database's page calls the seventh folder repression, its sheet writes others.
_ONE_FOLDER = {"repression": "others", "other": "others"}
_EMOTIONS = ("happiness", "surprise", "disgust", "repression", "others", "other", "fear", "sadness", "anger")
_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex"),
    "offset": ("OffsetFrame", "Offset"),
    "aus": ("Action Units", "AUs", "AU"),
    "emotion": ("Estimated Emotion", "Emotion"),
}
_REQUIRED = ("subject", "clip", "onset", "apex", "offset", "emotion")


def list_clips(
    root: str | os.PathLike[str],
    *,
    sheet: str | os.PathLike[str] | None = None,
    class_set: str = "7",
    apex_policy: str = "sheet",
    offset_policy: str = "exclude",
    missing_frames: str = "exclude",
    repeated_rows: str = "exclude",
    corrections: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the annotated micro-expressions of MMEW.

    Parameters
    ----------
    root : the folder that holds the database, or its Micro_Expression folder; emotions may stand above subjects or
        below.
    sheet : the annotation sheet (.xlsx or .csv). None: the one near the root.
    class_set : "7", "6", "4" or "3", see `mer_pipe.datasets.classes`; clips of other emotions are excluded.
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
    entries = [_entry(row) for row in annotation.rows]
    clips = find_clips(path, LAYOUT, None, loose, {loose(e.cells["clip"]) for e in entries}, notes)

    def folder_of(entry: Entry, repairs: list[str]) -> FrameFolder:
        name, emotion = plain_name(entry.cells["clip"]), entry.cells["emotion"]
        folder = clips.folder(loose(name), name, None, repairs, prefer=same(emotion))
        above = Path(folder.path).parent.name.lower()
        if above in _EMOTIONS and _folder_emotion(above) != _folder_emotion(emotion):
            repairs.append(f"the sheet says {emotion}, the frames are in folder {Path(folder.path).parent.name}")
        return folder

    terms = terms_of(
        "mmew",
        annotation,
        class_set=class_set,
        apex_policy=apex_policy,
        offset_policy=offset_policy,
        fps=FPS,
        version="mmew_micro_exp" if "microexp" in loose(annotation.name).replace(".", "") else "unknown",
        tree=clips.tree,
        missing_frames=missing_frames,
        repeated_rows=repeated_rows,
        corrections=corrections,
    )
    return listing(entries, terms, folder_of, notes)


def _folder_emotion(name: str) -> str:
    return _ONE_FOLDER.get(name.lower(), name.lower())


def _read(path: Path) -> Sheet:
    return read_sheet(path, _COLUMNS, _REQUIRED)


def _entry(row: Row) -> Entry:
    return Entry(row.number, subject_name(row.cells["subject"], "S{:02d}"), safe(row.cells["clip"]), row.cells)
