"""Find frames in folders: names matched tolerantly, each folder read once, nothing outside the database touched.

A name from a sheet is only ever compared with names that a folder listing gave; it is never made part of a path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from mer_pipe.datasets.frames import IMAGE_SUFFIXES
from mer_pipe.types import DatasetError

_LAST_INTEGER = re.compile(r"(\d{1,9})\D*$")


def last_integer(name: str) -> int | None:
    """The last run of digits in a name ("reg_img046" -> 46), or None."""
    found = _LAST_INTEGER.search(name)
    return int(found.group(1)) if found else None


def loose(name: str) -> str:
    """A name without case, separators and zero padding: "EP02_01f" and "ep2-1F" are one."""
    parts = re.findall(r"\d+|[^\W\d_]+", name.lower())
    return ".".join(part.lstrip("0") or "0" if part.isdigit() else part for part in parts)


def safe(name: str) -> str:
    """A name fit for an id and a file name: anything unusual becomes "_"; never empty, never "." or ".."."""
    plain = re.sub(r"[^\w.()+-]", "_", name)[:80]
    return plain if plain.strip(".") else "_" * max(len(plain), 1)


def subfolders(folder: str) -> list[str]:
    """Names of the folders in `folder`, sorted; raises DatasetError where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir())
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be read: {error.strerror}", "Check the path and its permissions."
        ) from None


def pick(name: str, names: Iterable[str]) -> tuple[str | None, tuple[str, ...]]:
    """The one of `names` that is `name`: exactly, else the only one that is loosely; and all candidates."""
    names = tuple(names)
    if name in names:
        return name, (name,)
    near = tuple(n for n in names if loose(n) == loose(name))
    return (near[0] if len(near) == 1 else None), near


@dataclass(frozen=True)
class FrameFolder:
    """The image files of one folder by frame number; `doubles` are numbers that several files claim."""

    path: str
    files: dict[int, str]
    doubles: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def missing(self, first: int, last: int) -> tuple[int, list[int]]:
        """How many of first..last are not there, and the first three of them."""
        absent = last - first + 1 - sum(first <= n <= last for n in self.files)
        shown, number = [], first
        while len(shown) < min(absent, 3):
            if number not in self.files:
                shown.append(number)
            number += 1
        return absent, shown


def frame_folder(path: str) -> FrameFolder:
    """Read one folder of frames; hidden files and other kinds of files don't count."""
    found: dict[int, list[str]] = {}
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                stem, suffix = os.path.splitext(entry.name)
                if suffix.lower() in IMAGE_SUFFIXES and not stem.startswith("."):
                    number = _number(stem)
                    if number is not None:
                        found.setdefault(number, []).append(entry.name)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}", "Check its permissions.") from None
    files = {number: os.path.join(path, min(names)) for number, names in found.items()}
    doubles = {number: tuple(sorted(names)) for number, names in found.items() if len(names) > 1}
    return FrameFolder(path, files, doubles)


@lru_cache(maxsize=4096)
def _number(stem: str) -> int | None:
    return last_integer(stem)
