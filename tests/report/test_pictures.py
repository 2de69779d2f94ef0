"""Pictures of arrays whose colours are known beforehand, and strips whose panels can be found again."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from mer_pipe.report.pictures import (
    flow_key,
    flow_picture,
    flow_scale,
    image_picture,
    kind_of,
    map_picture,
    motion_picture,
    picture,
    round_scale,
    signed_picture,
    strain_picture,
    strip,
    write_png,
)
from mer_pipe.types import StoreError


def uniform_flow(u, v, size=4):
    return np.broadcast_to(np.array([u, v], np.float32), (size, size, 2))


def test_no_motion_is_white():
    assert (flow_picture(np.zeros((5, 7, 2), np.float32)) == 255).all()


@pytest.mark.parametrize(
    ("u", "v", "colour"),
    [
        (1, 0, (255, 0, 0)),  # right: red, where the wheel begins
        (0, 1, (255, 234, 0)),  # down: 13.75 of 15 steps from red to yellow
        (-1, 0, (0, 197, 255)),  # left: 2.5 of 11 steps from cyan to blue
        (0, -1, (103, 0, 255)),  # up: 5.25 of 13 steps from blue to magenta
    ],
)
def test_motion_of_full_scale_has_the_hue_of_its_direction(u, v, colour):
    np.testing.assert_allclose(flow_picture(uniform_flow(u, v), scale=1.0)[0, 0], colour, atol=1)


def test_half_the_scale_is_half_as_far_from_white():
    assert flow_picture(uniform_flow(1, 0), scale=2.0)[0, 0].tolist() == [255, 128, 128]


def test_motion_beyond_the_scale_is_darker_not_clipped_in_silence():
    assert flow_picture(uniform_flow(3, 0), scale=2.0)[0, 0].tolist() == [191, 0, 0]


def test_a_rotation_shows_every_hue_once_round():
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    flow = np.stack([np.cos(angle), np.sin(angle)], -1)[None]
    hue = [colorsys.rgb_to_hsv(*(pixel / 255))[0] for pixel in flow_picture(flow, 1.0)[0]]
    steps = np.diff(np.unwrap(np.array([*hue, hue[0]]) * 2 * np.pi)) / (2 * np.pi)
    assert (steps >= -0.001).all()
    assert steps.max() < 0.01  # nor is there a seam at red
    assert steps.sum() == pytest.approx(1, abs=1e-6)


def test_the_flow_scale_is_a_round_number_over_the_bulk_and_never_noise():
    flow = np.zeros((100, 100, 2), np.float32)
    assert flow_scale(flow) == 0.1
    flow[:50, :, 0] = 1.3
    flow[0, 0] = 80
    assert flow_scale(flow) == 1.5


@pytest.mark.parametrize(("value", "want"), [(0.9999, 1), (1, 1), (1.01, 1.5), (0.021, 0.03), (71, 100), (0, 1e-6)])
def test_a_round_scale_is_the_next_of_the_steps(value, want):
    assert round_scale(value, 1e-6) == pytest.approx(want)


def test_the_key_shows_each_direction_where_it_points():
    key = flow_key(201)
    middle, off = 100, 60
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        # Beside the drawn axes.
        pixel = key[middle + y * off + (3 if x else 0), middle + x * off + (3 if y else 0)]
        want = flow_picture(uniform_flow(x, y), 100.5 * 0.92 / off)[0, 0]
        np.testing.assert_allclose(pixel.astype(int), want, atol=14)
    assert (key[0] == 255).sum() > 3 * 180
    assert (key[0, 0] == 255).all()


def test_what_is_not_finite_is_gray_in_flow_and_strain():
    flow = np.zeros((2, 2, 2), np.float32)
    flow[0, 0, 1] = np.nan
    assert flow_picture(flow)[0, 0].tolist() == [128, 128, 128]
    assert flow_picture(flow)[1, 1].tolist() == [255, 255, 255]
    strain = np.array([[np.inf, 0.1]], np.float32)
    assert strain_picture(strain, 0.1)[0].tolist() == [[128, 128, 128], [249, 250, 124]]


def test_strain_grows_lighter_in_even_steps():
    from skimage.color import rgb2lab

    ramp = strain_picture(np.linspace(0, 0.2, 256, dtype=np.float32)[None], 0.2)
    lightness = rgb2lab(ramp)[0, :, 0]
    assert lightness[0] < 5 < 90 < lightness[-1]
    assert (np.diff(lightness) > -0.3).all()
    assert np.abs(lightness - np.linspace(lightness[0], lightness[-1], 256)).max() < 2.5


def test_no_strain_is_darkest_even_where_all_of_it_is_noise():
    assert strain_picture(np.zeros((3, 3), np.float32)).tolist() == [[[0, 4, 52]] * 3] * 3
    noise = np.full((3, 3), 1e-6, np.float32)
    assert strain_picture(noise).max() < 60


def test_strain_beyond_the_scale_keeps_the_lightest_colour():
    assert strain_picture(np.array([[5.0]], np.float32), 1.0).tolist() == [[[249, 250, 124]]]


def test_signed_values_lie_symmetrically_about_middle_gray():
    drawn = signed_picture(np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]], np.float32), scale=1.0)[0, :, 0]
    assert drawn.tolist() == [1, 1, 128, 255, 255]
    colour = np.zeros((1, 1, 3), np.float32)
    colour[..., 1] = 0.5
    assert signed_picture(colour, 1.0)[0, 0].tolist() == [128, 192, 128]


def test_a_signed_picture_of_nothing_is_gray():
    assert (signed_picture(np.zeros((4, 4, 3), np.float32)) == 128).all()


def test_one_outlier_does_not_dim_a_signed_picture():
    values = np.tile(np.array([-1.0, 1.0], np.float32), (100, 50))
    values[0, 0] = 1e6
    assert signed_picture(values)[5, 1, 0] == 255


def test_motion_channels_are_u_v_and_strain():
    motion = np.broadcast_to(np.array([2.0, -2.0, 0.05], np.float32), (2, 2, 3))
    assert motion_picture(motion, scale=2.0, strain=0.1)[0, 0].tolist() == [255, 1, 128]
    assert motion_picture(np.zeros((2, 2, 3), np.float32))[0, 0].tolist() == [128, 128, 0]


def test_a_feature_map_shows_the_mean_of_its_channels():
    feature = np.zeros((8, 3, 3), np.float16)
    feature[:, 1, 2] = 2
    feature[:4, 0, 0] = 4
    drawn = map_picture(feature, scale=2.0)
    assert drawn.shape == (3, 3, 3)
    assert drawn[1, 2].tolist() == drawn[0, 0].tolist() == [249, 250, 124]
    assert drawn[2, 2].tolist() == [0, 4, 52]


def test_a_feature_vector_is_laid_out_row_by_row():
    drawn = map_picture(np.arange(1024, dtype=np.float32), scale=1023.0)
    assert drawn.shape == (32, 32, 3)
    assert drawn[31, 31].tolist() == [249, 250, 124]
    assert map_picture(np.ones(10, np.float32)).shape == (3, 4, 3)


def test_images_pass_untouched_and_gray_fills_three_channels():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(image_picture(rgb), rgb)
    np.testing.assert_array_equal(image_picture(rgb[..., 0])[..., 2], rgb[..., 0])
    with pytest.raises(ValueError, match="float32"):
        image_picture(rgb.astype(np.float32))


@pytest.mark.parametrize(
    ("dims", "units", "dtype", "kind"),
    [
        (("y", "x", "channel"), "grey level", "uint8", "image"),
        (("y", "x"), "grey level", "uint8", "image"),
        (("y", "x", "component"), "px", "float16", "flow"),
        (("y", "x"), "px/px", "float16", "strain"),
        (("y", "x", "channel"), "px, px, px/px", "float16", "motion"),
        (("y", "x", "channel"), "1", "float32", "signed"),
        (("feature", "row", "column"), "1", "float16", "map"),
        (("feature",), "1", "float16", "map"),
        (("row", "column"), "1", "float64", ""),
        (("point", "xy"), "px", "float32", ""),
        ((), "1", "float64", ""),
    ],
)
def test_axes_and_units_tell_how_an_array_is_drawn(dims, units, dtype, kind):
    assert kind_of(dims, units, dtype) == kind


def test_an_array_is_drawn_by_its_kind():
    flow = uniform_flow(1, 0).astype(np.float16)
    np.testing.assert_array_equal(picture(flow, ("y", "x", "component"), "px", 1.0), flow_picture(flow, 1.0))
    with pytest.raises(StoreError, match="row, column.*no picture"):
        picture(np.zeros((2, 3)), ("row", "column"), "1")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_no_dtype_of_a_store_overflows(dtype):
    flow = np.full((4, 4, 2), 300, dtype)
    assert flow_scale(flow) == 500
    assert flow_picture(flow).dtype == np.uint8


# Strips


def panels(count, size=224):
    rng = np.random.default_rng(count)
    return [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(count)]


def positions(sheet, panel):
    """Where a panel's first row lies in a strip, pixel for pixel."""
    high, wide = panel.shape[:2]
    found = []
    for y, x in np.argwhere((sheet == panel[0, 0]).all(-1)):
        if np.array_equal(sheet[y : y + high, x : x + wide], panel):
            found.append((int(y), int(x)))
    return found


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (8, 8), (9, 5), (14, 7), (17, 6)])
def test_every_panel_lies_in_the_strip_once_in_rows_of_even_length(count, columns):
    parts = panels(count, 128)
    sheet = strip(parts, ["caption"] * count, "title")
    found = [positions(sheet, part) for part in parts]
    assert all(len(one) == 1 for one in found)
    where = [one[0] for one in found]
    assert where == sorted(where)
    assert max(sum(1 for y, _ in where if y == top) for top, _ in where) == columns


def test_a_strip_is_white_with_dark_text():
    sheet = strip(panels(2), ["onset", "apex"], "demo/sub01/EP01_01")
    assert (sheet[0] == 255).all()
    assert (sheet[:, 0] == 255).all()
    top = positions(sheet, panels(2)[0])[0][0]
    title, captions = sheet[:top].min(-1), sheet[top + 226 :].min(-1)
    assert title.min() < 40
    assert captions.min() < 40


def test_a_strip_without_a_title_begins_with_its_panels():
    part = panels(1)[0]
    assert positions(strip([part], ["a"], ""), part)[0][0] < 20


def test_small_panels_keep_square_pixels_and_grow():
    part = panels(1, 14)[0]
    sheet = strip([part], ["map"], "")
    assert positions(sheet, part.repeat(8, 0).repeat(8, 1))


def test_panels_of_two_sizes_come_out_equal():
    big, small = np.zeros((64, 64, 3), np.uint8), np.full((32, 32, 3), (200, 0, 0), np.uint8)
    sheet = strip([big, small], ["", ""], "")
    assert (sheet == (200, 0, 0)).all(-1).sum() == (sheet == 0).all(-1).sum() == 128 * 128


def test_a_long_caption_is_wrapped_and_stays_under_its_panel():
    parts = panels(2)
    words = "flow from the offset to the magnified apex, full colour is three pixels"
    sheet = strip(parts, [words, ""], "")
    short = strip(parts, ["flow", ""], "")
    assert sheet.shape[0] > short.shape[0]
    right = positions(sheet, parts[1])[0]
    assert (sheet[right[0] + 226 :, right[1] :] == 255).all()


def test_scale_enlarges_panels_and_text_alike():
    once, twice = (strip(panels(3), ["a", "b", "c"], "t", scale=s) for s in (1, 2))
    np.testing.assert_allclose(twice.shape, np.multiply(once.shape, (2, 2, 1)), rtol=0.03)


def test_letters_that_the_font_lacks_are_told_as_such():
    from mer_pipe.report.strips import _drawable

    assert _drawable("Renée – 3 × 2 · 面") == "Renee - 3 x 2 · ?"


def test_captions_must_match_pictures():
    with pytest.raises(ValueError, match="2 pictures with 1 captions"):
        strip(panels(2, 8), ["a"], "")
    with pytest.raises(ValueError, match="0 pictures"):
        strip([], [], "")


def test_a_png_is_whole_or_not_there(tmp_path, monkeypatch):
    from PIL import Image

    from mer_pipe.store import durable

    sheet = strip(panels(2, 32), ["a", "b"], "t")
    path = tmp_path / "new" / "strip.png"
    write_png(path, sheet)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), sheet)
    assert [p.name for p in path.parent.iterdir()] == ["strip.png"]
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", fail)
    with pytest.raises(StoreError, match="disk is full"):
        write_png(path, panels(1, 32)[0])
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["strip.png"]


def test_the_same_strip_has_the_same_bytes():
    first, second = (strip(panels(3), ["a", "b", "c"], "t") for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_drawing_loads_no_plotting_library():
    import subprocess
    import sys

    code = (
        "import sys, mer_pipe.report.pictures, mer_pipe.report.inspect;"
        "print([m for m in ('PIL', 'cv2', 'torch', 'matplotlib', 'rich', 'xarray', 'zarr') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
