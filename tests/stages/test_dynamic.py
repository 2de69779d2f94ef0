"""Rank pooling against other solvers of the same problems, and against itself."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.stages.dynamic import METHODS, Dynamic, coefficients, gram, rank_pool
from mer_pipe.types import ClipError, RecipeError


def moving(frames: int, size: int = 16, noise: float = 3.0, seed: int = 0) -> np.ndarray:
    """A clip in which one texture slowly turns into another."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 256, (2, size, size, 3))
    weight = 0.2 * np.sin(np.linspace(0, 2.2, frames))[:, None, None, None]
    clip = (1 - weight) * first + weight * second + rng.normal(0, noise, (frames, size, size, 3))
    return np.clip(np.rint(clip), 0, 255).astype(np.uint8)


def running_mean(clip: np.ndarray) -> np.ndarray:
    flat = clip.reshape(len(clip), -1) / 255.0
    return np.cumsum(flat, axis=0) / np.arange(1, len(clip) + 1)[:, None]


def ranksvm_value(image: np.ndarray, clip: np.ndarray, cost: float = 1.0) -> float:
    """MSMMT Eq. 4, written out pair by pair."""
    means, d, frames = running_mean(clip), image.ravel().astype(np.float64), len(clip)
    hinge = [max(0.0, 1 - d @ means[j] + d @ means[i]) for i in range(frames) for j in range(i + 1, frames)]
    return 0.5 * d @ d + cost * 2 / (frames * (frames - 1)) * sum(hinge)


def svr_value(image: np.ndarray, clip: np.ndarray, cost: float = 1.0, epsilon: float = 0.1) -> float:
    """Squared epsilon-insensitive regression of the time on normalised running means, without bias."""
    means, d = running_mean(clip), image.ravel().astype(np.float64)
    rows = means / np.linalg.norm(means, axis=1, keepdims=True)
    loss = np.maximum(0, np.abs(np.arange(1, len(clip) + 1) - rows @ d) - epsilon)
    return 0.5 * d @ d + cost * loss @ loss


def ranksvm_reference(clip: np.ndarray, cost: float = 1.0) -> tuple[np.ndarray, float]:
    """The dual by SciPy's bounded quasi-Newton, pair differences formed explicitly: the image, and the dual value."""
    from scipy.optimize import minimize

    means, frames = running_mean(clip), len(clip)
    pairs = np.array([means[j] - means[i] for i in range(frames) for j in range(i + 1, frames)])
    kernel, cap = pairs @ pairs.T, cost * 2 / (frames * (frames - 1))
    result = minimize(
        lambda a: (0.5 * a @ kernel @ a - a.sum(), kernel @ a - 1), np.full(len(pairs), cap / 2), jac=True,
        bounds=[(0, cap)] * len(pairs), method="L-BFGS-B", options={"maxiter": 20000, "ftol": 1e-16, "gtol": 1e-10},
    )  # fmt: skip
    return result.x @ pairs, -result.fun


@pytest.mark.parametrize(("frames", "noise"), [(2, 3), (5, 0), (9, 3), (14, 60)])
def test_ranksvm_is_the_minimum_that_scipy_finds(frames, noise):
    clip = moving(frames, size=6, noise=noise)
    image, gap = rank_pool(clip, return_gap=True)
    reference, dual = ranksvm_reference(clip)
    assert gap <= 1e-8
    assert abs(ranksvm_value(image, clip) - dual) < 1e-6  # float32 image against the dual bound of another solver
    assert np.abs(image.ravel() - reference).max() < 1e-4 * np.abs(reference).max()


@pytest.mark.parametrize(("frames", "cost"), [(2, 1.0), (7, 1.0), (12, 1.0), (12, 100.0)])
def test_svr_satisfies_the_first_order_conditions(frames, cost):
    clip = moving(frames, size=6)
    image, gap = rank_pool(clip, "svr", cost=cost, return_gap=True)
    assert gap <= 1e-12
    # d = 2 C sum over t of sign * loss * v_t, from the primal alone.
    means = running_mean(clip)
    rows = means / np.linalg.norm(means, axis=1, keepdims=True)
    residual = np.arange(1, frames + 1) - rows @ image.ravel().astype(np.float64)
    loss = np.sign(residual) * np.maximum(0, np.abs(residual) - 0.1)
    assert np.allclose(image.ravel(), 2 * cost * loss @ rows, rtol=0, atol=1e-4 * np.abs(image).max() * cost)


@pytest.mark.parametrize("method", ["ranksvm", "svr"])
def test_no_other_image_is_better(method):
    clip = moving(10, size=5, noise=20)
    value = {"ranksvm": ranksvm_value, "svr": svr_value}[method]
    image = rank_pool(clip, method).astype(np.float64)
    least, rng = value(image, clip), np.random.default_rng(1)
    for size in (1e-3, 1e-2, 1e-1, 1.0):
        step = rng.normal(size=image.shape)
        assert value(image + size * np.linalg.norm(image) * step / np.linalg.norm(step), clip) > least


def test_svr_agrees_with_scikit_learn():
    svm = pytest.importorskip("sklearn.svm", reason="scikit-learn is an optional peer of the benchmarks")
    clip = moving(12, size=6)
    means = running_mean(clip)
    rows = means / np.linalg.norm(means, axis=1, keepdims=True)
    peer = svm.LinearSVR(
        C=1.0, epsilon=0.1, loss="squared_epsilon_insensitive", fit_intercept=False, dual=True, tol=1e-10,
        max_iter=1_000_000, random_state=0,
    )  # fmt: skip
    reference = peer.fit(rows, np.arange(1, 13)).coef_
    assert np.abs(rank_pool(clip, "svr").ravel() - reference).max() < 1e-4 * np.abs(reference).max()


@pytest.mark.parametrize("frames", [2, 3, 20, 68, 150, 400])
@pytest.mark.parametrize("noise", [0.0, 2.0, 80.0])
def test_the_gap_is_closed_for_short_and_for_long_clips(frames, noise):
    clip = moving(frames, size=8, noise=noise)
    assert rank_pool(clip, "ranksvm", return_gap=True)[1] <= 1e-8
    assert rank_pool(clip, "svr", return_gap=True)[1] <= 1e-12


AWKWARD = {
    "black": np.zeros((30, 4, 4, 3), np.uint8),
    "one step": np.repeat(np.array([7, 8], np.uint8), 15)[:, None, None, None].repeat(3, axis=3),
    "a flash at the end": np.repeat(np.array([0, 255], np.uint8), [29, 1])[:, None, None, None].repeat(3, axis=3),
    "every frame four times": np.repeat(moving(20), 4, axis=0),
    "more frames than pixels": np.random.default_rng(3).integers(0, 256, (90, 3, 3, 1), dtype=np.uint8),
}


@pytest.mark.parametrize("kind", AWKWARD)
@pytest.mark.parametrize("cost", [1e-3, 1.0, 1000.0])
def test_awkward_clips_are_solved_as_well(kind, cost):
    assert rank_pool(AWKWARD[kind], "ranksvm", cost=cost, return_gap=True)[1] <= 1e-8 * max(1.0, cost)
    assert rank_pool(AWKWARD[kind], "svr", cost=cost, return_gap=True)[1] <= (1e-12 if cost <= 1 else 1e-9)


@pytest.mark.parametrize("method", ["ranksvm", "approximate"])
def test_a_clip_in_which_nothing_happens_gives_exactly_zero(method):
    clip = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 9, 7, 3), dtype=np.uint8), 13, axis=0)
    image, gap = rank_pool(clip, method, return_gap=True)
    assert not image.any()
    assert gap <= 1e-8


@pytest.mark.parametrize("method", ["ranksvm", "approximate"])
def test_the_weights_of_the_frames_add_up_to_zero(method):
    weights, _ = coefficients(moving(31), method)
    assert abs(weights.sum()) < 1e-12 * np.abs(weights).sum()


@pytest.mark.parametrize("method", ["ranksvm", "approximate"])
def test_a_reversed_clip_gives_about_the_negative(method):
    clip = moving(20, noise=0.5)
    forth, back = (rank_pool(c, method).ravel() for c in (clip, clip[::-1].copy()))
    assert forth @ back < -0.8 * np.linalg.norm(forth) * np.linalg.norm(back)


def test_the_image_is_bright_where_brightness_grows():
    clip = np.full((10, 4, 4, 3), 100, np.uint8)
    clip[:, 0, 0] += np.arange(10, dtype=np.uint8)[:, None]
    clip[:, 3, 3] -= np.arange(10, dtype=np.uint8)[:, None]
    for method in ("ranksvm", "approximate"):
        image = rank_pool(clip, method)
        assert (image[0, 0] > 0).all()
        assert (image[3, 3] < 0).all()
        assert not image[1:3].any()


def test_approximate_and_exact_agree_on_unit_pixels():
    clip = moving(20, size=24, noise=1.0)
    exact, approximate = rank_pool(clip).ravel(), rank_pool(clip, "approximate").ravel()
    assert exact @ approximate > 0.9 * np.linalg.norm(exact) * np.linalg.norm(approximate)


def test_the_approximate_weights_are_those_of_bilen():
    frames = 9
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, frames + 1))])
    t = np.arange(1, frames + 1)
    published = 2 * (frames - t + 1) - (frames + 1) * (harmonic[frames] - harmonic[t - 1])
    assert np.abs(coefficients(moving(frames), "approximate")[0] - published).max() < 1e-12


def test_the_gram_matrix_is_exact():
    clip = np.random.default_rng(4).integers(0, 256, (6, 37, 41, 3), dtype=np.uint8)
    clip[0] = 255
    flat = clip.reshape(6, -1).astype(np.int64)
    assert np.array_equal(gram(clip), flat @ flat.T)


def growing(frames: int = 8, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A flow in px (y, x, 2), and a sequence in which it grows in equal steps."""
    rng = np.random.default_rng(5)
    flow = rng.normal(size=(12, 9, 2)) * [2.0, 0.3]
    course = np.arange(1, frames + 1)[:, None, None, None] / frames
    return flow, (course * flow + rng.normal(0, noise, (frames, *flow.shape))).astype(np.float32)


def test_a_flow_that_grows_in_equal_steps_has_the_image_of_the_hard_margin():
    flow, sequence = growing(frames=5)
    step = flow / 5  # the running means then grow by half of it, and neighbours keep a margin of just 1
    image = rank_pool(sequence)
    assert np.allclose(image, 2 * step / (step**2).sum(), rtol=0, atol=1e-5 * np.abs(image).max())


@pytest.mark.parametrize("method", ["ranksvm", "approximate"])
def test_a_growing_flow_keeps_its_direction(method):
    flow, sequence = growing(noise=0.02)
    image = rank_pool(sequence, method)
    strong = np.linalg.norm(flow, axis=-1) > 1
    turn = (image * flow).sum(-1) / np.linalg.norm(image, axis=-1) / np.linalg.norm(flow, axis=-1)
    assert turn[strong].min() > 0.99


@pytest.mark.parametrize("method", ["ranksvm", "approximate"])
def test_a_constant_flow_gives_exactly_zero(method):
    flow, _ = growing()
    assert not rank_pool(np.repeat(flow[None], 9, axis=0), method).any()


@pytest.mark.parametrize("method", ["ranksvm", "approximate"])
def test_a_reversed_flow_gives_about_the_negative(method):
    _, sequence = growing(noise=0.02)
    forth, back = (rank_pool(c, method).ravel() for c in (sequence, sequence[::-1]))
    assert forth @ back < -0.95 * np.linalg.norm(forth) * np.linalg.norm(back)


@pytest.mark.parametrize("method", METHODS)
def test_values_count_in_units_of_the_scale(method):
    _, sequence = growing(noise=0.1)
    assert np.array_equal(rank_pool(sequence, method, scale=4.0), rank_pool(sequence / 4, method))
    assert np.array_equal(rank_pool(sequence, method, scale=1.0), rank_pool(sequence, method))
    clip = moving(9)
    assert np.array_equal(rank_pool(clip, method), rank_pool(clip, method, scale=255))


@pytest.mark.parametrize("method", METHODS)
def test_floating_point_pixels_give_the_image_of_whole_ones(method):
    clip = moving(12, size=24)
    image = rank_pool(clip, method)
    for other in (rank_pool(clip / 255.0, method), rank_pool(clip.astype(np.float16), method, scale=255)):
        assert np.abs(image - other).max() < 1e-6 * np.abs(image).max()


def test_stored_features_are_pooled_to_the_minimum_that_scipy_finds():
    rng = np.random.default_rng(6)
    maps = np.maximum(0, rng.normal(size=(11, 20, 3, 3)) + np.linspace(0, 1, 11)[:, None, None, None]).astype(
        np.float16
    )
    image, gap = rank_pool(maps, return_gap=True)
    reference, dual = ranksvm_reference(maps.astype(np.float64) * 255)  # which divides by 255
    assert image.shape == (20, 3, 3)
    assert gap <= 1e-8
    assert abs(ranksvm_value(image, maps.astype(np.float64) * 255) - dual) < 1e-6
    assert np.abs(image.ravel() - reference).max() < 1e-4 * np.abs(reference).max()


def test_the_layout_in_memory_does_not_matter():
    clip = moving(7)
    strided = np.ascontiguousarray(clip.transpose(0, 3, 2, 1)).transpose(0, 3, 2, 1)
    assert rank_pool(strided).tobytes() == rank_pool(clip).tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_the_stage_keeps_its_contract(method):
    stage = Dynamic(method)
    made = stage(clip=moving(8, size=10))
    assert made.keys() == stage.returns.keys()
    for name, spec in stage.returns.items():
        spec.check(made[name])
    assert made["image"].shape == (10, 10, 3)


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(ClipError, match="one frame"):
        rank_pool(moving(1))
    with pytest.raises(ClipError, match="int16"):
        rank_pool(moving(3).astype(np.int16))
    with pytest.raises(ClipError, match="not finite"):
        rank_pool(np.full((3, 4, 4, 2), np.nan))
    with pytest.raises(ClipError, match="too large"):
        rank_pool(np.array([[1e200], [2e200], [-1e200]]))
    with pytest.raises(RecipeError, match="divide by 0"):
        rank_pool(moving(3), scale=0)
    with pytest.raises(RecipeError, match="'mean'"):
        Dynamic("mean")
    with pytest.raises(RecipeError, match="cost 0"):
        Dynamic(cost=0)
