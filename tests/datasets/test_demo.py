"""The demo database: CASME II's layout, repeatable pixels, and true motion that really is what moved."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest

from mer_pipe.datasets import casme2
from mer_pipe.datasets.demo import generate, list_clips, read_truth
from mer_pipe.datasets.demo.faces import MARGIN, face
from mer_pipe.datasets.demo.looks import look
from mer_pipe.datasets.demo.motion import expression, flow, invert
from mer_pipe.datasets.demo.write import draw_clip, draw_frame
from mer_pipe.datasets.frames import load
from mer_pipe.types import DatasetError

SIZE = (300, 400)
SMALL = {"subjects": 2, "clips": 7, "frames": (6, 9), "size": (60, 80)}


@pytest.fixture(scope="module")
def people():
    drawn = []
    for subject in (1, 2):
        rng = np.random.default_rng([0, 1, subject])
        drawn.append(face(look(subject - 1, rng), SIZE, rng))
    return drawn


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "small"
    generate(root, **SMALL)
    return root


def gray(image: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8).mean(-1).astype(np.uint8)


@pytest.mark.parametrize(("subject", "index"), [(1, 0), (1, 2), (2, 4)])
def test_an_independent_flow_finds_the_true_motion(people, subject, index):
    base, points = people[subject - 1]
    clip = draw_clip(points, subject, index, (24, 40), SIZE, 0)
    at = clip.apex - clip.onset
    truth = flow(clip.field, clip.course.strength[at], clip.course.head[at])
    onset, apex = draw_frame(base, clip, 0), draw_frame(base, clip, at) / clip.course.gain[at]
    found = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found.setFinestScale(0)
    found.setVariationalRefinementIterations(20)
    measured = found.calc(gray(onset), gray(apex), None)
    moving = np.linalg.norm(clip.field, axis=-1) > 0.3
    error = np.linalg.norm(measured - truth, axis=-1)[moving]
    still = np.linalg.norm(truth, axis=-1)[moving]
    assert still.mean() > 0.5
    assert error.mean() < 0.15
    assert error.mean() < 0.25 * still.mean()


@pytest.mark.parametrize("index", [0, 3])
def test_warping_the_apex_back_by_the_truth_gives_the_onset(people, index):
    base, points = people[0]
    clip = draw_clip(points, 1, index, (24, 40), SIZE, 0)
    at = clip.apex - clip.onset
    truth = flow(clip.field, clip.course.strength[at], clip.course.head[at]).astype(np.float64)
    onset = draw_frame(base, clip, 0) / clip.course.gain[0]
    apex = draw_frame(base, clip, at) / clip.course.gain[at]
    from mer_pipe.datasets.demo._render import sample

    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float64)
    back = np.empty_like(apex)
    sample(apex, xs + truth[..., 0], ys + truth[..., 1], back)
    inside = (slice(5, -5), slice(5, -5))
    unmoved = np.abs(apex - onset)[inside].mean()
    # What is left is one more bicubic interpolation of fine texture, not motion.
    assert np.abs(back - onset)[inside].mean() < 0.2 * unmoved


def test_the_onset_frame_is_the_base_picture(people):
    base, points = people[0]
    clip = draw_clip(points, 1, 0, (24, 40), SIZE, 0)
    inner = base[MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert np.allclose(draw_frame(base, clip, 0) / clip.course.gain[0], inner, atol=1e-9)
    assert not flow(clip.field, clip.course.strength[0], clip.course.head[0]).any()


def test_the_flow_solves_its_own_equation(people):
    _, points = people[0]
    clip = draw_clip(points, 1, 0, (24, 40), SIZE, 0)
    at = clip.apex - clip.onset
    truth = flow(clip.field, clip.course.strength[at], clip.course.head[at]).astype(np.float64)
    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float64)
    y = np.stack([xs, ys], -1) + truth
    from scipy.ndimage import map_coordinates

    e = np.stack(
        [map_coordinates(clip.field[..., c], [y[..., 1], y[..., 0]], order=3, mode="nearest") for c in (0, 1)], -1
    )
    back = invert(clip.course.head[at])
    source = (y - clip.course.strength[at] * e) @ back[:, :2].T + back[:, 2]
    assert np.abs(source - np.stack([xs, ys], -1)).max() < 1e-3


def test_a_sided_unit_moves_the_persons_own_side(people):
    _, points = people[0]
    middle = round(points["nose_tip"][0])
    left, right = (expression(f"{side}12", 2.0, points, SIZE) for side in "LR")
    strength = [
        np.abs(field[:, part]).sum() for field in (left, right) for part in (slice(middle), slice(middle, None))
    ]
    assert strength[1] > 10 * strength[0]
    assert strength[2] > 10 * strength[3]
    # The corners of a smile go up and outwards.
    x, y = (round(float(v)) for v in points["mouth_r"])
    assert left[y, x, 0] > 0
    assert left[y, x, 1] < 0
    assert np.isclose(np.linalg.norm(left, axis=-1).max(), 2.0, atol=1e-3)


def test_the_demo_reads_as_casme2_and_its_truth_fits_its_frames(small):
    listing = list_clips(small, **SMALL)
    assert len(listing.samples) == 14
    assert listing.excluded == ()
    plain = casme2.list_clips(small)
    assert [s.id.replace("demo/", "casme2/") for s in listing.samples] == [s.id for s in plain.samples]
    assert len({s.label for s in listing.samples}) == 5
    for sample in listing.samples:
        truth = read_truth(small, sample)
        assert tuple(truth.numbers) == sample.frames.numbers
        assert truth.apex == sample.frames.numbers[sample.apex]
        assert truth.strength[sample.apex] == 1
        assert truth.strength.argmax() == sample.apex
        assert truth.flow.shape == (60, 80, 2)
        assert truth.flow.dtype == np.float32
        assert np.abs(truth.flow_to(truth.apex) - truth.flow).max() < 1e-3
        assert load(sample.frames, [0])[0].shape == (60, 80, 3)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_faces(small, tmp_path):
    def files(root):
        return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    generate(tmp_path / "again", **SMALL)
    assert files(small) == files(tmp_path / "again")
    generate(tmp_path / "other", **SMALL, seed=1)
    assert files(small) != files(tmp_path / "other")


def test_the_pixels_of_this_version_are_pinned():
    rng = np.random.default_rng([0, 1, 1])
    base, points = face(look(0, rng), (96, 128), rng)
    clip = draw_clip(points, 1, 0, (24, 40), (96, 128), 0)
    digest = hashlib.sha256()
    for position in (0, clip.apex - clip.onset):
        digest.update(np.rint(np.clip(draw_frame(base, clip, position), 0, 255)).astype(np.uint8).tobytes())
    # A change here is a change of the demo: raise plan.VERSION and pin the new digest.
    assert digest.hexdigest() == "253e42bd7f99f0876df9a4abe3b5c07f89be3e1ddf2c4a3f89c36657202c4040"


def test_people_differ(people):
    (a, _), (b, _) = people
    assert np.abs(a - b).mean() > 20
    assert look(7, np.random.default_rng(1)) != look(7, np.random.default_rng(2))


def test_a_folder_in_use_is_left_alone(small, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(DatasetError, match="not an empty folder"):
        generate(tmp_path / "mine", **SMALL)
    with pytest.raises(DatasetError, match="holds no demo"):
        list_clips(tmp_path / "mine", **SMALL)
    with pytest.raises(DatasetError, match="clips 7 instead of 6"):
        list_clips(small, **{**SMALL, "clips": 6})
    with pytest.raises(DatasetError, match="cannot be"):
        generate(tmp_path / "new", size=(4, 4))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine"]


def test_without_a_root_the_demo_lives_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    options = {"subjects": 1, "clips": 1, "frames": (5, 5), "size": (48, 64)}
    first = list_clips(**options)
    assert first.samples[0].frames.files[0].startswith(str(tmp_path / "mer-pipe" / "demo-"))
    assert list_clips(**options) == first
    assert [p.name[:5] for p in (tmp_path / "mer-pipe").iterdir()] == ["demo-"]


def test_an_interrupted_generation_leaves_nothing_half_made(tmp_path, monkeypatch):
    from mer_pipe.datasets.demo import write

    def fail(path, rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "_write_sheet", fail)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "demo", subjects=1, clips=1, frames=(5, 5), size=(48, 64))
    assert list(tmp_path.iterdir()) == []
