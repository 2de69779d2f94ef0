"""Write the demo database: CASME II's own layout and sheet, generated faces, and the true motion."""

from __future__ import annotations

import json
import os
import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_pipe.datasets.demo import faces, looks, motion
from mer_pipe.datasets.demo._render import render
from mer_pipe.datasets.demo.plan import MARKER, SHEET, TREE, parameters, read_marker
from mer_pipe.types import DatasetError

NOISE = 1.2
"""Standard deviation of the frames' sensor noise, grey levels."""

# Emotion, action units, peak px for a frame of 300 rows. A person's clips run through them in turn.
_ACTS = (
    ("happiness", "6+12", 2.4),
    ("disgust", "4+9", 2.0),
    ("surprise", "1+2+5", 2.6),
    ("repression", "15+17", 1.6),
    ("others", "4", 1.2),
    ("disgust", "4+7", 1.3),
    ("happiness", "L12", 1.8),
    ("others", "R14", 1.0),
    ("surprise", "1+2", 2.0),
    ("repression", "14+17", 1.0),
    ("disgust", "10", 1.4),
    ("happiness", "12", 0.8),
    ("others", "4+15", 1.1),
)


@dataclass(frozen=True)
class Clip:
    """One clip as it is drawn, before noise: everything but the pixels of the base picture."""

    subject: int
    name: str
    emotion: str
    units: str
    onset: int
    apex: int
    offset: int
    field: np.ndarray
    course: motion.Course


def draw_clip(
    points: dict, subject: int, index: int, frames: tuple[int, int], size: tuple[int, int], seed: int
) -> Clip:
    """Clip number `index` (from 0) of a subject (from 1), seeded by nothing but the arguments."""
    rng = np.random.default_rng([seed, 7, subject, index])
    emotion, units, peak = _ACTS[(index + 3 * (subject - 1)) % len(_ACTS)]
    count = int(rng.integers(frames[0], frames[1] + 1))
    apex = int(np.clip(round(count * rng.uniform(0.32, 0.55)), 1, count - 2))
    onset = int(rng.integers(20, 180))
    peak *= rng.uniform(0.6, 1.15) * size[0] / 300
    field = motion.expression(units, peak, points, size)
    name = f"EP{index // 3 + 1:02d}_{index % 3 + 1:02d}" + ("f" if index % 2 else "")
    moves = motion.course(count, apex, size, rng)
    return Clip(subject, name, emotion, units, onset, onset + apex, onset + count - 1, field, moves)


def draw_frame(base: np.ndarray, clip: Clip, position: int) -> np.ndarray:
    """Frame `position` of a clip without noise: (rows, columns, 3) float64 grey levels."""
    out = np.empty((*clip.field.shape[:2], 3))
    moves = clip.course
    back = motion.invert(moves.head[position])
    render(base, faces.MARGIN, clip.field, moves.strength[position], back, moves.gain[position], out)
    return out


def generate(
    root: str | os.PathLike[str],
    *,
    subjects: int = 4,
    clips: int = 6,
    frames: tuple[int, int] = (24, 40),
    size: tuple[int, int] = (300, 400),
    seed: int = 0,
    fps: float = 200.0,
) -> None:
    """Write a demo database into `root`, a folder that is absent or empty; it appears whole or not at all.

    The layout is CASME II's: ``CASME2_RAW_selected/sub01/EP01_01/img46.jpg`` and the sheet
    ``CASME2-coding-20140508.xlsx``; beside them ``truth/sub01/EP01_01.npz`` holds what really moved (see
    `mer_pipe.datasets.demo.truth`) and ``demo.json`` the parameters. The same parameters give the same pixels.

    Parameters
    ----------
    root : where to write.
    subjects, clips : how many people, and clips a person.
    frames : fewest and most frames a clip, onset and offset included; 3 or more.
    size : (rows, columns) of a frame, each 32 or more.
    seed : of everything drawn.
    fps : written to ``demo.json``.

    Raises
    ------
    DatasetError : a parameter is out of range, or `root` holds something already.
    """
    asked = parameters(subjects=subjects, clips=clips, frames=frames, size=size, seed=seed, fps=fps)
    root = Path(root).absolute()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DatasetError(f"{root} exists and is not an empty folder", "Name a new folder for the demo database.")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=root.parent) as scratch:
        made = Path(scratch) / "demo"
        made.mkdir()
        _write(made, asked)
        try:
            os.rename(made, root)
        except OSError:
            # Another process may have put the same database there first; anything else is an error.
            if read_marker(root) != asked:
                raise DatasetError(f"{root} appeared while the demo database was made", "Name a new folder.") from None


def _write(root: Path, asked: dict) -> None:
    from PIL import Image

    size, frames, seed = tuple(asked["size"]), tuple(asked["frames"]), asked["seed"]
    noise = np.random.default_rng([seed, 3]).standard_normal((2 * size[0], 2 * size[1], 3), dtype=np.float32) * NOISE
    rows = []
    for subject in range(1, asked["subjects"] + 1):
        rng = np.random.default_rng([seed, 1, subject])
        base, points = faces.face(looks.look(subject - 1, rng), size, rng)
        for index in range(asked["clips"]):
            clip = draw_clip(points, subject, index, frames, size, seed)
            rng = np.random.default_rng([seed, 9, subject, index])
            folder = root / TREE / f"sub{subject:02d}" / clip.name
            folder.mkdir(parents=True)
            for position in range(clip.offset - clip.onset + 1):
                y, x = rng.integers(0, size[0] + 1), rng.integers(0, size[1] + 1)
                image = draw_frame(base, clip, position) + noise[y : y + size[0], x : x + size[1]]
                pixels = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"img{clip.onset + position}.jpg", quality=95)
            _write_truth(root / "truth" / f"sub{subject:02d}" / f"{clip.name}.npz", clip)
            units = int(clip.units) if clip.units.isdigit() else clip.units
            marks = (clip.onset, clip.apex, clip.offset)
            rows.append((subject, clip.name, None, *marks, None, units, clip.emotion))
    _write_sheet(root / SHEET, rows)
    (root / MARKER).write_text(json.dumps(asked, indent=1) + "\n")


def _write_truth(path: Path, clip: Clip) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    at, moves = clip.apex - clip.onset, clip.course
    np.savez_compressed(
        path,
        flow=motion.flow(clip.field, moves.strength[at], moves.head[at]),
        expression=clip.field.astype(np.float32),
        numbers=np.arange(clip.onset, clip.offset + 1),
        apex=np.array(clip.apex),
        strength=moves.strength,
        head=moves.head,
        gain=moves.gain,
    )


def _write_sheet(path: Path, rows: list[tuple]) -> None:
    """Write CASME II's sheet with the same bytes every time: the clock is kept out of the archive."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(
        (
            "Subject",
            "Filename",
            None,
            "OnsetFrame",
            "ApexFrame",
            "OffsetFrame",
            None,
            "Action Units",
            "Estimated Emotion",
        )
    )
    for row in rows:
        book.active.append(row)
    rough = path.with_suffix(".tmp")
    book.save(rough)
    with zipfile.ZipFile(rough) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename == "docProps/core.xml":
                data = re.sub(rb"(<dcterms:\w+[^>]*>)[^<]*", rb"\g<1>2020-01-01T00:00:00Z", data)
            target.writestr(zipfile.ZipInfo(entry.filename, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    rough.unlink()
