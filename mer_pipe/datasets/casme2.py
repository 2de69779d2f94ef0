"""CASME II (Yan et al. 2014): 26 subjects at 200 fps, read by its annotation sheet from the user's own copy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mer_pipe.datasets.casme2_layout import find_sheet, find_tree
from mer_pipe.datasets.corrections import Corrections
from mer_pipe.datasets.places import check_root
from mer_pipe.datasets.rows import (
    Entry,
    NoFolder,
    Unusable,
    listing,
    plain_name,
    subject_name,
    subject_number,
    terms_of,
)
from mer_pipe.datasets.sheets import Row
from mer_pipe.datasets.tree import FrameFolder, frame_folder, last_integer, loose, pick, safe, subfolders
from mer_pipe.types import DatasetError, Listing

FPS = 200.0


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
    """List the annotated clips of CASME II.

    Parameters
    ----------
    root : the folder that holds the database, or one of its trees.
    sheet : the annotation sheet: a path (.xlsx or .csv), or the version "20140508" or "20190701" of one near the root.
        None: the one near the root; with both there, 20140508.
    tree : which frames: "raw_selected", "raw" or "cropped". None: the first of these that is there.
    class_set : "5", "3" or "7", or "objective" (I to V) or "objective7" with the sheet of 2019; see
        `mer_pipe.datasets.classes`. Clips outside the set are excluded.
    apex_policy : "sheet" takes the annotated apex; "sheet_or_middle" too, and the frame halfway between onset and offset
        where it is unusable; "middle" always the frame halfway; "motion" estimates it (every frame is decoded).
    missing_frames : "exclude" such clips, or "hold" the frame before in place of each missing one.
    repeated_rows : rows that annotate one clip differently: "exclude" the clip, or read the "first" or the "last".
    corrections : a table of the user's own corrections, see `mer_pipe.datasets.corrections.Corrections`.

    Returns
    -------
    Listing of samples whose frames are those from onset to offset, the excluded rows, and notes on what was chosen.

    Raises
    ------
    DatasetError : the root, the sheet or an option cannot be used.
    """
    return read(
        root,
        "casme2",
        sheet=sheet,
        tree=tree,
        class_set=class_set,
        apex_policy=apex_policy,
        missing_frames=missing_frames,
        repeated_rows=repeated_rows,
        corrections=corrections,
    )


def read(
    root: str | os.PathLike[str],
    database: str,
    *,
    sheet: str | os.PathLike[str] | None = None,
    tree: str | os.PathLike[str] | None = None,
    fps: float = FPS,
    corrections: str | os.PathLike[str] | None = None,
    **policies: str,
) -> Listing:
    """List any database that is laid out as CASME II is; see `list_clips`. `tree` may also be a folder's path."""
    notes: list[str] = []
    path = check_root(root)
    kind, folder = find_tree(path, tree, notes)
    annotation, version = find_sheet(path, folder, sheet, notes)
    if version == "20140508" and any(_is_added(row) for row in annotation.rows):
        version += " updated"
    terms = terms_of("casme2", annotation, fps=fps, version=version, tree=kind, **policies)
    terms = replace(terms, database=database, corrections=Corrections(database, corrections))
    entries = [
        Entry(row.number, subject_name(row.cells["subject"], "sub{:02d}"), safe(row.cells["clip"]), row.cells)
        for row in annotation.rows
    ]
    folders = _clip_folders(folder)
    return listing(entries, terms, lambda entry, repairs: _folder(entry, folders, repairs), notes)


def _is_added(row: Row) -> bool:
    """Whether a row is the one that tells the updated sheet of 2014: clip EP02_07 of subject 24."""
    return subject_number(row.cells["subject"]) == 24 and loose(row.cells["clip"]) == loose("EP02_07")


def _clip_folders(tree: Path) -> dict[int, tuple[str, dict[str, str]]]:
    """Subject number -> (folder name, clip folder name -> path)."""
    found: dict[int, tuple[str, dict[str, str]]] = {}
    for name in subfolders(str(tree)):
        number = last_integer(name)
        if number is None:
            continue
        if number in found:
            raise DatasetError(
                f"{tree.name} holds two folders for subject {number}: {found[number][0]} and {name}",
                "Keep one of them.",
            )
        path = os.path.join(tree, name)
        found[number] = name, {clip: os.path.join(path, clip) for clip in subfolders(path)}
    return found


def _folder(entry: Entry, folders: Mapping[int, tuple[str, dict[str, str]]], repairs: list[str]) -> FrameFolder:
    clip, cell = plain_name(entry.cells["clip"]), entry.cells["subject"]
    number = subject_number(cell)
    if number is None:
        raise Unusable(f"subject {cell[:80]!r} is not a subject's number", "Correct the sheet.")
    if number not in folders:
        raise NoFolder(f"there is no folder for subject {number}", "Copy the subject from the database.")
    subject, clips = folders[number]
    name, near = pick(clip, clips)
    if name is None:
        if near:
            raise Unusable(f"several folders could be {clip}: {', '.join(near)} in {subject}", "Keep one of them.")
        raise NoFolder(f"there is no folder {clip} in {subject}", "Copy the clip from the database.")
    if name != clip:
        repairs.append(f"frames of {clip} found in folder {subject}/{name}")
    try:
        return frame_folder(clips[name])
    except DatasetError as error:
        raise Unusable(error.message, error.fix) from None
