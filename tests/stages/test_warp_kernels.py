"""The inversion of a magnified displacement, against its equation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from mer_pipe.stages.magnify._warp_kernels import CLOSE, positions_in_target


@pytest.mark.parametrize(("height", "width"), [(40, 33), (9, 64), (31, 5), (1, 40), (20, 1)])
@pytest.mark.parametrize("af", [1.0, 2.5, 9.0])
def test_each_pixel_of_the_result_comes_from_where_the_magnified_motion_puts_it(height, width, af):
    rng = np.random.default_rng(width)
    flow = gaussian_filter(rng.normal(size=(height, width, 2)), (6, 6, 0)).astype(np.float32)
    flow *= 0.4 / (af * max(np.abs(np.diff(flow, axis=a)).max(initial=1e-3) for a in (0, 1)))  # no folds
    y, x = np.mgrid[:height, :width].astype(np.float64)
    there = positions_in_target(flow, af)
    # p - (af - 1) f(x) is the position, so that x, from which the motion starts, is f(x) before it.
    u, v = ((p - there[..., c]) / (af - 1.0) if af > 1 else flow[..., c] for c, p in enumerate((x, y)))
    start = np.array([y - af * v, x - af * u])
    found = [map_coordinates(flow[..., c].astype(np.float64), start, order=1, mode="nearest") for c in (0, 1)]
    if af > 1:
        assert np.abs(found[0] - u).max() < CLOSE + 1e-5
        assert np.abs(found[1] - v).max() < CLOSE + 1e-5
    else:
        assert np.array_equal(there, np.stack([x, y], axis=-1).astype(np.float32))
