"""A generated stand-in for FER2013 and FER+: drawn faces with strong expressions, and simulated annotators."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mer_pipe.pretrain.ferplus import FER2013, GENERATED, PIXELS_FILE, SOURCE, VOTES_FILE
from mer_pipe.pretrain.votes import EMOTIONS, VOTES
from mer_pipe.types import DatasetError

PARTS = {"Training": 0.8, "PublicTest": 0.1, "PrivateTest": 0.1}
FRAME = (140, 186)
FACES_EACH = 12
"""About how many images are drawn of a person; nobody is in two parts."""

_ACTS = {
    "neutral": ("",),
    "happiness": ("6+12", "12"),
    "surprise": ("1+2+5", "1+2"),
    "sadness": ("1+4+15", "1+15+17"),
    "anger": ("4+7", "4+7+17"),
    "disgust": ("9+10", "10+17", "4+9"),
    "fear": ("1+2+4+5", "1+4+5+14"),
    "contempt": ("L14", "R14"),
}
_TAKEN_FOR = {
    "neutral": ("sadness", "contempt"),
    "happiness": ("contempt", "surprise"),
    "surprise": ("fear", "happiness"),
    "sadness": ("neutral", "fear"),
    "anger": ("disgust", "sadness"),
    "disgust": ("anger", "sadness"),
    "fear": ("surprise", "sadness"),
    "contempt": ("neutral", "happiness"),
}


def write_fake(folder: str | os.PathLike[str], images: int = 400, seed: int = 0) -> dict[str, int]:
    """Write ``fer2013.csv`` and ``fer2013new.csv`` of generated faces into a folder that is absent or empty.

    Faces are those of the demo database (its four designed people left out), each with an expression of 4 to 8 px in a frame
    of 184 rows, cropped about as the pipeline crops, turned and stretched a little, grey, 48 x 48. Ten simulated annotators
    vote: the weaker the expression, the more of them say "neutral". One image in fifty shows no face. A last column says of
    every row that it is generated, and reports of trainings on it say so. The same arguments give the same files.

    Parameters
    ----------
    folder : where to write.
    images : rows, 40 to 100,000. Four fifths are Training; nobody is in two parts.
    seed : of everything drawn.

    Returns
    -------
    Images of each part by name.

    Raises
    ------
    DatasetError : an argument is out of range, or the folder holds something.
    """
    from mer_pipe.store.durable import write_files

    root = check(folder, images, seed)
    counts = {part: round(images * share) for part, share in PARTS.items()}
    counts["Training"] += images - sum(counts.values())
    pixels = [f"emotion,pixels,Usage,{SOURCE}"]
    votes = [",".join(("Usage", "Image name", *VOTES, SOURCE))]
    person = 0
    for part, count in counts.items():
        for first in range(0, count, FACES_EACH):
            for grey, emotion, cast in _person(person, min(FACES_EACH, count - first), seed):
                label = FER2013.index(emotion if emotion in FER2013 else "neutral")  # it has no contempt
                name = "" if cast[-1] == sum(cast) else f"fer{len(votes) - 1:07d}.png"
                pixels.append(f"{label},{' '.join(map(str, grey.ravel().tolist()))},{part},{GENERATED}")
                votes.append(",".join((part, name, *map(str, cast), GENERATED)))
            person += 1
    texts = {PIXELS_FILE: pixels, VOTES_FILE: votes}
    write_files((root / name, ("\n".join(lines) + "\n").encode()) for name, lines in texts.items())
    return counts


def check(folder: str | os.PathLike[str], images: int, seed: int) -> Path:
    """The folder as an absolute path; DatasetError where `write_fake` would refuse the arguments."""
    root = Path(folder).expanduser().absolute()
    if not 40 <= images <= 100_000 or seed < 0:
        raise DatasetError(f"{images} images of seed {seed} cannot be made", "use 40 to 100000 and a seed of 0 or more")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DatasetError(f"{root} exists and is not an empty folder", "name a new folder")
    return root


def _person(number: int, count: int, seed: int) -> Iterator[tuple[np.ndarray, str, tuple[int, ...]]]:
    """The images of one generated person: (48, 48) uint8, emotion, ten votes."""
    from mer_pipe.datasets.demo import faces, looks

    rng = np.random.default_rng([seed, 21, number])
    look = looks.look(4 + number, rng)
    # A mouth that smiles when it rests would be taken for an expression.
    look = dataclasses.replace(
        look, smile=rng.uniform(0, 0.25), light=rng.uniform(-0.3, 0.3), light_up=rng.uniform(-0.15, 0.15)
    )
    base, points = faces.face(look, FRAME, rng)
    order = rng.permutation(len(EMOTIONS))
    for i in range(count):
        emotion = EMOTIONS[order[i % len(EMOTIONS)]]
        if rng.random() < 0.02:
            yield rng.integers(0, 256, (48, 1), dtype=np.uint8).repeat(48, 1), emotion, (0,) * 9 + (10,)
            continue
        strength = rng.uniform(0.5, 1.0)
        units = _ACTS[emotion][rng.integers(len(_ACTS[emotion]))]
        yield _picture(base, points, units, strength, rng), emotion, _cast(emotion, strength, rng)


def _picture(base: np.ndarray, points: dict, units: str, strength: float, rng: np.random.Generator) -> np.ndarray:
    from mer_pipe.datasets.demo import faces, motion
    from mer_pipe.datasets.demo._render import render
    from mer_pipe.stages.align import eye_targets
    from mer_pipe.stages.crop import crop
    from mer_pipe.stages.geometry import similarity
    from mer_pipe.stages.gray import gray

    field = np.zeros((*FRAME, 2))
    if units:
        field = motion.expression(units, 8.0 * strength * FRAME[0] / 184, points, FRAME)
    still = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    frame = np.empty((*FRAME, 3))
    render(base, faces.MARGIN, field, 1.0, still, rng.uniform(0.8, 1.15), frame)
    frame += rng.normal(0, 2.0, frame.shape)
    eyes = np.array([(points[f"eye_{side}_out"] + points[f"eye_{side}_in"]) / 2 for side in "lr"])
    to_square = similarity(eyes, eye_targets())
    square = crop(np.rint(np.clip(frame, 0, 255)).astype(np.uint8)[None], _pose(rng) @ _three(to_square), 48)
    return gray(square[0])


def _pose(rng: np.random.Generator) -> np.ndarray:
    """(2, 3) a small turn, stretch and shift of the unit square about its centre."""
    turn, across = np.deg2rad(rng.uniform(-4, 4)), rng.uniform(0.94, 1.02)
    grow = rng.uniform(0.95, 1.05)
    linear = grow * np.array([[np.cos(turn) * across, -np.sin(turn)], [np.sin(turn) * across, np.cos(turn)]])
    return np.column_stack([linear, 0.5 - linear @ (0.5, 0.5) + rng.uniform(-0.03, 0.03, 2)])


def _three(affine: np.ndarray) -> np.ndarray:
    return np.vstack([affine, (0.0, 0.0, 1.0)])


def _cast(emotion: str, strength: float, rng: np.random.Generator) -> tuple[int, ...]:
    """Ten votes on an expression of a strength of 0..1."""
    chance = dict.fromkeys(VOTES, 0.005)
    seen = 0.85 if emotion == "neutral" else 0.35 + 0.55 * strength
    chance[emotion] += seen
    chance["neutral"] += 0.6 * (1 - seen)
    for other in _TAKEN_FOR[emotion]:
        chance[other] += 0.2 * (1 - seen)
    share = np.array(list(chance.values()))
    return tuple(rng.multinomial(10, share / share.sum()).tolist())
