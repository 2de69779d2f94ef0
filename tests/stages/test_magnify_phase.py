"""Phase-based magnification of a pair: waves of known motion go in, the same waves AF times as far must come out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mer_pipe.stages.magnify._steerable import coefficients, planes_of, put_back, pyramid, remainder, spectra
from mer_pipe.stages.magnify.phase import Phase, phase
from mer_pipe.types import ClipError, RecipeError
from tests.stages.test_magnify_pair import SIZE, as_frame, carried, local_field, measured_shift, shifted, texture


def plaid(wave, u=0.0, v=0.0):
    """Two crossed sinusoids of `wave` px moved by (u, v) px: float (y, x, 1)."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    lines = np.sin(2 * np.pi * (x - u) / wave) + np.sin(2 * np.pi * (y - v) / wave + 1.0)
    return 127.5 + 50 * lines[..., None]


def moved(image, wave):
    """How far a `plaid` in the frame has moved, px (right, down), from the phases of its two waves under a window."""
    window = np.hanning(SIZE)
    y, x = np.mgrid[:SIZE, :SIZE]
    seen = (image[..., 0] - 127.5) * window * window[:, None]
    right = np.angle((seen * np.exp(2j * np.pi * x / wave)).sum()) - np.pi / 2
    down = np.angle((seen * np.exp(2j * np.pi * y / wave)).sum()) - np.pi / 2 + 1.0
    return np.array([right, down]) * wave / (2 * np.pi)


@pytest.mark.parametrize("af", [0.5, 2.0, 2.5, 4.0, 6.0])
@pytest.mark.parametrize("wave", [4.0, 7.0, 16.0, 32.0])
def test_a_plaid_moves_af_times_as_far(af, wave):
    move = np.array([0.04, -0.03]) * wave
    apex, truth = as_frame(plaid(wave, *move)), plaid(wave, *(af * move))
    out = phase(as_frame(plaid(wave)), apex, (af,))[0]
    assert np.allclose(moved(out.astype(float), wave), af * move, atol=0.01 * wave)
    middle = (slice(24, -24),) * 2
    assert np.abs(out - truth)[middle].mean() < 0.25 + 0.1 * np.abs(apex - truth)[middle].mean()


@pytest.mark.parametrize("af", [0.5, 2.0, 2.5, 4.0, 6.0])
@pytest.mark.parametrize("move", [(0.2, 0.0), (0.0, -0.2), (0.15, 0.1)])
def test_a_translated_picture_moves_af_times_as_far(af, move):
    image = texture()
    out = phase(as_frame(image), as_frame(shifted(image, *move)), (af,))[0]
    wanted = af * np.array(move)
    assert np.allclose(measured_shift(image, out, wanted), wanted, atol=0.02 + 0.04 * np.hypot(*wanted))


@pytest.mark.parametrize("af", [2.5, 6.0])
def test_a_local_motion_is_carried_to_where_it_belongs(af):
    image, field = texture(channels=1), local_field(amplitude=0.3)
    onset, apex = as_frame(image), as_frame(carried(image, field, 1.0))
    truth = carried(image, field, af)
    out = phase(onset, apex, (af,))[0]
    inside = np.hypot(*np.moveaxis(field, 2, 0)) > 0.1
    error = np.abs(out - truth)[inside].mean()
    assert error < 0.25 + 0.25 * np.abs(apex - truth)[inside].mean()  # rounding to grey levels alone is 0.25
    assert error < min(np.abs(out - carried(image, field, af * k))[inside].mean() for k in (0.65, 1.25))


@pytest.mark.parametrize("wave", [4.0, 8.0, 16.0])
def test_the_error_grows_with_motion_over_wavelength_as_the_documentation_tells(wave):
    rng = np.random.default_rng(0)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE))) * wave
    octave = (radius > 2**-0.5) & (radius < 2**0.5)
    image = np.fft.ifft2(np.fft.fft2(rng.standard_normal((SIZE, SIZE))) * octave).real[..., None]
    image = 127.5 + 80 * image / np.abs(image).max()
    middle, errors, move = (slice(20, -20),) * 2, [], np.array([0.04, 0.03]) * wave
    for reach in (0.25, 0.5, 1.0, 2.0):
        af = 1 + reach / 0.05
        out = phase(as_frame(image), as_frame(shifted(image, *move)), (af,))[0]
        errors.append((out - shifted(image, *(af * move)))[middle].std() / image[middle].std())
    assert errors == sorted(errors)
    assert errors[0] < 0.14
    assert errors[1] < 0.28
    assert errors[3] > 0.8


def test_a_fractional_af_lies_between_its_neighbours():
    image = texture()
    onset, apex = as_frame(image), as_frame(shifted(image, 0.3, 0.0))
    moves = [measured_shift(image, out)[0] for out in phase(onset, apex, (2.0, 2.5, 3.0))]
    assert moves[0] < moves[1] < moves[2]
    assert moves[1] == pytest.approx((moves[0] + moves[2]) / 2, abs=0.01)


@pytest.mark.parametrize("size", [(16, 20), (33, 47), (112, 96)])
@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 1e-6), (np.float64, 1e-13)])
def test_the_pyramid_gives_back_the_picture_it_was_made_of(size, dtype, most):
    planes = np.random.default_rng(0).uniform(-1, 1, (2, *size)).astype(dtype)
    bands = pyramid(*size)
    whole = spectra(bands, planes)
    parts = whole * (0.5 * remainder(bands).astype(dtype))  # one side of what no band holds
    for band in bands.bands:
        put_back(parts, band, coefficients(whole, band))
    assert np.abs(planes_of(bands, parts) - planes).max() <= most


def test_the_bands_hold_everything_but_the_coarsest_and_nothing_twice():
    bands = pyramid(112, 96)
    left = remainder(bands)[1:, 1:]
    assert left.min() > -1e-6
    assert left.max() < 1 + 1e-6
    down, right = (np.arange(1 - n // 2, n // 2) / n for n in bands.padded)
    radius = np.hypot(down[:, None], right)
    assert np.abs(left[radius > 2 / 96]).max() < 1e-6  # waves shorter than half the frame
    assert np.abs(left[radius < 0.5 / 96] - 1).max() < 1e-6
    assert sum(band.filter.size for band in bands.bands) < 4 * np.prod(bands.padded)


def test_af_1_returns_the_targets_bytes_and_af_0_nearly_the_reference():
    image = texture()
    onset, apex = as_frame(image), as_frame(shifted(image, 0.6, -0.3))
    zero, one = phase(onset, apex, (0.0, 1.0))
    assert np.array_equal(one, apex)
    inside = (slice(8, -8), slice(8, -8))
    assert np.abs(zero[inside].astype(float) - onset[inside]).mean() < 1.0
    assert np.abs(apex[inside].astype(float) - onset[inside]).mean() > 3.0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("frame", ["texture", "black", "white", "noise", "checks"])
@pytest.mark.parametrize("noise_floor", [0.0, 0.07])
def test_identical_frames_stay_identical_at_every_af(frame, noise_floor):
    frames = {
        "texture": as_frame(texture()),
        "black": np.zeros((SIZE, SIZE, 3), np.uint8),
        "white": np.full((SIZE, SIZE, 3), 255, np.uint8),
        "noise": np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8),
        "checks": np.indices((SIZE, SIZE, 3)).sum(0).astype(np.uint8) % 2 * 255,
    }
    one = frames[frame]
    out = phase(one, one.copy(), (0.0, 0.5, 1.0, 7.0, 50.0), noise_floor=noise_floor)
    assert (out == one).all()


def test_a_change_of_brightness_moves_nothing():
    image = texture()
    onset = as_frame(image)
    brighter = as_frame(0.97 * image + 9.0)
    for noise_floor in (0.0, 0.07):
        out = phase(onset, brighter, (13.0,), noise_floor=noise_floor)[0]
        assert np.abs(out.astype(float) - brighter).mean() < 1.2
        assert np.abs(measured_shift(0.97 * image + 9.0, out)).max() < 0.03
    assert np.array_equal(out, brighter)  # rounding is all that turned, and the floor holds it still


def test_motion_is_multiplied_through_a_flicker():
    image = texture()
    onset, apex = as_frame(image), as_frame(0.96 * shifted(image, 0.3, 0.0) + 6.0)
    out = phase(onset, apex, (6.0,))[0]
    assert measured_shift(image, (out - 6.0) / 0.96)[0] == pytest.approx(1.8, abs=0.09)


def test_every_colour_moves_along():
    image = texture()  # whose three channels are independent
    onset, apex = as_frame(image), as_frame(shifted(image, 0.3, 0.0))
    out = phase(onset, apex, (5.0,))[0]
    for channel in range(3):
        one = (..., slice(channel, channel + 1))
        assert measured_shift(image[one], out[one], (1.5, 0.0))[0] == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_a_static_noisy_pair_is_held_still(sigma):
    rng = np.random.default_rng(4)
    image = texture()
    onset, apex = (as_frame(image + rng.normal(0, sigma, image.shape)) for _ in range(2))
    changed = np.abs(phase(onset, apex, (13.0,))[0].astype(float) - apex).mean()
    unsteady = np.abs(phase(onset, apex, (13.0,), noise_floor=0.0)[0].astype(float) - apex).mean()
    assert changed < 0.1 * sigma
    assert unsteady > 10 * changed  # it is the floor that does it


def test_a_tenth_of_a_pixel_is_seen_through_the_same_noise():
    rng = np.random.default_rng(5)
    image, field = texture(channels=1), local_field(amplitude=0.2)
    onset, apex = (as_frame(f + rng.normal(0, 1, f.shape)) for f in (image, carried(image, field, 1.0)))
    out = phase(onset, apex, (6.0,))[0]
    inside = np.hypot(*np.moveaxis(field, 2, 0)) > 0.1
    truth = carried(image, field, 6.0)
    assert np.abs(out - truth)[inside].mean() < 0.5 * np.abs(apex - truth)[inside].mean()


def test_a_wider_blur_gives_turns_that_vary_less():
    rng = np.random.default_rng(6)
    image = texture()
    onset, apex = (as_frame(image + rng.normal(0, 2, image.shape)) for _ in range(2))
    changes = [
        np.abs(phase(onset, apex, (10.0,), blur=blur, noise_floor=0.0)[0].astype(float) - apex).mean()
        for blur in (0.0, 0.35, 1.0, 2.0)
    ]
    assert changes == sorted(changes, reverse=True)
    assert changes[-1] < 0.6 * changes[0]


def test_afs_together_and_alone_give_the_same_bytes_and_threads_do_not_matter():
    import cv2

    image, before = texture(), cv2.getNumThreads()
    pair = as_frame(image), as_frame(carried(image, local_field(), 1.0))
    together = phase(*pair, (4.0, 1.0, 2.5))
    try:
        for threads, i, af in ((1, 0, 4.0), (2, 1, 1.0), (4, 2, 2.5)):
            cv2.setNumThreads(threads)
            assert np.array_equal(together[i], phase(*pair, (af,))[0])
    finally:
        cv2.setNumThreads(before)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 5), (6, 6), (16, 20), (17, 31), (35, 150)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_works_and_comes_back(size, channels):
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 256, (2, *size, channels)).astype(np.uint8)
    stage = Phase()
    out = stage(reference=a, target=b, af=(0.0, 2.5, 13.0))["image"]
    assert out.shape == (3, *size, channels)
    for image in out:
        stage.returns["image"].check(image)


@pytest.mark.parametrize("size", [(16, 20), (33, 47)])
def test_small_and_odd_frames_are_magnified_too(size):
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    wave = [127.5 + 90 * np.sin(2 * np.pi * (x + y - move) / 8)[..., None] for move in (0.0, 0.3, 1.2)]
    out = phase(as_frame(wave[0]), as_frame(wave[1]), (4.0,))[0]
    middle = (slice(4, -4),) * 2
    assert np.abs(out - wave[2])[middle].mean() < 0.25 * np.abs(wave[1] - wave[2])[middle].mean()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("level", [0, 127, 255])
def test_flat_frames_against_others_give_an_image(level):
    flat = np.full((SIZE, SIZE, 3), level, np.uint8)
    texture_frame, other = as_frame(texture()), np.full_like(flat, 31)
    for a, b in ((flat, texture_frame), (texture_frame, flat), (flat, other), (other, flat)):
        for noise_floor in (0.0, 0.07):
            out = phase(a, b, (0.0, 13.0, 1000.0), noise_floor=noise_floor)
            assert np.abs(out.astype(float) - b).mean() < 0.1  # what is flat has no phase: nothing moves


def test_read_only_and_strided_frames_give_the_same_bytes_and_stay_as_they_are():
    image = texture()
    a, b = as_frame(image), as_frame(shifted(image, 0.4, 0.2))
    plain = phase(a, b, (1.0, 5.0))
    kept = a.copy(), b.copy()
    strided = [np.ascontiguousarray(f[:, ::-1])[:, ::-1] for f in kept]
    for frame in strided:
        frame.flags.writeable = False
    assert np.array_equal(phase(*strided, (1.0, 5.0)), plain)
    assert np.array_equal(a, kept[0])
    assert np.array_equal(b, kept[1])


def test_frames_that_do_not_match_are_clip_errors():
    frame = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(ClipError, match=r"\(16, 16, 3\) and target frame \(16, 12, 3\)"):
        phase(frame, frame[:, :12], (2.0,))
    with pytest.raises(ClipError, match="float64"):
        phase(frame.astype(float), frame, (2.0,))


@pytest.mark.parametrize("af", [(-1.0,), (float("nan"),), (float("inf"),), ()])
def test_an_impossible_af_is_a_recipe_error(af):
    frame = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(RecipeError):
        Phase()(reference=frame, target=frame, af=af)


def test_impossible_parameters_are_recipe_errors():
    for values in ({"blur": -0.1}, {"blur": float("nan")}, {"noise_floor": -1.0}, {"noise_floor": float("nan")}):
        with pytest.raises(RecipeError):
            Phase(**values)


def test_parameters_are_plain_and_the_stage_is_frozen():
    assert Phase().parameters() == {"blur": 0.35, "noise_floor": 0.07}
    assert (Phase.name, Phase.version, Phase.along) == ("magnify.phase", 1, "af")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Phase().blur = 3.0
