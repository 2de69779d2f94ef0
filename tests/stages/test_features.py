"""ResNet-18 features against a forward pass written out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mer_pipe.stages import _convolution, _folded, resnet
from mer_pipe.stages.features import IMAGENET_MEAN, IMAGENET_STD, OUTPUTS, Features, bfloat16_agreement, features
from mer_pipe.stages.weights import file_digest
from mer_pipe.types import ClipError, ModelError, RecipeError, Weights

RANDOM = Weights("random:0")


def images(count: int = 2, height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def trained_state(seed: int = 1) -> dict[str, torch.Tensor]:
    """A state in which no BatchNorm is the identity."""
    generator = torch.Generator().manual_seed(seed)
    state = resnet.random_state(seed)
    for name, value in state.items():
        if name.endswith(("running_var", "bn1.weight", "bn2.weight", "downsample.1.weight")):
            value.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith(("running_mean", "bias")):
            value.uniform_(-0.2, 0.2, generator=generator)
    return state


def by_hand(image: np.ndarray, state: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """He et al.'s ResNet-18 in float64, from the names of the parameters alone: the maps of layers 3 and 4."""

    def norm(x, name):
        mean, var, weight, bias = (
            state[f"{name}.{part}"].double()[:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias

    def conv(x, name, stride, padding):
        return F.conv2d(x, state[f"{name}.weight"].double(), stride=stride, padding=padding)

    x = torch.from_numpy(image).double().permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    x = norm(conv((x - mean) / std, "conv1", 2, 3), "bn1").clamp(min=0)
    x = F.max_pool2d(x, 3, 2, 1)
    maps = []
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            at, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            y = norm(conv(x, f"{at}.conv1", stride, 1), f"{at}.bn1").clamp(min=0)
            y = norm(conv(y, f"{at}.conv2", 1, 1), f"{at}.bn2")
            if f"{at}.downsample.0.weight" in state:
                x = norm(conv(x, f"{at}.downsample.0", stride, 0), f"{at}.downsample.1")
            x = (x + y).clamp(min=0)
        maps.append(x)
    return maps[2], maps[3]


@pytest.fixture
def checkpoint(tmp_path):
    """Write a checkpoint file and return its Weights."""

    def save(content) -> Weights:
        path = tmp_path / "net.pth"
        torch.save(content, path)
        return Weights(file_digest(str(path)), str(path))

    return save


def test_the_features_are_those_of_the_network_written_out(checkpoint):
    state, stack = trained_state(), images(1)
    weights = checkpoint(state)
    middle, last = by_hand(stack[0], state)
    expected = {
        "layer3": middle[0],
        "pool1024": torch.stack(
            [part.mean((1, 2)) for rows in middle[0].chunk(2, 1) for part in rows.chunk(2, 2)], dim=1
        ).flatten(),
        "pool512": last[0].mean((1, 2)),
    }
    for output, truth in expected.items():
        result = features(stack, weights, output, "float32")[0]
        assert np.abs(result - truth.numpy()).max() < 3e-6 * truth.abs().max()


@pytest.mark.parametrize(("channels", "height", "width"), [(64, 8, 8), (64, 2, 30), (128, 14, 10), (256, 4, 2)])
@pytest.mark.parametrize("added", [True, False])
@pytest.mark.parametrize("fused", [True, False])
def test_winograds_convolution_is_the_direct_one(channels, height, width, added, fused):
    generator = torch.Generator().manual_seed(height)
    weight = torch.randn(channels, channels, 3, 3, generator=generator, dtype=torch.float64)
    bias = torch.randn(channels, generator=generator, dtype=torch.float64)
    x, shortcut = torch.randn(2, 3, channels, height, width, generator=generator)
    direct = F.conv2d(x.double(), weight, bias, padding=1) + (shortcut if added else 0)
    with torch.inference_mode():
        found = _convolution.Winograd(weight, bias)(x, True, shortcut if added else None, fused)
    assert (found - direct.clamp(min=0)).norm() < 1e-6 * direct.norm()


def test_the_maps_are_within_a_millionth_of_those_in_float64():
    net = resnet.load(RANDOM)
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        folded = _folded.Folded(net)
        middle = folded.layer3(x.contiguous(memory_format=torch.channels_last))
        last = folded.layer4(middle.clone(memory_format=torch.channels_last))
        truth = net.double()(x.double())
    for result, exact in zip((middle, last), truth, strict=True):
        assert (result - exact).norm() < 1e-6 * exact.norm()


def test_folding_changes_nothing_but_rounding():
    net = resnet.read(trained_state(), "test")
    folded = _folded.Folded(net)
    x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        eager = net(x)
        middle = folded.layer3(x.contiguous(memory_format=torch.channels_last))
        last = folded.layer4(middle.clone(memory_format=torch.channels_last))
    for result, truth in zip((middle, last), eager, strict=True):
        assert (result - truth).norm() < 2e-6 * truth.norm()


def test_fused_and_plain_operations_agree_to_rounding():
    net = resnet.read(trained_state(), "test")
    x = torch.randn(1, 3, 96, 64, generator=torch.Generator().manual_seed(4)).contiguous(
        memory_format=torch.channels_last
    )
    with torch.inference_mode():
        fused, plain = (_folded.Folded(net, fused).layer3(x) for fused in (True, False))
    assert (fused - plain).norm() < 1e-6 * plain.norm()


def test_bfloat16_needs_no_fused_operations():
    net = resnet.read(trained_state(), "test")
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(5)).contiguous(
        memory_format=torch.channels_last
    )
    with torch.inference_mode():
        exact = _folded.Folded(net).layer3(x)
        for fused in (True, False):
            near = _folded.Folded(net, fused, torch.bfloat16).layer3(x.bfloat16())
            assert (near - exact).norm() < 0.02 * exact.norm()


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_image_does_not_feel_the_images_beside_it(output):
    stack = images(5)
    together = features(stack, RANDOM, output)
    for i in (0, 3):
        assert features(stack[i : i + 1], RANDOM, output)[0].tobytes() == together[i].tobytes()


@pytest.mark.parametrize("output", OUTPUTS)
def test_bfloat16_keeps_the_features(output):
    stack = images(3)
    exact, near = (features(stack, RANDOM, output, "float32", precision=p) for p in ("float32", "bfloat16"))
    assert 1e-4 < np.linalg.norm(near - exact) / np.linalg.norm(exact) < 0.02
    assert features(stack[2:], RANDOM, output, "float32", precision="bfloat16")[0].tobytes() == near[2].tobytes()
    assert bfloat16_agreement(RANDOM, output) >= 0.9999
    assert bfloat16_agreement(RANDOM, output, precision="float32") == 1


def test_weights_that_bfloat16_does_not_carry_are_refused(checkpoint):
    state = trained_state()
    state["bn1.bias"] += 300  # a pedestal that 8 bits spend themselves on; the next convolution sees differences only
    for channel in range(64):
        state["layer1.0.conv1.weight"][channel] -= state["layer1.0.conv1.weight"][channel].mean()
    state["layer1.0.bn2.weight"] *= 300
    state["layer1.0.bn2.running_mean"] *= 0
    with pytest.raises(ModelError, match="Take features.precision=float32"):
        features(images(1), checkpoint(state), precision="bfloat16")
    assert features(images(1), checkpoint(state), dtype="float32").any()


def test_a_seed_names_its_weights():
    stack = images(1)
    first, again = features(stack, RANDOM), features(stack, Weights("random:0"))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, features(stack, Weights("random:1")))
    assert resnet.random_state(0)["conv1.weight"][0, 0, 0, 0].item() == pytest.approx(-0.028428, abs=1e-5)


def test_random_weights_keep_activations_sane():
    for output in ("layer3", "pool512"):
        values = features(images(2, 224, 224), RANDOM, output, "float32")
        assert 0.02 < values.std() < 5


def test_a_fer_checkpoint_is_loaded(checkpoint):
    state = trained_state()
    wrapped = {f"module.{name}": value for name, value in state.items()}
    wrapped |= {"module.fc.weight": torch.zeros(7, 512), "module.fc.bias": torch.zeros(7)}
    bare = features(images(1), checkpoint(state))
    assert np.array_equal(features(images(1), checkpoint({"state_dict": wrapped, "epoch": 12})), bare)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layer2.1.bn1.running_var"), "lacks layer2.1.bn1.running_var"),
        (lambda s: s.update({"layer5.0.conv1.weight": torch.zeros(1)}), "unknown layer5.0.conv1.weight"),
        (lambda s: s.update({"conv1.weight": torch.zeros(64, 1, 7, 7)}), r"conv1.weight is \(64, 1, 7, 7\), not"),
    ],
)
def test_anything_else_than_resnet18_is_refused(checkpoint, change, message):
    state = trained_state()
    change(state)
    with pytest.raises(ModelError, match=message):
        features(images(1), checkpoint(state))


def test_sizes_divide_by_32():
    assert features(images(1, 32, 160), RANDOM).shape == (1, 256, 2, 10)
    with pytest.raises(ClipError, match="100 x 96 px do not divide by 32"):
        features(images(1, 100, 96), RANDOM)


def test_what_does_not_fit_float16_is_refused(checkpoint):
    state = trained_state()
    state["layer3.1.bn2.weight"] *= 1e6
    with pytest.raises(ClipError, match="does not fit float16"):
        features(images(1), checkpoint(state))


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_stage_keeps_its_contract(output):
    stage = Features(weights=RANDOM, output=output)
    made = stage(image=images(3))["feature"]
    assert len(made) == 3
    stage.returns["feature"].check(made[0])


def test_the_path_of_the_weights_is_not_in_the_key():
    here, there = (Features(weights=Weights("sha256:" + "0" * 64, path)) for path in ("/here", "/there"))
    assert here.parameters() == there.parameters()
    assert dataclasses.replace(here, std=(1.0, 1.0, 1.0)).parameters() != here.parameters()


def test_bad_parameters_are_refused():
    with pytest.raises(RecipeError, match="'layer9'"):
        Features(weights=RANDOM, output="layer9")
    with pytest.raises(RecipeError, match="int8"):
        Features(weights=RANDOM, dtype="int8")
    with pytest.raises(RecipeError, match="float64"):
        Features(weights=RANDOM, precision="float64")
    with pytest.raises(RecipeError, match="normalised"):
        Features(weights=RANDOM, std=(1.0, 0.0, 1.0))
    with pytest.raises(ModelError, match="names no seed"):
        features(images(1), Weights("random:x"))
