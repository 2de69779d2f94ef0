"""The demo's micro-expressions: action units as smooth displacements, their course in time, head drift, and truth.

A frame is made of the person's base picture by sampling it backwards::

    frame_t(y) = gain_t * base(B_t (y - a_t e(y)))

where y is a pixel of the frame, e the clip's expression field (px at the apex), a_t its strength (0 at the onset, 1 at
the apex) and B_t the inverse of the head's rigid motion H_t since the onset (the identity there). So what the onset
frame shows at x stands in frame t at the y with y = H_t x + a_t e(y), and the flow from onset to frame t is y - x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_pipe.datasets.demo._render import sample

# Where an action unit pulls: landmark, x and y of the pull (x away from the face's middle, y down), reach as a share of
# the distance between the outer eye corners. After the Facial Action Coding System's descriptions.
_PULLS: dict[str, tuple[tuple[str, float, float, float], ...]] = {
    "1": (("brow_{}_in", 0.0, -1.0, 0.17),),
    "2": (("brow_{}_out", 0.0, -1.0, 0.17), ("brow_{}_mid", 0.0, -0.6, 0.17)),
    "4": (("brow_{}_in", -0.55, 0.8, 0.18), ("brow_{}_mid", -0.2, 0.5, 0.16)),
    "5": (("eye_{}_top", 0.0, -1.0, 0.10),),
    "6": (("malar_{}", -0.1, -0.8, 0.22), ("eye_{}_low", 0.0, -0.45, 0.13)),
    "7": (("eye_{}_low", 0.0, -0.9, 0.11), ("eye_{}_top", 0.0, 0.35, 0.10)),
    "9": (("ala_{}", 0.1, -1.0, 0.15), ("brow_{}_in", -0.3, 0.5, 0.15)),
    "10": (("lip_top", 0.0, -0.9, 0.15), ("ala_{}", 0.0, -0.5, 0.13)),
    "12": (("mouth_{}", 0.65, -0.75, 0.20), ("malar_{}", 0.1, -0.3, 0.2)),
    "14": (("mouth_{}", 0.9, 0.15, 0.16),),
    "15": (("mouth_{}", 0.15, 1.0, 0.18),),
    "17": (("chin_boss", 0.0, -1.0, 0.22), ("lip_low", 0.0, -0.6, 0.16)),
}


@dataclass(frozen=True)
class Course:
    """What happens over the frames of one clip, all relative to its onset frame.

    Attributes
    ----------
    strength : (n,) share of the expression shown: 0 at the onset, 1 at the apex.
    head : (n, 2, 3) rigid motion of the head, onset px -> frame px; the identity at the onset.
    gain : (n,) brightness factor.
    """

    strength: np.ndarray
    head: np.ndarray
    gain: np.ndarray


def expression(units: str, peak: float, points: dict[str, np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The displacement of action units, combined.

    Parameters
    ----------
    units : as an annotation sheet writes them: "6+12", "L14", "R2+4"; L and R are the person's own left and right.
    peak : largest displacement, px.
    points : the person's landmarks, frame px.
    size : (rows, columns) of the frame.

    Returns
    -------
    (rows, columns, 2) float64: x (right) and y (down) in px.
    """
    points = dict(points)
    points["chin_boss"] = 0.55 * points["chin"] + 0.45 * points["lip_low"]
    middle = points["nose_tip"][0]
    reach = np.linalg.norm(points["eye_r_out"] - points["eye_l_out"])
    field = np.zeros((*size, 2))
    rows, columns = np.arange(size[0], dtype=np.float64), np.arange(size[1], dtype=np.float64)
    for unit in units.split("+"):
        # The person's left is on the right of the picture.
        sides = {"L": "r", "R": "l"}.get(unit[0], "lr")
        for place, dx, dy, share in _PULLS[unit.lstrip("LR")]:
            for name in sorted({place.format(side) for side in sides}):
                x, y = points[name]
                away = np.sign(x - middle) if "{}" in place else 0.0
                wide = np.exp(-(((columns - x) / (share * reach)) ** 2) / 2)
                high = np.exp(-(((rows - y) / (share * reach)) ** 2) / 2)
                blob = high[:, None] * wide[None, :]
                field[..., 0] += dx * away * blob
                field[..., 1] += dy * blob
    field[np.abs(field).max(-1) < 1e-4] = 0.0
    field *= peak / np.sqrt((field**2).sum(-1).max())
    return np.round(field * 2**14) / 2**14


def course(frames: int, apex: int, size: tuple[int, int], rng: np.random.Generator) -> Course:
    """Draw the course of a clip of `frames` frames with its apex at position `apex` (0 < apex < frames - 1)."""
    t = np.arange(frames, dtype=np.float64)
    rest = rng.uniform(0.0, 0.2)
    rise, fall = _smoothstep(t / apex), _smoothstep((t - apex) / (frames - 1 - apex))
    strength = np.where(t <= apex, rise, 1 - (1 - rest) * fall)
    u = t / (frames - 1)
    # Positions in px for a frame of 300 rows; a head drifts and sways, slowly against the expression.
    unit = size[0] / 300
    drift = np.empty((3, frames))
    for axis, swing in enumerate((0.7 * unit, 0.5 * unit, np.deg2rad(0.12))):
        line, wave = rng.uniform(-swing, swing, 2)
        cycles, phase = rng.uniform(0.4, 1.1), rng.uniform(0, 2 * np.pi)
        drift[axis] = line * u + 0.7 * wave * (np.sin(2 * np.pi * cycles * u + phase) - np.sin(phase))
    flicker = 0.006 * np.sin(2 * np.pi * rng.uniform(1.5, 5) * u + rng.uniform(0, 2 * np.pi))
    gain = 1 + flicker + 0.002 * rng.standard_normal(frames)
    centre = np.array([(size[1] - 1) / 2, 0.6 * (size[0] - 1)])
    head = np.empty((frames, 2, 3))
    for i in range(frames):
        turn = drift[2, i]
        head[i, :, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        head[i, :, 2] = centre - head[i, :, :2] @ centre + drift[:2, i]
    fine = 2.0**24
    return Course(np.round(strength * fine) / fine, np.round(head * fine) / fine, np.round(gain * fine) / fine)


def invert(head: np.ndarray) -> np.ndarray:
    """The inverse (2, 3) of an affine motion (2, 3)."""
    a, b, c, d = head[0, 0], head[0, 1], head[1, 0], head[1, 1]
    inverse = np.array([[d, -b], [-c, a]]) / (a * d - b * c)
    return np.column_stack([inverse, -inverse @ head[:, 2]])


def flow(field: np.ndarray, strength: float, head: np.ndarray) -> np.ndarray:
    """The true flow from the onset frame to a frame: that frame at x + flow(x) shows what the onset shows at x.

    Parameters
    ----------
    field : (rows, columns, 2) the clip's expression, px.
    strength, head : those of the frame, see `Course`.

    Returns
    -------
    (rows, columns, 2) float32: u (right) and v (down), px of the raw frame, exact to 1e-3 px (the fixed point
    y = H x + a e(y), with e between pixels by bicubic interpolation).
    """
    ys, xs = np.mgrid[: field.shape[0], : field.shape[1]].astype(np.float64)
    hx = head[0, 0] * xs + head[0, 1] * ys + head[0, 2]
    hy = head[1, 0] * xs + head[1, 1] * ys + head[1, 2]
    moved = np.zeros_like(field)
    for _ in range(60):
        before = moved
        moved = np.empty_like(field)
        sample(field, hx + strength * before[..., 0], hy + strength * before[..., 1], moved)
        if np.abs(moved - before).max() < 1e-5:
            break
    return np.stack([hx - xs + strength * moved[..., 0], hy - ys + strength * moved[..., 1]], -1).astype(np.float32)


def _smoothstep(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * t * (t * (6 * t - 15) + 10)
