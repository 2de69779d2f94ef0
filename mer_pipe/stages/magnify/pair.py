"""`magnify`: one plain function over every way to magnify a pair of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mer_pipe.stages.magnify.eulerian import Eulerian
from mer_pipe.stages.magnify.flow_warp import FlowWarp
from mer_pipe.stages.magnify.learned import Learned
from mer_pipe.stages.magnify.levels import grey_levels
from mer_pipe.stages.magnify.mer import Mer
from mer_pipe.stages.magnify.phase import Phase
from mer_pipe.stages.magnify.pixel import Pixel
from mer_pipe.types import ClipError, RecipeError

METHODS = {
    "mer": Mer,
    "flow": FlowWarp,
    "phase": Phase,
    "eulerian": Eulerian,
    "learned": Learned,
    "pixel": Pixel,
}


def magnify(
    reference: np.ndarray,
    target: np.ndarray,
    af: float | Sequence[float],
    method: str = "mer",
    mask: np.ndarray | None = None,
    **parameters: Any,
) -> np.ndarray:
    """`target` with its motion since `reference` multiplied by AF.

    AF is the total displacement factor: 1 is the identity, and a paper's alpha is AF - 1.

    Parameters
    ----------
    reference, target : (y, x) or (y, x, 3), uint8 or float in 0..1, alike. Onset and apex, for example. Floats are
        magnified in float32 and not rounded. Where both frames hold multiples of 1/255 their noise is judged as that of
        8 bits, so that the result is that of uint8 frames before it is rounded.
    af : one factor, or several.
    method : "mer" (`Mer`), "flow" (`FlowWarp`), "phase" (`Phase`), "eulerian" (`Eulerian`), "learned" (`Learned`) or
        "pixel" (`Pixel`).
    mask : (y, x) bool, or float in 0..1: where motion is magnified. Where it is 0 the target stays as it is; between, the
        two are mixed.
    parameters : fields of that stage, for example ``lambda_c=16``.

    Returns
    -------
    (y, x[, 3]) for one factor, (af, y, x[, 3]) for several, in the dtype and range of the frames. Values that do not
    change are the target's own, to the last bit: all of them at AF 1 and where the frames are identical (but for
    "learned", which renders the whole frame), and those outside the mask.

    Raises
    ------
    ClipError : the frames differ in shape or dtype, or hold other values.
    RecipeError : unknown method or parameter, or a value out of range.
    ModelError : the checkpoint of "learned" cannot be used.

    Examples
    --------
    >>> onset, apex = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    >>> magnify(onset, apex, af=[2, 6]).shape
    (2, 64, 64)
    """
    if method not in METHODS:
        raise RecipeError(f"{method!r} is not a way to magnify", f"choose one of {', '.join(METHODS)}")
    try:
        stage = METHODS[method](**parameters)
    except TypeError as error:
        known = ", ".join(METHODS[method].__dataclass_fields__)
        raise RecipeError(f"method {method} cannot take {parameters}: {error}", f"its parameters: {known}") from None
    reference, target = np.asarray(reference), np.asarray(target)
    if reference.dtype != target.dtype:
        raise ClipError(f"reference frame is {reference.dtype} and target frame {target.dtype}", "give both alike")
    one = np.ndim(af) == 0
    factors = tuple(float(a) for a in np.atleast_1d(np.asarray(af)))
    before, after = _levels(reference, target)
    image = stage(reference=before, target=after, af=factors)["image"]
    if mask is not None:
        image = _within(image, after, np.asarray(mask))
    if target.dtype.kind == "f":
        own = target.reshape(after.shape)
        image = np.where(image == after, own, (image / np.float32(255.0)).astype(target.dtype))
    if target.ndim == 2:
        image = image[..., 0]
    return image[0] if one else image


def _within(image: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`image` (af, y, x, c) where the mask is 1, the target where it is 0."""
    if mask.shape != target.shape[:2] or mask.dtype.kind not in "bf":
        raise ClipError(f"mask is {mask.dtype} {mask.shape}", f"give bool or float of shape {target.shape[:2]}")
    share = mask.astype(np.float64)[..., None]
    if not (share.min(initial=0.0) >= 0.0 and share.max(initial=0.0) <= 1.0):  # written so that NaN fails
        raise ClipError(f"mask spans {share.min()}..{share.max()}", "give values in 0..1")
    return grey_levels(target + share * (image.astype(np.float64) - target), target.dtype)


def _levels(*frames: np.ndarray) -> list[np.ndarray]:
    """Gray or colour frames as (y, x, c) in grey levels: uint8 as they are, floats in 0..1 as float32 in 0..255."""
    frames = [frame[..., None] if frame.ndim == 2 else frame for frame in frames]
    if frames[0].dtype.kind != "f":
        return frames
    for frame in frames:
        if frame.size and not (frame.min() >= 0.0 and frame.max() <= 1.0):  # written so that NaN fails
            raise ClipError(f"float frame spans {frame.min()}..{frame.max()}, not 0..1", "divide grey levels by 255")
    levels = [(frame.astype(np.float64) * 255.0).astype(np.float32) for frame in frames]
    # k / 255 times 255 is k only nearly: frames of 8 bits must be seen as such.
    whole = [np.rint(frame) for frame in levels]
    near = all(np.abs(a - b).max(initial=0.0) < 1e-4 for a, b in zip(levels, whole, strict=True))
    return whole if near else levels
