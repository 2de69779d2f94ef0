"""The rearranged convolutions of the learned magnifier give what the plain ones give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from mer_pipe.stages.magnify import _packed, learned
from mer_pipe.stages.magnify._reflected import Doubled, Quartered, Reflected
from mer_pipe.stages.magnify.dialects import DIALECTS, Shape
from mer_pipe.stages.magnify.network import Network, conv
from mer_pipe.types import ModelError, RecipeError, Weights
from tests.stages.test_magnify_learned import frames, saved  # noqa: F401


def image(channels: int, height: int, width: int) -> torch.Tensor:
    made = torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(height))
    return made.contiguous(memory_format=torch.channels_last)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(6, 10), (5, 7), (12, 9), (4, 4)])
def test_reflected_padding_as_the_module_has_it(size, bias):
    """Even sizes go by Winograd's convolution, odd ones by the direct one."""
    layer, x = conv(8, 8, bias=bias), image(8, *size)
    fast = Reflected(layer, torch.float32)
    torch.testing.assert_close(fast(x, relu=False), layer(x), atol=1e-5, rtol=0)
    torch.testing.assert_close(fast(x, True, x.clone()), (layer(x) + x).relu(), atol=1e-5, rtol=0)


def test_reflected_padding_at_stride_2_and_with_7_x_7():
    for layer in (conv(8, 12, 3, 2, bias=True), conv(3, 8, 7, bias=False)):
        x = image(layer.in_channels, 8, 12)
        torch.testing.assert_close(Reflected(layer, torch.float32)(x, relu=False), layer(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("bias", [True, False])
def test_a_doubled_image_need_not_be_made(bias):
    layer, x = conv(8, 5, bias=bias), image(8, 5, 6)
    twice = interpolate(x, scale_factor=2, mode="nearest")
    torch.testing.assert_close(Doubled(layer, torch.float32)(x, relu=True), layer(twice).relu(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("bias", [True, False])
def test_the_last_layer_makes_four_pixels_at_once(bias):
    layer, x = conv(8, 3, 7, bias=bias), image(8, 8, 12)
    phases = Quartered(layer, torch.float32)(x, relu=False)[0].permute(1, 2, 0)
    torch.testing.assert_close(_packed._interleaved(phases), layer(x)[0].permute(1, 2, 0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("width", [8, 32])
@pytest.mark.parametrize("size", [(24, 32), (28, 36)])
def test_a_network_of_any_width_gives_its_own_images(width, size):
    """At 28 x 36 px the texture code has odd sides."""
    torch.manual_seed(0)
    shape = Shape(bias=False, kernel=7, shape_conv=True, texture_up=True, extra=False, width=width)
    net = Network(DIALECTS[0], shape).eval()
    pair = [torch.from_numpy(frame) for frame in frames(*size)]
    plain, fast = (torch.stack(way(*pair, (0.0, 1.0, 3.5))).int() for way in (net, _packed.Packed(net)))
    assert plain.float().std() > 1
    assert (plain - fast).abs().max() <= 1
    assert (plain != fast).float().mean() < 0.02


def test_bfloat16_of_weights_that_it_does_not_carry_is_refused(saved):  # noqa: F811
    """Random weights magnify differences that mean nothing; what 8 bits lose of them is seen."""
    weights = saved("resblks")
    with pytest.raises(ModelError, match=r"have an SSIM of 0\.\d+ to those in float32, less than 0\.9995"):
        learned.learned(*frames(), (2.0,), weights, precision="bfloat16")
    with pytest.raises(ModelError, match="Take precision float32"):
        learned.bfloat16_difference(weights)


def test_a_precision_and_a_device_that_are_not_here_are_told(saved):  # noqa: F811
    with pytest.raises(RecipeError, match="precision cannot be 'int8'"):
        learned.Learned(saved("cba"), precision="int8")
    with pytest.raises(RecipeError, match="there is no device 'abacus'"):
        learned.learned(*frames(), (2.0,), saved("cba"), device="abacus")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_images_to_rounding(saved):  # noqa: F811
    here, there = (learned.learned(*frames(), (2.0, 7.0), saved("resblks"), device=d) for d in ("cpu", "cuda"))
    assert np.abs(here.astype(int) - there).max() <= 1
    with pytest.raises(RecipeError, match="is for the CPU"):
        learned.learned(*frames(), (2.0,), saved("resblks"), precision="bfloat16", device="cuda")


def test_weights_that_name_no_file_are_refused():
    with pytest.raises(ModelError, match="name no file"):
        learned.learned(*frames(), (2.0,), Weights("random:0"))
