"""What magnification will multiply is measured in pixels of the crop, and what no motion can show in is told."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.data import astronaut

from mer_pipe.stages.travel import Travel, clipped, contrast, travel
from mer_pipe.types import ClipError


@pytest.fixture(scope="module")
def face():
    return astronaut()[0:224, 110:334]


def test_a_shift_travels_its_length(face):
    shifted = astronaut()[3:227, 106:330]  # the picture moves 4 px right and 3 px up
    middle, most = travel(face, shifted)
    assert middle == pytest.approx(5, abs=0.25)
    assert most == pytest.approx(5, abs=0.5)
    head = Travel()(onset=face, apex=shifted)["head"]
    assert head == pytest.approx([5, 4, -3, 0, 0], abs=0.02)


def test_a_local_motion_shows_in_the_high_quantile_and_not_in_the_head(face):
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
    assert Travel()(onset=face, apex=apex.astype(np.uint8))["head"][0] < 0.05


def test_identical_and_constant_frames_travel_nowhere(face):
    assert travel(face, face).tolist() == [0, 0]
    flat = np.full_like(face, 255)
    assert travel(flat, flat).tolist() == [0, 0]


def test_identical_frames_are_told_from_frames_that_hardly_move(face):
    other = face.copy()
    other[100, 100, 0] ^= 1
    assert Travel()(onset=face, apex=face)["change"] == 0
    assert Travel()(onset=face, apex=other)["change"] == 1
    assert Travel()(onset=other, apex=255 - other)["change"] == 255  # no wrap of uint8


def test_pixels_without_room_are_counted_on_the_face_alone(face):
    white = face.copy()
    white[:20] = 255  # above the face
    assert clipped(white) == pytest.approx(clipped(face), abs=0.001)
    white[62:184] = 255
    assert 0.6 < clipped(white) < 0.8  # between 40 % above and below the middle lie 0.69 of an ellipse
    red = np.zeros_like(face)
    red[..., 0] = 100
    assert clipped(red) == 0  # one channel still shows motion
    assert clipped(np.zeros_like(face)) == 1


def test_contrast_is_that_of_luma():
    steps = np.zeros((8, 8, 1), np.uint8)
    steps[:4] = 10
    assert contrast(steps) == 5
    assert contrast(np.full((8, 8, 3), 77, np.uint8)) == 0


@pytest.mark.parametrize("head", [0, 90])
def test_a_head_that_leaves_the_square_is_measured_and_not_refused(face, head):
    moved = np.roll(face, head, axis=1)
    found = Travel()(onset=face, apex=moved)
    for name, spec in Travel().returns.items():
        spec.check(found[name])


def test_frames_of_different_sizes_are_refused_with_both(face):
    with pytest.raises(ClipError, match="the onset frame and the apex frame differ in size: 224x224x3 and 200x224x3"):
        Travel()(onset=face, apex=face[:200])


def test_the_stage_keeps_its_contract(face):
    stage = Travel()
    for apex in (face, np.full_like(face, 128), face[::-1]):
        found = stage(onset=face, apex=apex)
        for name, spec in stage.returns.items():
            spec.check(found[name])
