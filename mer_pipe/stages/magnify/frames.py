"""What every magnifier asks of its frames and factors before it computes."""

from __future__ import annotations

import math

import numpy as np

from mer_pipe.types import ClipError, RecipeError


def check_pair(reference: np.ndarray, target: np.ndarray) -> None:
    """Raise ClipError unless both frames are (y, x, c) of one size, with 1 or 3 channels, in grey levels 0..255.

    Both uint8, or both float32.
    """
    for word, frame in (("reference", reference), ("target", target)):
        known = frame.dtype in (np.uint8, np.float32)
        if not known or frame.ndim != 3 or frame.shape[2] not in (1, 3) or frame.size == 0:
            raise ClipError(
                f"{word} frame is {frame.dtype} of shape {frame.shape}, not uint8 or float32 (y, x, 1 or 3)",
                "give grey levels 0..255 in one of these types",
            )
        if frame.dtype != np.uint8 and not (frame.min() >= 0.0 and frame.max() <= 255.0):  # written so that NaN fails
            raise ClipError(f"{word} frame spans {frame.min()}..{frame.max()}, not 0..255", "give grey levels")
    if reference.dtype != target.dtype:
        raise ClipError(f"reference frame is {reference.dtype} and target frame {target.dtype}", "give both alike")
    if reference.shape != target.shape:
        raise ClipError(
            f"reference frame has shape {reference.shape} and target frame {target.shape}",
            "crop both with the same transform before they are magnified",
        )


def quantum_of(*frames: np.ndarray) -> float:
    """The step that grey levels are taken to be rounded to: 1 for frames of 8 bits, 1/257 (16 bits) for finer ones.

    Frames of whole grey levels have 8 bits, whatever their type. No estimate of noise falls below this rounding's.
    """
    whole = all(frame.dtype == np.uint8 or np.array_equal(frame, np.rint(frame)) for frame in frames)
    return 1.0 if whole else 1.0 / 257.0


def check_clip(clip: np.ndarray) -> None:
    """Raise ClipError unless `clip` is uint8 (T, y, x, c) with 2 frames or more and 1 or 3 channels."""
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[3] not in (1, 3) or clip.size == 0:
        raise ClipError(f"clip is {clip.dtype} of shape {clip.shape}, not uint8 (T, y, x, 1 or 3)")
    if clip.shape[0] < 2:
        raise ClipError("clip has 1 frame, and a motion needs 2", "check its onset and offset")


def checked_factors(af: tuple[float, ...]) -> tuple[float, ...]:
    """`af` as floats; RecipeError unless each is a finite total displacement factor >= 0 and there is one at least."""
    factors = tuple(float(a) for a in af)
    for factor in factors:
        if not math.isfinite(factor) or factor < 0.0:
            raise RecipeError(f"AF {factor} is no total displacement factor", "give numbers >= 0 (1 is the identity)")
    if not factors:
        raise RecipeError("no AF is given", "give one number at least (1 is the identity)")
    return factors
