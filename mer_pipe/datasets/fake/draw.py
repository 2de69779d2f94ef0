"""Draw the scenes of a fake database: the demo's faces and motions, small and brief."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from mer_pipe.datasets.demo import faces, looks, motion
from mer_pipe.datasets.demo._render import render
from mer_pipe.datasets.fake.plan import Scene

NOISE = 1.2
"""Standard deviation of the frames' sensor noise, grey levels."""
PEAK = 2.4
"""Largest displacement of an expression in a frame of 300 rows, px; in proportion in smaller frames."""


def draw_scene(scene: Scene, root: Path, size: tuple[int, int], seed: int, index: int) -> int:
    """Write the frames of a scene below `root` and return their count; seeded by the arguments alone.

    The head drifts and the light flickers over the whole scene, and each event rises from its onset to its apex and falls
    to its offset.
    """
    from PIL import Image

    rng = np.random.default_rng([seed, 13, index])
    base, points = _person(scene.person, size, seed)
    numbers = sorted(scene.numbers)
    first, count = numbers[0], max(numbers[-1] - numbers[0] + 1, 4)
    drift = motion.course(count, 1, size, rng)
    acts = [(_strengths(marks, size, rng), _field(units, points, size)) for marks, units in scene.events]
    still = np.zeros((*size, 2))
    folder = root / scene.folder
    folder.mkdir(parents=True)
    out = np.empty((*size, 3))
    for number in numbers:
        strength, field = next(((s[number], f) for s, f in acts if number in s), (0.0, still))
        at = number - first
        render(base, faces.MARGIN, field, strength, motion.invert(drift.head[at]), drift.gain[at], out)
        image = out.mean(-1) if scene.gray else out
        noisy = image + NOISE * rng.standard_normal(image.shape)
        picture = Image.fromarray(np.rint(np.clip(noisy, 0, 255)).astype(np.uint8))
        path = folder / scene.name.format(number)
        picture.save(path, **({"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg") else {}))
    return len(numbers)


@lru_cache(maxsize=64)
def _person(person: int, size: tuple[int, int], seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng([seed, 1, person])
    return faces.face(looks.look(person - 1, rng), size, rng)


def _field(units: str, points: dict[str, np.ndarray], size: tuple[int, int]) -> np.ndarray:
    return motion.expression(units, PEAK * size[0] / 300, points, size)


def _strengths(marks: tuple[int, int, int], size: tuple[int, int], rng: np.random.Generator) -> dict[int, float]:
    """Frame number -> strength of an event, 0 at its onset and 1 at its apex."""
    onset, apex, offset = marks
    count = max(offset - onset + 1, 4)
    course = motion.course(count, int(np.clip(apex - onset, 1, count - 2)), size, rng)
    return {onset + i: float(course.strength[i]) for i in range(offset - onset + 1)}
