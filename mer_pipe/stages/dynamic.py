"""Dynamic image of a clip: rank pooling, exact or approximate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.types import ArraySpec, ClipError, RecipeError, Stage

METHODS = ("ranksvm", "svr", "approximate")
_PIXELS = 1024  # columns a block: 1024 products of two int8 add up to at most 2**24, which float32 holds exactly


def gram(clip: np.ndarray) -> np.ndarray:
    """Return the inner products of the frames of a uint8 clip, (T, ...) to (T, T) float64, exactly (integers)."""
    flat = clip.reshape(len(clip), -1)
    total = np.zeros((len(clip), len(clip)))
    for start in range(0, flat.shape[1], _PIXELS):
        block = flat[:, start : start + _PIXELS].astype(np.float32) - 128
        total += block @ block.T
    # <x, y> = <x - 128, y - 128> + 128 (sum x + sum y) - 128^2 n
    sums = flat.sum(axis=1, dtype=np.int64).astype(np.float64)
    return total + 128 * (sums[:, None] + sums[None, :]) - 128.0**2 * flat.shape[1]


def coefficients(
    clip: np.ndarray, method: str = "ranksvm", cost: float = 1.0, epsilon: float = 0.1
) -> tuple[np.ndarray, float]:
    """Return the T weights whose sum of frames (pixels scaled to 0..1) is the dynamic image, and the duality gap.

    Parameters, errors and methods as in `rank_pool`. The gap of the approximate method, which solves no problem, is 0.
    """
    from mer_pipe.stages import _ranking

    _check(method, cost, epsilon)
    if clip.dtype != np.uint8 or clip.ndim < 2 or 0 in clip.shape:
        raise ClipError(f"a clip of shape {clip.shape} and type {clip.dtype} cannot be pooled", "Pass uint8 frames.")
    if len(clip) < 2:
        raise ClipError("the clip has one frame, which has no order to learn", "Check the clip's onset and offset.")
    if method == "approximate":
        return _ranking.approximate(len(clip)), 0.0
    unit = gram(clip) / 255.0**2
    weights, gap = _ranking.svr(unit, cost, epsilon) if method == "svr" else _ranking.ranksvm(unit, cost)
    if gap > (1e-9 if method == "svr" else 1e-8 * max(1.0, cost)):
        raise ClipError(f"rank pooling by {method} stopped at a gap of {gap:.1e}", f"Take a cost below {cost:g}.")
    return weights, gap


def rank_pool(
    clip: np.ndarray, method: str = "ranksvm", cost: float = 1.0, epsilon: float = 0.1, return_gap: bool = False
) -> np.ndarray | tuple[np.ndarray, float]:
    """Return the dynamic image of a clip: the vector d whose products with the running means of the frames grow in
    time.

    Parameters
    ----------
    clip : (T, ...) uint8, T >= 2; usually (T, y, x, channel). The problem is posed on pixels scaled to 0..1: on 0..255
        the exact methods give other images.
    method :
        "ranksvm"      all pairs of frames, hinge loss: MSMMT (Wang et al., 2022), Eq. 4. Solved to a gap <= 1e-8 max(1, C).
        "svr"          regression of the time on the running means scaled to unit length, squared epsilon-insensitive
                       loss without bias (Fernando et al., TPAMI 2017). Solved to a relative gap <= 1e-9; <= 1e-12 at C = 1.
        "approximate"  the first gradient step in closed form, alpha_t = sum_{j >= t} (2 j - T - 1) / j (Bilen et al.,
                       CVPR 2016); its scale is not that of the exact methods.
    cost : C, the weight of the loss. Not read by "approximate".
    epsilon : half width of the band without loss, in frames. Read by "svr" only.
    return_gap : also return the duality gap of the solution (relative for "svr"; 0 for "approximate").

    Returns
    -------
    float32 image of the shape of one frame, any sign. The weights of "ranksvm" and "approximate" add up to 0, so that a
    clip in which nothing happens gives exactly 0; those of "svr", which has no bias, do not.

    Raises
    ------
    ClipError : fewer than two frames, not uint8, or a problem too ill-posed to solve (at a cost of a million).
    RecipeError : unknown method, cost <= 0 or epsilon < 0.
    """
    weights, gap = coefficients(clip, method, cost, epsilon)
    image = _weighted(clip, weights / 255.0, balanced=method != "svr")
    return (image, gap) if return_gap else image


def _weighted(clip: np.ndarray, weights: np.ndarray, balanced: bool) -> np.ndarray:
    # Weights on a grid of 2**-34 of the largest make every float64 product and sum exact: no order of summation, and no
    # thread count, can change the image, and balanced weights cancel a still pixel to 0 and not to 1e-17.
    scale = 2.0 ** (np.ceil(np.log2(np.abs(weights).max(initial=2.0**-900))) - 34)
    grid = np.rint(weights / scale)
    if balanced:
        grid[np.abs(grid).argmax()] -= grid.sum()
    flat = clip.reshape(len(clip), -1)
    image = np.empty(flat.shape[1], np.float32)
    for start in range(0, len(image), 16 * _PIXELS):
        image[start : start + 16 * _PIXELS] = (grid @ flat[:, start : start + 16 * _PIXELS].astype(np.float64)) * scale
    return image.reshape(clip.shape[1:])


def _check(method: str, cost: float, epsilon: float) -> None:
    if method not in METHODS:
        raise RecipeError(f"rank pooling has no method {method!r}", f"Choose one of {', '.join(METHODS)}.")
    if not (np.isfinite(cost) and cost > 0 and np.isfinite(epsilon) and epsilon >= 0):
        raise RecipeError(f"rank pooling cannot use cost {cost} and epsilon {epsilon}", "Give cost > 0, epsilon >= 0.")


@dataclass(frozen=True)
class Dynamic(Stage):
    """The dynamic image of one clip: `clip` (T, y, x, channel) uint8 to (y, x, channel), and the gap. See `rank_pool`.

    Attributes
    ----------
    method : "ranksvm", "svr" or "approximate".
    cost : C of the exact methods.
    epsilon : band of "svr", in frames.
    """

    name: ClassVar[str] = "dynamic"
    version: ClassVar[int] = 1

    method: str = "ranksvm"
    cost: float = 1.0
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        _check(self.method, self.cost, self.epsilon)

    @property
    def returns(self) -> dict[str, ArraySpec]:
        about = f"rank pooling ({self.method}) of pixels scaled to 0..1"
        return {
            "image": ArraySpec(("y", "x", "channel"), "float32", about=about),
            "gap": ArraySpec((), "float64", low=0, about="duality gap of the solution"),
        }

    def __call__(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        image, gap = rank_pool(clip, self.method, self.cost, self.epsilon, return_gap=True)
        return {"image": image, "gap": np.array(gap)}
