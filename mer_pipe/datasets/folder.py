"""Any folder of videos or of frame folders, with an optional table of annotations."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from mer_pipe.datasets.marks import Unusable
from mer_pipe.datasets.sheets import Row, Sheet, read_sheet, suggest
from mer_pipe.datasets.tree import frame_folder, safe
from mer_pipe.types import ClipError, DatasetError, Excluded, Frames, Listing, Sample

APEX_POLICIES = ("motion", "middle")
ANNOTATIONS = "annotations.csv"
UNKNOWN_SUBJECT = "unknown"
ASSUMED_FPS = 25.0
"""What image folders run at where neither the table nor the option says it; recorded as a repair."""

_COLUMNS = {
    "clip": ("clip", "file", "filename", "video"),
    "subject": ("subject",),
    "onset": ("onset", "onset frame"),
    "apex": ("apex", "apex frame"),
    "offset": ("offset", "offset frame"),
    "label": ("label", "class"),
    "emotion": ("emotion", "estimated emotion"),
    "aus": ("aus", "au", "action units"),
    "fps": ("fps",),
}


@dataclass(frozen=True)
class _Found:
    """A clip on disk: its path below the root in posix form, and its ids' parts."""

    path: str
    relative: str
    video: bool
    subject: str
    clip: str


def list_clips(
    root: str | os.PathLike[str],
    *,
    annotations: str | os.PathLike[str] | None = None,
    apex_policy: str = "motion",
    fps: float | None = None,
) -> Listing:
    """List the clips below a folder: each video file, and each folder with image files directly in it.

    The first folder below the root names the subject ("unknown" for clips in the root itself); the rest of the path,
    without a video's suffix and joined by "__", names the clip: ``anna/day1/smile.mp4`` is ``anna`` / ``day1__smile``.

    Parameters
    ----------
    root : the folder.
    annotations : a table (.csv or .xlsx) with a column ``clip`` (the path below the root, with or without suffix, or
        "subject/clip") and any of ``subject``, ``onset``, ``apex``, ``offset`` (numbers as in the file names, or video
        frames from 0), ``label``, ``emotion``, ``aus``, ``fps``. A clip may have several rows with different onsets.
        None: ``annotations.csv`` in the root where it is there. Clips that a table leaves out are excluded.
    apex_policy : where no apex is given: "motion" estimates it (`mer_pipe.datasets.apex`; every frame is decoded, so
        listing takes time), "middle" takes the frame halfway.
    fps : frame rate where the table gives none; None: a video's own, 25 for images (recorded as a repair).

    Raises
    ------
    DatasetError : the root or the table cannot be used, nothing is found, or an option is unknown.
    """
    if apex_policy not in APEX_POLICIES:
        raise DatasetError(f"there is no apex policy {apex_policy!r}", suggest(str(apex_policy), APEX_POLICIES))
    if fps is not None and not 0 < fps < 1e5:
        raise DatasetError(f"{fps} is no frame rate", "Give frames per second, or leave it out.")
    root = Path(root).absolute()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DatasetError(f"{root} {what}", "Give a folder of videos or of frame folders.")
    clips = _discover(root)
    if not clips:
        raise DatasetError(f"{root} holds no video file and no folder of image files", "Check the root.")
    table = _table(root, annotations)
    samples: list[Sample] = []
    excluded: list[Excluded] = []
    for found, row in _pair(clips, table, excluded):
        subject = safe(row["subject"]) if row.get("subject") else found.subject
        name = f"folder/{subject}/{found.clip}"
        try:
            samples.append(_sample(found, subject, row, apex_policy, fps, table))
        except Unusable as why:
            excluded.append(Excluded(name, *why.args))
        except (ClipError, DatasetError) as error:
            excluded.append(Excluded(name, error.message, error.fix))
    notes = (f"annotations from {table.name}",) if table else ("no annotation table: whole clips, without labels",)
    _require_unique(samples, excluded)
    return Listing(tuple(sorted(samples, key=lambda s: s.id)), tuple(sorted(excluded, key=lambda e: e.id)), notes)


def _discover(root: Path) -> list[_Found]:
    from mer_pipe.datasets.frames import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    paths: list[tuple[str, bool]] = []
    for folder, inner, files in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        names = sorted(name for name in files if not name.startswith("."))
        suffixes = [os.path.splitext(name)[1].lower() for name in names]
        paths += [(os.path.join(folder, n), True) for n, s in zip(names, suffixes, strict=True) if s in VIDEO_SUFFIXES]
        if any(s in IMAGE_SUFFIXES for s in suffixes):
            paths.append((folder, False))
    named = []
    for path, video in paths:
        parts = Path(path).relative_to(root).parts or (root.name,)
        stem = (*parts[:-1], os.path.splitext(parts[-1])[0]) if video else parts
        subject, rest = (UNKNOWN_SUBJECT, stem) if len(stem) == 1 else (safe(stem[0]), stem[1:])
        named.append(_Found(path, "/".join(parts), video, subject, "__".join(safe(part) for part in rest)))
    often = Counter((f.subject, f.clip) for f in named)
    # Names that fall together (a.mp4 beside a.avi) take a mark from the path, which further files cannot change.
    return [f if often[f.subject, f.clip] == 1 else replace(f, clip=f"{f.clip}~{_mark_of(f.relative)}") for f in named]


def _mark_of(relative: str) -> str:
    return hashlib.sha256(relative.encode("utf-8", "surrogateescape")).hexdigest()[:6]


def _table(root: Path, annotations: str | os.PathLike[str] | None) -> Sheet | None:
    if annotations is None:
        path = root / ANNOTATIONS
        if not path.is_file():
            return None
    else:
        path = Path(annotations)
        path = path if path.is_absolute() or path.exists() else root / path
    return read_sheet(path, _COLUMNS, ("clip",))


def _pair(clips: list[_Found], table: Sheet | None, excluded: list[Excluded]) -> list[tuple[_Found, Mapping[str, str]]]:
    """Each clip with its row; rows and clips that have no partner are excluded."""
    if table is None:
        return [(found, {}) for found in clips]
    by_name: dict[str, list[_Found]] = {}
    for found in clips:
        keys = {found.relative, f"{found.subject}/{found.clip}"}
        if found.video:
            keys.add(os.path.splitext(found.relative)[0])
        for key in keys:
            by_name.setdefault(key, []).append(found)
    pairs: list[tuple[_Found, Row]] = []
    for row in table.rows:
        wanted = row.cells["clip"].replace("\\", "/").removeprefix("./")
        near = by_name.get(wanted, [])
        if len(near) == 1:
            pairs.append((near[0], row))
            continue
        subject = safe(row.cells["subject"]) if row.cells.get("subject") else UNKNOWN_SUBJECT
        what = f"several files could be it: {', '.join(f.relative for f in near)}" if near else "no such clip is there"
        excluded.append(
            Excluded(
                f"folder/{subject}/{safe(wanted)}~row{row.number}",
                f"row {row.number} of {table.name} names {wanted!r}: {what}",
                "Name the clip by its path below the root.",
            )
        )
    rows_of = Counter(found.relative for found, _ in pairs)
    for found in clips:
        if found.relative not in rows_of:
            excluded.append(
                Excluded(f"folder/{found.subject}/{found.clip}", f"{table.name} does not list it", "Add a row for it.")
            )
    # Several expressions in one file: the onset tells them apart.
    return [
        (
            replace(found, clip=f"{found.clip}~{safe(row.cells.get('onset') or 'start')}")
            if rows_of[found.relative] > 1
            else found,
            {**row.cells, "row": str(row.number)},
        )
        for found, row in pairs
    ]


def _sample(
    found: _Found, subject: str, row: Mapping[str, str], policy: str, fps: float | None, table: Sheet | None
) -> Sample:
    from mer_pipe.datasets.frames import each, probe_video

    repairs: list[str] = []
    for column, cell in row.items():
        if cell.startswith("="):
            raise Unusable(f"the {column} cell of row {row['row']} is a formula, {cell[:40]}", "Paste its value.")
    if found.video:
        count, rate = probe_video(found.path)
        files, numbers = {}, list(range(count))
    else:
        files, numbers = _numbered(found, repairs)
        rate = 0.0
    onset = _mark(row, "onset", numbers, numbers[0])
    offset = _mark(row, "offset", numbers, numbers[-1])
    if offset <= onset:
        raise Unusable(f"offset {offset} is not after onset {onset}", "A clip needs two frames or more.")
    kept = tuple(n for n in numbers if onset <= n <= offset)
    frames = Frames((found.path,), kept, video=True) if found.video else Frames(tuple(files[n] for n in kept), kept)
    if row.get("apex"):
        apex, how = _mark(row, "apex", numbers, onset), "table"
        if not onset <= apex <= offset:
            raise Unusable(f"apex {apex} lies outside onset {onset} .. offset {offset}", "Correct the row.")
        position = kept.index(apex)
    elif policy == "motion":
        from mer_pipe.datasets.apex import motion_curve, strongest_motion

        position, how = strongest_motion(motion_curve(each(frames))), "motion"
        repairs.append(f"apex estimated by strongest motion: frame {kept[position]}")
    else:
        position, how = (len(kept) - 1) // 2, "middle"
        repairs.append(f"apex taken halfway: frame {kept[position]}")
    emotion, label = row.get("emotion", ""), row.get("label", "")
    source = {"path": found.relative, "apex_policy": how}
    if table is not None:
        source |= {"sheet": table.name, "sheet_sha256": table.sha256, "row": row["row"]}
    return Sample(
        database="folder",
        subject=subject,
        clip=found.clip,
        frames=frames,
        onset=0,
        apex=position,
        offset=len(kept) - 1,
        fps=_rate(row, fps, rate, repairs),
        emotion=emotion or label,
        label=label or emotion,
        aus=row.get("aus", ""),
        repairs=tuple(repairs),
        source=source,
    )


def _numbered(found: _Found, repairs: list[str]) -> tuple[Mapping[int, str], list[int]]:
    """The image files of a frame folder by number; raises Unusable unless they are evenly numbered."""
    folder = frame_folder(found.path)
    if not folder.files:
        raise Unusable("no image file there has a number in its name", "Name the frames 1.jpg, 2.jpg ...")
    for number, names in sorted(folder.doubles.items()):
        raise Unusable(f"frame {number} is there more than once: {', '.join(names)}", "Keep one file a frame.")
    numbers = sorted(folder.files)
    steps = sorted({b - a for a, b in pairwise(numbers)})
    if len(steps) > 1:
        at = next(a for a, b in pairwise(numbers) if b - a != steps[0])
        raise Unusable(f"frames are missing after frame {at}: the numbers go on unevenly", "Export the clip again.")
    if steps and steps[0] > 1:
        repairs.append(f"frame numbers go up in steps of {steps[0]}: taken as consecutive frames")
    return folder.files, numbers


def _mark(row: Mapping[str, str], mark: str, numbers: list[int], otherwise: int) -> int:
    cell = row.get(mark, "")
    if not cell:
        return otherwise
    if not re.fullmatch(r"\d{1,9}", cell, re.ASCII):
        raise Unusable(f"{mark} {cell!r} is not a frame number", "Correct the row, or leave the cell empty.")
    if int(cell) not in numbers:
        raise Unusable(f"{mark} {cell} is not among the frames {numbers[0]}..{numbers[-1]}", "Correct the row.")
    return int(cell)


def _rate(row: Mapping[str, str], fps: float | None, own: float, repairs: list[str]) -> float:
    cell = row.get("fps", "")
    if cell:
        try:
            rate = float(cell)
        except ValueError:
            rate = 0.0
        if not 0 < rate < 1e5:
            raise Unusable(f"fps {cell!r} is no frame rate", "Correct the row, or leave the cell empty.")
        return rate
    if fps is not None or own:
        return float(fps if fps is not None else own)
    repairs.append(f"frame rate unknown: taken as {ASSUMED_FPS:g}")
    return ASSUMED_FPS


def _require_unique(samples: list[Sample], excluded: list[Excluded]) -> None:
    often = Counter([s.id for s in samples] + [e.id for e in excluded])
    twice = sorted(name for name, count in often.items() if count > 1)
    if twice:
        raise DatasetError(
            f"{len(twice)} clips have the same name, {twice[0]} first", "Give each its own subject and clip, or onset."
        )
