"""`mer`: what it promises beyond flow-warp (noise, edges of motion, what covers what), against exact truths."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mer_pipe.stages.magnify import MerClip
from mer_pipe.stages.magnify._mesh_kernels import motion_in_front, tears
from mer_pipe.stages.magnify._warp_kernels import motion_of_result
from mer_pipe.stages.magnify.fine_motion import evident, fine_motion, fitted
from mer_pipe.stages.magnify.flow_warp import flow_warp
from mer_pipe.stages.magnify.mer import mer, shares
from mer_pipe.stages.magnify.motion import luma, motion
from mer_pipe.stages.magnify.motion_edges import edged, steepest
from mer_pipe.stages.magnify.spline import spline, with_luma
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
    before, after = (noisy(f, rng) for f in (image, carried(image, field, 1.0)))
    inside = np.hypot(*np.moveaxis(field, 2, 0)) > 0.1
    start = 1.15 * field.astype(np.float32)
    after_fits = fitted(evident(luma(before), spline(with_luma(after)), start), start, 7.0)
    wrong, right = (np.abs(f - field)[inside].mean() for f in (start, after_fits))
    assert right < 0.6 * wrong


@pytest.mark.parametrize("channels", [1, 3])
def test_an_edge_of_motion_is_drawn_where_it_is(channels):
    onset, apex, field, _ = disc_pair(np.array([0.5, 0.3]))
    before, after = (as_frame(frame)[..., :channels].astype(np.float32) for frame in (onset, apex))
    blunt = gaussian_filter(field, (4, 4, 0)).astype(np.float32)
    surface = spline(with_luma(after))
    sharp = edged(blunt, before, surface, evident(luma(before), surface, blunt).variance)
    near = np.abs(np.hypot(*(np.mgrid[:SIZE, :SIZE] - SIZE / 2)) - 30.0) < 8
    assert np.abs(sharp - field)[near].mean() < 0.4 * np.abs(blunt - field)[near].mean()


def test_a_smooth_change_of_motion_is_no_edge():
    smooth = local_field(amplitude=0.5).astype(np.float32)
    image = texture()
    before, after = (as_frame(frame).astype(np.float32) for frame in (image, carried(image, smooth, 1.0)))
    surface = spline(with_luma(after))
    kept = edged(smooth, before, surface, evident(luma(before), surface, smooth).variance)
    assert np.abs(kept - smooth).max() < 0.05


@pytest.mark.parametrize("turned", [0.0, 0.5, 1.2, -0.9])
def test_motion_changes_most_across_its_edge(turned):
    rows, columns = np.mgrid[-20:21, -20:21]
    across = columns * np.cos(turned) + rows * np.sin(turned)
    flow = np.stack([0.5 * np.tanh(across / 2), -0.2 * np.tanh(across / 2)], axis=2).astype(np.float32)
    found = steepest(flow)[20, 20]
    assert abs(found @ [np.cos(turned), np.sin(turned)]) > 0.999


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
    found = motion_in_front(flow, tears(flow), 6.0)
    assert np.allclose(found[12:28, 27:45, 0], 1.0)  # the block has come here, over what rested
    assert np.allclose(found[12:28, 48:58], 0.0)
    assert np.allclose(found[12:28, 2:19], 0.0)
    there = np.arange(60) - 5.0 * found[..., 0]
    gap = there[12:28, 20:26]  # between the resting left and the block that left: one square, drawn out
    assert np.all(np.diff(gap, axis=1) >= 0)
    assert gap.min() >= 18.9
    assert gap.max() <= 21.1
    assert np.allclose(found[..., 1], 0.0)


def test_what_is_torn_may_leave_the_frame():
    flow = np.zeros((8, 8, 2), np.float32)
    flow[0, 0] = -40.0
    found = motion_in_front(flow, tears(flow), 6.0)
    assert np.isfinite(found).all()
    assert not found[2:, 2:].any()
    flow[:] = 40.0  # all of it leaves
    flow[3] = 39.0
    assert np.isfinite(motion_in_front(flow, tears(flow), 6.0)).all()


def test_where_nothing_is_torn_mesh_and_fixed_point_agree():
    rng = np.random.default_rng(9)
    flow = gaussian_filter(rng.normal(size=(50, 60, 2)), (6, 6, 0)).astype(np.float32)
    flow *= 0.4 / (9 * np.abs(np.diff(flow, axis=0)).max())
    everywhere = np.zeros(flow.shape[:2], bool)
    assert np.array_equal(motion_in_front(flow, tears(flow), 9.0), motion_of_result(flow, 9.0, everywhere))


@pytest.mark.parametrize("shape", [(40, 60), (7, 9), (1, 6), (6, 1), (1, 1)])
def test_tears_are_the_largest_changes_across_the_sides_of_each_square(shape):
    flow = np.random.default_rng(12).normal(size=(*shape, 2)).astype(np.float32)
    found = tears(flow)
    wide = np.pad(flow, ((1, 1), (1, 1), (0, 0)), mode="edge")
    right, down = (np.abs(np.diff(wide, axis=axis)).sum(axis=2) for axis in (1, 0))
    wanted = np.maximum(np.maximum(right[:-1], right[1:]), np.maximum(down[:, :-1], down[:, 1:]))
    assert found.shape == (shape[0] + 1, shape[1] + 1)
    assert np.allclose(found, wanted, atol=1e-6)


def test_the_share_of_the_reference_falls_where_only_one_frame_shows_a_thing():
    rng = np.random.default_rng(10)
    image = texture()
    a, b = (np.float32(image + rng.normal(0, 2, image.shape)) for _ in range(2))
    a[40:60, 40:60] += 60.0
    share = shares(luma(a), spline(with_luma(b)), np.zeros((SIZE, SIZE, 2), np.float32), 0.5)
    outside = np.ones((SIZE, SIZE), bool)
    outside[34:66, 34:66] = False
    assert share[outside].mean() > 0.45
    assert share[44:56, 44:56].max() < 0.01


def test_the_picture_is_the_mean_of_both_frames_with_half_the_variance_of_their_noise():
    rng = np.random.default_rng(10)
    image = np.full((SIZE, SIZE, 3), 128.0) + texture(3) * 0.2
    a, b = (np.float32(image + rng.normal(0, 2, image.shape)) for _ in range(2))
    assert np.std(mer(a, b, (4.0,))[0] - image) == pytest.approx(2 / np.sqrt(2), rel=0.1)
    assert np.std(mer(a, b, (4.0,), blend=0.0)[0] - image) == pytest.approx(2.0, rel=0.1)


def test_fine_motion_errs_less_than_the_motion_of_flow_warp_where_something_moves():
    rng = np.random.default_rng(11)
    errors = []
    for seed in range(3):
        image, field = texture(seed), local_field(amplitude=0.4)
        onset, apex = noisy(image, rng, 2.0), noisy(carried(image, field, 1.0), rng, 2.0)
        before, after = onset.astype(np.float32), apex.astype(np.float32)
        ours, theirs = fine_motion(before, after, spline(with_luma(after))), motion(onset, apex)
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
