"""Shuffle attention, group by group."""

from __future__ import annotations

import pytest
import torch

from mer_pipe.heads.shuffle_attention import ShuffleAttention
from mer_pipe.types import RecipeError


def filled(channels: int = 16, groups: int = 2, seed: int = 0, **how) -> ShuffleAttention:
    """Attention with weights that are not the start values."""
    module, source = ShuffleAttention(channels, groups, **how), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            value.normal_(generator=source)
    return module


def maps(channels: int = 16, seed: int = 1) -> torch.Tensor:
    return torch.randn(3, channels, 5, 4, generator=torch.Generator().manual_seed(seed))


def unshuffled(x: torch.Tensor) -> torch.Tensor:
    """What lies before the channel shuffle."""
    return torch.cat([x[:, 0::2], x[:, 1::2]], 1)


def by_hand(module: ShuffleAttention, x: torch.Tensor) -> torch.Tensor:
    """The sigmoid gate, channel by channel, in float64."""
    x, out = x.double(), torch.empty_like(x, dtype=torch.float64)
    part = x.shape[1] // (2 * module.groups)
    for channel in range(x.shape[1]):
        group, at = divmod(channel, 2 * part)
        own, i = x[:, channel], at % part
        g = group if len(module.channel_weight) > 1 else 0
        if at < part:
            value = module.channel_weight[g, i] * own.mean((1, 2), keepdim=True) + module.channel_bias[g, i]
        else:
            centred = own - own.mean((1, 2), keepdim=True)
            normed = centred / (own.var((1, 2), unbiased=False, keepdim=True) + 1e-5).sqrt()
            value = module.spatial_weight[g, i] * normed + module.spatial_bias[g, i]
        out[:, channel] = own / (1 + torch.exp(-value))
    return torch.nn.ChannelShuffle(2)(out)


@pytest.mark.parametrize("shared", [False, True])
def test_it_is_sa_net_written_out(shared):
    module, x = filled(shared=shared), maps()
    assert (module(x) - by_hand(module, x)).abs().max() < 1e-5


def test_a_groups_weights_change_only_its_own_channels():
    x = maps(24)
    before = unshuffled(filled(24, 3)(x))
    for group in range(3):
        for name in ("channel_weight", "channel_bias", "spatial_weight", "spatial_bias"):
            module = filled(24, 3)
            with torch.no_grad():
                getattr(module, name)[group] += 1
            differs = (unshuffled(module(x)) != before).any(0).any(-1).any(-1)
            assert differs.any()
            assert not differs[: 8 * group].any()
            assert not differs[8 * group + 8 :].any()


def test_shared_weights_change_every_group():
    module, x = filled(24, 3, shared=True), maps(24)
    before = unshuffled(module(x))
    with torch.no_grad():
        module.channel_weight += 1
    differs = (unshuffled(module(x)) != before).any(0).any(-1).any(-1).reshape(3, 8)
    assert differs[:, :4].all()
    assert not differs[:, 4:].any()


def test_the_number_of_weights():
    assert sum(v.numel() for v in ShuffleAttention(256, 4).parameters()) == 2 * 256  # w and b for every channel
    assert sum(v.numel() for v in ShuffleAttention(256, 4, shared=True).parameters()) == 2 * 64


def test_a_fresh_one_scales_all_alike():
    x = maps()
    assert torch.allclose(unshuffled(ShuffleAttention(16, 2)(x)), x * torch.tensor(1.0).sigmoid())


def test_under_softmax_the_groups_compete():
    x = maps(16)
    fresh = unshuffled(ShuffleAttention(16, 4, gate="softmax")(x))
    assert torch.allclose(fresh, x / 4)
    module = filled(16, 4, gate="softmax")
    shares = (unshuffled(module(x)) / x).reshape(3, 4, 4, 5, 4)  # clip, group, channel of the group, y, x
    assert torch.allclose(shares.sum(1), torch.ones(3, 4, 5, 4), atol=1e-4)


def test_every_weight_learns():
    module = filled()
    module(maps()).square().sum().backward()
    assert all((value.grad != 0).all() for value in module.parameters())


def test_what_does_not_divide_is_refused():
    with pytest.raises(RecipeError, match="24 channels do not divide into 2 x 5 groups"):
        ShuffleAttention(24, 5)
    with pytest.raises(RecipeError, match="gate='relu'"):
        ShuffleAttention(24, 3, gate="relu")
