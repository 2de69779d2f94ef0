import os
import subprocess
import sys

import numpy as np
import pytest

from mer_pipe.stages.align import AlignCascade
from mer_pipe.stages.crop import crop
from mer_pipe.stages.eyes import find_eyes
from mer_pipe.stages.geometry import apply, inverse
from mer_pipe.types import ClipError

# The eye centres of scikit-image's astronaut: means of the lid points that demo.portrait took from a landmark model.
EYES = np.array([[204.4, 101.8], [246.6, 104.0]])
APART = np.hypot(*(EYES[1] - EYES[0]))


@pytest.fixture(scope="module")
def portrait():
    skimage_data = pytest.importorskip("skimage.data")
    return skimage_data.astronaut()


def error(found, truth):
    """The worse eye's distance from the truth, in eye distances."""
    return np.hypot(*(found - truth).T).max() / np.hypot(*(truth[1] - truth[0]))


def posed(portrait, height, width, scale, roll=0.0, x=0.5, y=0.5):
    """A frame with the portrait's face at (x, y) of it, and the eyes in it."""
    cos, sin = np.cos(np.radians(roll)) / scale, np.sin(np.radians(roll)) / scale
    side = max(height, width)
    px, py = x * width, y * height
    raw_from_frame = np.array([[cos, sin, 224 - cos * px - sin * py], [-sin, cos, 128 + sin * px - cos * py]])
    raw_from_unit = raw_from_frame @ np.array([[side, 0, -0.5], [0, side, -0.5], [0, 0, 1]])
    frame = crop([portrait], inverse(raw_from_unit), side)[0][:height, :width]
    return np.ascontiguousarray(frame), apply(inverse(raw_from_frame), EYES)


def test_the_eyes_of_a_portrait_are_found(portrait):
    found = find_eyes(portrait)
    assert found.dtype == np.float32
    assert error(found, EYES) < 0.05


@pytest.mark.parametrize("roll", [-40, -25, -10, 10, 25, 40])
def test_a_tilted_head_is_found(portrait, roll):
    frame, eyes = posed(portrait, 300, 400, 1.2, roll)
    assert error(find_eyes(frame), eyes) < 0.08


@pytest.mark.parametrize(
    ("height", "width", "scale", "x", "y"),
    [(300, 400, 1.6, 0.5, 0.5), (480, 640, 2.4, 0.4, 0.5), (240, 320, 0.7, 0.6, 0.55), (1088, 2040, 4.5, 0.5, 0.5)],
)
def test_a_face_is_found_at_any_size_and_place(portrait, height, width, scale, x, y):
    frame, eyes = posed(portrait, height, width, scale, x=x, y=y)
    assert error(find_eyes(frame), eyes) < 0.08


def test_a_shifted_frame_shifts_the_eyes(portrait):
    frame, _ = posed(portrait, 300, 400, 1.4)
    there = find_eyes(np.roll(frame, (4, 8), axis=(0, 1)))
    assert np.abs(there - find_eyes(frame) - (8, 4)).max() < 1.0


def test_darkness_and_noise_do_not_hide_a_face(portrait):
    frame, eyes = posed(portrait, 300, 400, 1.4)
    noise = np.random.default_rng(0).normal(0, 4, frame.shape)
    dim = np.clip(0.4 * frame + 10 + noise, 0, 255).astype(np.uint8)
    assert error(find_eyes(dim), eyes) < 0.08


def test_of_two_faces_the_larger_is_taken(portrait):
    frame, eyes = posed(portrait, 400, 300, 1.5)
    small, _ = posed(portrait, 400, 300, 0.8)
    assert error(find_eyes(np.hstack([small, frame])), eyes + np.array([300, 0])) < 0.08


@pytest.mark.parametrize("name", ["coins", "brick", "grass", "moon", "page"])
def test_a_picture_without_a_face_is_a_clip_error(name):
    skimage_data = pytest.importorskip("skimage.data")
    picture = np.repeat(getattr(skimage_data, name)()[..., None], 3, -1)
    with pytest.raises(ClipError, match=r"no face found in the onset frame \(\d+x\d+\)"):
        find_eyes(picture)


@pytest.mark.parametrize("shape", [(1, 1, 3), (23, 400, 3), (300, 300, 3)])
def test_an_empty_picture_is_a_clip_error(shape):
    with pytest.raises(ClipError, match="no face"):
        find_eyes(np.full(shape, 128, np.uint8))


def test_a_picture_of_another_kind_is_a_clip_error(portrait):
    with pytest.raises(ClipError, match="not uint8"):
        find_eyes(portrait[..., 0])


def test_the_stage_puts_the_eyes_at_their_place(portrait):
    stage = AlignCascade(eye_distance=0.4, eye_height=0.3)
    result = stage(frame=portrait)
    for name, spec in stage.returns.items():
        spec.check(result[name])
    assert np.allclose(apply(result["transform"], result["eyes"]), [[0.3, 0.3], [0.7, 0.3]], atol=1e-6)


def test_neither_threads_nor_the_kind_of_processor_changes_a_byte(portrait):
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    code = (
        "import skimage.data; from mer_pipe.stages.align import AlignCascade; from mer_pipe.stages.crop import crop; "
        "frame = skimage.data.astronaut(); transform = AlignCascade()(frame=frame)['transform']; "
        "print(transform.tobytes().hex(), hash(crop([frame], transform, 64).tobytes()))"
    )
    plain = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name)),
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
    }
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": "0", **changes},
        ).stdout
        for changes in ({"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "4", "NUMBA_NUM_THREADS": "4"}, plain)
    }
    assert len(answers) == 1
    assert AlignCascade()(frame=portrait)["transform"].tobytes().hex() in answers.pop()


def test_the_result_is_pinned_so_that_a_change_of_numbers_shows(portrait):
    # When this fails for a reason, raise AlignCascade.version and put the new numbers here.
    assert AlignCascade.version == 1
    assert find_eyes(portrait).tolist() == [[203.15625, 101.421875], [246.375, 103.734375]]


def test_the_cascade_agrees_with_scikit_image_window_for_window(portrait):
    from mer_pipe.stages._cascade import frontal_face, integral, scan
    from mer_pipe.stages.faces import luma, shrink

    feature = pytest.importorskip("skimage.feature")
    skimage_data = pytest.importorskip("skimage.data")
    detector = feature.Cascade(skimage_data.lbp_frontal_face_cascade_filename())
    for size in (110, 130, 150):
        small = shrink(luma(portrait), size, size)
        theirs = detector.detect_multi_scale(small, 1.2, 1, (24, 24), (25, 25), 0, 2.0)
        # Theirs leaves out the last row and column of windows.
        ours = np.argwhere(scan(integral(small), *frontal_face())[:-1, :-1])
        assert len(ours) > 0
        assert {(w["r"], w["c"]) for w in theirs} == {(int(r), int(c)) for r, c in ours}


def test_an_eye_shaped_disc_is_found_by_gradients_to_a_tenth_of_a_pixel():
    from mer_pipe.stages._gradients import gradient_votes
    from mer_pipe.stages.eyes import _vertex

    y, x = np.mgrid[:60, :60]
    for cx, cy in ((30.0, 30.0), (30.3, 29.6), (28.8, 31.45)):
        disc = 200 - 150 / (1 + np.exp((np.hypot(x - cx, y - cy) - 6) / 0.7))
        votes = gradient_votes(disc, 15, 15, 46, 46, 16)
        i, j = np.unravel_index(votes.argmax(), votes.shape)
        found = 15 + j + _vertex(votes[i, j - 1 : j + 2]), 15 + i + _vertex(votes[i - 1 : i + 2, j])
        assert np.hypot(found[0] - cx, found[1] - cy) < 0.1


@pytest.mark.parametrize("subject", range(6))
def test_the_eyes_of_demo_people_are_found(subject):
    from mer_pipe.datasets.demo.faces import MARGIN, face
    from mer_pipe.datasets.demo.looks import look

    rng = np.random.default_rng([0, 1, subject + 1])
    base, points = face(look(subject, rng), (300, 400), rng)
    frame = np.rint(base[MARGIN:-MARGIN, MARGIN:-MARGIN]).astype(np.uint8)
    lids = ("out", "in", "top", "low")
    eyes = np.array([np.mean([points[f"eye_{side}_{lid}"] for lid in lids], axis=0) for side in "lr"])
    assert error(find_eyes(frame), eyes) < 0.06
