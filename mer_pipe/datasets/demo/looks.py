"""What makes the demo's people differ."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Look:
    """What makes one demo person differ from the portrait. Lengths are factors of, or shares of, the portrait's own."""

    mirrored: bool = False
    width: float = 1.0  # of the face
    height: float = 1.0
    jaw: float = 1.0  # width of the jaw
    chin: float = 1.0  # height from mouth to chin
    eyes: float = 1.0  # opening
    eye_span: float = 1.0  # distance between them
    brows: float = 0.0  # px raised
    brow_tilt: float = 0.0  # px, outer ends raised
    nose: float = 1.0  # length
    nose_width: float = 1.0
    mouth: float = 1.0  # width
    lips: float = 1.0  # thickness
    smile: float = 0.0  # 1 as in the portrait (teeth show), 0 closed and level
    hair: float = 1.0  # volume
    skin: tuple[float, float, float] = (1.0, 1.0, 1.0)  # factor of linear R, G, B
    hair_tone: tuple[float, float, float] = (0.5, 0.4, 0.3)  # share of white of a mid hair grey
    hair_contrast: float = 1.0
    brow_weight: float = 0.0
    beard: float = 0.0
    detail: float = 1.0  # fine skin relief
    light: float = 0.0  # share by which the right side is brighter than the left
    light_up: float = 0.0  # share by which the top is brighter
    backdrop: tuple[float, float, float] = (0.6, 0.6, 0.6)
    suit: tuple[float, float, float] = (0.3, 0.3, 0.35)


_PEOPLE = (
    Look(
        smile=0.35,
        width=1.03,
        height=0.97,
        eyes=1.12,
        lips=1.1,
        hair=0.97,
        skin=(0.98, 0.96, 0.94),
        hair_tone=(0.16, 0.11, 0.09),
        hair_contrast=0.75,
        light=-0.16,
        backdrop=(0.52, 0.55, 0.58),
        suit=(0.35, 0.36, 0.4),
        detail=0.9,
    ),
    Look(
        mirrored=True,
        width=1.06,
        height=1.02,
        jaw=1.12,
        chin=1.15,
        eyes=0.84,
        brows=-2.0,
        brow_tilt=-0.6,
        nose=1.07,
        nose_width=1.16,
        mouth=1.06,
        lips=0.8,
        smile=0.0,
        hair=0.88,
        skin=(0.66, 0.53, 0.43),
        hair_tone=(0.09, 0.08, 0.08),
        hair_contrast=0.6,
        beard=0.75,
        brow_weight=0.8,
        detail=1.5,
        light=0.2,
        light_up=0.08,
        backdrop=(0.42, 0.44, 0.42),
        suit=(0.16, 0.2, 0.3),
    ),
    Look(
        width=0.92,
        height=1.07,
        jaw=0.92,
        chin=1.06,
        eyes=1.05,
        eye_span=0.97,
        brows=1.4,
        brow_tilt=1.2,
        nose=1.08,
        nose_width=0.88,
        mouth=0.9,
        lips=1.2,
        smile=0.1,
        hair=1.05,
        skin=(0.4, 0.27, 0.2),
        brow_weight=0.4,
        hair_tone=(0.05, 0.04, 0.04),
        hair_contrast=0.5,
        light=0.1,
        light_up=0.12,
        backdrop=(0.66, 0.64, 0.6),
        suit=(0.5, 0.2, 0.18),
        detail=1.0,
    ),
    Look(
        mirrored=True,
        width=0.98,
        height=0.96,
        jaw=1.03,
        chin=0.93,
        eyes=0.92,
        eye_span=1.05,
        brows=0.4,
        brow_tilt=-1.0,
        nose=0.92,
        nose_width=1.06,
        mouth=0.96,
        lips=0.85,
        smile=0.55,
        hair=0.93,
        skin=(1.05, 0.93, 0.88),
        hair_tone=(0.52, 0.5, 0.48),
        hair_contrast=0.9,
        light=-0.1,
        light_up=-0.06,
        backdrop=(0.36, 0.4, 0.48),
        suit=(0.24, 0.34, 0.3),
        detail=1.9,
        brow_weight=0.25,
    ),
)


def look(index: int, rng: np.random.Generator) -> Look:
    """Person number `index` (from 0): the first four are designed, the others drawn between and beyond them."""
    if index < len(_PEOPLE):
        return _PEOPLE[index]
    a, b = (_PEOPLE[i] for i in rng.choice(len(_PEOPLE), 2, replace=False))
    mixed = {}
    for f in fields(Look):
        u, v, t = np.array(getattr(a, f.name)), np.array(getattr(b, f.name)), rng.uniform(-0.15, 1.15)
        if f.name == "mirrored":
            mixed[f.name] = bool(rng.integers(2))
        else:
            value = np.maximum(u + t * (v - u), 0.02 if u.ndim else -3.0)
            mixed[f.name] = tuple(value.tolist()) if u.ndim else float(value)
    mixed["beard"], mixed["smile"] = max(mixed["beard"], 0.0), float(np.clip(mixed["smile"], 0, 0.6))
    return Look(**mixed)
