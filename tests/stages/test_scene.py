"""The scene shows where a point of the raw frame went."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.stages.scene import Scene, scene
from mer_pipe.types import RecipeError


@pytest.mark.parametrize("size", [(480, 640), (1088, 2040), (100, 80), (240, 320), (700, 300)])
def test_a_point_of_the_frame_is_found_where_placement_says(size):
    rows, columns = size
    x, y = columns * 0.3, rows * 0.6
    yy, xx = np.mgrid[:rows, :columns]
    blob = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * (columns / 30) ** 2))
    picture, (scale, dx, dy) = scene(np.repeat((255 * blob).astype(np.uint8)[..., None], 3, 2))
    shown = picture[..., 0].astype(float)
    py, px = np.mgrid[:240, :320]
    assert (px * shown).sum() / shown.sum() == pytest.approx(scale * x + dx, abs=0.4)
    assert (py * shown).sum() / shown.sum() == pytest.approx(scale * y + dy, abs=0.4)


def test_a_small_frame_is_not_enlarged():
    frame = np.random.default_rng(0).integers(0, 256, (100, 80, 3), dtype=np.uint8)
    picture, (scale, dx, dy) = scene(frame)
    assert scale == 1
    np.testing.assert_array_equal(picture[int(dy) : int(dy) + 100, int(dx) : int(dx) + 80], frame)


def test_the_stage_keeps_its_contract_and_refuses_a_speck():
    stage = Scene()
    for name, array in stage(frame=np.full((30, 40, 3), 9, np.uint8)).items():
        stage.returns[name].check(array)
    with pytest.raises(RecipeError, match="too small"):
        Scene(height=4)
