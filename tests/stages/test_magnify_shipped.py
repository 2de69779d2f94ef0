"""The weights of the learned magnifier that are in the package: whole, pinned, used by default, and of some use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from skimage.metrics import structural_similarity

from mer_pipe.recipes import Recipe, with_values
from mer_pipe.recipes.wiring import find_models
from mer_pipe.stages.magnify import Learned, magnify
from mer_pipe.stages.magnify.learned import SHIPPED, bfloat16_difference, learned, shipped
from mer_pipe.stages.weights import file_digest, load_state
from mer_pipe.types import ModelError, Weights

HELD_OUT = {"astronaut", "camera", "coins", "retina", "brick"}


def textured(shift: float, size: int = 96) -> np.ndarray:
    """A texture moved by `shift` px along x, by the shift theorem: float (y, x, 3) grey levels, channels alike as in pictures."""
    rng = np.random.default_rng(11)
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]
    far = np.hypot(rows, columns)
    white = rng.standard_normal((3, size, size))
    waves = np.fft.fft2(0.7 * white[:1] + 0.3 * white) / np.maximum(far, 1 / size) ** 1.6 * (far < 0.35)
    still, moved = (np.fft.ifft2(waves * np.exp(-2j * np.pi * s * columns)).real for s in (0.0, shift))
    return np.moveaxis(128 + 45 * moved / still.std(), 0, 2)


def stored(image: np.ndarray, seed: int) -> np.ndarray:
    return (image + np.random.default_rng(seed).normal(0, 1, image.shape)).clip(0, 255).round().astype(np.uint8)


def test_the_file_is_the_pinned_one_and_small():
    path = Path(shipped().path)
    assert file_digest(str(path)) == SHIPPED
    assert path.stat().st_size < 4 * 2**20
    assert {tensor.dtype.is_floating_point for tensor in load_state(shipped()).values()} == {True}


def test_the_file_tells_what_it_was_trained_on_and_nothing_of_it_is_held_out():
    with safe_open(shipped().path, "pt") as file:
        told = json.loads(file.metadata()["mer_pipe"])
    assert set(told["identity"]["picture"]) == set(told["licences"])
    assert not set(told["licences"]) & HELD_OUT


def test_the_card_is_of_this_file():
    card = Path(shipped().path).with_name("learned.md").read_text()
    assert SHIPPED in card
    assert "mer-pipe train-magnifier" in card


def test_an_altered_file_is_refused(tmp_path):
    content = bytearray(Path(shipped().path).read_bytes())
    content[-1] ^= 1
    (tmp_path / "learned.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="is not the pinned file"):
        load_state(Weights(SHIPPED, str(tmp_path / "learned.safetensors")))


def test_nothing_need_be_given():
    onset, apex = stored(textured(0, 32), 1), stored(textured(0.5, 32), 2)
    whole = learned(onset, apex, (2.0, 5.0))
    assert np.array_equal(Learned()(reference=onset, target=apex, af=(2.0, 5.0))["image"], whole)
    assert np.array_equal(magnify(onset, apex, [2, 5], "learned"), whole)
    assert Learned().weights == shipped()


def test_a_shift_in_noise_is_magnified():
    """The likeness to the exact picture is well above that of the apex left as it is, and the motion about AF times as long."""
    onset, apex = stored(textured(0), 1), stored(textured(0.5), 2)
    for af in (4.0, 8.0):
        truth = textured(0.5 * af).clip(0, 255)
        out = learned(onset, apex, (af,))[0]
        inside = (slice(12, -12), slice(12, -12))
        ours, copy = (
            structural_similarity(image[inside].astype(float), truth[inside], channel_axis=2, data_range=255)
            for image in (out, apex)
        )
        assert ours > copy + 0.15
        shifts = np.linspace(0, 0.75 * af, 61)
        apart = [np.abs(textured(s)[inside] - out[inside]).mean() for s in shifts]
        assert shifts[int(np.argmin(apart))] == pytest.approx(0.5 * af, rel=0.15)


def test_a_still_pair_stays_about_as_it_is():
    clean = textured(0)
    onset, apex = stored(clean, 1), stored(clean, 2)
    out = learned(onset, apex, (8.0,))[0]
    assert np.abs(out - clean.clip(0, 255))[8:-8, 8:-8].mean() < 3


def test_bfloat16_carries_these_weights():
    assert bfloat16_difference() <= 0.0005
    onset, apex = stored(textured(0, 48), 1), stored(textured(0.5, 48), 2)
    exact, near = (learned(onset, apex, (6.0,), precision=p).astype(int) for p in ("float32", "bfloat16"))
    assert 0 < np.abs(exact - near).mean() < 1.5


def test_a_recipe_without_weights_takes_them_and_so_does_one_with_their_digest():
    for values in ({}, {"magnify.weights": SHIPPED}):
        recipe = with_values(Recipe(), {"magnify.method": "learned", "align.method": "none", **values})
        found = find_models(recipe).magnifier
        assert found == shipped()
        assert found.path == shipped().path
    assert find_models(with_values(Recipe(), {"magnify.method": "flow", "align.method": "none"})).magnifier is None
