"""From the rows of an annotation sheet to samples: what databases with one sheet and a folder a clip have in common."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mer_pipe.datasets.aus import parse
from mer_pipe.datasets.classes import class_map, label_column
from mer_pipe.datasets.clip_frames import MISSING_POLICIES, clip_frames, estimated_apex
from mer_pipe.datasets.corrections import Corrections
from mer_pipe.datasets.marks import (
    APEX_POLICIES,
    OFFSET_POLICIES,
    NoFolder,
    Unusable,
    check_policy,
    corrected,
    marks,
)
from mer_pipe.datasets.sheets import Sheet
from mer_pipe.datasets.tree import FrameFolder, safe
from mer_pipe.types import DatasetError, Excluded, Listing, Sample

REPEAT_POLICIES = ("exclude", "first", "last")


@dataclass(frozen=True)
class Entry:
    """One annotated clip as its row writes it.

    Attributes
    ----------
    number : the row's number in the sheet, from 1; 0 where there is no sheet.
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
    classes, class_set : cell (lower case) -> label, and the set's name, which says the column: see
        `mer_pipe.datasets.classes`.
    apex_policy, offset_policy : see `mer_pipe.datasets.marks.marks`; "motion" estimates the apex from the frames.
    fps : frames per second where a row has no own.
    longest : most frames a clip may have, onset and offset included; None for no bound.
    corrections : the reviewed ones of the database, and the user's.
    source : what `Sample.source` says of every row.
    missing_frames : "exclude" a clip with missing frames, or "hold" the frame before in place of each, where no more than
        a quarter of the clip's are missing.
    repeated_rows : for rows that annotate one clip differently: "exclude" it, or read the "first" or the "last".
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
    missing_frames: str = "exclude"
    repeated_rows: str = "exclude"

    def __post_init__(self) -> None:
        check_policy("apex", self.apex_policy, APEX_POLICIES)
        check_policy("offset", self.offset_policy, OFFSET_POLICIES)
        check_policy("missing frames", self.missing_frames, MISSING_POLICIES)
        check_policy("repeated rows", self.repeated_rows, REPEAT_POLICIES)


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
        raise DatasetError(f"{terms.source.get('sheet', 'the database')} has no clips", "Give the whole of it.")
    samples: dict[str, Sample] = {}
    excluded: dict[str, Excluded] = {}
    terms = replace(terms, corrections=terms.corrections or Corrections(terms.database))
    missing = 0
    for entry, again in _without_doubles(entries, terms.repeated_rows, notes):
        name = f"{terms.database}/{entry.subject}/{entry.clip}"
        if name in samples or name in excluded:
            # Only hostile names fall together after `safe`: rows of one clip are doubles.
            name += f"~row{entry.number}"
        try:
            if again and terms.repeated_rows == "exclude":
                raise Unusable(f"rows {again} annotate this clip differently", "Keep one row.")
            told = [f"rows {again} annotate this clip differently: row {entry.number} is read"] if again else []
            samples[name] = _sample(entry, terms, folder_of, told)
        except Unusable as why:
            missing += isinstance(why, NoFolder)
            excluded[name] = Excluded(name, *why.args)
    if missing:
        notes.append(
            f"the frames of {len(samples)} of {len(samples) + missing} clips are there: "
            "the database may be unpacked only in part"
        )
    notes += terms.corrections.unused()
    notes += _doubtful(samples.values())
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
    missing_frames: str = "exclude",
    repeated_rows: str = "exclude",
    corrections: str | os.PathLike[str] | None = None,
) -> Terms:
    """The terms of a database whose rows come from one sheet.

    Raises DatasetError for an unknown class set or policy, a class set whose column the sheet lacks, and a table of
    corrections that makes no sense.
    """
    if label_column(class_set) not in sheet.columns:
        raise DatasetError(
            f"class set {class_set} needs a column of {label_column(class_set)} classes, which {sheet.name} lacks",
            "Choose another class set, or a sheet that has it.",
        )
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
    return Terms(
        database,
        classes,
        str(class_set),
        apex_policy,
        fps,
        offset_policy,
        longest,
        Corrections(database, corrections),
        source,
        missing_frames,
        repeated_rows,
    )


def marked_by_onset(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, with "_onset" on the clips that several rows annotate with different onsets: one video, many clips."""
    onsets: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        onsets.setdefault((entry.subject, entry.cells["clip"]), set()).add(entry.cells["onset"])
    return [
        replace(e, clip=safe(f"{e.clip}_{e.cells['onset']}")) if len(onsets[e.subject, e.cells["clip"]]) > 1 else e
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


def _without_doubles(entries: Sequence[Entry], policy: str, notes: list[str]) -> list[tuple[Entry, str]]:
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
    return [
        (
            others[-1] if others and policy == "last" else first,
            ", ".join(str(e.number) for e in (first, *others) if others),
        )
        for first, others in kept.values()
    ]


def _sample(
    entry: Entry, terms: Terms, folder_of: Callable[[Entry, list[str]], FrameFolder], repairs: list[str]
) -> Sample:
    if entry.refused:
        raise Unusable(*entry.refused)
    cells, known = corrected(entry.cells, terms.corrections, entry.subject, entry.clip, terms.apex_policy, repairs)
    for column, cell in cells.items():
        if cell.startswith("="):
            raise Unusable(f"the {column} cell of row {entry.number} is a formula, {cell[:40]}", "Paste its value.")
    column = label_column(terms.class_set)
    label = terms.classes.get(cells[column].lower())
    if label is None:
        what = "emotion" if column == "emotion" else "objective class"
        raise Unusable(f"{what} {cells[column][:40]!r} is outside the {terms.class_set}-class set")
    onset, apex, offset = marks(cells, known, terms.apex_policy, terms.offset_policy, repairs)
    if terms.longest is not None and offset - onset + 1 > terms.longest:
        raise Unusable(
            f"onset {onset} to offset {offset} is {offset - onset + 1} frames, more than {terms.longest}",
            "Correct the row, or raise longest=.",
        )
    frames = clip_frames(folder_of(entry, repairs), onset, offset, terms.missing_frames, repairs)
    return Sample(
        database=terms.database,
        subject=entry.subject,
        clip=entry.clip,
        frames=frames,
        onset=0,
        apex=estimated_apex(frames, repairs) if apex is None else apex - onset,
        offset=offset - onset,
        fps=terms.fps if entry.fps is None else entry.fps,
        emotion=cells.get("emotion", ""),
        label=label,
        aus=cells.get("aus", ""),
        repairs=tuple(repairs),
        source={**terms.source, **entry.source, **({"row": str(entry.number)} if entry.number else {})},
    )


def _doubtful(samples: Iterable[Sample]) -> Iterator[str]:
    """Notes on samples that share their frames, and on action units that cannot be read."""
    seen: dict[tuple[str, str], str] = {}
    twice: list[str] = []
    unread: list[str] = []
    for sample in samples:
        first = seen.setdefault((sample.frames.files[0], sample.frames.files[-1]), sample.id)
        if first != sample.id:
            twice.append(f"{first} and {sample.id}")
        try:
            parse(sample.aus)
        except DatasetError:
            unread.append(f"{sample.aus[:40]!r} ({sample.id})")
    if twice:
        yield f"{len(twice)} clips have the frames of another: {', '.join(twice[:3])}"
    if unread:
        yield f"action units of {len(unread)} clips cannot be read and are kept as written: {', '.join(unread[:3])}"
