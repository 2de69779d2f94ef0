"""Magnification of grey levels: plain arithmetic, rounded once and clipped."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mer_pipe.stages.magnify import Eulerian
from mer_pipe.stages.magnify.pixel import Pixel, pixel
from mer_pipe.types import ClipError, RecipeError

EVERY = np.arange(256, dtype=np.uint8)
BEFORE, AFTER = (np.ascontiguousarray(f[..., None]) for f in np.meshgrid(EVERY, EVERY))  # every pair of grey levels


@pytest.mark.parametrize("af", [0.0, 0.25, 1.0, 2.0, 2.5, 6.0, 13.0])
def test_every_pair_of_grey_levels_gives_what_exact_arithmetic_gives(af):
    out = pixel(BEFORE, AFTER, (af,))[0]
    a, b, factor = BEFORE.astype(object), AFTER.astype(object), Fraction(af)
    exact = a + factor * (b - a)
    wanted = np.vectorize(lambda v: min(max(round(v), 0), 255))(exact)  # halves to even, as NumPy rounds
    assert np.array_equal(out, wanted)


def test_af_0_returns_the_reference_and_af_1_the_target():
    zero, one = pixel(BEFORE, AFTER, (0.0, 1.0))
    assert np.array_equal(zero, BEFORE)
    assert np.array_equal(one, AFTER)


@pytest.mark.parametrize("af", [0.0, 0.1, 1.0, 7.3, 50.0, 1e6])
def test_identical_frames_stay_identical_at_every_af(af):
    assert np.array_equal(pixel(BEFORE, BEFORE.copy(), (af,))[0], BEFORE)


def test_grey_levels_saturate_and_never_wrap():
    a, b = np.full((2, 2, 3), 100, np.uint8), np.full((2, 2, 3), 110, np.uint8)
    assert (pixel(a, b, (50.0,)) == 255).all()
    assert (pixel(b, a, (50.0,)) == 0).all()


def test_it_is_eulerian_magnification_without_bands():
    rng = np.random.default_rng(6)
    a, b = rng.integers(100, 140, (2, 40, 52, 3)).astype(np.uint8)
    bare = Eulerian(lambda_c=0.0, chroma=1.0)(reference=a, target=b, af=(3.0,))["image"]
    assert np.array_equal(pixel(a, b, (3.0,)), bare)


@pytest.mark.parametrize("moved", [1 / 64, 1 / 16, 1 / 8, 1 / 4])
def test_a_wave_moves_by_af_to_first_order_only(moved):
    wave, af, starts = 64, 4.0, np.linspace(0, 2 * np.pi, 61)[:, None]  # many starts: rounding averages out
    phases = 2 * np.pi * np.arange(128) / wave + starts
    turn = 2 * np.pi * moved / af
    a, b = (np.rint(127.5 + 80 * np.sin(phases - t)).astype(np.uint8)[..., None] for t in (0.0, turn))
    found = np.angle((pixel(a, b, (af,))[0, ..., 0] * np.exp(1j * phases)).sum()) - np.pi / 2
    assert found == pytest.approx(np.arctan2(af * np.sin(turn), 1 + af * (np.cos(turn) - 1)), abs=0.005)
    wanted = af * turn
    assert (
        found < 0.8 * wanted if moved > 1 / 8 else found > 0.87 * wanted
    )  # it holds up to an eighth of the wavelength


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 20)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_works_and_afs_together_and_alone_give_the_same_bytes(size, channels):
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 256, (2, *size, channels)).astype(np.uint8)
    stage = Pixel()
    out = stage(reference=a, target=b, af=(0.0, 2.5, 13.0))["image"]
    for image, af in zip(out, (0.0, 2.5, 13.0), strict=True):
        stage.returns["image"].check(image)
        assert np.array_equal(image, stage(reference=a, target=b, af=(af,))["image"][0])


def test_what_cannot_be_magnified_is_told():
    frame = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(ClipError, match=r"\(16, 16, 3\) and target frame \(16, 12, 3\)"):
        pixel(frame, frame[:, :12], (2.0,))
    with pytest.raises(ClipError, match="float64"):
        pixel(frame.astype(float), frame, (2.0,))
    for af in ((-1.0,), (float("nan"),), ()):
        with pytest.raises(RecipeError):
            pixel(frame, frame, af)
