"""Reducing and rounding: what 28 x 28 px and 8 bits keep, and what they lose."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mer_pipe.export.levels import area_mean, from_levels, to_levels
from mer_pipe.export.settings import ExportError, Scaling, read_scaling


@pytest.fixture
def field():
    rng = np.random.default_rng(3)
    motion = rng.normal(0, 0.4, (56, 56, 3))
    motion[..., 2] = np.abs(motion[..., 2]) / 10
    return motion


def test_an_area_of_whole_cells_is_their_mean(field):
    blocks = field.reshape(28, 2, 28, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(area_mean(field, 28), blocks, rtol=0, atol=1e-15)


def test_a_cell_between_two_areas_counts_in_both_by_its_share():
    """Three cells on two areas: the middle one is halved."""
    row = np.array([[3.0, 6.0, 12.0]] * 3)
    np.testing.assert_allclose(area_mean(row, 2), [[(3 + 3) / 1.5, (3 + 12) / 1.5]] * 2)


@pytest.mark.parametrize(("side", "size"), [(224, 28), (256, 28), (100, 33)])
def test_it_reduces_as_opencv_does(side, size):
    image = np.random.default_rng(0).normal(0, 1, (side, side, 3)).astype(np.float32)
    peer = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(area_mean(image, size), peer, atol=2e-6)


def test_what_is_finer_than_an_area_leaves_no_trace():
    """A pattern of single pixels, where taking every eighth one would give a flow of 1 px."""
    fine = np.where(np.indices((224, 224)).sum(0) % 2, -1.0, 1.0)
    assert fine[::8, ::8].mean() == 1
    assert not area_mean(fine, 28).any()


def test_a_motion_of_a_hundredth_of_a_pixel_stays():
    flow = np.full((224, 224, 2), 0.01, np.float16)
    assert np.array_equal(area_mean(flow, 28), np.full((28, 28, 2), float(np.float16(0.01))))


def test_sums_of_stored_values_are_exact(field):
    """float16, as stores hold flow: what is added cannot depend on the order of adding."""
    stored = field.astype(np.float16)
    assert np.array_equal(area_mean(stored, 56), stored)
    assert np.array_equal(area_mean(stored, 20), area_mean(stored[::-1, ::-1], 20)[::-1, ::-1])


def test_a_field_that_is_no_square_keeps_its_axes():
    ramp = np.tile(np.arange(12.0), (6, 1))
    assert np.array_equal(area_mean(ramp, 3), [[1.5, 5.5, 9.5]] * 3)


def test_minmax_spans_all_levels_and_errs_by_half_a_step(field):
    made = to_levels(field, Scaling())
    assert (made.levels.min(axis=(0, 1)) == 0).all()
    assert (made.levels.max(axis=(0, 1)) == 255).all()
    away = np.abs(from_levels(made.levels, made.offset, made.step) - field).max(axis=(0, 1))
    assert np.array_equal(away, made.error)
    assert (away <= np.ptp(field, axis=(0, 1)) / 255 / 2 * (1 + 1e-9)).all()
    assert not made.clipped.any()


def test_a_channel_of_one_value_is_read_back_exactly():
    still = np.dstack([np.full((4, 4), 0.3), np.zeros((4, 4)), np.zeros((4, 4))])
    made = to_levels(still, Scaling())
    assert not made.levels.any()
    assert np.array_equal(from_levels(made.levels, made.offset, made.step), still)


def test_fixed_limits_give_no_motion_128_and_both_directions_the_same_room():
    motion = np.array([[[0, 0, 0], [2, -2, 0.1], [-2, 2, 0.05], [1, -1, 0.1]]], float)
    made = to_levels(motion, Scaling("fixed", 2, 0.1))
    assert made.levels[0, :3].tolist() == [[128, 128, 0], [255, 1, 255], [1, 255, 128]]
    assert (made.error <= made.step / 2 * (1 + 1e-9)).all()
    assert made.step.tolist() == [2 / 127, 2 / 127, 0.1 / 255]


def test_values_beyond_fixed_limits_are_counted_and_told_how_far():
    motion = np.array([[[2.5, -1.0, 0.3], [-3.0, 1.0, 0.0]]])
    made = to_levels(motion, Scaling("fixed", 2, 0.1))
    assert made.levels[0, :, 0].tolist() == [255, 1]
    assert made.clipped.tolist() == [2, 0, 1]
    np.testing.assert_allclose(made.beyond, [1.0, 0.0, 0.2])
    assert made.error[0] == 0  # of values within the limits, and u has none


def test_two_clips_with_one_motion_look_alike_under_fixed_limits_only(field):
    louder = field.copy()
    louder[0, 0] = 1.9, 1.9, 0.09
    fixed = Scaling("fixed", 4, 1)
    same = [to_levels(f, fixed).levels[1:] for f in (field, louder)]
    assert np.array_equal(*same)
    assert not np.array_equal(*[to_levels(f, Scaling()).levels[1:] for f in (field, louder)])


@pytest.mark.parametrize("text", ["fixed", "fixed:2", "fixed:0,1", "fixed:-1,1", "fixed:2,1e", "zscore", "fixed:nan,1"])
def test_a_scaling_that_is_none_is_refused_with_one_that_is(text):
    with pytest.raises(ExportError, match=r"fixed:2,0\.1"):
        read_scaling(text)


def test_a_scaling_is_written_as_it_is_read():
    assert [str(read_scaling(text)) for text in ("minmax", "fixed:2,.1")] == ["minmax", "fixed:2,0.1"]
