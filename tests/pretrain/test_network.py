"""What the network sees, its loss and its measures, each against a second way of reckoning."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mer_pipe.pretrain import network
from mer_pipe.pretrain.measures import measure
from mer_pipe.pretrain.settings import Settings
from mer_pipe.pretrain.train import rate
from mer_pipe.stages.features import features
from mer_pipe.stages.weights import file_digest
from mer_pipe.types import RecipeError, Weights


def greys(count: int, side: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_training_sees_faces_as_the_features_stage_sees_them(tmp_path):
    """The features of grey RGB images, through the stage, are what the trained network averages before `fc`."""
    net, images = network.first(3), greys(2, 64)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, tmp_path / "net.safetensors")
    path = str(tmp_path / "net.safetensors")
    rgb = np.repeat(images.numpy()[..., None], 3, -1)
    pooled = features(rgb, Weights(file_digest(path), path), "pool512", "float32")
    logits = pooled @ net.fc.weight.detach().numpy().T + net.fc.bias.detach().numpy()
    np.testing.assert_allclose(network.predict(net, images, 64).numpy(), logits, rtol=1e-4, atol=1e-5)


def test_a_random_start_answers_to_brightness_alone_and_not_to_colour():
    net = network.first(0).eval()
    weight = net.conv1.weight
    assert weight.std() > 0.01
    torch.testing.assert_close(weight, weight.mean(1, keepdim=True).expand_as(weight), rtol=0, atol=0)
    with torch.no_grad():
        face = torch.rand(1, 3, 64, 64)
        grey = face.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        torch.testing.assert_close(net(face), net(grey), rtol=1e-3, atol=1e-5)


def test_a_view_without_change_is_the_image_itself_normalised():
    image = greys(1, 48)
    seen = network.views(image, 48)
    for channel, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        torch.testing.assert_close(seen[0, channel], (image[0] / 255 - mean) / std)


def test_the_identity_as_a_change_enlarges_as_no_change_does():
    images, still = greys(2, 48), torch.tensor([[[1.0, 0, 0], [0, 1, 0]]] * 2)
    torch.testing.assert_close(network.views(images, 96, still), network.views(images, 96), rtol=1e-4, atol=1e-4)


def test_a_change_moves_turns_and_mirrors_the_image():
    image = torch.zeros(1, 48, 48, dtype=torch.uint8)
    image[0, 10, 30] = 255

    def brightest(*rows: float) -> tuple[int, int]:
        seen = network.views(image, 48, torch.tensor(rows, dtype=torch.float32).reshape(1, 2, 3))[0, 0]
        return divmod(int(seen.argmax()), 48)

    assert brightest(1, 0, 0, 0, 1, 0) == (10, 30)
    assert brightest(-1, 0, 0, 0, 1, 0) == (10, 17)  # mirrored: 47 - 30
    assert brightest(1, 0, 2 * 5 / 48, 0, 1, 0) == (10, 25)  # looks 5 px further right, so the image goes left
    # A quarter turn: the place (row, column) shows what is at (column, 47 - row), so 10 = column and 30 = 47 - row.
    assert brightest(0, -1, 0, 1, 0, 0) == (17, 10)


def test_changes_keep_within_their_bounds_and_half_are_mirrored():
    bounds = Settings(rotate=10, scale=0.1, shift=0.08)
    drawn = network.changes(4000, bounds, np.random.default_rng(0))
    grow = 1 / np.hypot(drawn[:, 0, 1], drawn[:, 1, 1])
    assert 0.899 < grow.min() < 0.91
    assert 1.09 < grow.max() < 1.101
    turn = np.rad2deg(np.arctan2(-drawn[:, 0, 1], drawn[:, 1, 1]))
    assert -10.01 < turn.min() < -9.8
    assert 9.8 < turn.max() < 10.01
    assert 0.155 < np.abs(drawn[:, :, 2]).max() < 0.1601
    mirrored = np.linalg.det(drawn[:, :, :2]) < 0
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / math.sqrt(4000)
    still = network.changes(3, Settings(rotate=0, scale=0, shift=0), np.random.default_rng(0))
    np.testing.assert_array_equal(still, [[[1, 0, 0], [0, 1, 0]]] * 3)


def test_the_losses_are_those_written_out_by_hand():
    p = torch.tensor([[0.7, 0.2, 0.1, 0, 0, 0, 0, 0], [0.1, 0.6, 0.3, 0, 0, 0, 0, 0]]) + 1e-9
    t = torch.zeros(2, 8)
    t[0, 0], t[1, 1], t[1, 2] = 1.0, 0.25, 0.75
    cross = -(math.log(0.7) + 0.25 * math.log(0.6) + 0.75 * math.log(0.3)) / 2
    assert network.loss(p.log(), t, "crossentropy").item() == pytest.approx(cross, rel=1e-5)
    # The likeliest target counts alone: 0.7 in the first row, 0.6 in the second.
    many = -(math.log(0.7) + math.log(0.6)) / 2
    assert network.loss(p.log(), t, "multi_target").item() == pytest.approx(many, rel=1e-5)
    # Where all that is likely is no target, the loss is finite: max(0.001 x 0.7, 1e-9).
    t = torch.zeros(1, 8)
    t[0, 7] = 1.0
    assert network.loss(p[:1].log(), t, "multi_target").item() == pytest.approx(-math.log(0.001 * 0.7), rel=1e-4)


def test_measures_are_those_counted_one_by_one():
    rng = np.random.default_rng(5)
    truth, predicted = rng.integers(0, 5, 200), rng.integers(0, 6, 200)
    found = measure(truth, predicted)
    pairs = list(zip(truth.tolist(), predicted.tolist(), strict=True))
    assert found["accuracy"] == sum(t == p for t, p in pairs) / 200
    scores = []
    for i, one in enumerate(found["classes"].values()):
        hit = sum(t == i == p for t, p in pairs)
        false, missed = sum(t != i == p for t, p in pairs), sum(t == i != p for t, p in pairs)
        assert one["images"] == hit + missed
        for j in range(8):
            assert found["confusion"][i][j] == sum(t == i and p == j for t, p in pairs)
        if hit + false + missed:
            scores.append(2 * hit / (2 * hit + false + missed))
            assert one["f1"] == pytest.approx(scores[-1])
        else:
            assert one["f1"] is None
    assert len(scores) == 6
    assert found["macro_f1"] == pytest.approx(sum(scores) / 6)


def rates(settings: Settings, count: int) -> list[float]:
    return [rate(settings, epoch, step, count) for epoch in range(1, settings.epochs + 1) for step in range(count)]


def test_the_rate_rises_over_a_twentieth_and_falls_to_nothing():
    found = rates(Settings(lr=0.1, epochs=10, last_epochs=0), 100)
    assert int(np.argmax(found)) == 49
    assert found[49] == pytest.approx(0.1, rel=0.01)
    assert found[0] == pytest.approx(0.1 / 50, rel=0.01)
    assert found[500] == pytest.approx(0.05)
    assert found[-1] < 1e-6


def test_the_rate_rises_and_falls_again_where_the_size_changes():
    """At the end of the first fall nothing could be learnt: filters must grow when faces do."""
    found = rates(Settings(lr=0.1, epochs=10, last_epochs=4, size=96, last_size=224), 100)
    assert found[:600] == rates(Settings(lr=0.1, epochs=6, last_epochs=0), 100)
    assert found[600:] == rates(Settings(lr=0.1, epochs=4, last_epochs=0), 100)
    same = rates(Settings(lr=0.1, epochs=10, last_epochs=4, size=96, last_size=96), 100)
    assert same == rates(Settings(lr=0.1, epochs=10, last_epochs=0), 100)


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "votes"}, {"size": 100}, {"size": 0}, {"epochs": 0}, {"last_epochs": 50}, {"last_epochs": -1}, {"batch": 2},
     {"lr": 0}, {"lr": math.nan}, {"weight_decay": -1}, {"scale": 1}, {"take": "PrivateTest"}, {"seed": -1},
     {"precision": "float16"}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(RecipeError):
        Settings(**wrong)
