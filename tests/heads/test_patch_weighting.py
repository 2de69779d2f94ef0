"""Patch weights against products of matrices that are known."""

from __future__ import annotations

import pytest
import torch

from mer_pipe.heads.patch_weighting import POOLS, patch_weights


def attention(n: int = 2, patches: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 1 + patches, 1 + patches, generator=torch.Generator().manual_seed(seed)).mul(2).softmax(2)


def only_patch(column: int, patches: int = 6) -> torch.Tensor:
    """Every place looks at one patch alone."""
    looks = torch.zeros(1, 1 + patches, 1 + patches)
    looks[:, :, 1 + column] = 1
    return looks


@pytest.mark.parametrize("pool", POOLS)
def test_layers_that_look_at_themselves_weigh_all_patches_alike(pool):
    weights = patch_weights([torch.eye(7)[None]] * 3, pool)
    assert torch.equal(weights, torch.ones(1, 6))


@pytest.mark.parametrize("pool", POOLS)
def test_even_attention_weighs_all_patches_alike(pool):
    assert torch.allclose(patch_weights([torch.full((1, 7, 7), 1 / 7)] * 3, pool), torch.ones(1, 6))


@pytest.mark.parametrize("pool", POOLS)
def test_weights_sum_to_the_number_of_patches(pool):
    weights = patch_weights([attention(seed=seed) for seed in range(4)], pool)
    assert weights.shape == (2, 6)
    assert (weights >= 0).all()
    assert torch.allclose(weights.sum(1), torch.tensor(6.0))


@pytest.mark.parametrize("pool", POOLS)
def test_they_are_the_product_written_out(pool):
    maps = [attention(seed=seed) for seed in range(3)]
    first, second, third = ((m[:, 1:, 1:] / m[:, 1:, 1:].sum(2, keepdim=True)).double() for m in maps)
    product = third @ second @ first
    assert torch.allclose(product.sum(2), torch.ones(2, 6, dtype=torch.float64))  # the rows stay shares
    truth = product.mean(1) if pool == "mean" else product.amax(1)
    assert torch.allclose(patch_weights(maps, pool).double(), truth / truth.mean(1, keepdim=True), atol=1e-6)


def test_the_first_layer_decides_where_all_come_from():
    """The last layer looks at patch 4, the first at patch 1: after both, everything is patch 1."""
    weights = patch_weights([only_patch(1), only_patch(4)])
    assert weights.tolist() == [[0, 6, 0, 0, 0, 0]]


def test_the_mean_and_the_maximum_differ():
    """Five places look at patch 0 and one at patch 3: a maximum hears the one as well as the five."""
    looks = torch.zeros(1, 7, 7)
    looks[:, :, 1] = 1
    looks[0, 6] = torch.eye(7)[4]
    assert torch.allclose(patch_weights([looks], "mean"), torch.tensor([[5.0, 0, 0, 1, 0, 0]]))
    assert torch.allclose(patch_weights([looks], "max"), torch.tensor([[3.0, 0, 0, 3, 0, 0]]))


def test_the_class_token_is_no_patch():
    """What places look at the class token changes nothing, nor what the class token looks at."""
    plain = attention()
    more = plain * 0.5
    more[:, :, 0] = 0.5
    more[:, 0] = torch.eye(7)[0]
    assert torch.allclose(patch_weights([more, more]), patch_weights([plain, plain]), atol=1e-6)


def test_weights_pass_on_a_gradient():
    scores = torch.randn(1, 7, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    patch_weights([scores.softmax(2)] * 2)[0, 0].backward()
    assert scores.grad[:, 1:, 1:].abs().min() > 0
    assert scores.grad[:, 0].abs().max() == 0
