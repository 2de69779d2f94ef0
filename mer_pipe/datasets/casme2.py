"""CASME II (Yan et al. 2014): 26 subjects at 200 fps, read by its annotation sheet from the user's own copy."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mer_pipe.datasets.casme2_layout import find_sheet, find_tree
from mer_pipe.datasets.classes import class_map
from mer_pipe.datasets.corrections import correction
from mer_pipe.datasets.sheets import Row, suggest
from mer_pipe.datasets.tree import FrameFolder, frame_folder, last_integer, pick, safe, subfolders
from mer_pipe.types import DatasetError, Excluded, Frames, Listing, Sample

FPS = 200.0
APEX_POLICIES = ("sheet", "middle")


class _Unusable(Exception):
    """Why a row cannot become a sample, and what the user can do."""


def list_clips(
    root: str | os.PathLike[str],
    *,
    sheet: str | os.PathLike[str] | None = None,
    tree: str | None = None,
    class_set: str = "5",
    apex_policy: str = "sheet",
) -> Listing:
    """List the annotated clips of CASME II.

    Parameters
    ----------
    root : the folder that holds the database, or one of its trees.
    sheet : the annotation sheet: a path (.xlsx or .csv), or the version "20140508" or "20190701" of one near the root.
        None: the one near the root; with both there, 20140508.
    tree : which frames: "raw_selected", "raw" or "cropped". None: the first of these that is there.
    class_set : "5", "3" or "7", see `mer_pipe.datasets.classes`; clips of other emotions are excluded.
    apex_policy : "sheet" takes the annotated apex; "middle" the frame halfway between onset and offset.

    Returns
    -------
    Listing of samples whose frames are those from onset to offset, the excluded rows, and notes on what was chosen.

    Raises
    ------
    DatasetError : the root, the sheet or an option cannot be used.
    """
    return read(root, "casme2", sheet=sheet, tree=tree, class_set=class_set, apex_policy=apex_policy)


def read(
    root: str | os.PathLike[str],
    database: str,
    *,
    sheet: str | os.PathLike[str] | None = None,
    tree: str | os.PathLike[str] | None = None,
    class_set: str = "5",
    apex_policy: str = "sheet",
    fps: float = FPS,
) -> Listing:
    """List any database that is laid out as CASME II is; see `list_clips`. `tree` may also be a folder's path."""
    if apex_policy not in APEX_POLICIES:
        raise DatasetError(f"there is no apex policy {apex_policy!r}", suggest(str(apex_policy), APEX_POLICIES))
    classes = class_map("casme2", class_set)
    root = Path(root).absolute()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DatasetError(f"{root} {what}", "Give the folder that holds the database.")
    notes: list[str] = []
    kind, folder = find_tree(root, tree, notes)
    annotation, version = find_sheet(root, folder, sheet, notes)
    source = {
        "sheet": annotation.name,
        "sheet_version": version,
        "sheet_sha256": annotation.sha256,
        "tree": kind,
        "class_set": str(class_set),
        "apex_policy": apex_policy,
    }
    reader = _Reader(database, _clip_folders(folder), classes, class_set, apex_policy, fps, source)
    samples: dict[str, Sample] = {}
    excluded: dict[str, Excluded] = {}
    for row, again in _without_doubles(annotation.rows, notes):
        subject, clip = _names(row)
        name = f"{database}/{subject}/{clip}"
        if name in samples or name in excluded:
            name += f"~row{row.number}"
        try:
            if again:
                raise _Unusable(f"rows {again} of {annotation.name} annotate this clip differently", "Keep one row.")
            samples[name] = reader.sample(row)
        except _Unusable as why:
            excluded[name] = Excluded(name, *why.args)
    if not samples and not excluded:
        raise DatasetError(f"{annotation.name} has no rows below its header", "Give the database's whole sheet.")
    return Listing(
        tuple(samples[name] for name in sorted(samples)),
        tuple(excluded[name] for name in sorted(excluded)),
        tuple(notes),
    )


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


def _names(row: Row) -> tuple[str, str]:
    """Subject and clip as mer-pipe names them, fit for an id whatever the cells hold."""
    number = _subject_number(row.cells["subject"])
    subject = safe(row.cells["subject"]) if number is None else f"sub{number:02d}"
    return subject, safe(row.cells["clip"])


def _subject_number(cell: str) -> int | None:
    found = re.fullmatch(r"(?:subject|sub|s)?[ _-]?0*(\d{1,4})", cell, re.IGNORECASE)
    return int(found.group(1)) if found else None


def _without_doubles(rows: tuple[Row, ...], notes: list[str]) -> list[tuple[Row, str]]:
    """Each clip's row once, with the numbers of the rows that contradict each other ("" where none do)."""
    kept: dict[tuple[str, str], tuple[Row, list[Row]]] = {}
    for row in rows:
        key = _names(row)[0], row.cells["clip"]
        first, others = kept.setdefault(key, (row, []))
        if row is first:
            continue
        if row.cells == first.cells:
            notes.append(f"row {row.number} repeats row {first.number} ({row.cells['clip']}) and is ignored")
        else:
            others.append(row)
    return [(row, ", ".join(str(r.number) for r in (row, *others)) if others else "") for row, others in kept.values()]


@dataclass(frozen=True)
class _Reader:
    """What every row is read against."""

    database: str
    folders: Mapping[int, tuple[str, dict[str, str]]]
    classes: Mapping[str, str]
    class_set: str
    apex_policy: str
    fps: float
    source: Mapping[str, str]

    def sample(self, row: Row) -> Sample:
        """The sample of a row; raises _Unusable with the reason where there is none."""
        repairs: list[str] = []
        for column, cell in row.cells.items():
            if cell.startswith("="):
                raise _Unusable(f"the {column} cell of row {row.number} is a formula, {cell[:40]}", "Paste its value.")
        subject, clip = _names(row)
        emotion = row.cells["emotion"]
        label = self.classes.get(emotion.lower())
        if label is None:
            raise _Unusable(f"emotion {emotion!r} is outside the {self.class_set}-class set")
        onset, apex, offset = self._marks(row, subject, clip, repairs)
        folder = self._folder(row, repairs)
        where = f"{Path(folder.path).parent.name}/{Path(folder.path).name}"
        absent, shown = folder.missing(onset, offset)
        if absent:
            frames = ", ".join(str(n) for n in shown) + (
                f" and {absent - len(shown)} more" if absent > len(shown) else ""
            )
            raise _Unusable(
                f"of the annotated frames {onset}..{offset}, {frames} {'is' if absent == 1 else 'are'} missing in {where}",
                "Copy the clip again from the database.",
            )
        for number in range(onset, offset + 1):
            if number in folder.doubles:
                raise _Unusable(
                    f"frame {number} is there more than once in {where}: {', '.join(folder.doubles[number])}",
                    "Keep one file a frame.",
                )
        numbers = tuple(range(onset, offset + 1))
        return Sample(
            database=self.database,
            subject=subject,
            clip=clip,
            frames=Frames(tuple(folder.files[n] for n in numbers), numbers),
            onset=0,
            apex=apex - onset,
            offset=offset - onset,
            fps=self.fps,
            emotion=emotion,
            label=label,
            aus=row.cells.get("aus", ""),
            repairs=tuple(repairs),
            source={**self.source, "row": str(row.number)},
        )

    def _marks(self, row: Row, subject: str, clip: str, repairs: list[str]) -> tuple[int, int, int]:
        cells = dict(row.cells)
        fault = correction(self.database, subject, clip)
        if fault and cells[fault.field] == (cells["onset"] if fault.reads == "=onset" else fault.reads):
            if fault.becomes is not None:
                cells[fault.field] = str(fault.becomes)
                repairs.append(f"{fault.field} {fault.reads} read as {fault.becomes}: {fault.reason} ({fault.source})")
        else:
            fault = None
        onset, offset = (_frame_number(cells[mark], mark) for mark in ("onset", "offset"))
        if offset <= onset:
            raise _Unusable(f"offset {offset} is not after onset {onset}", "Correct the row, or leave it out.")
        if self.apex_policy == "middle":
            return onset, onset + (offset - onset) // 2, offset
        try:
            apex = _frame_number(cells["apex"], "apex")
        except _Unusable as why:
            known = f": {fault.reason} ({fault.source})" if fault else ""
            raise _Unusable(why.args[0] + known, "Use the apex policy 'middle', or leave the clip out.") from None
        if not onset <= apex <= offset:
            raise _Unusable(
                f"apex {apex} lies outside onset {onset} .. offset {offset}",
                "Correct the row, or use the apex policy 'middle'.",
            )
        if apex == onset:
            known = f"{fault.reason} ({fault.source})" if fault else "nothing moves between them"
            repairs.append(f"kept with its apex on its onset, frame {onset}: {known}")
        return onset, apex, offset

    def _folder(self, row: Row, repairs: list[str]) -> FrameFolder:
        number = _subject_number(row.cells["subject"])
        clip = row.cells["clip"]
        if not clip or any(c in clip for c in "/\\\0") or not clip.strip("."):
            raise _Unusable(f"clip name {clip!r} is not a plain folder name", "Correct the sheet.")
        if number is None:
            raise _Unusable(f"subject {row.cells['subject']!r} is not a subject's number", "Correct the sheet.")
        if number not in self.folders:
            raise _Unusable(f"there is no folder for subject {number}", "Copy the subject from the database.")
        subject, clips = self.folders[number]
        name, near = pick(clip, clips)
        if name is None:
            what = f"several folders could be {clip}: {', '.join(near)}" if near else f"there is no folder {clip}"
            raise _Unusable(f"{what} in {subject}", "Keep one of them." if near else "Copy the clip from the database.")
        if name != clip:
            repairs.append(f"frames of {clip} found in folder {subject}/{name}")
        try:
            return frame_folder(clips[name])
        except DatasetError as error:
            raise _Unusable(error.message, error.fix) from None


def _frame_number(cell: str, mark: str) -> int:
    if not re.fullmatch(r"\d{1,9}", cell, re.ASCII):
        raise _Unusable(f"{mark} {cell!r} is not a frame number", "Correct the row, or leave it out.")
    return int(cell)
