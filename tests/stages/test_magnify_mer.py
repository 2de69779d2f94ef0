"""`mer`: what it promises beyond flow-warp (noise, edges of motion, what covers what), against exact truths."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mer_pipe.stages.magnify import MerClip
from mer_pipe.stages.magnify._mesh_kernels import positions_in_front
from mer_pipe.stages.magnify._warp_kernels import positions_in_target
from mer_pipe.stages.magnify.fine_motion import edged, evident, fine_motion, fitted
from mer_pipe.stages.magnify.flow_warp import flow_warp
from mer_pipe.stages.magnify.mer import blended, inverted, mer
from mer_pipe.stages.magnify.motion import luma, motion
from mer_pipe.stages.magnify.spline import spline
from tests.stages.test_magnify_pair import SIZE, as_frame, carried, local_field, measured_shift, shifted, texture


def noisy(image, rng, sigma=1.0):
    return as_frame(image + rng.normal(0, sigma, image.shape))


def disc_pair(move, radius=30.0):
    """A disc of one texture that moves over another: the two pictures, and the exact motion of the first."""
    front, back = texture(1), texture(2)
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)

    def picture(at):
        cover = np.clip((radius - np.hypot(columns - SIZE / 2 - at[0], rows - SIZE / 2 - at[1])) + 0.5, 0, 1)[..., None]
        return cover * shifted(front, *at) + (1 - cover) * back

    inside = np.hypot(columns - SIZE / 2, rows - SIZE / 2) < radius
    return picture((0.0, 0.0)), picture(move), np.where(inside[..., None], move, 0.0), picture


@pytest.mark.parametrize("af", [0.5, 2.0, 2.5, 6.0, 13.0])
@pytest.mark.parametrize("move", [(0.2, 0.0), (0.0, -0.2), (0.15, 0.1)])
def test_a_translation_comes_back_multiplied_by_af(af, move):
    image = texture()
    out = mer(as_frame(image), as_frame(shifted(image, *move)), (af,))[0]
    wanted = af * np.array(move)
    assert np.allclose(measured_shift(image, out, wanted), wanted, atol=0.01 + 0.02 * np.hypot(*wanted))


@pytest.mark.parametrize("sigma", [0.0, 1.0, 4.0])
def test_a_local_motion_comes_nearer_to_the_truth_than_by_flow_warp(sigma):
    rng = np.random.default_rng(6)
    image, field = texture(), local_field()
    onset, apex = noisy(image, rng, sigma), noisy(carried(image, field, 1.0), rng, sigma)
    truth, inside = carried(image, field, 10.0), np.hypot(*np.moveaxis(field, 2, 0)) > 0.1
    ours, theirs = (np.abs(f(onset, apex, (10.0,))[0] - truth)[inside].mean() for f in (mer, flow_warp))
    assert ours < theirs


@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_a_still_noisy_pair_stays_still_and_loses_noise(sigma):
    rng = np.random.default_rng(7)
    image = texture()
    onset, apex = noisy(image, rng, sigma), noisy(image, rng, sigma)
    out = mer(onset, apex, (13.0,))[0]
    copied = np.abs(apex - image).mean()
    assert np.abs(out - image).mean() < 0.9 * copied
    # The two halves separately: without the reference's share the noise is the target's, and it does not move.
    assert np.abs(mer(onset, apex, (13.0,), blend=0.0)[0].astype(float) - apex).mean() < 0.6 * copied


def test_a_change_of_brightness_is_not_taken_for_motion_nor_mixed_in():
    image = texture()
    onset, apex = as_frame(image), as_frame(0.96 * shifted(image, 0.3, 0.0) + 6.0)
    out = mer(onset, apex, (6.0,))[0]
    assert measured_shift(image, (out - 6.0) / 0.96)[0] == pytest.approx(1.8, abs=0.05)
    assert out.mean() == pytest.approx(apex.mean(), abs=0.5)


def test_fits_take_the_bias_of_dis_away():
    rng = np.random.default_rng(8)
    image, field = texture(), local_field(amplitude=0.3)
    before, after = (luma(noisy(f, rng)) for f in (image, carried(image, field, 1.0)))
    inside = np.hypot(*np.moveaxis(field, 2, 0)) > 0.1
    surface = spline(after[..., None])
    start = 1.15 * field.astype(np.float32)
    after_fits = fitted(evident(before, surface, start), start, 7.0)
    wrong, right = (np.abs(f - field)[inside].mean() for f in (start, after_fits))
    assert right < 0.6 * wrong


def test_an_edge_of_motion_is_drawn_where_it_is():
    onset, apex, field, _ = disc_pair(np.array([0.5, 0.3]))
    before, after = luma(as_frame(onset)), luma(as_frame(apex))
    blunt = gaussian_filter(field, (4, 4, 0)).astype(np.float32)
    surface = spline(after[..., None])
    sharp = edged(blunt, before, surface, evident(before, surface, blunt).variance)
    near = np.abs(np.hypot(*(np.mgrid[:SIZE, :SIZE] - SIZE / 2)) - 30.0) < 8
    assert np.abs(sharp - field)[near].mean() < 0.65 * np.abs(blunt - field)[near].mean()
    smooth = local_field(amplitude=0.5).astype(np.float32)
    image = texture()
    before, after = luma(as_frame(image)), luma(as_frame(carried(image, smooth, 1.0)))
    surface = spline(after[..., None])
    kept = edged(smooth, before, surface, evident(before, surface, smooth).variance)
    assert np.abs(kept - smooth).max() < 0.05  # a smooth change is no edge


def test_a_moving_disc_is_magnified_with_its_edge():
    onset, apex, _, picture = disc_pair(np.array([0.5, 0.3]))
    truth = picture((5.0, 3.0))
    near = np.hypot(*(np.mgrid[:SIZE, :SIZE] - SIZE / 2)) < 42
    with_edges, without, warped = (
        np.abs(out - truth)[near].mean()
        for out in (
            mer(as_frame(onset), as_frame(apex), (10.0,))[0],
            mer(as_frame(onset), as_frame(apex), (10.0,), edges=False)[0],
            flow_warp(as_frame(onset), as_frame(apex), (10.0,))[0],
        )
    )
    assert with_edges < without
    assert with_edges < 0.9 * warped


def test_what_moves_covers_what_rests_and_the_gap_is_stretched():
    flow = np.zeros((40, 60, 2), np.float32)
    flow[10:30, 20:40, 0] = 1.0
    there = positions_in_front(flow, 6.0)
    rows, columns = np.mgrid[:40, :60]
    moved = there[..., 0] - columns
    assert np.allclose(moved[12:28, 27:45], -5.0)  # the block has come here, over what rested
    assert np.allclose(moved[12:28, 48:58], 0.0)
    assert np.allclose(moved[12:28, 2:19], 0.0)
    gap = there[12:28, 20:26, 0]  # between the resting left and the block that left: one square, drawn out
    assert np.all(np.diff(gap, axis=1) >= 0)
    assert gap.min() >= 18.9
    assert gap.max() <= 21.1
    assert np.allclose(there[..., 1], rows)


def test_where_nothing_is_torn_mesh_and_fixed_point_agree():
    rng = np.random.default_rng(9)
    flow = gaussian_filter(rng.normal(size=(50, 60, 2)), (6, 6, 0)).astype(np.float32)
    flow *= 0.4 / (9 * np.abs(np.diff(flow, axis=0)).max())
    assert np.array_equal(positions_in_front(flow, 9.0), positions_in_target(flow, 9.0))


def test_the_share_of_the_reference_halves_noise_and_leaves_alone_what_only_one_frame_shows():
    rng = np.random.default_rng(10)
    image = texture()
    a, b = (np.float32(image + rng.normal(0, 2, image.shape)) for _ in range(2))
    a[40:60, 40:60] += 60.0
    still = np.zeros((SIZE, SIZE, 2), np.float32)
    mixed = blended(a, b, still, 0.5)
    outside = np.ones((SIZE, SIZE), bool)
    outside[34:66, 34:66] = False
    assert np.std((mixed - image)[outside]) == pytest.approx(2 / np.sqrt(2), rel=0.05)
    assert np.abs(mixed - b)[44:56, 44:56].max() < 0.5


def test_inverted_motion_undoes_the_motion():
    field = local_field(amplitude=2.0, width=12.0).astype(np.float32)
    back = inverted(field)
    image = texture()
    there = carried(image, field, 1.0)
    from mer_pipe.stages.magnify._warp_kernels import follow

    again = follow(spline(luma(there.astype(np.float32))[..., None]), field)
    assert np.abs(again - luma(image.astype(np.float32)))[8:-8, 8:-8].max() < 1.0
    forth = follow(spline(luma(image.astype(np.float32))[..., None]), back)
    assert np.abs(forth - luma(there.astype(np.float32)))[8:-8, 8:-8].max() < 1.0


def test_fine_motion_errs_less_than_the_motion_of_flow_warp_where_something_moves():
    rng = np.random.default_rng(11)
    errors = []
    for seed in range(3):
        image, field = texture(seed), local_field(amplitude=0.4)
        onset, apex = noisy(image, rng, 2.0), noisy(carried(image, field, 1.0), rng, 2.0)
        ours, theirs = fine_motion(luma(onset), luma(apex)), motion(onset, apex)
        inside = np.hypot(*np.moveaxis(field, 2, 0)) > 0.05
        errors.append([np.hypot(*np.moveaxis(f - field, 2, 0))[inside].mean() for f in (ours, theirs)])
    assert np.mean(errors, axis=0)[0] < np.mean(errors, axis=0)[1]


def test_a_clip_is_magnified_frame_by_frame_against_its_first():
    image = texture()
    clip = np.stack([as_frame(shifted(image, 0.1 * t, 0.0)) for t in range(3)])
    stage = MerClip(af=6.0)
    out = stage(clip=clip)["image"]
    stage.returns["image"].check(out)
    assert np.array_equal(out[0], clip[0])
    for t in (1, 2):
        assert np.array_equal(out[t], mer(clip[0], clip[t], (6.0,))[0])
        assert measured_shift(image, out[t])[0] == pytest.approx(0.6 * t, abs=0.04)
