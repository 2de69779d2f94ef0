import numpy as np
import pytest

from mer_pipe.stages.crop import Crop, CropEach, crop
from mer_pipe.stages.geometry import inverse
from mer_pipe.types import ClipError, RecipeError

SIZE = 64


def unit(size, angle=0.0, scale=1.0, x=0.0, y=0.0):
    """The transform under which output pixel (column, row) looks at raw x + scale * R(angle) (column, row)."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    raw_from_output = np.array([[c, -s, x], [s, c, y]])
    raw_from_unit = raw_from_output @ np.array([[size, 0, -0.5], [0, size, -0.5], [0, 0, 1]])
    return inverse(raw_from_unit)


def picture(x, y, top_frequency=0.2):
    """A band-limited RGB picture as a function of raw coordinates; no frequency above `top_frequency` cycles a px."""
    rng = np.random.default_rng(7)
    out = np.zeros((*np.shape(x), 3))
    for channel in range(3):
        for _ in range(6):
            u, v = rng.uniform(-top_frequency, top_frequency, 2) / np.sqrt(2)
            out[..., channel] += np.cos(2 * np.pi * (u * x + v * y) + rng.uniform(0, 7))
    return 127.5 + 18 * out


def raw(height=160, width=200, **options):
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return np.rint(picture(x, y, **options)).clip(0, 255).astype(np.uint8)


def looked_at(size, angle=0.0, scale=1.0, x=0.0, y=0.0):
    i, j = np.mgrid[:size, :size].astype(np.float64)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return x + c * j - s * i, y + s * j + c * i


def test_the_identity_copies_pixels_exactly():
    frame = raw()
    assert np.array_equal(crop([frame], unit(SIZE, x=20, y=30), SIZE)[0], frame[30 : 30 + SIZE, 20 : 20 + SIZE])


def test_two_pixels_to_the_right_in_the_frame_are_two_in_the_crop():
    frame = raw()
    moved = np.roll(frame, 2, axis=1)
    still, shifted = crop([frame, moved], unit(SIZE, x=40, y=40), SIZE)
    assert np.array_equal(shifted[:, 2:], still[:, :-2])


def test_a_quarter_turn_is_exact():
    frame = raw()
    turned = crop([frame], unit(SIZE, angle=np.pi / 2, x=120, y=30), SIZE)[0]
    # Output (row i, column j) looks at raw x = 120 - i, y = 30 + j.
    assert np.abs(turned.astype(int) - frame[30 : 30 + SIZE, 120 : 120 - SIZE : -1].transpose(1, 0, 2)).max() <= 1


@pytest.mark.parametrize(
    "how",
    [
        {"x": 50.25, "y": 41.5},
        {"x": 50.5, "y": 41.75},
        {"angle": 0.3, "x": 70.2, "y": 30.1},
        {"angle": -0.15, "scale": 0.6, "x": 60.2, "y": 50.1},
    ],
)
def test_interpolation_is_true_to_a_band_limited_picture(how):
    found = crop([raw(top_frequency=0.12)], unit(SIZE, **how), SIZE)[0]
    truth = picture(*looked_at(SIZE, **how), top_frequency=0.12)
    error = found - truth
    assert np.sqrt((error**2).mean()) < 0.6
    assert np.abs(error).max() < 3


def test_a_ramp_keeps_its_sub_pixel_place():
    x = np.mgrid[:120, :120][1]
    ramp = np.repeat((2 * x + 5)[..., None], 3, -1).clip(0, 255).astype(np.uint8)
    for shift in np.linspace(0, 1, 11):
        found = crop([ramp], unit(SIZE, x=20 + shift, y=20), SIZE)[0, :, :, 0]
        assert np.abs(found - (2 * (20 + shift + np.arange(SIZE)) + 5)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("scale", [1.5, 2.25, 4.0])
def test_shrinking_weighs_pixels_as_pillow_does_without_rotation(scale):
    from PIL import Image

    # Not the full range: Pillow clips between its two passes.
    frame = np.random.default_rng(0).integers(60, 196, (300, 300, 3)).astype(np.uint8)
    side = scale * SIZE
    box = (20.0, 30.0, 20.0 + side, 30.0 + side)
    found = crop([frame], unit(SIZE, scale=scale, x=20 + scale / 2 - 0.5, y=30 + scale / 2 - 0.5), SIZE)[0]
    pillow = np.asarray(Image.fromarray(frame).resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box))
    inner = (slice(4, -4), slice(4, -4))  # Pillow does not look beyond its box
    assert np.abs(found[inner].astype(int) - pillow[inner]).max() <= 1


def test_a_frequency_that_the_crop_cannot_hold_vanishes():
    x = np.mgrid[:256, :256][1]
    stripes = np.repeat((127.5 + 100 * np.cos(2 * np.pi * 0.4 * x))[..., None], 3, -1).astype(np.uint8)
    assert crop([stripes], unit(SIZE, angle=0.2, scale=2, x=80, y=40), SIZE)[0].std() < 0.04 * stripes.std()


def test_a_frequency_that_the_crop_can_hold_stays():
    x = np.mgrid[:256, :256][1]
    stripes = np.repeat((127.5 + 100 * np.cos(2 * np.pi * 0.05 * x))[..., None], 3, -1).astype(np.uint8)
    assert crop([stripes], unit(SIZE, scale=2, x=60, y=40), SIZE)[0].std() > 0.93 * stripes.std()


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7, 3.3])
@pytest.mark.parametrize("grey", [0, 1, 93, 254, 255])
def test_a_constant_picture_stays_constant(scale, grey):
    frame = np.full((100, 130, 3), grey, np.uint8)
    assert (crop([frame], unit(SIZE, angle=0.4, scale=scale, x=10, y=-20), SIZE) == grey).all()


def test_border_pixels_go_on_outside_the_frame():
    frame = raw(80, 80)
    found = crop([frame], unit(SIZE, x=-30, y=10), SIZE)[0]
    assert np.array_equal(found[:, :30], np.repeat(frame[10 : 10 + SIZE, :1], 30, axis=1))


@pytest.mark.parametrize(
    "how", [{"scale": 1.3, "angle": 0.2, "x": 30, "y": 20}, {"scale": 2.9, "angle": -0.1, "x": -25, "y": 60}]
)
def test_one_plane_and_three_alike_give_the_same_bytes(how):
    plane = raw()[..., :1]
    held_once = np.broadcast_to(plane, (*plane.shape[:2], 3))
    thrice = plane.repeat(3, axis=2)
    assert np.array_equal(crop([held_once], unit(SIZE, **how), SIZE), crop([thrice], unit(SIZE, **how), SIZE))


@pytest.mark.parametrize(("x", "y"), [(-70.4, 20), (150.2, -3), (5, -60.6), (20, 130), (-80, -60)])
def test_a_square_over_the_edge_sees_what_a_frame_with_wide_borders_would_show(x, y):
    wide = np.pad(raw(), ((150, 150), (150, 150), (0, 0)), mode="edge")
    inside = crop([wide], unit(SIZE, scale=1.6, x=x + 150, y=y + 150), SIZE)
    assert np.array_equal(crop([raw()], unit(SIZE, scale=1.6, x=x, y=y), SIZE), inside)


def test_a_frame_gives_the_same_bytes_alone_and_in_a_batch():
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 256, (5, 90, 120, 3)).astype(np.uint8)
    transform = unit(SIZE, angle=0.1, scale=1.2, x=10, y=5)
    together = crop(frames, transform, SIZE)
    assert np.array_equal(together, np.concatenate([crop([frame], transform, SIZE) for frame in frames]))
    assert np.array_equal(together, crop(list(np.asfortranarray(frames)), transform, SIZE))


def test_channels_do_not_mix():
    frame = raw()
    transform = unit(SIZE, angle=0.1, scale=0.8, x=10, y=5)
    swapped = crop([frame[..., ::-1]], transform, SIZE)[0]
    assert np.array_equal(swapped[..., ::-1], crop([frame], transform, SIZE)[0])


def test_the_stage_keeps_its_contract():
    stage = Crop(size=SIZE)
    assert stage.parameters() == {"size": SIZE}
    assert stage.stacks == ("frame",)
    result = stage(frame=[raw(), raw()], transform=unit(SIZE, x=3, y=4))
    for image in result["image"]:
        stage.returns["image"].check(image)
    assert result["image"].shape == (2, SIZE, SIZE, 3)


@pytest.mark.parametrize("size", [0, -4, 222, 3, 224.0, True, "224"])
def test_a_size_that_magnifiers_cannot_halve_twice_is_refused(size):
    with pytest.raises(RecipeError, match="multiple of 4"):
        Crop(size=size)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([np.zeros((9, 9), np.uint8)], "not uint8 of shape"),
        ([np.zeros((9, 9, 3), np.float32)], "float32"),
        ([np.zeros((9, 9, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)], "differ in size"),
    ],
)
def test_frames_of_another_kind_are_refused(frames, message):
    with pytest.raises(ClipError, match=message):
        crop(frames, unit(SIZE), SIZE)


def test_a_square_beside_the_frame_is_refused():
    with pytest.raises(ClipError, match="outside the 160x200 frame"):
        crop([raw()], unit(SIZE, x=500, y=0), SIZE)


def test_frames_with_a_transform_each_are_cropped_as_if_alone_and_share_keys():
    transforms = np.stack([unit(SIZE, x=3, y=4), unit(SIZE, x=1.5, y=0)])
    frames = [raw(), raw()]
    each = CropEach(SIZE)(frame=frames, transform=transforms)["image"]
    for frame, transform, image in zip(frames, transforms, each, strict=True):
        assert np.array_equal(image, crop([frame], transform, SIZE)[0])
    assert (CropEach.name, CropEach.version) == (Crop.name, Crop.version)
