"""File names from the names of clips: ASCII, no path, and no two that differ by case alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mer_pipe.export.clips import Clip

LONGEST = 120
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def safe(text: str) -> str:
    """`text` as one part of a path: letters, digits, ".", "-" and "_" stay, all else becomes "_"; no dot comes first."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", text)[:LONGEST]
    return re.sub(r"^\.+", "_", plain).rstrip(".") or "_"


def distinct(names: Iterable[str]) -> list[str]:
    """The names in order; one that is there already, whatever its case, gets the first of "-2", "-3" ... that is free.

    A disk that ignores case (macOS, Windows) would else keep one of two files.
    """
    taken: set[str] = set()
    found = []
    for name in names:
        free, number = name, 1
        while free.lower() in taken:
            number += 1
            free = f"{name}-{number}"
        taken.add(free.lower())
        found.append(free)
    return found


def subject_folders(clips: Sequence[Clip], numbers: bool = True) -> dict[str, str]:
    """Subject of the store ("casme2/sub01") -> its folder: its own name as its database writes it ("sub01"), after that of
    the database where two databases have the same one.

    Parameters
    ----------
    numbers : False where a reader would take a column of numbers for numbers ("006" for 6): the database's name then
        comes before them.
    """
    people = {clip.told["subject"]: clip for clip in clips}
    plain = [safe(clip.person) for clip in people.values()]
    lower = [name.lower() for name in plain]
    every = not numbers and all(map(_NUMBER.fullmatch, plain))
    named = [
        safe(f"{clip.told['database']}_{clip.person}") if every or lower.count(name.lower()) > 1 else name
        for clip, name in zip(people.values(), plain, strict=True)
    ]
    return dict(zip(people, distinct(named), strict=True))


def clip_names(clips: Sequence[Clip], folders: dict[str, str], numbers: bool = True) -> list[str]:
    """A name a clip, "subject_clip" as STSTNet and HTNet have it, unique in the export; `numbers` as above, of clips."""
    parts = [safe(clip.told["clip"]) for clip in clips]
    if not numbers and all(map(_NUMBER.fullmatch, parts)):
        parts = [f"clip{part}" for part in parts]
    return distinct(f"{folders[clip.told['subject']]}_{part}" for clip, part in zip(clips, parts, strict=True))
