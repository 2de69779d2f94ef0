"""Align: where the face is in the onset frame, as a transform from raw pixels to the canonical face square.

The square is [0, 1] x [0, 1], x right and y down. The eye centres land at (0.34, 0.34) and (0.66, 0.34) by default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.stages.geometry import similarity
from mer_pipe.types import ArraySpec, RecipeError, Stage, Weights

TRANSFORM = ArraySpec(
    ("row", "column"), "float64", "1", shape=(2, 3), about="raw px (x, y, 1) to the face square (x, y)"
)


def eye_targets(eye_distance: float = 0.32, eye_height: float = 0.34) -> np.ndarray:
    """(2, 2) float64: where the eye centres land in the face square, the picture's left eye first."""
    return np.array([[0.5 - eye_distance / 2, eye_height], [0.5 + eye_distance / 2, eye_height]])


def anchors(landmarks: np.ndarray, points: str) -> np.ndarray:
    """(2, 2) float64: the pair of points of 68 landmarks that the face is aligned by, the picture's left one first.

    "eyes": means of the six points of each eye. "inner_eyes": the inner eye corners (39, 42).
    "eye_corners": midpoints of the corners of each eye, which a blink does not move.
    """
    p = np.asarray(landmarks, np.float64)
    pairs = {
        "eyes": (p[36:42].mean(0), p[42:48].mean(0)),
        "inner_eyes": (p[39], p[42]),
        "eye_corners": ((p[36] + p[39]) / 2, (p[42] + p[45]) / 2),
    }
    return np.stack(pairs[points])


ANCHOR_SPREAD = {"eyes": 1.0, "inner_eyes": 0.54, "eye_corners": 0.97}
"""Distance of each pair of anchors as a share of that of the eye centres: one zoom for all (three frontal portraits)."""


@dataclass(frozen=True)
class AlignLandmarks(Stage):
    """The face square by MediaPipe's landmarks on the onset frame.

    model : face_landmarker.task.
    points : "eyes" | "inner_eyes" | "eye_corners", see `anchors`.
    eye_distance : distance of the eye centres in the square, 0..1: smaller leaves more room around the face.
    eye_height : y of the eye centres in the square.
    """

    name: ClassVar[str] = "align_landmarks"
    version: ClassVar[int] = 1

    model: Weights
    points: str = "eyes"
    eye_distance: float = 0.32
    eye_height: float = 0.34

    def __post_init__(self) -> None:
        if self.points not in ANCHOR_SPREAD:
            raise RecipeError(f"align points {self.points!r} are unknown", f"Use one of {', '.join(ANCHOR_SPREAD)}.")
        _check_square(self.eye_distance, self.eye_height)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        about = "68 landmarks of the onset frame (iBUG 300-W order)"
        return {
            "transform": TRANSFORM,
            "landmarks": ArraySpec(("point", "xy"), "float32", "px", shape=(68, 2), about=about),
        }

    def __call__(self, *, frame: np.ndarray) -> dict[str, np.ndarray]:
        from mer_pipe.stages.landmarks import landmarks_68

        landmarks = landmarks_68(frame, self.model)
        targets = eye_targets(self.eye_distance * ANCHOR_SPREAD[self.points], self.eye_height)
        return {"transform": similarity(anchors(landmarks, self.points), targets), "landmarks": landmarks}


@dataclass(frozen=True)
class AlignCascade(Stage):
    """The face square by eye centres from a face cascade and gradients: no model file, the same result everywhere.

    eye_distance, eye_height : as for `AlignLandmarks`.
    """

    name: ClassVar[str] = "align_cascade"
    version: ClassVar[int] = 1

    eye_distance: float = 0.32
    eye_height: float = 0.34

    def __post_init__(self) -> None:
        _check_square(self.eye_distance, self.eye_height)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        about = "eye centres of the onset frame, the picture's left one first"
        return {"transform": TRANSFORM, "eyes": ArraySpec(("eye", "xy"), "float32", "px", shape=(2, 2), about=about)}

    def __call__(self, *, frame: np.ndarray) -> dict[str, np.ndarray]:
        from mer_pipe.stages.eyes import find_eyes

        eyes = find_eyes(frame)
        return {"transform": similarity(eyes, eye_targets(self.eye_distance, self.eye_height)), "eyes": eyes}


@dataclass(frozen=True)
class AlignNone(Stage):
    """The whole frame as the face square, for frames that are already cropped to the face.

    fit : "contain" keeps the aspect and the whole frame, the frame's border pixels fill the rest of the square;
        "cover" keeps the aspect and takes the largest centred square; "stretch" maps the sides apart.
    """

    name: ClassVar[str] = "align_none"
    version: ClassVar[int] = 1

    fit: str = "contain"

    def __post_init__(self) -> None:
        if self.fit not in ("contain", "cover", "stretch"):
            raise RecipeError(f"align fit {self.fit!r} is unknown", "Use one of contain, cover, stretch.")

    @property
    def returns(self) -> dict[str, ArraySpec]:
        return {"transform": TRANSFORM}

    def __call__(self, *, frame: np.ndarray) -> dict[str, np.ndarray]:
        height, width = frame.shape[:2]
        side = {"contain": max(height, width), "cover": min(height, width)}.get(self.fit)
        sides = np.array([side or width, side or height], np.float64)
        centre = np.array([width - 1, height - 1]) / 2  # pixel centres are at integers
        return {"transform": np.column_stack([np.diag(1 / sides), 0.5 - centre / sides])}


def _check_square(eye_distance: float, eye_height: float) -> None:
    if not 0.1 <= eye_distance <= 0.9:
        raise RecipeError(f"align eye_distance {eye_distance!r} is outside 0.1..0.9", "The default is 0.32.")
    if not 0.0 < eye_height < 1.0:
        raise RecipeError(f"align eye_height {eye_height!r} is outside 0..1", "The default is 0.34.")
