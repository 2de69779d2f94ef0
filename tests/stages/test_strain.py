"""Strain of flows whose strain is known."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.stages.strain import Motion, Strain, motion, optical_strain
from mer_pipe.types import ClipError, RecipeError

Y, X = np.mgrid[:40, :50].astype(np.float64)


def flow_of(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.stack(np.broadcast_arrays(u, v), axis=-1).astype(np.float64)


@pytest.mark.parametrize("sigma", [0, 0.7, 1.0, 2.0, 3.5])
def test_a_rotation_has_no_strain(sigma):
    assert optical_strain(flow_of(-0.02 * (Y - 20), 0.02 * (X - 25)), sigma).max() < 1e-6


def test_a_translation_has_no_strain():
    assert optical_strain(flow_of(3.0 + 0 * X, -2.0)).max() < 1e-6


@pytest.mark.parametrize("sigma", [0, 1.0, 2.0])
def test_a_dilation_is_exact_up_to_the_border(sigma):
    strain = optical_strain(flow_of(0.03 * X, 0.04 * Y), sigma)
    assert np.abs(strain - 0.05).max() < 1e-6


@pytest.mark.parametrize("sigma", [0, 1.0, 2.0])
@pytest.mark.parametrize("down", [True, False])
def test_a_shear_is_exact_up_to_the_border(sigma, down):
    flow = flow_of(0 * X, 0.02 * X) if down else flow_of(0.02 * Y, 0 * X)
    assert np.abs(optical_strain(flow, sigma) - 0.02 / np.sqrt(2)).max() < 1e-6


def test_the_axes_are_not_swapped():
    stretch_in_x = optical_strain(flow_of(0.1 * np.sin(X / 4), 0 * X), 0)
    assert np.ptp(stretch_in_x, axis=0).max() < 1e-6
    assert np.ptp(stretch_in_x, axis=1).min() > 0.01


def test_nothing_wraps_round_the_border():
    flow = np.zeros((30, 30, 2))
    flow[:, :3, 0] = 1.0
    flow[:3, :, 1] = 1.0
    assert optical_strain(flow, 1.0)[20:, 20:].max() == 0


def test_a_bump_has_the_analytic_strain_of_its_smoothed_self():
    sigma, width = 2.0, 6.0
    variance = width**2 + sigma**2  # a Gaussian smoothed by a Gaussian
    distance = (X - 25) ** 2 + (Y - 20) ** 2
    smoothed = width**2 / variance * np.exp(-distance / (2 * variance))
    ux, uy = -(X - 25) / variance * smoothed, -(Y - 20) / variance * smoothed
    truth = np.sqrt(ux**2 + 0.5 * uy**2)
    strain = optical_strain(flow_of(np.exp(-distance / (2 * width**2)), 0 * X), sigma)
    assert np.abs(strain - truth)[8:-8, 8:-8].max() < 0.002 * truth.max()


def reference(flow: np.ndarray, sigma: float) -> np.ndarray:
    """The definition by SciPy's correlation, one derivative after the other, on a field continued by NumPy."""
    from scipy.ndimage import correlate1d

    radius = max(1, int(np.ceil(4 * sigma)))
    x = np.arange(-radius, radius + 1, dtype=np.float64)
    smooth = np.exp(-0.5 * (x / sigma) ** 2) if sigma else (x == 0).astype(float)
    slope = x * smooth if sigma else x
    smooth, slope = smooth / smooth.sum(), slope / (x * slope).sum()

    def derivative(field: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
        wide = np.pad(field.astype(np.float64), radius, mode="reflect", reflect_type="odd")
        return correlate1d(correlate1d(wide, down, 0), right, 1)[radius:-radius, radius:-radius]

    u, v = flow[..., 0], flow[..., 1]
    shear = derivative(u, slope, smooth) + derivative(v, smooth, slope)
    return np.sqrt(derivative(u, smooth, slope) ** 2 + derivative(v, slope, smooth) ** 2 + 0.5 * shear**2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("sigma", [0, 0.3, 1.0, 2.0, 3.3])
def test_the_kernels_agree_with_separate_filters(dtype, sigma):
    for height, width in ((37, 21), (8, 64), (50, 5)):
        flow = np.random.default_rng(1).normal(size=(height, width, 2)).astype(dtype)
        assert np.abs(optical_strain(flow, sigma) - reference(flow, sigma)).max() < 1e-6 * np.abs(flow).max()


def test_without_smoothing_it_is_the_strain_of_numpys_gradient():
    flow = np.random.default_rng(2).normal(size=(20, 30, 2))
    (uy, ux), (vy, vx) = np.gradient(flow[..., 0]), np.gradient(flow[..., 1])
    truth = np.sqrt(ux**2 + vy**2 + 0.5 * (uy + vx) ** 2)
    assert np.abs(optical_strain(flow, 0) - truth).max() < 1e-6
    assert np.abs(optical_strain(flow, 0.02) - truth).max() < 1e-6  # a filter so narrow has one tap left


@pytest.mark.parametrize("sigma", [0, 2.0])
def test_a_large_translation_in_float32_has_no_strain_to_the_last_bit(sigma):
    assert not optical_strain(np.full((30, 20, 2), 1234.567, np.float32), sigma).any()


@pytest.mark.parametrize("sigma", [0, 2.0])
def test_the_layout_in_memory_does_not_matter(sigma):
    flow = np.random.default_rng(3).normal(size=(2, 19, 33)).astype(np.float32)
    strided = flow.transpose(1, 2, 0)
    assert optical_strain(strided, sigma).tobytes() == optical_strain(strided.copy("C"), sigma).tobytes()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2)])
def test_tiny_fields_give_finite_strain(shape):
    strain = optical_strain(np.ones((*shape, 2), np.float32))
    assert strain.shape == shape
    assert strain.max() < 1e-6


def test_the_stages_keep_their_contracts():
    flow = np.random.default_rng(0).normal(size=(24, 20, 2)).astype(np.float32)
    strain = Strain()(flow=flow)["strain"]
    Strain().returns["strain"].check(strain)
    image = Motion()(flow=flow, strain=strain)["motion"]
    Motion().returns["motion"].check(image)
    assert np.array_equal(image[..., :2], flow)
    assert np.array_equal(image[..., 2], strain)
    assert Strain(sigma=1.5).parameters() == {"sigma": 1.5}


def test_what_is_no_flow_is_refused():
    with pytest.raises(ClipError, match="is no flow"):
        optical_strain(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ClipError, match="not finite"):
        optical_strain(np.full((4, 4, 2), np.nan, np.float32))
    with pytest.raises(RecipeError, match="sigma -1"):
        Strain(sigma=-1)
    with pytest.raises(ClipError, match="do not belong"):
        motion(np.zeros((4, 4, 2), np.float32), np.zeros((4, 5), np.float32))
