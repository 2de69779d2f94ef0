"""Register: the head's own motion within a clip, so that crops can follow the head and keep the expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mer_pipe.stages._head_motion import Onset, on_face
from mer_pipe.stages.align import TRANSFORM
from mer_pipe.stages.geometry import apply, inverse
from mer_pipe.types import ArraySpec, ClipError, RecipeError, Stage

MODELS = ("translation", "similarity", "affine")
REACH = 1 / 8
"""Of the square's side: a head that moves farther is not followed."""


HEAD = ArraySpec(
    ("part",),
    "float32",
    "px, px, px, degrees, %",
    shape=(5,),
    about="the head's motion: mean length over the face, right, down, turn (clockwise), growth",
)


def head_motion(
    onset: np.ndarray,
    frames: np.ndarray | Sequence[np.ndarray],
    model: str = "similarity",
    reach: float = REACH,
) -> np.ndarray:
    """The plane motion of the head from the onset crop to other crops of the clip, whatever the expression does.

    Each block of 8 px has a local motion (Lucas & Kanade 1981, over 24 px, on a pyramid). The plane motion is the one
    that the largest agreeing part of the face has in common (Tukey's biweight on the blocks' motions, with their
    covariances): at least a fifth of what is well seen must move with the head. Only an ellipse that a face fills is
    looked at. Brightness is matched by one gain and bias.

    Parameters
    ----------
    onset : (y, x, channel) uint8, 16 px or more a side.
    frames : n of them, of the onset's size.
    model : "translation"; "similarity", with rotation and growth; or "affine".
    reach : share of the square's side that the head may move.

    Returns
    -------
    (n, 2, 3) float64, px: a point of the head at (x, y) of the onset lies at motion @ (x, y, 1) of the frame. The
    identity for a frame that is the onset, and where there is nothing to see.

    Raises
    ------
    ClipError : frames of several sizes, or a head that moves farther than `reach`.
    RecipeError : an unknown model.
    """
    check_model(model)
    for frame in frames:
        check_sizes(onset, frame)
    still = np.eye(2, 3)
    compared = None
    out = np.empty((len(frames), 2, 3))
    for row, frame in zip(out, frames, strict=True):
        if np.array_equal(frame, onset):
            row[:] = still
            continue
        compared = compared or Onset(onset, model)
        row[:] = compared.motion(frame)
        side = max(onset.shape[:2])
        moved = length(row, onset.shape)
        if moved > reach * side:
            raise ClipError(
                f"the head moves {moved:.0f} px from the onset to another frame, more than the {reach * side:.0f} px "
                "that can be registered",
                "check the clip's onset and offset, or build with --set register.method=none",
            )
    return out


def parts(motion: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A motion (2, 3) of a frame of `shape` in words: (5,) float32, see `HEAD`.

    How far it carries the face on average, and its centre to the right and down, px; its turn in degrees, clockwise as
    seen, and its growth in %. Of an affine motion the last two are those of the nearest similarity. No part exceeds
    10,000, whatever two frames without a common motion may give.
    """
    centre = (np.array([[shape[1], shape[0]]]) - 1) / 2
    right, down = (apply(motion, centre) - centre)[0]
    (a, b, _), (c, d, _) = motion
    turn, growth = np.degrees(np.arctan2(c - b, a + d)), 100 * (np.hypot(a + d, c - b) / 2 - 1)
    found = np.array([length(motion, shape), right, down, turn, growth])
    return np.clip(found, -1e4, 1e4).astype(np.float32)


def length(motion: np.ndarray, shape: tuple[int, ...]) -> float:
    """How far a motion (2, 3) of a frame of `shape` carries the face on average, px."""
    y, x = np.meshgrid(np.linspace(0, shape[0] - 1, 29), np.linspace(0, shape[1] - 1, 29), indexing="ij")
    points = np.stack([x, y], -1)[on_face(x, y, shape)]
    return float(np.hypot(*(apply(motion, points) - points).T).mean())


def following(transform: np.ndarray, motion: np.ndarray, side: int) -> np.ndarray:
    """`transform` after the head has moved: the crop of a frame then shows the head where the onset's crop does.

    Parameters
    ----------
    transform : (2, 3), raw px to the unit square at the onset, as the align stages return it.
    motion : (2, 3), px of crops of `side` px, from `head_motion`.

    Returns
    -------
    (2, 3) float64, raw px of that frame to the unit square. The same bytes for the identity.
    """
    if np.array_equal(motion, np.eye(2, 3)):
        return np.array(transform, np.float64)
    back = inverse(motion)
    # Crop px are side * square - 1/2, see `crop`.
    half = np.array([0.5, 0.5])
    shift = (back[:, 2] - back[:, :2] @ half + half) / side
    linear = back[:, :2] @ transform[:, :2]
    return np.column_stack([linear, back[:, :2] @ transform[:, 2] + shift])


@dataclass(frozen=True)
class Register(Stage):
    """Transforms that follow the head: `transform` of the onset, and crops by it: `onset`, and `image`, n of them.

    model : "translation", "similarity" or "affine", see `head_motion`.
    """

    name: ClassVar[str] = "register"
    version: ClassVar[int] = 2
    stacks: ClassVar[tuple[str, ...]] = ("image",)

    model: str = "similarity"

    def __post_init__(self) -> None:
        check_model(self.model)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        return {"transform": TRANSFORM, "head": replace(HEAD, about=f"{HEAD.about}; what crops leave out")}

    def __call__(self, *, onset: np.ndarray, image: np.ndarray, transform: np.ndarray) -> dict[str, np.ndarray]:
        motions = head_motion(onset, image, self.model)
        return {
            "transform": np.stack([following(transform, motion, onset.shape[1]) for motion in motions]),
            "head": np.stack([parts(motion, onset.shape) for motion in motions]),
        }


def check_model(model: str) -> None:
    """Raise RecipeError unless `model` is one of `MODELS`."""
    if model not in MODELS:
        raise RecipeError(f"register model {model!r} is unknown", f"Use one of {', '.join(MODELS)}.")


def check_sizes(onset: np.ndarray, frame: np.ndarray, word: str = "a frame") -> None:
    """Raise ClipError unless both frames have one size."""
    if frame.shape != onset.shape:
        sizes = " and ".join("x".join(map(str, shape)) for shape in (onset.shape, frame.shape))
        raise ClipError(f"the onset frame and {word} differ in size: {sizes}", "crop both with one size")
