"""TV-L1 flow on a stereo pair of Middlebury with its measured disparity: ours, OpenCV's and scikit-image's, as they come out.

    OMP_NUM_THREADS=1 python benchmarks/flow_stereo.py

The pair is "Motorcycle" (Scharstein et al., GCPR 2014), which scikit-image ships. No face moves like this: motion is sharp-edged,
much of it is covered, and it is far larger than in a micro-expression. It is shrunk so that the largest disparity is about
7, 15 and 30 px. A pixel counts as covered where a nearer one comes to lie on its place. No parameter was chosen on it.
"""

from __future__ import annotations

import cv2
import numpy as np
import skimage.data
from flow import opencv, ours
from flow import skimage as from_skimage

SHRINK = 8, 4, 2


def shrunk(factor: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left and right picture, uint8 (y, x, 3), and the disparity in px of the small ones, NaN where it is not known."""
    left, right, disparity = skimage.data.stereo_motorcycle()
    size = left.shape[1] // factor, left.shape[0] // factor
    rows, columns = size[1] * factor, size[0] * factor
    small = [cv2.resize(image[:rows, :columns], size, interpolation=cv2.INTER_AREA) for image in (left, right)]
    blocks = disparity[:rows, :columns].reshape(size[1], factor, size[0], factor).swapaxes(1, 2)
    known = np.isfinite(blocks).all(axis=(2, 3))
    # The middle value of a block, not its mean: no surface lies between two others.
    middle = np.median(np.where(known[..., None, None], blocks, 0.0), axis=(2, 3))
    return *small, np.where(known, middle, np.nan) / factor


def covered(disparity: np.ndarray) -> np.ndarray:
    """Where the right picture does not show a pixel of the left one: bool (y, x)."""
    height, width = disparity.shape
    nearest = np.full((height, width), -np.inf)
    rows, columns = np.nonzero(np.isfinite(disparity))
    there = np.rint(columns - disparity[rows, columns]).astype(int)
    inside = (there >= 0) & (there < width)
    np.maximum.at(nearest, (rows[inside], there[inside]), disparity[rows[inside], columns[inside]])
    out = np.ones((height, width), bool)
    out[rows[inside], columns[inside]] = (
        disparity[rows[inside], columns[inside]] < nearest[rows[inside], there[inside]] - 1.0
    )
    return out


def main() -> None:
    """Print a table: endpoint errors over what is known, and over what both pictures show."""
    cv2.setNumThreads(1)
    solvers = {"mer-pipe native": ours, "OpenCV": opencv, "skimage": from_skimage}
    heads = ("pair", "solver", "mean error, px", "where both show it", "median", "over 1 px")
    print("{:28} {:16} {:>14} {:>19} {:>7} {:>10}".format(*heads))
    for factor in SHRINK:
        left, right, disparity = shrunk(factor)
        known = np.isfinite(disparity)
        both = known & ~covered(disparity)
        label = f"{left.shape[1]} x {left.shape[0]}, up to {np.nanmax(disparity):.0f} px"
        wanted = np.stack([-disparity, np.zeros_like(disparity)], axis=2)
        for name, solver in solvers.items():
            off = np.linalg.norm(solver(left, right) - wanted, axis=2)
            print(
                f"{label:28} {name:16} {off[known].mean():14.3f} {off[both].mean():19.3f} {np.median(off[both]):7.3f} "
                f"{100 * (off[both] > 1).mean():8.1f} %"
            )


if __name__ == "__main__":
    main()
