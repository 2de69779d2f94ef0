"""The scenes that the magnifier is trained on: exact truth, honest sources, and what a camera adds to them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import skimage.data

from mer_pipe.pretrain.magnifier import batches, camera, scenes, sources, validation
from mer_pipe.pretrain.magnifier.settings import Settings

HELD_OUT = ("astronaut", "camera", "coins", "retina", "brick")
MARGIN = scenes.MARGIN
STRAIGHT = np.array([[1.0, 0.0, 40.0], [0.0, 1.0, 40.0]])


def wave(x, y):
    """A picture known at every real place: waves of 15 and 21 px, which a cubic spline renders to a hundredth of a level."""
    red = 128 + 60 * np.sin(2 * np.pi * x / 15 + 0.3) * np.cos(2 * np.pi * y / 21)
    return np.stack([red, 255 - red, np.full_like(red, 100.0)], axis=-1)


@pytest.fixture(scope="module")
def picture() -> sources.Source:
    y, x = np.mgrid[:140, :140].astype(float)
    return sources._source("wave", wave(x, y).astype(np.float32))


def layer(source: sources.Source, field: np.ndarray, fine: int = 1) -> scenes.Layer:
    return scenes.Layer(source, STRAIGHT, field.astype(np.float32), fine)


def still(size: int = 48) -> np.ndarray:
    return np.zeros((size + 2 * MARGIN, size + 2 * MARGIN, 2))


def test_a_shift_by_af_times_d_is_the_analytic_picture(picture):
    d = np.array([0.37, -0.21])
    scene = scenes.Scene(layer(picture, still() + d), None, None, 13.0)
    y, x = np.mgrid[:48, :48].astype(float)
    for af in (0.0, 1.0, 2.5, 13.0):
        exact = wave(x - af * d[0] + 40, y - af * d[1] + 40)
        assert np.abs(scene.frame(af) - exact).max() < 0.05


def test_a_smooth_motion_is_inverted_exactly(picture):
    """At p the frame shows the point x with x + af f(x) = p; f is found again here by another interpolation."""
    from scipy.ndimage import map_coordinates

    rng = np.random.default_rng(3)
    field = scenes._bumps(0.9, 10.0, 48, rng)
    af = scenes._bounded(field, 10.0, Settings())
    assert af > 5
    scene = scenes.Scene(layer(picture, field), None, None, af)
    places = scenes._places(scene.back, af).astype(float)
    at = [places[..., 1] + MARGIN, places[..., 0] + MARGIN]
    moved = np.stack([map_coordinates(field[..., i], at, order=1, mode="nearest") for i in (0, 1)], axis=-1)
    y, x = np.mgrid[:48, :48].astype(float)
    assert np.abs(places + af * moved - np.stack([x, y], axis=-1)).max() < 0.02
    assert np.abs(scene.frame(af) - wave(places[..., 0] + 40, places[..., 1] + 40)).max() < 0.05
    assert np.abs(scene.frame(af) - scene.frame(1.0)).max() > 20


def test_finer_pictures_are_averaged_over_the_pixel(picture):
    scene = scenes.Scene(layer(picture, still(), fine=4), None, None, 1.0)
    y, x = np.mgrid[:48, :48].astype(float)
    at = (np.arange(4) + 0.5) / 4 - 0.5
    exact = np.mean([wave(x + 40 + u, y + 40 + v) for u in at for v in at], axis=0)
    assert np.abs(scene.frame(0.0) - exact).max() < 0.05


def test_an_object_hides_what_is_behind_it_and_uncovers_what_was(picture):
    front = sources.Source("grey", np.full((9, 9, 3), 200, np.float32))
    outline = scenes.Outline((20.0, 24.0), (8.0, 8.0), 0.0, 2, 0.0, 1.0)
    move = np.array([0.8, 0.0])
    scene = scenes.Scene(layer(picture, still()), layer(front, still() + move), outline, 10.0)
    behind = scene.back
    bare = scenes.Scene(behind, None, None, 1.0).frame(0.0)
    for af in (0.0, 1.0, 10.0):
        image = scene.frame(af)
        y, x = np.mgrid[:48, :48].astype(float)
        far = np.hypot(x - 20 - 0.8 * af, y - 24)
        assert np.abs(image[far < 7] - 200).max() < 1e-3
        assert np.abs(image[far > 9] - bare[far > 9]).max() < 1e-3
    assert scene.moving(10.0)[24, 28]
    assert not scene.moving(10.0)[24, 12]


def test_what_came_in_from_outside_is_not_asked_for(picture):
    scene = scenes.Scene(layer(picture, still() + np.array([1.0, 0.0])), None, None, 10.0)
    known = scene.known(10.0)
    assert not known[:, :8].any()
    assert known[:, 10:].all()


def test_a_still_pair_has_the_clean_reference_as_its_truth():
    settings = Settings(size=32)
    rng = np.random.default_rng(0)
    pool = sources.textures(3, rng)
    seen = 0
    for _ in range(60):
        scene = scenes.draw(lambda: pool[int(rng.integers(3))], settings, rng)
        if scene.front is None and not scene.back.field.any():
            seen += 1
            np.testing.assert_array_equal(scene.frame(settings.af), scene.frame(0.0))
            assert scene.known(settings.af).all()
    assert seen


def test_no_scene_folds_over_or_moves_too_far():
    settings = Settings(size=32)
    rng = np.random.default_rng(1)
    pool = sources.textures(3, rng)
    for _ in range(80):
        scene = scenes.draw(lambda: pool[int(rng.integers(3))], settings, rng)
        assert 1 <= scene.af <= settings.af
        for one in (scene.back, scene.front):
            if one is not None and scene.af > 1:
                steep = scene.af * np.abs(np.diff(one.field, axis=1)).max()
                assert steep < 1
                assert scene.af * np.hypot(*np.moveaxis(one.field, 2, 0)).max() <= settings.reach + 1e-3


def test_no_picture_is_held_out_and_each_has_a_licence():
    names = (*sources.TRAINING, *sources.VALIDATION)
    assert set(names) == set(sources.LICENCES)
    assert not set(names) & set(HELD_OUT)
    assert not set(sources.TRAINING) & set(sources.VALIDATION)
    forbidden = {f"sha256:{hashlib.sha256(getattr(skimage.data, name)().tobytes()).hexdigest()}" for name in HELD_OUT}
    digests = sources.digests()
    assert list(digests) == list(names)
    assert not set(digests.values()) & forbidden


def test_the_camera_adds_the_noise_that_it_says():
    rng = np.random.default_rng(0)
    flat = np.full((200, 200, 3), 128, np.float32)
    taken = camera.Camera(2.0).take(flat, rng)
    assert abs((taken - 128).std() - np.hypot(2, 1 / np.sqrt(12))) < 0.03
    assert np.array_equal(taken, np.rint(taken))
    shot = camera.Camera(2.0, shot=1.0)
    dark, bright = (shot.take(np.full_like(flat, level), rng).std() for level in (32, 200))
    assert bright / dark == pytest.approx(np.sqrt(200 / 32), rel=0.05)
    flicker = camera.Camera(0.0, gain=1.04, bias=-3.0)
    assert np.all(flicker.take(flat, rng) == 128)
    assert np.all(flicker.take(flat, rng, reference=True) == np.rint(128 * 1.04 - 3))


def test_a_batch_is_seeded_and_its_twins_have_the_colours_of_the_reference():
    settings = Settings(size=32, batch=6, twins=3, noise=0.01)
    photographs = sources.photographs(("text", "clock"))
    once, again = (
        batches.Pool(photographs, settings, np.random.default_rng([4, 1])).batch() for _ in range(2)
    )  # fmt: skip
    for name in vars(once):
        np.testing.assert_array_equal(getattr(once, name), getattr(again, name))
    assert once.reference.shape == (6, 32, 32, 3)
    assert once.twin.shape == (3, 32, 32, 3)
    assert np.abs(np.stack([once.reference, once.target, once.truth])).max() <= 1
    assert ((once.af >= 1) & (once.af <= settings.af)).all()
    other = batches.Pool(photographs, settings, np.random.default_rng([4, 2])).batch()
    assert (once.target != other.target).mean() > 0.9
    # The median of the colours: an object that moves changes few pixels.
    apart = [np.median(one - once.reference[:3], axis=(1, 2, 3)) for one in (once.twin, once.target[:3])]
    assert np.abs(apart[0]).mean() < np.abs(apart[1]).mean()


def test_validation_scenes_are_the_same_for_every_training_and_move():
    few, same = (validation.pairs(Settings(seed=seed), 3) for seed in (0, 5))
    for name in vars(few):
        np.testing.assert_array_equal(getattr(few, name), getattr(same, name))
    assert few.truth.shape == (4, 3, 96, 96, 3)
    assert few.inside.any((2, 3)).all()
    apart = [np.abs(few.truth[i] - few.target).mean() for i in range(4)]
    assert apart == sorted(apart)
