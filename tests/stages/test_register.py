"""A head's known motion is found beside an expression, and crops follow the head and keep the expression."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from skimage.data import astronaut

from mer_pipe.stages.crop import Crop, CropEach, crop
from mer_pipe.stages.geometry import apply, inverse
from mer_pipe.stages.register import Register, following, head_motion, length, parts
from mer_pipe.types import ClipError, RecipeError

SIDE = 224
LEFT, TOP = 114, 0  # of the portrait's face square in the photograph
TRANSFORM = np.array([[1 / SIDE, 0, (0.5 - LEFT) / SIDE], [0, 1 / SIDE, (0.5 - TOP) / SIDE]])


def motion(right=0.0, down=0.0, turn=0.0, growth=0.0):
    """(2, 3): about the middle of the square, px, degrees clockwise and %."""
    angle, scale = np.deg2rad(turn), 1 + growth / 100
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([SIDE - 1, SIDE - 1]) / 2
    return np.column_stack([linear, centre + np.array([right, down]) - linear @ centre])


def smile(strength):
    """The field of a local motion, px, in the photograph: a corner of the mouth goes up and out."""
    y, x = np.mgrid[:300, :400].astype(float)
    bump = strength * np.exp(-((y - TOP - 160) ** 2 + (x - LEFT - 80) ** 2) / 300)
    return np.stack([-0.6 * bump, -0.8 * bump])


@pytest.fixture(scope="module")
def film():
    """A function from a head's motion and a smile's strength to a frame of the photograph, with noise."""
    photograph = astronaut()[:300, :400].astype(np.float64)

    def frame(head, strength=0.0, gain=1.0, seed=0):
        shift = np.array([LEFT, TOP], float)
        back = inverse(head)
        y, x = np.mgrid[:300, :400].astype(float)
        field = smile(strength)
        points = np.stack([x - field[0], y - field[1]], -1).reshape(-1, 2)
        at = apply(back, points - shift) + shift
        planes = [
            map_coordinates(photograph[..., c], at.T[::-1], order=3, mode="nearest").reshape(300, 400) for c in range(3)
        ]
        noise = np.random.default_rng(seed).standard_normal((300, 400, 3))
        return np.rint(np.clip(gain * np.stack(planes, -1) + noise, 0, 255)).astype(np.uint8)

    return frame


def gap(found, true):
    """How far two motions lie apart over the face, px."""
    y, x = np.mgrid[20:SIDE:12, 40 : SIDE - 40 : 12]
    points = np.stack([x.ravel(), y.ravel()], 1).astype(float)
    return np.hypot(*(apply(found, points) - apply(true, points)).T).mean()


@pytest.mark.parametrize(
    "head",
    [motion(), motion(0.3, -0.2), motion(-4, 1.5), motion(1, 1, turn=2), motion(0, -2, growth=-2), motion(2, 2, -2, 2)],
)
def test_a_known_motion_is_found_to_a_few_hundredths_of_a_pixel_whatever_the_mouth_does(film, head):
    onset, apex = crop([film(motion())], TRANSFORM)[0], crop([film(head, 2.0, 1.04, 1)], TRANSFORM)[0]
    assert gap(head_motion(onset, [apex])[0], head) < 0.03


def test_noise_alone_moves_the_head_by_less_than_a_fiftieth_of_a_pixel(film):
    frames = crop([film(motion(), seed=seed) for seed in range(4)], TRANSFORM)
    for model in ("translation", "similarity", "affine"):
        found = head_motion(frames[0], frames[1:], model)
        assert np.median([gap(one, motion()) for one in found]) < 0.02


def test_a_crop_by_the_followed_transform_shows_the_head_where_the_onset_has_it(film):
    head = motion(3, -2, turn=1.5, growth=1)
    onset, moved = film(motion()), film(head, seed=1)
    fixed, followed = crop([moved], TRANSFORM)[0], crop([moved], following(TRANSFORM, head, SIDE))[0]
    onset = crop([onset], TRANSFORM)[0].astype(float)
    inner = np.s_[20:-20, 20:-20]
    assert np.abs(fixed - onset)[inner].mean() > 8
    assert (
        np.abs(followed - onset)[inner].mean() < 2.2
    )  # two noises of sigma 1 are 1.13 apart, and fine detail was resampled


def test_the_expression_is_kept_within_five_percent(film):
    """Its amplitude, by least squares on the true field, in crops that follow the head and in those of a still head."""
    from mer_pipe.stages.magnify.motion import motion as flow

    onset = crop([film(motion())], TRANSFORM)[0]
    field = np.moveaxis(smile(1.0)[:, TOP : TOP + SIDE, LEFT : LEFT + SIDE], 0, -1)

    def amplitude(apex):
        found = flow(onset, apex)
        return (found * field).sum() / np.square(field).sum(), found

    still, _ = amplitude(crop([film(motion(), 1.5, seed=1)], TRANSFORM)[0])
    moved = film(motion(2, -1, turn=1, growth=1), 1.5, seed=1)
    crops = {"frame": [moved], "transform": TRANSFORM}
    made = Register()(onset=onset, image=Crop()(**crops)["image"], transform=TRANSFORM)
    (followed,) = CropEach()(frame=[moved], transform=made["transform"])["image"]
    kept, found = amplitude(followed)
    assert kept == pytest.approx(still, rel=0.05)
    far = field.max(-1) - field.min(-1) < 0.01
    assert np.median(np.hypot(*found[far].T)) < 0.05  # where nothing but the head moved


def test_the_onset_and_faces_without_texture_stay_where_they_are(film):
    onset = crop([film(motion())], TRANSFORM)[0]
    flat = np.full_like(onset, 90)
    assert np.array_equal(head_motion(onset, [onset])[0], np.eye(2, 3))
    assert np.array_equal(head_motion(flat, [flat + 1, np.zeros_like(flat)]), [np.eye(2, 3)] * 2)
    assert np.array_equal(following(TRANSFORM, np.eye(2, 3), SIDE), TRANSFORM)


def test_stripes_that_repeat_do_not_lead_astray():
    """A shift across them is found; along them nothing is seen, and the head is taken to rest."""
    across = np.arange(SIDE) / 3
    onset, apex = (
        np.repeat(np.tile(128 + 100 * np.sin(across - shift / 3), (SIDE, 1))[..., None], 3, 2).astype(np.uint8)
        for shift in (0, 2)
    )
    found = head_motion(onset, [apex], "translation")[0]
    assert found[:, 2] == pytest.approx([2, 0], abs=0.05)
    assert length(head_motion(onset, [apex])[0], onset.shape) == pytest.approx(2, abs=0.3)


def test_pictures_that_share_nothing_are_refused_or_stay_finite():
    rng = np.random.default_rng(0)
    for _ in range(3):
        one, other = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
        try:
            found = head_motion(one, [other])
        except ClipError:  # another head motion than can be followed
            continue
        assert length(found[0], one.shape) <= 8


def test_a_head_that_leaves_the_square_is_refused_with_its_way(film):
    onset, gone = (crop([film(motion(right))], TRANSFORM)[0] for right in (0, 34))
    with pytest.raises(ClipError, match=r"moves 3\d px .* more than the 28 px .*registered") as told:
        head_motion(onset, [gone])
    assert "register.method=none" in str(told.value.fix)


def test_frames_of_another_size_and_unknown_models_are_refused(film):
    onset = crop([film(motion())], TRANSFORM)[0]
    with pytest.raises(ClipError, match="differ in size: 224x224x3 and 200x224x3"):
        head_motion(onset, [onset[:200]])
    with pytest.raises(RecipeError, match="register model 'rigid' is unknown"):
        Register("rigid")


def test_words_for_a_motion():
    shape = (SIDE, SIDE)
    assert parts(motion(1.5, -2, 3, 4), shape)[1:] == pytest.approx([1.5, -2, 3, 4])
    assert parts(motion(3, -4), shape) == pytest.approx([5, 3, -4, 0, 0])
    assert length(motion(3, -4), shape) == pytest.approx(5)
    assert length(motion(), shape) == 0


def test_the_stage_keeps_its_contract_and_its_bytes_whatever_the_batch(film):
    frames = crop([film(motion(k, 0, k / 2), seed=k) for k in range(3)], TRANSFORM)
    stage = Register()
    together = stage(onset=frames[0], image=frames, transform=TRANSFORM)
    for k in range(3):
        alone = stage(onset=frames[0], image=frames[k : k + 1], transform=TRANSFORM)
        for name, spec in stage.returns.items():
            spec.check(together[name][k])
            assert np.array_equal(alone[name][0], together[name][k])
