"""Draw the demo's people: the portrait reshaped by a thin-plate spline, recoloured and relit."""

from __future__ import annotations

import numpy as np

from mer_pipe.datasets.demo._render import sample
from mer_pipe.datasets.demo.looks import Look
from mer_pipe.datasets.demo.portrait import POINTS, portrait

MARGIN = 12
"""Pixels that a base picture has beyond its frame on every side, so that motion never reads outside it."""

_CENTRE = np.array([224.0, 126.0])
_PINNED = [(x, y) for x in (40, 110, 180, 270, 340, 410) for y in (-60, 240, 300)] + [
    (x, y) for x in (40, 110, 350, 410) for y in (0, 60, 120, 180)
]


def face(person: Look, size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draw a person.

    Parameters
    ----------
    person : the looks.
    size : (rows, columns) of the frame.
    rng : draws the skin's fine texture.

    Returns
    -------
    base : (rows + 2 MARGIN, columns + 2 MARGIN, 3) float64, grey levels 0..255 in steps of 1/64, free of noise.
    points : name -> (x, y) in frame px of each landmark.
    """
    rows, columns = size
    scale = max(rows / 184.0, columns / 245.0)
    middle = np.array([226.0, 100.0])
    at = {name: np.array(xy) for name, xy in POINTS.items()}
    moved = _reshape(at, person)
    ys, xs = np.mgrid[-MARGIN : rows + MARGIN, -MARGIN : columns + MARGIN].astype(np.float64)
    px = (xs - (columns - 1) / 2) / scale * (-1 if person.mirrored else 1) + middle[0]
    py = (ys - (rows - 1) / 2) / scale + middle[1]
    source = np.array(list(at.values()) + _PINNED)
    target = np.array(list(moved.values()) + _PINNED)
    px, py = _thin_plate(target, source, px, py)
    picture, layers = portrait()
    warped = np.empty((*px.shape, picture.shape[2] + len(layers)))
    sample(np.dstack([picture, *layers.values()]), px, py, warped)
    masks = {name: np.clip(warped[..., 3 + i], 0, 1)[..., None] for i, name in enumerate(layers)}
    base = _paint(np.clip(warped[..., :3], 0, 1), masks, person, xs / columns - 0.5, ys / rows - 0.5, scale, rng)
    points = {}
    for name, (x, y) in moved.items():
        sign = -1 if person.mirrored else 1
        here = np.array([(x - middle[0]) * sign * scale + (columns - 1) / 2, (y - middle[1]) * scale + (rows - 1) / 2])
        points[_swap_sides(name) if person.mirrored else name] = here
    return np.round(np.clip(base, 0, 1) * 255 * 64) / 64, points


def _swap_sides(name: str) -> str:
    parts = ["r" if p == "l" else "l" if p == "r" else p for p in name.split("_")]
    return "_".join({"tl": "tr", "tr": "tl", "ql": "qr", "qr": "ql"}.get(p, p) for p in parts)


def _reshape(at: dict[str, np.ndarray], person: Look) -> dict[str, np.ndarray]:
    """Where each landmark of the portrait goes on this person, in portrait px before the frame's scale."""
    to = {name: xy.copy() for name, xy in at.items()}
    for side in ("l", "r"):
        eye = (at[f"eye_{side}_out"] + at[f"eye_{side}_in"]) / 2
        shift = (person.eye_span - 1) * (eye[0] - _CENTRE[0])
        for part in ("out", "in", "top", "low"):
            to[f"eye_{side}_{part}"][0] += shift
        for part in ("top", "low"):
            to[f"eye_{side}_{part}"][1] = eye[1] + person.eyes * (at[f"eye_{side}_{part}"][1] - eye[1])
        for part, tilt in (("in", -0.5), ("mid", 0.4), ("out", 1.0)):
            to[f"brow_{side}_{part}"] += (0.6 * shift, -person.brows - tilt * person.brow_tilt)
        to[f"ala_{side}"][0] = at["nose_tip"][0] + person.nose_width * (at[f"ala_{side}"][0] - at["nose_tip"][0])
        corner = to[f"mouth_{side}"]
        corner[0] = at["lip_top"][0] + (person.mouth - 0.13 * (1 - person.smile)) * (corner[0] - at["lip_top"][0])
        corner[1] += 5.3 * (1 - person.smile)
        to[f"jaw_{side}"][0] += (person.jaw - 1) * (at[f"jaw_{side}"][0] - _CENTRE[0])
        to[f"neck_{side}"][0] += 0.6 * (person.jaw - 1) * (at[f"neck_{side}"][0] - _CENTRE[0])
        for part in (f"hair_{side}", f"hair_t{side}"):
            to[part] = _CENTRE + (person.hair, 0.5 + 0.5 * person.hair) * (at[part] - _CENTRE)
    to["hair_top"][1] += 24.0 * (1 - person.hair)
    # A smile that fades lets the lips close over the teeth and grow as thick as they are unstretched.
    for end, line in (("", 146.2), ("_ql", 146.4), ("_qr", 146.6)):
        was = {part: at[part + end][1] for part in ("lip_top", "lip_top_in", "lip_low_in", "lip_low")}
        upper = person.lips * (was["lip_top_in"] - was["lip_top"])
        lower = person.lips * (was["lip_low"] - was["lip_low_in"])
        shut = {
            "lip_top": line - 0.6 - upper,
            "lip_top_in": line - 0.6,
            "lip_low_in": line + 0.6,
            "lip_low": line + 0.6 + lower,
        }
        was["lip_top"] = was["lip_top_in"] - upper
        was["lip_low"] = was["lip_low_in"] + lower
        for part, y in was.items():
            lips = to[part + end]
            lips[1] = person.smile * y + (1 - person.smile) * shut[part]
            if end:
                lips[0] = at["lip_top"][0] + (person.mouth - 0.13 * (1 - person.smile)) * (lips[0] - at["lip_top"][0])
    drop = (person.nose - 1) * (at["nose_tip"][1] - at["nose_root"][1])
    for name in ("nose_tip", "ala_l", "ala_r"):
        to[name][1] += drop
    for name in to:
        if name.startswith(("mouth", "lip")):
            to[name][1] += 0.7 * drop
    to["chin"][1] += (person.chin - 1) * (at["chin"][1] - at["lip_low"][1]) + 0.3 * drop
    for name, xy in to.items():
        grow = np.array([person.width, person.height])
        if name.startswith("neck"):
            grow = 1 + 0.5 * (grow - 1)
        to[name] = _CENTRE + grow * (xy - _CENTRE)
    return to


def _thin_plate(target: np.ndarray, source: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The thin-plate spline that carries `target` points onto `source` points, evaluated at (x, y)."""

    def kernel(r2: np.ndarray) -> np.ndarray:
        return r2 * np.log(np.maximum(r2, 1e-12))

    n = len(target)
    system = np.zeros((n + 3, n + 3))
    d = target[:, None] - target[None]
    # A touch of smoothing keeps the map one-to-one where neighbouring points disagree.
    system[:n, :n] = kernel((d**2).sum(-1)) + 2.0 * np.eye(n)
    system[:n, n:] = np.column_stack([np.ones(n), target])
    system[n:, :n] = system[:n, n:].T
    solved = np.linalg.solve(system, np.vstack([source - target, np.zeros((3, 2))]))
    out = [x * 1.0, y * 1.0]
    for axis in (0, 1):
        out[axis] += solved[n, axis] + solved[n + 1, axis] * x + solved[n + 2, axis] * y
    for (tx, ty), (cx, cy) in zip(target, solved[:n], strict=True):
        u = kernel((x - tx) ** 2 + (y - ty) ** 2)
        out[0] += cx * u
        out[1] += cy * u
    return out[0], out[1]


def _paint(linear, masks, person: Look, u, v, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Colour and light a reshaped portrait: linear light in, encoded 0..1 out. u, v span the frame."""
    from scipy.ndimage import gaussian_filter

    def smooth(a: np.ndarray, sigma: float) -> np.ndarray:
        return gaussian_filter(a, (sigma, sigma, 0))

    linear = np.maximum(linear, 0)
    grey = linear.mean(-1, keepdims=True)
    skin, hair = masks["skin"], masks["hair"]
    rest = np.clip(1 - skin - hair, 0, 1)
    # Teeth become lip where the mouth is closed.
    teeth = masks["mouth"] * np.clip(grey / 0.25, 0, 1) * np.clip((0.6 - person.smile) / 0.25, 0, 1)
    lip = np.array([0.30, 0.10, 0.085])
    linear = linear * (1 - teeth) + lip * (0.75 + 0.5 * grey) * teeth
    relief = np.maximum(grey, 1e-3) / np.maximum(smooth(grey, 1.6 * scale), 1e-3)
    mottle = smooth(rng.standard_normal(grey.shape), 0.7)
    mottle += 1.5 * smooth(rng.standard_normal(grey.shape), 1.6)
    face = linear * relief ** (person.detail - 1) * (1 + 0.035 * mottle) * np.array(person.skin)
    tone = np.array(person.hair_tone) ** 1.6
    locks = tone * (np.clip(grey, 1e-4, 0.36) / 0.17) ** person.hair_contrast
    strands = 1 + 0.25 * smooth(rng.standard_normal(grey.shape), 0.6)
    stubble = 0.75 * person.beard * masks["beard"] * (1 - masks["mouth"]) * skin
    face = face * (1 - stubble) + stubble * (0.25 * face + 0.6 * tone) * strands
    brows = person.brow_weight * masks["brows"] * skin
    face = face * (1 - brows) + brows * tone * strands
    backdrop = np.array(person.backdrop) ** 2.2 / 0.42
    bright = np.clip((grey - 0.2) / 0.15 + np.clip((0.25 - v[..., None]) / 0.1, 0, 1), 0, 1)
    other = linear * (backdrop * bright + (1 - bright) * np.array(person.suit) / 0.35)
    out = face * skin + locks * hair + other * rest
    shade = 1 + 2 * person.light * u[..., None] - 2 * person.light_up * v[..., None]
    return np.clip(out * np.maximum(shade, 0.2), 0, 1) ** (1 / 2.2)
