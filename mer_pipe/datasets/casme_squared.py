"""CAS(ME)^2 (Qu et al. 2017): 57 micro- and 300 macro-expressions in long videos of 22 people at 30 fps."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mer_pipe.datasets.clip_folders import find_clips
from mer_pipe.datasets.marks import Unusable
from mer_pipe.datasets.places import Layout, check_root, find_sheet
from mer_pipe.datasets.rows import Entry, listing, marked_by_onset, plain_name, subject_number, terms_of
from mer_pipe.datasets.sheets import Row, Sheet, read_tables, suggest
from mer_pipe.datasets.tree import FrameFolder, loose, safe
from mer_pipe.types import DatasetError, Listing

FPS = 30.0
EXPRESSIONS = ("micro", "macro", "both")
LAYOUT = Layout(
    title="CAS(ME)^2",
    expected="rawpic, selectedpic or cropped, with folders s15, s16 ... inside",
    sheet="CAS(ME)^2code_final.xlsx",
    trees={"raw": ("rawpic", "rawpic_crop"), "selected": ("selectedpic",), "cropped": ("cropped",)},
)
# The coding sheet has no header; this is the order of its columns.
_COLUMNS = ("subject", "clip", "onset", "apex", "offset", "aus", "emotion", "type", "self_report")
_TYPE = re.compile(r"(micro|macro)[ _-]?expression", re.IGNORECASE)
_RAW_FOLDER = re.compile(r"0*(\d{1,3})_(\d{4})(?!\d)")


@dataclass(frozen=True)
class _Code:
    """The coding sheet and the two naming sheets of one or several files."""

    sheet: Sheet
    subjects: dict[int, str]
    videos: dict[str, str]


def list_clips(
    root: str | os.PathLike[str],
    *,
    sheet: str | os.PathLike[str] | None = None,
    tree: str | None = None,
    expressions: str = "micro",
    class_set: str = "4",
    apex_policy: str = "sheet",
    offset_policy: str = "apex",
    missing_frames: str = "exclude",
    repeated_rows: str = "exclude",
    corrections: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the annotated expressions of CAS(ME)^2.

    Parameters
    ----------
    root : the folder that holds the database, or one of its trees.
    sheet : the coding sheet: the workbook with its naming sheets, or a .csv export of its first page with the naming
        sheets' exports beside it. None: the one near the root.
    tree : which frames: "raw" (rawpic, whole videos), "selected" or "cropped". None: the first of these that is there.
    expressions : "micro", "macro" or "both"; those of the other type are excluded.
    class_set : "4" or "3", see `mer_pipe.datasets.classes`; clips of other emotions are excluded.
    apex_policy : "sheet", "sheet_or_middle", "middle" or "motion", see `mer_pipe.datasets.marks.marks`.
    offset_policy : for the rows whose offset is 0: "apex" ends the clip at its apex, "exclude" excludes it.
    missing_frames, repeated_rows, corrections : see `mer_pipe.datasets.casme2.list_clips`.

    Raises
    ------
    DatasetError : the root, the sheet or an option cannot be used.
    """
    if expressions not in EXPRESSIONS:
        raise DatasetError(f"there are no {expressions!r} expressions", suggest(str(expressions), EXPRESSIONS))
    notes: list[str] = []
    path = check_root(root)
    code = find_sheet(path, sheet, _read, LAYOUT, notes)
    entries = marked_by_onset([_entry(row, code, expressions) for row in code.sheet.rows])
    wanted = {key for e in entries for key in (_raw_key(e, code), loose(e.cells["clip"])) if key}
    clips = find_clips(path, LAYOUT, tree, _key_of, wanted, notes)

    def folder_of(entry: Entry, repairs: list[str]) -> FrameFolder:
        name = plain_name(entry.cells["clip"])
        raw = _raw_key(entry, code)
        number = subject_number(entry.subject)
        if number is None or entry.subject not in code.subjects.values():
            raise Unusable(f"no naming sheet maps subject {entry.cells['subject']!r} to a folder", "Correct the sheet.")
        if raw in clips.found:
            return clips.folder(raw, _raw_name(raw), None, [])
        if loose(name) not in clips.found and not raw:
            video = _video(name)
            raise Unusable(f"no naming sheet maps video {video!r} to a folder's number", "Correct the sheet.")
        shown = f"{_raw_name(raw)} or {name}" if raw and loose(name) not in clips.found else name
        return clips.folder(loose(name), shown, number, repairs)

    terms = terms_of(
        "casme_sq",
        code.sheet,
        class_set=class_set,
        apex_policy=apex_policy,
        offset_policy=offset_policy,
        fps=FPS,
        version="code_final_updated" if "updated" in code.sheet.name.lower() else "code_final",
        tree=clips.tree,
        missing_frames=missing_frames,
        repeated_rows=repeated_rows,
        corrections=corrections,
    )
    return listing(entries, terms, folder_of, notes)


def _entry(row: Row, code: _Code, expressions: str) -> Entry:
    cells = dict(row.cells)
    if cells["aus"].upper() == "NULL":
        cells["aus"] = ""
    number = subject_number(cells["subject"])
    subject = code.subjects.get(number) if number is not None else None
    refused = None
    kind = _TYPE.fullmatch(cells["type"])
    if kind is None:
        refused = f"type {cells['type']!r} is neither micro- nor macro-expression", "Correct the sheet."
    elif expressions not in ("both", kind.group(1).lower()):
        refused = f"a {kind.group(1).lower()}-expression", f"Choose expressions={kind.group(1).lower()} or both."
    report = cells["self_report"]
    return Entry(
        row.number,
        subject or safe(cells["subject"]),
        safe(cells["clip"]),
        cells,
        source={"expression": kind.group(1).lower() if kind else "", "self_report": report},
        refused=refused,
    )


def _video(clip: str) -> str:
    """The video a clip's code names: "anger1_2" is the second expression in video "anger1"."""
    return clip.rsplit("_", 1)[0]


def _raw_key(entry: Entry, code: _Code) -> str:
    """The key of the raw video of an entry: "15:0401"; "" where the naming sheets don't tell."""
    video = code.videos.get(loose(_video(entry.cells["clip"])))
    number = subject_number(entry.subject) if entry.subject in code.subjects.values() else None
    return f"{number}:{video}" if video and number is not None else ""


def _raw_name(key: str) -> str:
    return key.replace(":", "_") + "..."


def _key_of(folder: str) -> str:
    raw = _RAW_FOLDER.match(folder)
    return f"{raw.group(1)}:{raw.group(2)}" if raw else loose(folder)


def _read(path: Path) -> _Code:
    """The coding sheet of a file, with the naming sheets of the same file or, for .csv, of the files beside it."""
    digest, tables = read_tables(path)
    page = next((t for t in map(_without_blank_columns, tables) if _is_code(t)), None)
    if page is None:
        raise DatasetError(
            f"{path.name} has no page of {len(_COLUMNS)} columns with micro-expression or macro-expression in the 8th",
            "Give CAS(ME)^2code_final.xlsx, or an export of its first page.",
        )
    if path.suffix.lower() == ".csv":
        for beside in sorted(path.parent.glob("*.[cC][sS][vV]")):
            if beside != path:
                tables += read_tables(beside)[1]
    subjects = _pairs(tables, _subject_pair)
    videos = _pairs([t for t in tables if _without_blank_columns(t) != page], _video_pair)
    for what, found in (("subjects to folders (naming rule1)", subjects), ("videos to numbers (naming rule2)", videos)):
        if not found:
            raise DatasetError(
                f"{path.name} has no page that maps {what}", "Give the whole workbook, or export its naming pages too."
            )
    rows = []
    for number, cells in enumerate(page, 1):
        picked = {column: cells[at] if at < len(cells) else "" for at, column in enumerate(_COLUMNS)}
        # Copies whose header was added say "onset" there; anything else that is no number is a row to tell about.
        if any(cells) and not re.fullmatch(r"onset.*", picked["onset"], re.IGNORECASE):
            rows.append(Row(number, picked))
    return _Code(Sheet(path.name, digest, _COLUMNS, tuple(rows)), subjects, videos)


def _without_blank_columns(table: list[list[str]]) -> list[list[str]]:
    width = max(map(len, table), default=0)
    kept = [i for i in range(width) if any(i < len(row) and row[i] for row in table)]
    return [[row[i] if i < len(row) else "" for i in kept] for row in table]


def _is_code(table: list[list[str]]) -> bool:
    return any(len(row) > 7 and _TYPE.fullmatch(row[7]) for row in table)


def _pairs(tables: list[list[list[str]]], pair_of: Callable[[list[str]], tuple | None]) -> dict:
    """What a naming page maps; the page is the first whose rows all read as pairs, but for one header."""
    for table in tables:
        rows = [row for row in ([c for c in row if c] for row in table) if row]
        pairs = [pair for pair in map(pair_of, rows) if pair]
        if pairs and len(pairs) >= len(rows) - 1:
            return dict(pairs)
    return {}


def _subject_pair(cells: list[str]) -> tuple[int, str] | None:
    """("15", "s15", "1") is subject 1 of the coding sheet, whose folder is s15."""
    if len(cells) == 3 and re.fullmatch(r"s ?0*\d{1,3}", cells[1], re.IGNORECASE) and cells[2].isdecimal():
        return int(cells[2]), f"s{subject_number(cells[1]):02d}"
    return None


def _video_pair(cells: list[str]) -> tuple[str, str] | None:
    """("0401", "anger1", ...) is video anger1, whose number in folder names is 0401."""
    if len(cells) >= 2 and re.fullmatch(r"\d{3,4}", cells[0], re.ASCII) and re.match(r"[A-Za-z]", cells[1]):
        return loose(cells[1]), f"{int(cells[0]):04d}"
    return None
