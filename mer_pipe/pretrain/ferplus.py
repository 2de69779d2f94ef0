"""Read FER2013's pixels and FER+'s votes: two sheets whose rows belong together by their order."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_pipe.pretrain.settings import SIDE
from mer_pipe.pretrain.votes import EMOTIONS, VOTES, targets
from mer_pipe.types import DatasetError, Excluded

PARTS = ("Training", "PublicTest", "PrivateTest")
PIXELS_FILE, VOTES_FILE = "fer2013.csv", "fer2013new.csv"
FER2013 = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""FER2013's own classes by number."""

BAD_SHARE = 0.05
"""More unusable rows than this share mean a damaged file, not a bad row."""

AGREEMENT = 0.35, 200
"""Least agreement of FER2013's labels with FER+'s majorities, where that many rows can be compared. Rows that do not
belong together agree by chance, about a fifth; sheets in one order agree in more than half of the rows."""

_GREYS = {str(i): i for i in range(256)}


@dataclass(frozen=True)
class Faces:
    """The usable rows of the two sheets, in their order.

    Attributes
    ----------
    images : (n, 48, 48) uint8 grey levels.
    votes : (n, 10) uint8, in the order of `votes.VOTES`.
    part : (n,) uint8, the position in `PARTS`.
    row : (n,) int32, the row in both sheets; the header is row 1.
    excluded : the rows that cannot be used, and why.
    agreement : share of rows in which FER2013's own label is FER+'s majority; None where there are none to compare.
    digests : file name -> "sha256:<64 hex digits>".
    """

    images: np.ndarray
    votes: np.ndarray
    part: np.ndarray
    row: np.ndarray
    excluded: tuple[Excluded, ...]
    agreement: float | None
    digests: dict[str, str]


class _Bad(Exception):
    """One row cannot be used: why."""


def read(pixels: Path, votes: Path, tell: Callable[[int, int], None] = lambda done, rows: None) -> Faces:
    """Read `fer2013.csv` and `fer2013new.csv`; one row at a time, so that only the images themselves are held.

    Columns are found by name, in any order. A row that cannot be used is left out with its reason.

    Parameters
    ----------
    pixels : FER2013's sheet: emotion, pixels (2304 whole numbers of 0..255) and Usage.
    votes : FER+'s sheet: Usage and the ten columns of `votes.VOTES`. Its image names are not read.
    tell : is told rows read and rows in all, every thousand rows.

    Raises
    ------
    DatasetError : a file that is absent or no such sheet; sheets of different lengths; more than one row in twenty unusable;
        sheets whose labels agree no better than by chance.
    """
    cast, usage, bad = _votes(votes)
    whole = len(cast)
    images = np.zeros((whole, SIDE * SIDE), np.uint8)
    own = np.full(whole, -1, np.int8)
    rows = 0
    for row in _rows(pixels, ("emotion", "pixels", "Usage")):
        if rows < whole:
            try:
                own[rows], images[rows] = _face(row, usage[rows])
            except _Bad as error:
                bad.setdefault(rows, (str(error), pixels))
            if rows % 1000 == 999:
                tell(rows + 1, whole)
        rows += 1
    if rows != whole or not rows:
        raise DatasetError(
            f"{pixels} has {rows} rows and {votes} has {whole}: row by row they must belong together",
            "copy again the one that is cut short; as published both have 35887",
        )
    if len(bad) > BAD_SHARE * rows:
        first = min(bad)
        why, file = bad[first]
        raise DatasetError(
            f"{len(bad)} of {rows} rows cannot be used; the first is row {first + 2} of {file}: {why}",
            "copy the file again",
        )
    excluded = tuple(
        Excluded(f"row {i + 2}", f"{why} ({file.name})", "correct the row, or copy the file again")
        for i, (why, file) in sorted(bad.items())
    )
    good = np.array([i not in bad for i in range(rows)])
    agreement = _agreement(cast[good], own[good], pixels, votes)
    digests = {path.name: _digest(path) for path in (pixels, votes)}
    part = np.array([PARTS.index(u) if u in PARTS else 0 for u in usage], np.uint8)[good]
    images = images if good.all() else images[good]
    return Faces(
        images.reshape(-1, SIDE, SIDE),
        cast[good],
        part,
        np.flatnonzero(good).astype(np.int32) + 2,
        excluded,
        agreement,
        digests,
    )


def _votes(path: Path) -> tuple[np.ndarray, list[str], dict[int, tuple[str, Path]]]:
    """Votes (n, 10), the part of each row, and what is wrong with which row (from 0)."""
    cast, usage, bad = [], [], {}
    for i, (part, *cells) in enumerate(_rows(path, ("Usage", *VOTES))):
        usage.append(part)
        try:
            if part not in PARTS:
                raise _Bad(f"Usage is {part[:40]!r}, not {', '.join(PARTS)}")
            cast.append([_vote(name, cell) for name, cell in zip(VOTES, cells, strict=True)])
            if not sum(cast[-1]):
                raise _Bad("nobody voted")
        except _Bad as error:
            bad[i] = str(error), path
            cast[i:] = [[0] * len(VOTES)]
    return np.array(cast, np.uint8).reshape(-1, len(VOTES)), usage, bad


def _vote(name: str, cell: str) -> int:
    if not (cell.isascii() and cell.isdigit() and len(cell) < 3):
        raise _Bad(f"{name} is {cell[:40]!r}, not a number of votes")
    return int(cell)


def _face(row: Sequence[str], part: str) -> tuple[int, np.ndarray]:
    emotion, text, usage = row
    if usage != part:
        raise _Bad(f"Usage is {usage[:40]!r} here and {part[:40]!r} in the votes")
    cells = text.split()
    try:
        grey = bytes(map(_GREYS.__getitem__, cells))
    except KeyError as error:
        raise _Bad(f"the pixel {error.args[0][:40]!r} is not a whole number of 0..255") from None
    if len(grey) != SIDE * SIDE:
        raise _Bad(f"it has {len(grey)} pixels, not {SIDE * SIDE}")
    if emotion not in _GREYS or int(emotion) >= len(FER2013):
        raise _Bad(f"emotion is {emotion[:40]!r}, not 0 to {len(FER2013) - 1}")
    return int(emotion), np.frombuffer(grey, np.uint8)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[list[str]]:
    """The cells of some columns, row by row; a row that is too short has "" in their place."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip().lower() for name in next(reader, [])]
            lacking = [name for name in columns if name.lower() not in header]
            if lacking:
                raise DatasetError(
                    f"{path} has no column {', '.join(lacking)}; its first line is {','.join(header)[:80]!r}",
                    f"give the sheet with the columns {', '.join(columns)}",
                )
            places = [header.index(name.lower()) for name in columns]
            for row in reader:
                if row:
                    yield [row[p].strip() if p < len(row) else "" for p in places]
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}",
            f"{PIXELS_FILE} is FER2013's sheet and {VOTES_FILE} that of FER+: put both in one folder, or give their paths",
        ) from None
    except csv.Error as error:
        raise DatasetError(f"{path}, line {reader.line_num}: {error}", "copy the file again") from None


def _agreement(votes: np.ndarray, own: np.ndarray, pixels: Path, sheet: Path) -> float | None:
    shares, _ = targets(votes, "majority")
    names = np.array([EMOTIONS.index(name) for name in FER2013])
    known = shares.any(1)
    if not known.any():
        return None
    share = float((shares[known].argmax(1) == names[own[known]]).mean())
    if known.sum() >= AGREEMENT[1] and share < AGREEMENT[0]:
        raise DatasetError(
            f"the labels of {pixels} are those of {sheet} in {share:.0%} of the rows, as by chance: their rows do not "
            "belong together",
            "give both sheets as published, in their own order",
        )
    return share


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
