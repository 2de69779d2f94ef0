import subprocess
import sys

import numpy as np
import pytest

from mer_pipe.stages.align import AlignCascade, AlignLandmarks, AlignNone, anchors, eye_targets
from mer_pipe.stages.crop import crop
from mer_pipe.stages.geometry import apply
from mer_pipe.types import RecipeError, Weights

MODEL = Weights("random:0")


def corners(height, width):
    """The outer corners of a frame: pixel centres are at integers."""
    return np.array([[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5]])


def transform(height, width, fit):
    return AlignNone(fit)(frame=np.zeros((height, width, 3), np.uint8))["transform"]


@pytest.mark.parametrize("fit", ["contain", "cover", "stretch"])
def test_a_square_frame_fills_the_face_square_exactly(fit):
    found = apply(transform(320, 320, fit), corners(320, 320))
    assert np.allclose(found, [[0, 0], [1, 0], [0, 1], [1, 1]], atol=1e-12)


def test_contain_keeps_the_whole_frame_and_its_aspect():
    found = apply(transform(340, 280, "contain"), corners(340, 280))
    edge = (1 - 280 / 340) / 2
    assert np.allclose(found, [[edge, 0], [1 - edge, 0], [edge, 1], [1 - edge, 1]])


def test_cover_fills_the_square_and_keeps_the_aspect():
    found = apply(transform(340, 280, "cover"), corners(340, 280))
    over = (340 / 280 - 1) / 2
    assert np.allclose(found, [[0, -over], [1, -over], [0, 1 + over], [1, 1 + over]])


def test_stretch_maps_each_side_on_its_own():
    found = apply(transform(340, 280, "stretch"), corners(340, 280))
    assert np.allclose(found, [[0, 0], [1, 0], [0, 1], [1, 1]])


def test_a_frame_of_the_crops_size_passes_unchanged():
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert np.array_equal(crop([frame], transform(64, 64, "contain"), 64)[0], frame)


def test_anchors_are_the_named_points_of_the_68():
    points = np.arange(136, dtype=np.float32).reshape(68, 2)
    assert np.array_equal(anchors(points, "inner_eyes"), points[[39, 42]])
    assert np.array_equal(anchors(points, "eyes"), [points[36:42].mean(0), points[42:48].mean(0)])
    assert np.array_equal(anchors(points, "eye_corners"), [points[[36, 39]].mean(0), points[[42, 45]].mean(0)])


def test_eyes_land_level_and_centred():
    left, right = eye_targets()
    assert left[1] == right[1] == 0.34
    assert np.isclose(left[0] + right[0], 1)
    assert np.isclose(right[0] - left[0], 0.32)


@pytest.mark.parametrize(
    "make",
    [
        lambda: AlignLandmarks(MODEL, points="nose"),
        lambda: AlignLandmarks(MODEL, eye_distance=1.4),
        lambda: AlignCascade(eye_height=0.0),
        lambda: AlignCascade(eye_distance=0.01),
        lambda: AlignNone("crop"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_a_recipe_error(make):
    with pytest.raises(RecipeError, match="align"):
        make()


def test_only_what_changes_a_result_is_a_parameter():
    stage = AlignLandmarks(Weights("sha256:" + "0" * 64, "/somewhere/face_landmarker.task"))
    assert stage.parameters() == {
        "model": {"digest": "sha256:" + "0" * 64},
        "points": "eyes",
        "eye_distance": 0.32,
        "eye_height": 0.34,
    }
    assert AlignCascade().parameters() == {"eye_distance": 0.32, "eye_height": 0.34}
    assert AlignNone().parameters() == {"fit": "contain"}


def test_naming_the_stages_loads_nothing_heavy():
    code = (
        "import sys, mer_pipe.stages.align, mer_pipe.stages.crop, mer_pipe.stages.landmarks, mer_pipe.stages.eyes, "
        "mer_pipe.models; "
        "print(sorted({'cv2', 'mediapipe', 'numba', 'scipy', 'skimage', 'torch', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
