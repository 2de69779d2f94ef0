"""The estimate behind register: local motions of small blocks, and the plane motion that the head's have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_pipe.stages.magnify.motion import luma, slopes

SMALLEST = 24  # px: no coarser level than that
NEAR = 0.02  # px: how far a block may lie from the head's motion and still count as the head's, beside noise
TUKEY = 2.0  # deviations from which on a block has no say
AGREE = 0.2  # of the face, by how well it is seen: the share whose deviation sets the scale
NOISE = 3.0  # variance of a sum of blurred noise, over that of independent pixels
LONGEST = 2.0  # px of a level: slopes do not tell of more in one step
ROUNDS, SETTLED = 12, 0.002  # warps of the finest level at most, and px of a step after which no more follow


@dataclass(frozen=True)
class Level:
    """One level of the onset's pyramid: what does not change from frame to frame."""

    image: np.ndarray
    right: np.ndarray
    down: np.ndarray
    block: int
    stiff: np.ndarray
    near: np.ndarray
    face: np.ndarray
    basis: np.ndarray


class Onset:
    """An onset frame that others are compared with.

    Parameters
    ----------
    frame : (y, x, channel) uint8.
    model : "translation", "similarity" or "affine".
    """

    def __init__(self, frame: np.ndarray, model: str) -> None:
        self.model = model
        self.shape = frame.shape[:2]
        self.levels = [self._level(image, depth) for depth, image in enumerate(_pyramid(luma(frame)))]

    def _level(self, image: np.ndarray, depth: int) -> Level:
        from mer_pipe.stages._rigid import around, stiffness

        block = max(1, min(4 if depth else 8, min(image.shape) // 4))
        rows, columns = image.shape[0] // block, image.shape[1] // block
        y, x = np.mgrid[:rows, :columns] * float(block) + (block - 1) / 2
        right, down = slopes(image)
        stiff = stiffness(right, down, block)
        face = on_face(x, y, image.shape).astype(np.float64)
        centre, side = (np.array(image.shape[::-1]) - 1) / 2, max(image.shape)
        basis = _basis(self.model, (x - centre[0]) / side, (y - centre[1]) / side)
        return Level(image, right, down, block, stiff, around(stiff), face, basis)

    def motion(self, frame: np.ndarray) -> np.ndarray:
        """The head's motion since the onset, (2, 3) float64 px: onset (x, y, 1) to `frame` (x, y)."""
        from mer_pipe.stages.magnify.spline import spline

        guess = np.zeros(len(self.levels[0].basis))  # px of the finest level
        for depth, image in reversed(list(enumerate(_pyramid(luma(frame))))):
            level = self.levels[depth]
            scale = max(level.image.shape) / max(self.shape)
            surface, weight = spline(image[..., None]), level.face
            # A pattern that repeats, or is lost on a coarse level, can lead astray: then this level begins at rest.
            if (
                guess.any()
                and self._warped(level, surface, 0 * guess, weight)[2]
                < self._warped(level, surface, guess * scale, weight)[2]
            ):
                guess = 0 * guess
            for _ in range(4 if depth else ROUNDS):
                residual, gain, deviation = self._warped(level, surface, guess * scale, weight)
                step, weight = _agreed(level, residual, gain, deviation, bool(depth))
                longest = np.abs(np.tensordot(step, level.basis, 1)).max()
                guess = guess + step * (LONGEST / max(longest, LONGEST)) / scale
                if longest < SETTLED:
                    break
        return _matrix(self.model, guess, self.shape)

    def _warped(
        self, level: Level, surface: np.ndarray, guess: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, float, float]:
        """The frame warped back onto the onset: what remains (y, x), the gain, and the robust deviation on the face."""
        from mer_pipe.stages._rigid import displacement, light
        from mer_pipe.stages.magnify._warp_kernels import follow

        moved = follow(surface, displacement(_matrix(self.model, guess, level.image.shape), *level.image.shape))
        gain, bias = light(level.image, moved, weight, level.block)
        residual = moved - np.float32(gain) * level.image - np.float32(bias)
        rows, columns = (n * level.block for n in level.face.shape)
        pixels = np.repeat(np.repeat(level.face > 0, level.block, 0), level.block, 1)
        return residual, gain, 1.4826 * float(np.median(np.abs(residual[:rows, :columns][pixels])))


def _agreed(
    level: Level, residual: np.ndarray, gain: float, deviation: float, coarse: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The plane motion that the blocks' local motions agree on, to add to the guess, and the weight of each block.

    A block's local motion d is the least squares solution of near @ d = pulled (Lucas & Kanade 1981). Its covariance is
    ``noise * near^-1 + within``; the inverse of that, `sure`, weighs the block, so that no strong edge outvotes the
    face. Iteratively reweighted by Tukey's biweight of the Mahalanobis distance, beginning with the blocks that the
    guess before has explained: a fit to the whole face would begin half-way into the expression. The scale is such that
    the nearest `agree` of the face lie where those of a normal distribution would, and not below 1.
    """
    from mer_pipe.stages._rigid import around, distances, normal_equations, pull

    pulled = -around(pull(level.right, level.down, residual, level.block)) / gain
    noise = NOISE * deviation * deviation + 0.05  # not below that of rounding
    within, agree = (16 * NEAR * NEAR, 0.5) if coarse else (NEAR * NEAR, AGREE)
    xx, xy, yy = level.near
    a, b, c = noise + within * xx, within * xy, noise + within * yy
    sure = np.stack([c * xx - b * xy, a * xy - b * xx, a * yy - b * xy]) / (a * c - b * b)
    said = np.stack([c * pulled[0] - b * pulled[1], a * pulled[1] - b * pulled[0]]) / (a * c - b * b)
    # Where a block has no texture its motion is taken for zero: half a pixel of prior deviation.
    p, q = xx + 4 * noise, yy + 4 * noise
    local = np.stack([q * pulled[0] - xy * pulled[1], p * pulled[1] - xy * pulled[0]]) / (p * q - xy * xy)
    seen = level.face * (sure[0] + sure[2]) / 2 * within
    weight, common = level.face, np.zeros(len(level.basis))
    if not seen.any():
        return common, weight
    normal = -2 * np.log(1 - agree)  # of chi squared with two degrees of freedom
    for _ in range(4):
        far = distances(level.basis, local, sure, common)
        scale = max(1.0, _quantile(far, seen, agree) / normal)
        weight = level.face * np.square(np.maximum(1 - far / (TUKEY * TUKEY * scale), 0))
        matrix, right_side = normal_equations(level.basis, sure, said, weight)
        # The ridge is for faces of one direction, whose motion along it is not seen and then taken for none.
        matrix[np.diag_indices_from(matrix)] += 1e-9 * np.trace(matrix) + 1e-12
        common = np.linalg.solve(matrix, right_side)
    return common, weight


def on_face(x: np.ndarray, y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Whether points, in px, lie in the ellipse of the face square that a face fills: brows, cheeks and chin."""
    across, down = (x + 0.5) / shape[1] - 0.5, (y + 0.5) / shape[0] - 0.55
    return np.square(across / 0.40) + np.square(down / 0.45) < 1


def _quantile(values: np.ndarray, weight: np.ndarray, share: float) -> float:
    order = np.argsort(values, axis=None, kind="stable")
    heaped = np.cumsum(weight.ravel()[order])
    return float(values.ravel()[order[min(np.searchsorted(heaped, share * heaped[-1]), len(order) - 1)]])


def _basis(model: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(parameter, 2, ...): the displacement that one px of each parameter makes at x, y, in sides from the centre."""
    one, none = np.ones_like(x), np.zeros_like(x)
    fields = [(one, none), (none, one)]
    if model == "similarity":
        fields += [(x, y), (-y, x)]
    elif model == "affine":
        fields += [(x, none), (y, none), (none, x), (none, y)]
    return np.array(fields)


def _matrix(model: str, parameters: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(2, 3): parameters in px as a motion of a frame of `shape`."""
    linear = np.zeros((2, 2))
    if model == "similarity":
        linear[:] = [[parameters[2], -parameters[3]], [parameters[3], parameters[2]]]
    elif model == "affine":
        linear[:] = parameters[2:].reshape(2, 2)
    linear = np.eye(2) + linear / max(shape)
    centre = (np.array([shape[1], shape[0]]) - 1) / 2
    return np.column_stack([linear, centre + parameters[:2] - linear @ centre])


def _pyramid(image: np.ndarray) -> list[np.ndarray]:
    """`image`, slightly blurred, and its halves down to `SMALLEST`, float32."""
    import cv2

    levels = [cv2.GaussianBlur(image, (0, 0), 0.8)]
    while min(levels[-1].shape) >= 2 * SMALLEST:
        height, width = levels[-1].shape
        half = (width + 1) // 2, (height + 1) // 2
        levels.append(cv2.resize(cv2.GaussianBlur(levels[-1], (0, 0), 1.0), half, interpolation=cv2.INTER_AREA))
    return levels
