"""The distance a face moves is measured in pixels of the crop."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.data import astronaut

from mer_pipe.stages.travel import Travel, travel


@pytest.fixture(scope="module")
def face():
    return astronaut()[0:224, 110:334]


def test_a_shift_travels_its_length(face):
    shifted = astronaut()[3:227, 106:330]  # the picture moves 4 px right and 3 px up
    middle, most = travel(face, shifted)
    assert middle == pytest.approx(5, abs=0.25)
    assert most == pytest.approx(5, abs=0.5)


def test_a_local_motion_shows_in_the_high_quantile_alone(face):
    from scipy.ndimage import gaussian_filter, map_coordinates

    y, x = np.mgrid[:224, :224].astype(float)
    bump = np.zeros((224, 224))
    bump[120, 112] = 1
    bump = gaussian_filter(bump, 18)
    apex = np.stack([map_coordinates(face[..., c], [y - 3 * bump / bump.max(), x], order=3) for c in range(3)], -1)
    middle, most = travel(face, apex.astype(np.uint8))
    assert middle < 0.3
    assert most == pytest.approx(
        0.9, abs=0.15
    )  # 5 % of the picture lie within 28 px of the bump, which falls to 0.9 there


def test_identical_and_constant_frames_travel_nowhere(face):
    assert travel(face, face).tolist() == [0, 0]
    flat = np.full_like(face, 255)
    assert travel(flat, flat).tolist() == [0, 0]


def test_the_stage_keeps_its_contract(face):
    stage = Travel()
    found = stage(onset=face, apex=face)
    stage.returns["distance"].check(found["distance"])
