"""From the rows of an annotation sheet to samples: what databases with one sheet and a folder a clip have in common."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mer_pipe.datasets.classes import class_map, label_column
from mer_pipe.datasets.corrections import Correction, Corrections
from mer_pipe.datasets.sheets import Sheet, suggest
from mer_pipe.datasets.tree import FrameFolder, safe
from mer_pipe.types import DatasetError, Excluded, Frames, Listing, Sample

APEX_POLICIES = ("sheet", "middle")
OFFSET_POLICIES = ("exclude", "apex")


class Unusable(Exception):
    """Why a row cannot become a sample, and what the user can do."""

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason, fix)


class NoFolder(Unusable):
    """The clip's frames are not there: counted, to tell a tree that was unpacked only in part."""


@dataclass(frozen=True)
class Entry:
    """One annotated clip as its row writes it.

    Attributes
    ----------
    number : the row's number in the sheet, from 1.
    subject, clip : as mer-pipe names them, fit for an id.
    cells : onset, apex, offset, emotion and aus as the sheet writes them, and whatever else the adapter reads; at least
        "subject" and "clip".
    fps : frames per second; None where the adapter's `Terms` say it.
    source : what `Sample.source` says of this row alone.
    refused : why the row is excluded whatever its cells and frames are, as `Unusable`'s arguments; None for most.
    """

    number: int
    subject: str
    clip: str
    cells: Mapping[str, str]
    fps: float | None = None
    source: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, str] | None = None


@dataclass(frozen=True)
class Terms:
    """What every row of a database is read against.

    Attributes
    ----------
    database : its name in ids.
    classes, class_set : emotion (lower case) -> label, and the set's name.
    apex_policy : "sheet" takes the annotated apex, "middle" the frame halfway between onset and offset.
    offset_policy : for an offset of 0 or none: "apex" ends the clip at its apex, "exclude" excludes it.
    fps : frames per second where a row has no own.
    longest : most frames a clip may have, onset and offset included; None for no bound.
    corrections : the reviewed ones of the database, and the user's.
    source : what `Sample.source` says of every row.
    """

    database: str
    classes: Mapping[str, str]
    class_set: str
    apex_policy: str
    fps: float
    offset_policy: str = "exclude"
    longest: int | None = None
    corrections: Corrections | None = None
    source: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, value, known in (
            ("apex", self.apex_policy, APEX_POLICIES),
            ("offset", self.offset_policy, OFFSET_POLICIES),
        ):
            if value not in known:
                raise DatasetError(f"there is no {what} policy {value!r}", suggest(str(value), known))


def listing(
    entries: Sequence[Entry],
    terms: Terms,
    folder_of: Callable[[Entry, list[str]], FrameFolder],
    notes: list[str],
) -> Listing:
    """Read every entry against `terms`; each ends in exactly one of the listing's two tuples.

    Parameters
    ----------
    entries : one a row. Rows that repeat each other exactly count once, with a note; rows that annotate one clip
        differently are excluded.
    folder_of : finds the frames of an entry, adds to the repairs what was guessed, raises `Unusable` where it cannot.
    notes : what the listing's notes start with.

    Raises
    ------
    DatasetError : there is no entry.
    """
    if not entries:
        raise DatasetError(f"{terms.source.get('sheet', 'the sheet')} has no rows", "Give the database's whole sheet.")
    samples: dict[str, Sample] = {}
    excluded: dict[str, Excluded] = {}
    missing = 0
    for entry, again in _without_doubles(entries, notes):
        name = f"{terms.database}/{entry.subject}/{entry.clip}"
        if name in samples or name in excluded:
            # Only hostile names fall together after `safe`: rows of one clip are doubles.
            name += f"~row{entry.number}"
        try:
            if again:
                raise Unusable(f"rows {again} annotate this clip differently", "Keep one row.")
            samples[name] = _sample(entry, terms, folder_of)
        except Unusable as why:
            missing += isinstance(why, NoFolder)
            excluded[name] = Excluded(name, *why.args)
    if missing:
        notes.append(
            f"{missing} of {len(samples) + len(excluded)} annotated clips lack their folder or frames: "
            "the database may be unpacked only in part"
        )
    if terms.corrections:
        notes += terms.corrections.unused()
    return Listing(
        tuple(samples[name] for name in sorted(samples)),
        tuple(excluded[name] for name in sorted(excluded)),
        tuple(notes),
    )


def terms_of(
    database: str,
    sheet: Sheet,
    *,
    class_set: str,
    apex_policy: str,
    fps: float,
    version: str,
    tree: str,
    offset_policy: str = "exclude",
    longest: int | None = None,
    corrections: str | os.PathLike[str] | None = None,
) -> Terms:
    """The terms of a database whose rows come from one sheet.

    Raises DatasetError for an unknown class set or policy, and for a table of corrections that makes no sense.
    """
    source = {
        "sheet": sheet.name,
        "sheet_version": version,
        "sheet_sha256": sheet.sha256,
        "tree": tree,
        "class_set": str(class_set),
        "apex_policy": str(apex_policy),
    }
    if offset_policy != "exclude":
        source["offset_policy"] = str(offset_policy)
    classes = class_map(database, class_set)
    column = label_column(class_set)
    if column not in sheet.columns:
        raise DatasetError(f"{sheet.name} has no column for the class set {class_set}", "Choose another class set.")
    table = Corrections(database, corrections)
    return Terms(database, classes, str(class_set), apex_policy, fps, offset_policy, longest, table, source)


def marked_by_onset(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, with "~onset" on the clips that several rows annotate with different onsets: one video, many clips."""
    onsets: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        onsets.setdefault((entry.subject, entry.cells["clip"]), set()).add(entry.cells["onset"])
    return [
        replace(e, clip=safe(f"{e.clip}~{e.cells['onset']}")) if len(onsets[e.subject, e.cells["clip"]]) > 1 else e
        for e in entries
    ]


def plain_name(cell: str, what: str = "clip") -> str:
    """A cell that may name a folder; raises `Unusable` for anything that could lead elsewhere."""
    if not cell.strip(".") or any(c in cell for c in "/\\\0"):
        raise Unusable(f"{what} name {cell[:80]!r} is not a plain folder name", "Correct the sheet.")
    return cell


def subject_number(cell: str, prefix: str = "subject|sub|s") -> int | None:
    """The number of a subject however it is padded and prefixed ("sub07", "7", "S7"), or None."""
    found = re.fullmatch(rf"(?:{prefix})?[ _.-]?0*(\d{{1,4}})", cell.strip(), re.IGNORECASE | re.ASCII)
    return int(found.group(1)) if found else None


def subject_name(cell: str, pattern: str, prefix: str = "subject|sub|s") -> str:
    """A subject as mer-pipe names it: `pattern` ("sub{:02d}") of its number, or the cell made fit for an id."""
    number = subject_number(cell, prefix)
    return safe(cell) if number is None else pattern.format(number)


def frame_number(cell: str, mark: str) -> int:
    """The frame number in a cell; raises `Unusable` for anything else."""
    if not re.fullmatch(r"\d{1,9}", cell, re.ASCII):
        raise Unusable(f"{mark} {cell[:40]!r} is not a frame number", "Correct the row, or leave it out.")
    return int(cell)


def _without_doubles(entries: Sequence[Entry], notes: list[str]) -> list[tuple[Entry, str]]:
    """Each clip's entry once, with the numbers of the rows that contradict each other ("" where none do)."""
    kept: dict[tuple[str, str], tuple[Entry, list[Entry]]] = {}
    for entry in entries:
        # The cell beside the name: names that `safe` makes alike are not one clip.
        first, others = kept.setdefault((entry.subject, entry.clip + "\0" + entry.cells["clip"]), (entry, []))
        if entry is first:
            continue
        if entry.cells == first.cells:
            notes.append(f"row {entry.number} repeats row {first.number} ({entry.clip}) and is ignored")
        else:
            others.append(entry)
    return [(e, ", ".join(str(r.number) for r in (e, *others)) if others else "") for e, others in kept.values()]


def _sample(entry: Entry, terms: Terms, folder_of: Callable[[Entry, list[str]], FrameFolder]) -> Sample:
    repairs: list[str] = []
    for column, cell in entry.cells.items():
        if cell.startswith("="):
            raise Unusable(f"the {column} cell of row {entry.number} is a formula, {cell[:40]}", "Paste its value.")
    if entry.refused:
        raise Unusable(*entry.refused)
    cells, known = _corrected(entry, terms, repairs)
    column = label_column(terms.class_set)
    label = terms.classes.get(cells[column].lower())
    if label is None:
        what = "objective class" if column == "objective" else column
        raise Unusable(f"{what} {cells[column]!r} is outside the {terms.class_set}-class set")
    onset, apex, offset = _marks(cells, known, terms, repairs)
    if terms.longest is not None and offset - onset + 1 > terms.longest:
        raise Unusable(
            f"onset {onset} to offset {offset} is {offset - onset + 1} frames, more than {terms.longest}",
            "Correct the row, or raise longest=.",
        )
    frames = _frames(folder_of(entry, repairs), onset, offset, repairs)
    return Sample(
        database=terms.database,
        subject=entry.subject,
        clip=entry.clip,
        frames=frames,
        onset=0,
        apex=apex - onset,
        offset=offset - onset,
        fps=terms.fps if entry.fps is None else entry.fps,
        emotion=cells["emotion"],
        label=label,
        aus=cells.get("aus", ""),
        repairs=tuple(repairs),
        source={**terms.source, **entry.source, "row": str(entry.number)},
    )


def _corrected(entry: Entry, terms: Terms, repairs: list[str]) -> tuple[dict[str, str], dict[str, Correction]]:
    """The cells after corrections, and by field the faults that are known but that nobody can repair."""
    cells, known = dict(entry.cells), {}
    table = terms.corrections or Corrections(terms.database)
    for fault in table.of(entry.subject, entry.clip, entry.cells["onset"]):
        reads = entry.cells["onset"] if fault.reads == "=onset" else fault.reads
        if reads is not None and cells.get(fault.field) != reads:
            continue
        table.mark_used(fault)
        if fault.field == "exclude":
            raise Unusable(f"left out: {fault.reason} ({fault.source})")
        if fault.becomes is None:
            known[fault.field] = fault
            continue
        was = cells.get(fault.field) or "missing"
        cells[fault.field] = fault.becomes
        repairs.append(f"{fault.field} {was} read as {fault.becomes}: {fault.reason} ({fault.source})")
    return cells, known


def _marks(
    cells: Mapping[str, str], known: Mapping[str, Correction], terms: Terms, repairs: list[str]
) -> tuple[int, int, int]:
    """Onset, apex and offset as frame numbers, after the policies."""
    fault = known.get("apex")
    onset = frame_number(cells["onset"], "onset")
    if cells["offset"] in ("", "0") and terms.offset_policy == "apex":
        offset = frame_number(cells["apex"], "apex")
        repairs.append(f"offset {cells['offset'] or 'missing'}: the clip ends at its apex, frame {offset}")
        if offset <= onset:
            raise Unusable(
                f"offset {cells['offset']!r} gives way to apex {offset}, which is not after onset {onset}",
                "Correct the row, or leave it out.",
            )
    else:
        offset = frame_number(cells["offset"], "offset")
        if offset <= onset:
            fix = "Correct the row, or leave it out."
            if offset == 0:
                fix = "Use the offset policy 'apex', correct the row, or leave it out."
            raise Unusable(f"offset {offset} is not after onset {onset}", fix)
    if terms.apex_policy == "middle":
        return onset, onset + (offset - onset) // 2, offset
    try:
        apex = frame_number(cells["apex"], "apex")
    except Unusable as why:
        told = f": {fault.reason} ({fault.source})" if fault else ""
        raise Unusable(why.args[0] + told, "Use the apex policy 'middle', or leave the clip out.") from None
    if not onset <= apex <= offset:
        raise Unusable(
            f"apex {apex} lies outside onset {onset} .. offset {offset}",
            "Correct the row, or use the apex policy 'middle'.",
        )
    if apex == onset:
        told = f"{fault.reason} ({fault.source})" if fault else "nothing moves between them"
        repairs.append(f"kept with its apex on its onset, frame {onset}: {told}")
    return onset, apex, offset


def _frames(folder: FrameFolder, onset: int, offset: int, repairs: list[str]) -> Frames:
    """The frames onset..offset of a folder, none missing, none there twice."""
    where = f"{Path(folder.path).parent.name}/{Path(folder.path).name}"
    if not folder.files:
        raise NoFolder(f"there is no frame in {where}", "Copy the clip from the database.")
    first, last = min(folder.files), max(folder.files)
    numbers = range(onset, offset + 1)
    absent, shown = folder.missing(onset, offset)
    if absent and first in (0, 1) and last - first == offset - onset and len(folder.files) == len(numbers):
        # Copies that hold the clip alone often number it anew; the same length makes the reading sure enough to tell.
        repairs.append(f"frames {first}..{last} in {where} stand for the annotated {onset}..{offset}: same count")
        numbers = range(first, last + 1)
    elif absent:
        more = f" and {absent - len(shown)} more" if absent > len(shown) else ""
        raise NoFolder(
            f"of the annotated frames {onset}..{offset}, {', '.join(map(str, shown))}{more} "
            f"{'is' if absent == 1 else 'are'} missing in {where}, which holds {first}..{last}",
            "Copy the clip again from the database, or correct the row.",
        )
    for number in numbers:
        if number in folder.doubles:
            raise Unusable(
                f"frame {number} is there more than once in {where}: {', '.join(folder.doubles[number])}",
                "Keep one file a frame.",
            )
    return Frames(tuple(folder.files[n] for n in numbers), tuple(numbers))
