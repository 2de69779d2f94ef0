import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_pipe.stages.geometry import apply, inverse, similarity
from mer_pipe.types import ClipError

angle, scale, shift = st.floats(-3.1, 3.1), st.floats(0.01, 100), st.floats(-1000, 1000)


def known(angle, scale, x, y):
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y]])


@given(angle, scale, shift, shift, st.integers(2, 9))
def test_a_known_similarity_is_found_again(angle, scale, x, y, n):
    points = np.random.default_rng(n).uniform(0, 640, (n, 2))
    truth = known(angle, scale, x, y)
    found = similarity(points, apply(truth, points))
    assert np.allclose(found, truth, rtol=1e-9, atol=1e-9 * (scale * 640 + 1000))


def test_noisy_points_are_fitted_with_the_least_squared_error():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (7, 2))
    targets = apply(known(0.3, 0.02, 0.1, 0.2), points) + rng.normal(0, 0.05, (7, 2))
    best = ((apply(similarity(points, targets), points) - targets) ** 2).sum()
    a, b, u, v = similarity(points, targets)[[0, 1, 0, 1], [0, 0, 2, 2]]
    for step in np.vstack([np.eye(4), -np.eye(4)]) * 1e-4:
        p, q, r, s = np.array([a, b, u, v]) + step
        other = np.array([[p, -q, r], [q, p, s]])
        assert ((apply(other, points) - targets) ** 2).sum() > best


@given(angle, scale, shift, shift)
def test_an_inverse_undoes_its_transform(angle, scale, x, y):
    transform = known(angle, scale, x, y)
    points = np.array([[0.0, 0.0], [640, 0], [3, 480]])
    assert np.allclose(apply(inverse(transform), apply(transform, points)), points, atol=1e-7 * (1 + 1000 / scale))


def test_coinciding_points_are_refused():
    with pytest.raises(ClipError, match="coincide"):
        similarity([[5, 5], [5, 5]], [[0, 0], [1, 1]])


@pytest.mark.parametrize("bad", [np.zeros((2, 3)), np.full((2, 3), np.nan), np.eye(3), [[1, 2, 0], [2, 4, 0]]])
def test_a_transform_without_an_inverse_is_refused(bad):
    with pytest.raises(ClipError, match="transform"):
        inverse(bad)
