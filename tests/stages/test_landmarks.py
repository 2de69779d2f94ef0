import multiprocessing
import subprocess
import sys

import numpy as np
import pytest

from mer_pipe.models import weights_from
from mer_pipe.stages.align import AlignLandmarks, anchors
from mer_pipe.stages.crop import crop
from mer_pipe.stages.geometry import apply
from mer_pipe.stages.landmarks import MESH_68, landmarks_68, main_face, meshes
from mer_pipe.types import ClipError, MachineError, ModelError, Weights


@pytest.fixture(scope="module")
def model(shared):
    pytest.importorskip("mediapipe")
    return weights_from(shared / "models" / "face_landmarker.task")


@pytest.fixture(scope="module")
def portrait():
    return pytest.importorskip("skimage.data").astronaut()


def test_every_point_of_the_68_has_a_vertex_of_its_own():
    assert len(MESH_68) == len(set(MESH_68)) == 68
    assert all(0 <= vertex < 478 for vertex in MESH_68)


def test_the_68_points_lie_where_their_names_say(model, portrait):
    p = landmarks_68(portrait, model)
    assert p.shape == (68, 2)
    assert p.dtype == np.float32
    chin, brows, nose, left_eye, right_eye, mouth = p[8], p[17:27], p[30], p[36:42], p[42:48], p[48:68]
    assert (np.diff(p[:17, 0]) > -1).all()  # the jaw runs from the picture's left to its right
    assert (np.diff(brows[:, 0]) > 0).all()
    assert brows[:, 1].max() < left_eye[:, 1].min() + 5 < nose[1] < mouth[:, 1].min() < chin[1]
    assert left_eye[:, 0].max() < nose[0] < right_eye[:, 0].min()
    assert left_eye[0, 0] < left_eye[3, 0]
    assert right_eye[0, 0] < right_eye[3, 0]
    assert (p[37:39, 1] < p[[41, 40], 1]).all()  # upper lid above the lower
    assert p[62, 1] < p[66, 1]  # upper lip above the lower


def test_a_shifted_frame_shifts_the_landmarks(model, portrait):
    frame = portrait[:400, :400]
    there = landmarks_68(np.roll(frame, (6, 10), axis=(0, 1)), model)
    assert np.abs(there - landmarks_68(frame, model) - (10, 6)).mean() < 0.5


def test_a_mirrored_frame_mirrors_the_eyes(model, portrait):
    eyes = anchors(landmarks_68(portrait, model), "eyes")
    mirrored = anchors(landmarks_68(np.ascontiguousarray(portrait[:, ::-1]), model), "eyes")
    assert np.abs(mirrored[::-1] * (-1, 1) + (511, 0) - eyes).max() < 1.5


@pytest.mark.parametrize("points", ["eyes", "inner_eyes", "eye_corners"])
def test_the_face_comes_out_upright_with_brows_and_chin_inside(model, portrait, points):
    stage = AlignLandmarks(model, points)
    tilted = np.ascontiguousarray(np.rot90(portrait))
    result = stage(frame=tilted)
    for name, spec in stage.returns.items():
        spec.check(result[name])
    placed = apply(result["transform"], result["landmarks"])
    assert placed[:, 1].min() > 0.05
    assert 0.8 < placed[8, 1] < 1
    eyes = anchors(placed, "eyes")
    assert np.abs(eyes - [[0.34, 0.34], [0.66, 0.34]]).max() < 0.02
    again = landmarks_68(crop([tilted], result["transform"], 224)[0], model)
    assert np.abs((again + 0.5) / 224 - placed).mean() < 0.01


def test_a_small_face_in_a_wide_frame_is_found(model, portrait):
    wide = np.full((1088, 2040, 3), 90, np.uint8)
    wide[300:812, 1100:1612] = portrait
    assert np.abs(landmarks_68(wide, model) - (1100, 300) - landmarks_68(portrait, model)).mean() < 2.0


def test_the_main_face_is_large_and_central():
    def box(x, y, side):
        return np.array([[x, y], [x + side, y + side]], float)

    shape = (480, 640, 3)
    assert main_face(np.stack([box(0, 0, 90), box(250, 200, 90)]), shape) == 1
    assert main_face(np.stack([box(250, 200, 90), box(20, 100, 250)]), shape) == 1


def test_a_frame_without_a_face_is_a_clip_error(model):
    with pytest.raises(ClipError, match=r"no face found in the onset frame \(200x300\)"):
        landmarks_68(np.full((200, 300, 3), 128, np.uint8), model)


def test_a_frame_of_another_kind_is_a_clip_error(model):
    with pytest.raises(ClipError, match="not uint8"):
        meshes(np.zeros((64, 64), np.uint8), model)


def test_a_file_that_is_not_what_its_digest_says_is_refused(model):
    other = Weights("sha256:" + "0" * 64, model.path)
    with pytest.raises(ModelError, match="has changed"):
        landmarks_68(np.zeros((64, 64, 3), np.uint8), other)


def test_a_file_that_is_no_landmarker_is_a_model_error(tmp_path):
    pytest.importorskip("mediapipe")
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(b"not a model" * 100)
    with pytest.raises(ModelError, match="not a MediaPipe face landmarker"):
        landmarks_68(np.zeros((64, 64, 3), np.uint8), weights_from(path))


def test_weights_without_a_file_are_a_model_error():
    with pytest.raises(ModelError, match="no file"):
        landmarks_68(np.zeros((64, 64, 3), np.uint8), Weights("random:1"))


@pytest.mark.parametrize("missing", ["libGLESv2.so.2", "libEGL.so.1", "libGL.so.1"])
def test_a_missing_system_library_is_named_with_the_line_that_installs_it(model, monkeypatch, missing):
    from mediapipe.tasks.python import vision

    from mer_pipe.stages import landmarks

    def fail(options):
        raise OSError(f"{missing}: cannot open shared object file: No such file or directory")

    landmarks._load.cache_clear()
    monkeypatch.setattr(vision.FaceLandmarker, "create_from_options", fail)
    with pytest.raises(MachineError, match=rf"{missing}.*apt-get install -y libgl1 libglib2.0-0 libegl1 libgles2"):
        landmarks_68(np.zeros((64, 64, 3), np.uint8), model)


SCRIPT = """
import sys, skimage.data
from mer_pipe.models import weights_from
from mer_pipe.stages.landmarks import landmarks_68
print(landmarks_68(skimage.data.astronaut(), weights_from(sys.argv[1])).tobytes().hex())
print("seen", file=sys.stderr)
"""


def test_a_user_sees_no_line_of_the_library_and_the_same_bytes_again(model, portrait):
    done = subprocess.run([sys.executable, "-c", SCRIPT, model.path], capture_output=True, text=True, check=True)
    assert done.stderr == "seen\n"
    assert done.stdout.strip() == landmarks_68(portrait, model).tobytes().hex()


def _in_a_child(path, pipe):
    import skimage.data

    pipe.send(landmarks_68(skimage.data.astronaut(), weights_from(path)).tobytes())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_makes_a_landmarker_of_its_own(model, portrait):
    here = landmarks_68(portrait, model).tobytes()
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    child = context.Process(target=_in_a_child, args=(model.path, theirs), daemon=True)
    child.start()
    assert mine.poll(60), "the child hangs"
    assert mine.recv() == here
    child.join()
