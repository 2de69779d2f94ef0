"""Dynamic image of a clip: rank pooling, exact or approximate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mer_pipe.types import ArraySpec, ClipError, RecipeError, Stage

METHODS = ("ranksvm", "svr", "approximate")
BALANCED = ("ranksvm", "approximate")
"""The methods whose weights add up to 0."""


def gram(clip: np.ndarray) -> np.ndarray:
    """Return the inner products of the frames, (T, ...) to (T, T) float64: exact (integers) for uint8, else to rounding."""
    from mer_pipe.stages import _frames

    flat = np.ascontiguousarray(clip).reshape(len(clip), -1)
    if flat.dtype == np.uint8:
        return _frames.gram_of_pixels(flat)
    return _frames.gram_of_values(flat.astype(np.float64, copy=False))


def coefficients(
    clip: np.ndarray, method: str = "ranksvm", cost: float = 1.0, epsilon: float = 0.1, scale: float | None = None
) -> tuple[np.ndarray, float]:
    """Return the T weights whose sum of frames (divided by `scale`) is the dynamic image, and the duality gap.

    Parameters, errors and methods as in `rank_pool`. The gap of the approximate method, which solves no problem, is 0.
    """
    _check(method, cost, epsilon)
    return _coefficients(_frames_of(clip, method), method, cost, epsilon, _unit(clip, scale))


def rank_pool(
    clip: np.ndarray,
    method: str = "ranksvm",
    cost: float = 1.0,
    epsilon: float = 0.1,
    return_gap: bool = False,
    scale: float | None = None,
) -> np.ndarray | tuple[np.ndarray, float]:
    """Return the dynamic image of a sequence: the array d whose products with the running means of the frames grow in
    time.

    Parameters
    ----------
    clip : (T, ...), T >= 2, uint8 or floating point: a clip (T, y, x, channel), a magnified one, a sequence of flows
        (T, y, x, 2) in px, or any stored features. One problem is solved for whole frames, so that the components of a
        flow keep their proportion, and with it the direction.
    method :
        "ranksvm"      all pairs of frames, hinge loss: MSMMT (Wang et al., 2022), Eq. 4. Solved to a gap <= 1e-8 max(1, C).
        "svr"          regression of the time on the running means scaled to unit length, squared epsilon-insensitive
                       loss without bias (Fernando et al., TPAMI 2017). Solved to a relative gap <= 1e-9; <= 1e-12 at C = 1.
        "approximate"  the first gradient step in closed form, alpha_t = sum_{j >= t} (2 j - T - 1) / j (Bilen et al.,
                       CVPR 2016); its scale is not that of the exact methods.
    cost : C, the weight of the loss. Not read by "approximate".
    epsilon : half width of the band without loss, in frames. Read by "svr" only.
    return_gap : also return the duality gap of the solution (relative for "svr"; 0 for "approximate").
    scale : what the values are divided by before the problem is posed: 255 for uint8 where nothing is given, and 1 for
        floating point (a flow then counts in px). On another scale the exact methods give other images.

    Returns
    -------
    float32 array of the shape of one frame, any sign. The weights of "ranksvm" and "approximate" add up to 0, so that a
    sequence in which nothing happens gives exactly 0; those of "svr", which has no bias, do not.

    Raises
    ------
    ClipError : fewer than two frames, neither uint8 nor finite floating point, or a problem too ill-posed to solve (at a
        cost of a million).
    RecipeError : unknown method, cost or scale <= 0, or epsilon < 0.
    """
    _check(method, cost, epsilon)
    frames, unit = _frames_of(clip, method), _unit(clip, scale)
    weights, gap = _coefficients(frames, method, cost, epsilon, unit)
    image = _weighted(frames, weights / unit, method in BALANCED).reshape(clip.shape[1:])
    return (image, gap) if return_gap else image


def _frames_of(clip: np.ndarray, method: str) -> np.ndarray:
    """The frames as rows that the kernels read: uint8 as they are, anything else in float64."""
    if clip.ndim < 2 or 0 in clip.shape or (clip.dtype != np.uint8 and clip.dtype.kind != "f"):
        raise ClipError(
            f"a clip of shape {clip.shape} and type {clip.dtype} cannot be pooled",
            "Pass uint8 or floating-point frames.",
        )
    if len(clip) < 2:
        raise ClipError("the clip has one frame, which has no order to learn", "Check the clip's onset and offset.")
    flat = np.ascontiguousarray(clip).reshape(len(clip), -1)
    if flat.dtype == np.uint8:
        return flat
    if not np.isfinite(flat).all():
        raise ClipError("the clip holds values that are not finite", "Compute its frames again.")
    flat = flat.astype(np.float64)
    # Weights that add up to 0 see differences only. Taken from the first frame, those of a still value are exactly 0.
    return flat - flat[0] if method in BALANCED else flat


def _unit(clip: np.ndarray, scale: float | None) -> float:
    if scale is None:
        return 255.0 if clip.dtype == np.uint8 else 1.0
    if not (np.isfinite(scale) and scale > 0):
        raise RecipeError(f"rank pooling cannot divide by {scale}", "Give a scale above 0.")
    return float(scale)


def _coefficients(
    frames: np.ndarray, method: str, cost: float, epsilon: float, unit: float
) -> tuple[np.ndarray, float]:
    from mer_pipe.stages import _ranking

    if method == "approximate":
        return _ranking.approximate(len(frames)), 0.0
    products = gram(frames) / unit**2
    if not np.isfinite(products).all():
        raise ClipError(f"values up to {np.abs(frames).max():.1e} are too large to be ranked", "Give a larger scale.")
    weights, gap = _ranking.svr(products, cost, epsilon) if method == "svr" else _ranking.ranksvm(products, cost)
    if gap > (1e-9 if method == "svr" else 1e-8 * max(1.0, cost)):
        raise ClipError(f"rank pooling by {method} stopped at a gap of {gap:.1e}", f"Take a cost below {cost:g}.")
    return weights, gap


def _weighted(frames: np.ndarray, weights: np.ndarray, balanced: bool) -> np.ndarray:
    from mer_pipe.stages import _frames

    # Weights on a grid of 2**-34 of the largest make every product with a pixel, and every sum, exact: no order of
    # summation can change the image, and balanced weights cancel a still pixel to 0 and not to 1e-17.
    scale = 2.0 ** (np.ceil(np.log2(np.abs(weights).max(initial=2.0**-900))) - 34)
    grid = np.rint(weights / scale)
    if balanced:
        grid[np.abs(grid).argmax()] -= grid.sum()
    return (_frames.weighted_sum(frames, grid) * scale).astype(np.float32)


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
    version: ClassVar[int] = 2

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
