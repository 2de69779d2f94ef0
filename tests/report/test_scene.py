"""The crop box on the frame as filmed: it is drawn where the pixels came from."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mer_pipe.report.page import write_report
from mer_pipe.report.page.media import Look
from mer_pipe.report.page.scene import GROUND, OUTSIDE, draw_scene, scene_picture
from mer_pipe.stages.align import AlignNone
from mer_pipe.stages.scene import scene
from mer_pipe.types import ClipError
from tests.report import made_store
from tests.report.made_store import FACE, flip_byte, make_store, shard_of

EMPTY = {"landmarks": None, "eyes": None}


def square(centre, side, degrees):
    """The transform of a face square of `side` raw px round `centre`, whose top points `degrees` clockwise of up."""
    turn = np.deg2rad(degrees)
    to_unit = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / side
    return np.column_stack([to_unit, 0.5 - to_unit @ centre])


def blob(canvas, near, reach=12):
    """Centre of mass of what is bright near a point, in the plane that SVG draws on."""
    x, y = np.round(near).astype(int)
    part = canvas[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach, 0].astype(float)
    rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
    at = [(columns * part).sum() / part.sum() + max(0, x - reach), (rows * part).sum() / part.sum() + max(0, y - reach)]
    return np.array(at) + 0.5


def alignment_of(page):
    """The figure on alignment of a clip's page."""
    found = re.findall(r"<figure[^>]*><h3>Alignment</h3>.*?</figure>", page, flags=re.S)
    assert len(found) <= 1
    return found[0] if found else ""


def first_clip(store, out, **how):
    return sorted((write_report(store, out, **how).parent / "clips").iterdir())[0].read_text()


def picture_in(html):
    data = re.search(r'src="data:image/\w+;base64,([^"]+)"', html)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


# Geometry


def test_a_turned_box_has_its_corners_where_they_must_be():
    picture, placement = scene(np.zeros((480, 640, 3), np.uint8))
    # Turned by a quarter, a square of 200 px round (300, 220): its top left corner is to the top right.
    drawn = draw_scene(picture, placement, square((300, 220), 200, 90))
    assert drawn.scale == 0.5
    assert drawn.canvas.shape == (240, 320, 3)
    assert np.allclose(drawn.corners, (np.array([[400, 120], [400, 320], [200, 320], [200, 120]]) + 0.5) / 2)
    assert np.allclose(drawn.tick[1], (400 + 18 + 0.5, 220 + 0.5) / np.array(2))


@pytest.mark.parametrize("size", [(480, 640), (240, 320), (200, 280), (1080, 1920), (501, 333)])
def test_corners_lie_on_what_was_painted_there(size):
    high, wide = size
    centre, side = np.array([0.45 * wide, 0.55 * high]), 0.5 * min(size)
    transform = square(centre, side, 25)
    turn = np.deg2rad(25)
    away = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    half = max(2, min(size) // 80)
    for i, corner in enumerate(np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])):
        x, y = np.round(centre + away @ corner * side).astype(int)
        frame = np.zeros((high, wide, 3), np.uint8)
        frame[y - half : y + half + 1, x - half : x + half + 1] = 255
        drawn = draw_scene(*scene(frame), transform)
        # Half a px for rounding to whole px of the frame, and the scene stage's own half px.
        assert np.abs(blob(drawn.canvas, drawn.corners[i]) - drawn.corners[i]).max() < 0.5 * drawn.scale + 0.5


def test_marks_lie_on_what_was_painted_there():
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[100:105, 200:205] = 255
    drawn = draw_scene(*scene(frame), square((300, 220), 200, 10), np.array([[202.0, 102.0]]))
    assert np.allclose(drawn.dots, blob(drawn.canvas, drawn.dots[0]), atol=0.1)


def test_the_tick_points_out_of_the_top_of_the_face():
    picture, placement = scene(np.zeros((240, 320, 3), np.uint8))
    for degrees, way in ((0, (0, -1)), (90, (1, 0)), (180, (0, 1)), (270, (-1, 0))):
        drawn = draw_scene(picture, placement, square((160, 120), 100, degrees))
        assert np.allclose((drawn.tick[1] - drawn.corners.mean(0)) / 59, way)


def test_a_box_over_the_border_gets_ground_to_lie_on_and_tells_its_share_outside():
    frame = np.full((240, 320, 3), 200, np.uint8)
    drawn = draw_scene(*scene(frame), square((-0.5, 120), 100, 0))
    assert drawn.outside == pytest.approx(0.5)
    assert (drawn.corners > 0).all()
    assert drawn.canvas.shape == (240, 320 + 53, 3)
    assert (drawn.canvas[:, :53] == OUTSIDE).all()
    assert (drawn.canvas[:, 53:] == 200).all()
    assert drawn.corners[:, 0].mean() == 53


def test_the_black_beside_a_tall_frame_is_not_taken_for_the_frame():
    drawn = draw_scene(*scene(np.full((480, 240, 3), 200, np.uint8)), square((120, 240), 100, 0))
    assert drawn.canvas.shape == (240, 120, 3)
    assert (drawn.canvas == 200).all()
    assert drawn.outside == 0


def test_a_frame_taken_whole_shows_all_of_its_box():
    frame = np.full((180, 320, 3), 200, np.uint8)
    transform = AlignNone("contain")(frame=frame)["transform"]
    drawn = draw_scene(*scene(frame), transform)
    assert drawn.outside == pytest.approx(1 - 180 / 320, abs=0.02)
    assert (drawn.corners.min(0) >= 0).all()
    assert (drawn.corners.max(0) <= drawn.canvas.shape[1::-1]).all()


def test_a_wild_box_makes_no_wild_picture():
    picture, placement = scene(np.zeros((240, 320, 3), np.uint8))
    assert draw_scene(picture, placement, square((160, 120), 1e6, 0)).canvas.shape == (720, 960, 3)
    assert draw_scene(picture, placement, square((1e9, 120), 10, 0)).outside == 1
    with pytest.raises(ClipError, match="cannot be inverted"):
        draw_scene(picture, placement, np.zeros((2, 3)))


def test_all_68_landmarks_are_dots_and_eyes_are_two():
    picture, placement = scene(np.zeros((240, 320, 3), np.uint8))
    transform = square((160, 120), 100, 5)
    for points, count in (({"landmarks": np.ones((68, 2))}, 68), ({"eyes": np.ones((2, 2))}, 2), (EMPTY, 0)):
        body, _ = scene_picture(picture, placement, transform, EMPTY | points, Look())
        assert body.count('class="dot"') == count


# On a page


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("scene") / "demo.zarr", clips=2)


def test_a_clip_shows_its_frame_with_the_box_beside_the_face_square(store, tmp_path):
    shown = alignment_of(first_clip(store, tmp_path / "r"))
    image = picture_in(shown)
    assert image.shape == (251, 320, 3)  # reduced from 323 x 253
    assert np.abs(image[40:, 20:].astype(int) - FACE).max() < 30
    assert shown.count("<svg") == 2
    assert shown.count('class="dot"') == 2
    assert "The frame is shown at 80 % of its size." in shown
    assert "2 % of the box lies outside the frame" in shown
    assert "its top edge above the forehead and level with the eyes" in shown


def test_a_shareable_report_keeps_the_box_and_leaves_out_frame_and_marks(store, tmp_path):
    plain, safe = first_clip(store, tmp_path / "r"), first_clip(store, tmp_path / "s", shareable=True)
    box = re.search(r'<g class="edge">.*?</g>', alignment_of(plain))[0]
    shown = alignment_of(safe)
    assert box in shown
    assert 'class="dot"' not in shown
    assert 'class="marks"' not in shown
    image = picture_in(shown).astype(int)
    assert np.minimum(np.abs(image - GROUND), np.abs(image - OUTSIDE)).mean() < 1
    assert np.ptp(image[40:, 40:]) <= 1
    for data in re.findall(r"base64,([^\"]+)", alignment_of(plain)):
        assert data not in safe


def test_a_store_without_the_scene_shows_the_face_square_alone(store, tmp_path):
    groups = tuple(dict.fromkeys(path.partition("/")[0] for path in made_store.SPECS))
    old = make_store(tmp_path / "old.zarr", clips=2, only=tuple(group for group in groups if group != "scene"))
    with_scene, without = (alignment_of(first_clip(s, tmp_path / s.stem)) for s in (store, old))
    face_square = re.search(r'<div class="stack">(?:(?!<div).)*class="marks".*?</div>', without, flags=re.S)[0]
    assert without.startswith(f"<figure><h3>Alignment</h3>{face_square}<figcaption><p>The eye centres found in")
    assert face_square in with_scene
    assert "box" not in without
    assert "Hole" not in first_clip(old, tmp_path / "r")
    assert alignment_of(first_clip(old, tmp_path / "s", shareable=True)) == ""


@pytest.mark.parametrize("name", ["image", "placement"])
@pytest.mark.parametrize("shareable", [False, True])
def test_a_damaged_scene_is_a_named_hole_beside_the_face_square(tmp_path, name, shareable):
    path = make_store(tmp_path / "d.zarr", clips=1)
    flip_byte(shard_of(path, f"scene/{name}"), 5)
    page = first_clip(path, tmp_path / "r", shareable=shareable)
    assert f"<h3>Hole: scene/{name}</h3>" in page
    assert ("carried into the face square" in alignment_of(page)) != shareable
    assert 'class="box"' not in page


def test_a_box_that_cannot_be_drawn_stops_no_report(tmp_path, monkeypatch):
    monkeypatch.setattr(made_store, "TRANSFORM", np.array([[0.01, 0, 0], [0.02, 0, 0]]))
    page = first_clip(make_store(tmp_path / "d.zarr", clips=1), tmp_path / "r")
    assert "The crop box cannot be drawn: transform cannot be inverted" in alignment_of(page)
    assert 'class="marks"' in page
