"""Two magnifiers on one clip: the measures against motions that are known, and the sides that can be named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rich.console import Console
from scipy.ndimage import gaussian_filter, map_coordinates

import mer_pipe
from mer_pipe.api import compare_recipes
from mer_pipe.recipes import BUILT_IN, plain, with_values
from mer_pipe.report.compare import Side, compared, few, motion_ratio, read_pair, ssim
from mer_pipe.store.publish import ArrayPlan, publish
from mer_pipe.types import ArraySpec, MerError, RecipeError, StoreError

SIZE = 96
CLIP = "demo/sub01/EP01_01"
AFS = (2.0, 4.0, 6.0)
EULERIAN = "magnify.method=eulerian"


def texture(seed=0):
    rng = np.random.default_rng(seed)
    image = gaussian_filter(rng.standard_normal((SIZE, SIZE, 3)), (2, 2, 0))
    return 128 + 40 * image / image.std()


def moved(image, u, v):
    """The image carried by a constant motion."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    out = [map_coordinates(image[..., c], [y - v, x - u], order=3, mode="mirror") for c in range(3)]
    return np.clip(np.rint(np.stack(out, -1)), 0, 255).astype(np.uint8)


def shifts(u, v, af=1.0):
    return np.tile(np.float32([u * af, v * af]), (SIZE, SIZE, 1))


def make(path, method="flow", afs=AFS, size=SIZE, only=("crop", "magnify")):
    """A store of one clip that moves by (0.6, 0.3) px, magnified by `method`."""
    image = texture()
    onset, apex = (moved(image, *s)[:size, :size] for s in ((0, 0), (0.6, 0.3)))
    recipe = with_values(BUILT_IN["demo"], {"magnify.method": method, "mrn.af": list(afs)})
    stage = recipe.magnify.eulerian if method == "eulerian" else recipe.magnify.flow
    magnified = stage(reference=onset, target=apex, af=afs)["image"]
    rgb = ArraySpec(("y", "x", "channel"), "uint8", "grey level")
    held = {"crop": ("mark", ("onset", "apex", "offset"), [onset, apex, onset]), "magnify": ("af", afs, magnified)}
    cells = {f"{g}{i}": {"image": v} for g, (_, _, values) in held.items() for i, v in enumerate(values)}
    plans = [
        ArrayPlan(
            g, "image", {dim: tuple(at)}, rgb, "uint8", (tuple((f"{g}{i}", "image") for i in range(len(at))),), {}
        )
        for g, (dim, at, _) in held.items()
        if g in only
    ]
    row = {"sample": CLIP, "subject": "demo/sub01", "label": "others", "onset": 0, "apex": 5, "offset": 9, "fps": 200.0}
    publish(path, [row], plans, {"database": "demo", "recipe": plain(recipe)}, lambda key: cells[key])
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make(tmp_path_factory.mktemp("compare") / "demo.zarr")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return make(tmp_path_factory.mktemp("compare") / "other.zarr", "eulerian", (2.0, 6.0, 9.0))


# The measures


def test_the_motion_ratio_is_one_where_all_motion_is_there_and_one_over_af_for_a_copied_apex():
    wanted = shifts(0.6, 0.3)
    assert motion_ratio(4 * wanted, wanted, 4.0) == pytest.approx(1)
    assert motion_ratio(wanted, wanted, 4.0) == pytest.approx(0.25)
    assert motion_ratio(-4 * wanted, wanted, 4.0) == pytest.approx(-1)


def test_motion_of_another_direction_does_not_count():
    assert motion_ratio(shifts(-0.3, 0.6, 4), shifts(0.6, 0.3), 4.0) == pytest.approx(0, abs=1e-7)


def test_the_ratio_is_found_in_images_that_truly_moved():
    """An oracle: images carried by known shifts, measured by TV-L1."""
    image = texture(1)
    onset, apex = moved(image, 0, 0), moved(image, 0.6, 0.3)
    true = np.stack([moved(image, 0.6 * af, 0.3 * af) for af in AFS])
    half = np.stack([moved(image, 0.3 * af, 0.15 * af) for af in AFS])
    found = compared("t", AFS, Side("a", onset, apex, true), Side("b", onset, apex, half), mer_pipe.tvl1)
    np.testing.assert_allclose(found.motion[0], 1, atol=0.04)
    np.testing.assert_allclose(found.motion[1], 0.5, atol=0.04)


def test_ssim_is_one_for_equal_images_and_falls_with_noise():
    image = moved(texture(), 0, 0)
    noise = np.random.default_rng(3).standard_normal(image.shape)
    values = [ssim(image, np.clip(image + s * noise, 0, 255).astype(np.uint8)) for s in (0, 5, 20, 60)]
    assert values[0] == 1
    assert sorted(values, reverse=True) == values
    assert values[-1] < 0.6


def test_a_still_clip_has_no_ratio_and_is_told_so():
    still = moved(texture(), 0, 0)
    side = Side("a", still, still, np.stack([still] * 3))
    found = compared("t", AFS, side, side, mer_pipe.tvl1)
    assert found.motion == (None, None)
    assert "AF 2, no motion" in found.panels.captions
    assert "no motion" in text(found.table)
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["motion_first"] is None


def test_few_keeps_both_ends():
    assert few((1.0, 2.0)) == (1.0, 2.0)
    assert few(tuple(range(2, 14))) == (2, 4, 6, 9, 11, 13)


# The sides


def test_what_is_stored_equals_its_own_recipe_magnified_anew(store):
    found = compare_recipes(store, "EP01_01", "stored", "magnify.method=flow")
    assert found.af == AFS
    assert found.ssim == (1.0, 1.0, 1.0)
    assert found.motion[0] == found.motion[1]
    np.testing.assert_allclose(found.motion[0], 1, atol=0.05)


def test_the_eulerian_magnifier_carries_less_of_the_motion_than_flow(store):
    found = compare_recipes(store, CLIP, "demo", EULERIAN)
    assert all(b < a - 0.1 for a, b in zip(*found.motion, strict=True))
    assert found.ssim[0] > found.ssim[-1]


def test_another_store_gives_what_it_holds_at_the_afs_of_both(store, other):
    found = compare_recipes(store, CLIP, "stored", str(other))
    assert found.af == (2.0, 6.0)
    anew = compare_recipes(store, CLIP, "stored", EULERIAN, (2.0, 6.0))
    np.testing.assert_array_equal(found.second.images, anew.second.images)
    assert found.ssim == anew.ssim


def test_a_store_without_magnified_images_can_be_compared_too(tmp_path):
    bare = make(tmp_path / "bare.zarr", only=("crop",))
    assert compare_recipes(bare, CLIP, "demo", EULERIAN, (3.0,)).af == (3.0,)
    with pytest.raises(StoreError, match="no stage 'magnify'"):
        compare_recipes(bare, CLIP, "stored", EULERIAN)


def test_a_yaml_recipe_is_a_side(store, tmp_path):
    (tmp_path / "mine.yaml").write_text("magnify: {method: eulerian}\n")
    found = compare_recipes(store, CLIP, str(tmp_path / "mine.yaml"), EULERIAN, (4.0,))
    assert found.ssim == (1.0,)


@pytest.mark.parametrize(
    ("side", "af", "kind", "told"),
    [
        ("mrn.af=3", None, RecipeError, "does not change a magnifier"),
        ("magnify.method=phases", None, RecipeError, "phases"),
        (f"magnify.method=learned magnify.weights=sha256:{'0' * 64}", None, RecipeError, r"magnify\.weights=FILE"),
        ("demoo", None, RecipeError, "did you mean demo"),
        ("stored", (3.0,), StoreError, "no AF 3"),
        ("demo", (0.0,), MerError, "AF 0"),
    ],
)
def test_a_wrong_side_is_told_in_one_line(store, side, af, kind, told):
    with pytest.raises(kind, match=told):
        compare_recipes(store, CLIP, "demo", side, af)


def test_stores_of_two_crops_cannot_be_compared(store, tmp_path):
    small = make(tmp_path / "small.zarr", size=64)
    with pytest.raises(StoreError, match="96 x 96 px and 64 x 64 px"):
        compare_recipes(store, CLIP, "stored", str(small))


def test_a_pair_needs_onset_and_apex(store):
    pair = read_pair(store, CLIP)
    assert (pair.id, pair.stored) == (CLIP, AFS)
    assert pair.onset.shape == pair.apex.shape == (SIZE, SIZE, 3)


# How it is shown


def text(renderable):
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(renderable)
    return console.export_text()


def test_panels_are_two_rows_of_images_over_one_of_differences(store):
    found = compare_recipes(store, CLIP, "stored", EULERIAN)
    panels = found.panels
    assert panels.columns == 4
    assert len(panels.pictures) == len(panels.captions) == 12
    np.testing.assert_array_equal(panels.pictures[1:4], found.first.images)
    np.testing.assert_array_equal(panels.pictures[5:8], found.second.images)
    assert panels.captions[1] == f"AF 2, motion {found.motion[0][0]:.2f}"
    assert panels.captions[9] == f"AF 2, SSIM {found.ssim[0]:.3f}"
    assert panels.strip().ndim == 3


def test_no_difference_is_dark(store):
    panels = compare_recipes(store, CLIP, "stored", "magnify.method=flow").panels
    assert all(len(np.unique(p.reshape(-1, 3), axis=0)) == 1 for p in panels.pictures[9:])


def test_the_table_and_the_json_tell_the_same(store):
    found = compare_recipes(store, CLIP, "stored", EULERIAN)
    told = json.loads(json.dumps(found.as_json()))
    assert (told["clip"], told["second"]) == (CLIP, EULERIAN)
    shown = text(found.table)
    for i, af in enumerate(AFS):
        assert f"{af:g}  {told['ssim'][i]:.4f}" in shown
        assert f"{told['motion_second'][i]:.2f}" in shown
