"""TIM against the construction of Zhou et al. that it replaces."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.stages.interpolate import Interpolate, tim, tim_weights
from mer_pipe.types import ClipError, RecipeError


def graph_embedding(clip: np.ndarray, length: int) -> np.ndarray:
    """TIM as published: centre, SVD, Laplacian of the path graph, curve of sines, and back. (pixels, N) to (pixels, n)."""
    frames = clip.shape[1]
    mean = clip.mean(axis=1, keepdims=True)
    left, sizes, right = np.linalg.svd(clip - mean, full_matrices=False)
    left, coordinates = left[:, : frames - 1], np.diag(sizes[: frames - 1]) @ right[: frames - 1]
    path = np.diag(np.ones(frames - 1), 1)
    laplacian = np.diag((path + path.T).sum(axis=1)) - path - path.T
    _, vectors = np.linalg.eigh(laplacian)
    embedding = vectors[:, 1:]  # coordinate k of frame t, proportional to cos(pi k (2t - 1) / 2N)
    back = np.linalg.lstsq(embedding, coordinates.T, rcond=None)[0]
    # The curve f(p)_k = sin(pi k p + pi (N - k) / 2N), scaled to pass through the embedded frames at p = t / N.
    k = np.arange(1, frames)
    curve = lambda p: np.sin(np.pi * np.outer(p, k) + np.pi * (frames - k) / (2 * frames))  # noqa: E731
    scale = (embedding * curve(np.arange(1, frames + 1) / frames)).sum(0) / (
        curve(np.arange(1, frames + 1) / frames) ** 2
    ).sum(0)
    positions = np.linspace(1 / frames, 1, length)
    return left @ (curve(positions) * scale @ back).T + mean


@pytest.mark.parametrize(("frames", "length"), [(2, 5), (7, 11), (20, 11), (31, 20), (11, 11)])
def test_the_closed_form_is_the_graph_embedding(frames, length):
    clip = np.random.default_rng(frames).normal(size=(400, frames))
    expected = graph_embedding(clip, length)
    assert np.abs(tim(clip.T.copy(), length).T - expected).max() < 1e-10


@pytest.mark.parametrize("frames", [2, 3, 11, 68])
def test_interpolating_to_the_same_length_changes_nothing(frames):
    clip = np.random.default_rng(0).integers(0, 256, (frames, 5, 4, 3), dtype=np.uint8)
    assert np.array_equal(tim(clip, frames), clip)
    assert np.abs(tim_weights(frames, frames) - np.eye(frames)).max() < 1e-12


def test_the_first_and_the_last_frame_are_kept():
    clip = np.random.default_rng(1).integers(0, 256, (23, 6, 6, 3), dtype=np.uint8)
    result = tim(clip, 9)
    assert np.array_equal(result[[0, -1]], clip[[0, -1]])


def test_a_steady_change_stays_steady_inside_the_clip():
    ramp = np.linspace(50, 150, 40)[:, None]
    result = tim(ramp, 79)
    # A cosine series bends at the ends of a ramp, by less than a hundredth of a step here.
    assert np.abs(result[::2] - ramp).max() < 1e-10
    assert (np.diff(result[:, 0]) > 0).all()


def test_one_frame_is_repeated():
    frame = np.random.default_rng(2).integers(0, 256, (1, 3, 3, 3), dtype=np.uint8)
    assert np.array_equal(tim(frame, 4), np.repeat(frame, 4, axis=0))


def test_repeated_frames_stay_the_frame():
    clip = np.full((9, 4, 4, 3), 201, np.uint8)
    assert np.array_equal(tim(clip, 11), np.full((11, 4, 4, 3), 201))


def test_overshoot_is_clipped_not_wrapped():
    clip = np.zeros((8, 2, 2, 1), np.uint8)
    clip[4:] = 255
    exact = tim(clip.astype(np.float64), 21)
    assert exact.min() < -1
    assert exact.max() > 256
    assert np.array_equal(tim(clip, 21), np.clip(np.rint(exact), 0, 255))


def test_the_stage_keeps_its_contract():
    clip = np.random.default_rng(3).integers(0, 256, (13, 8, 6, 3), dtype=np.uint8)
    stage = Interpolate(length=11)
    image = stage(clip=clip)["image"]
    stage.returns["image"].check(image)
    assert image.shape == (11, 8, 6, 3)
    assert stage.parameters() == {"length": 11}


def test_what_cannot_be_interpolated_is_refused():
    with pytest.raises(RecipeError, match="length of 1"):
        Interpolate(length=1)
    with pytest.raises(ClipError, match="no frame"):
        tim(np.zeros((0, 2, 2, 3), np.uint8), 5)
    with pytest.raises(ClipError, match="int64"):
        tim(np.zeros((3, 2, 2, 3), np.int64), 5)
