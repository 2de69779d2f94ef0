"""SMIC (Li et al. 2013): 164 clips of 16 people, labelled by their folders; three cameras that film the same events."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mer_pipe.datasets.classes import class_map
from mer_pipe.datasets.corrections import Corrections
from mer_pipe.datasets.places import check_root
from mer_pipe.datasets.rows import Entry, Terms, listing, subject_number
from mer_pipe.datasets.sheets import suggest
from mer_pipe.datasets.tree import FrameFolder, frame_folder, safe, subfolders
from mer_pipe.types import DatasetError, Listing

CAMERAS = {"HS": 100.0, "VIS": 25.0, "NIR": 25.0}
"""Camera -> frames per second: high speed, visible light, near infrared."""
TREES = ("raw", "cropped")
APEX_POLICIES = ("middle", "motion", "sheet_or_middle")
_EMOTIONS = ("negative", "positive", "surprise")
_CODES = {"ne": "negative", "po": "positive", "sur": "surprise"}
_DEPTH = 5
_EXPECTED = "SMIC_all_raw or SMIC_all_cropped, with HS/s1/micro/negative/s1_ne_01 ... inside"


@dataclass(frozen=True)
class _Subject:
    """One person's folder in one tree: number, camera ("" where no folder above says it), kind of tree, path."""

    number: int
    camera: str
    kind: str
    path: str


def list_clips(
    root: str | os.PathLike[str],
    *,
    camera: str = "HS",
    tree: str | None = None,
    class_set: str = "3",
    apex_policy: str = "middle",
    missing_frames: str = "exclude",
    corrections: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the micro-expressions of SMIC that one camera filmed.

    Parameters
    ----------
    root : the folder that holds the database, one of its trees, or one camera's folder.
    camera : "HS", "VIS" or "NIR". They film the same events and are never listed together.
    tree : which frames: "raw" or "cropped". None: the first of these that is there.
    class_set : "3", the folders' own classes.
    apex_policy : SMIC annotates no apex. "middle" takes the frame halfway; "motion" estimates it (every frame is
        decoded); "sheet_or_middle" takes those that `corrections` give, and halfway else.
    missing_frames : for gaps in a clip's numbering: "exclude" it, or "hold" the frame before in place of each.
    corrections : a table of the user's own corrections, see `mer_pipe.datasets.corrections.Corrections`.

    Returns
    -------
    Listing of samples from a clip's first frame to its last, named as the MEGC 2019 list does: smic/s01/s01_ne_01.

    Raises
    ------
    DatasetError : the root or an option cannot be used.
    """
    for what, value, known in (
        ("camera", camera, tuple(CAMERAS)),
        ("apex policy", apex_policy, APEX_POLICIES),
        ("tree", tree or "raw", TREES),
    ):
        if value not in known:
            raise DatasetError(f"SMIC has no {what} {value!r}", suggest(str(value), known))
    path = check_root(root)
    subjects = _subjects(path)
    kind, chosen, note = _choose(path, subjects, camera, tree)
    notes = [note, f"SMIC annotates no apex: policy {apex_policy}"]
    entries, folders, outside = _entries(chosen)
    if outside:
        notes.append(f"{outside} clips without a micro-expression (non_micro) are left out")
    terms = Terms(
        database="smic",
        classes=class_map("smic", class_set),
        class_set=str(class_set),
        apex_policy=apex_policy,
        fps=CAMERAS[camera],
        missing_frames=missing_frames,
        corrections=Corrections("smic", corrections),
        source={"camera": camera, "tree": kind, "class_set": str(class_set), "apex_policy": apex_policy},
    )

    def folder_of(entry: Entry, repairs: list[str]) -> FrameFolder:
        code = re.search(r"_(ne|po|sur)_", entry.cells["clip"], re.IGNORECASE)
        if code and _CODES[code.group(1).lower()] != entry.cells["emotion"]:
            repairs.append(f"{entry.cells['clip']} lies in folder {entry.cells['emotion']}, which counts")
        return folders[entry.subject, entry.clip]

    return listing(entries, terms, folder_of, notes)


def _subjects(root: Path) -> list[_Subject]:
    """Every folder s1, s2 ... with clips in it, anywhere below the root."""
    found: list[_Subject] = []
    pending = [(root, 0)]
    while pending:
        folder, depth = pending.pop()
        for name in subfolders(str(folder)):
            inner = folder / name
            number = subject_number(name, "s|sub|subject")
            if number is not None and _labelled(inner):
                above = (root.name, *inner.relative_to(root).parts[:-1])
                found.append(_Subject(number, _camera(above), _kind(above), str(inner)))
            elif number is None and depth < _DEPTH:
                pending.append((inner, depth + 1))
    return sorted(found, key=lambda s: (s.number, s.path))


def _choose(root: Path, subjects: list[_Subject], camera: str, tree: str | None) -> tuple[str, list[_Subject], str]:
    """The folders of one camera in one tree, and a note on what else is there."""
    if not subjects:
        names = subfolders(str(root))
        shown = ", ".join(names[:6]) + (" ..." if len(names) > 6 else "") if names else "no folder at all"
        raise DatasetError(f"{root} was expected to hold {_EXPECTED}; it holds {shown}", "Check the root.")
    named = sorted({s.camera for s in subjects} - {""})
    of_camera = [s for s in subjects if s.camera == camera or (not named and not s.camera)]
    if not of_camera:
        raise DatasetError(f"{root} holds no clips of camera {camera}, only {', '.join(named)}", "Choose with camera=.")
    kinds = [kind for kind in TREES if any(s.kind == kind for s in of_camera)]
    if tree is not None and tree not in kinds:
        raise DatasetError(
            f"{root} holds no tree {tree} of camera {camera}, only {', '.join(kinds)}", "Choose another."
        )
    kind = tree or kinds[0]
    chosen = [s for s in of_camera if s.kind == kind]
    numbers = [s.number for s in chosen]
    for subject in chosen:
        if numbers.count(subject.number) > 1:
            twice = [os.path.relpath(s.path, root) for s in chosen if s.number == subject.number]
            raise DatasetError(f"{root} holds subject {subject.number} twice: {', '.join(twice)}", "Keep one of them.")
    guessed = "" if named else f"; no folder is named by its camera: taken as {camera}"
    others = [f"tree {k}" for k in kinds if k != kind] + [f"camera {c}" for c in named if c != camera]
    also = f"; {', '.join(others)} there too" if others else ""
    return kind, chosen, f"frames from tree {kind}, camera {camera}, {len(chosen)} subjects{guessed}{also}"


def _entries(subjects: list[_Subject]) -> tuple[list[Entry], dict[tuple[str, str], FrameFolder], int]:
    """One entry a clip folder, the frames of each, and how many clips hold no micro-expression."""
    entries: list[Entry] = []
    folders: dict[tuple[str, str], FrameFolder] = {}
    outside = 0
    for subject in subjects:
        name = f"s{subject.number:02d}"
        for inner in subfolders(subject.path):
            if re.fullmatch(r"non[ _-]?micro", inner, re.IGNORECASE):
                outside += len(subfolders(os.path.join(subject.path, inner)))
        for emotion, place in _labelled(Path(subject.path)):
            for folder in subfolders(place):
                frames = frame_folder(os.path.join(place, folder))
                clip = _clip(folder)
                if (name, clip) in folders:
                    clip += f"~{emotion}"
                folders[name, clip] = frames
                first, last = (str(min(frames.files)), str(max(frames.files))) if frames.files else ("", "")
                cells = {
                    "subject": name,
                    "clip": folder,
                    "onset": first,
                    "apex": "",
                    "offset": last,
                    "emotion": emotion,
                }
                empty = (f"there is no numbered image in {emotion}/{folder}", "Copy the clip from the database.")
                entries.append(Entry(0, name, clip, cells, refused=None if frames.files else empty))
    return entries, folders, outside


def _labelled(subject: Path) -> list[tuple[str, str]]:
    """(emotion, path) of the emotion folders of one person, below "micro" or directly."""
    names = subfolders(str(subject))
    micro = next((n for n in names if n.lower() == "micro"), None)
    place = subject / micro if micro else subject
    inside = subfolders(str(place)) if micro else names
    return [
        (emotion, str(place / name))
        for name in inside
        for emotion in _EMOTIONS
        if name.lower() in (emotion, emotion[:3], emotion[:2])
    ]


def _clip(folder: str) -> str:
    """A clip folder's name with two digits each ("s1_ne_1" -> "s01_ne_01"), or the name made fit for an id."""
    found = re.fullmatch(r"s0*(\d{1,3})_([a-z]+)_0*(\d{1,3})", folder, re.IGNORECASE | re.ASCII)
    return f"s{int(found[1]):02d}_{found[2].lower()}_{int(found[3]):02d}" if found else safe(folder)


def _camera(above: tuple[str, ...]) -> str:
    """The camera that the nearest folder name with one among its words tells."""
    for name in reversed(above):
        words = re.split(r"[^A-Za-z]+", name.upper())
        for camera in CAMERAS:
            if camera in words:
                return camera
    return ""


def _kind(above: tuple[str, ...]) -> str:
    return "cropped" if any("crop" in name.lower() for name in above) else "raw"
